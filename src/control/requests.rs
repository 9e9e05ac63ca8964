//! What another process asks for along a link becomes a request to this one, as a signal does.

use super::Control;
use crate::error::Error;
use crate::events::Request;
use crate::os::link::{Link, Received};
use crate::os::{poll, threads};
use rustix::event::PollFlags;
use std::sync::Arc;

/// Starts to listen, on a thread that sleeps until something is asked for, or the other end is gone.
///
/// # Errors
/// No thread is left.
pub fn start(link: &Arc<Link>, control: &Arc<Control>) -> Result<(), Error> {
    let (link, control) = (Arc::clone(link), Arc::clone(control));
    let listen = move || {
        loop {
            match link.receive() {
                Received::Message(Request::Stop) => control.request_stop(),
                Received::Message(Request::Idr) => control.request_idr(),
                // This process has its reader.
                Received::Message(Request::Serve { .. }) => {}
                Received::Nothing => {
                    poll::wait_for(&*link, PollFlags::IN, None);
                }
                // The kernel ends this process with the one that asked, or that one has done so on purpose.
                Received::Closed => return,
            }
        }
    };
    threads::small("requests").spawn(listen).map(drop).map_err(threads::cannot_start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_done_whatever_else_is_waited_for() {
        let (ours, theirs) = Link::pair().unwrap();
        let control = Arc::new(Control::new().unwrap());
        start(&Arc::new(theirs), &control).unwrap();
        ours.send(&Request::Idr);
        control.wait(Some((control.idr_fd(), PollFlags::IN)), None);
        assert!(control.take_idr_request() && !control.stop_requested());
        ours.send(&Request::Stop);
        // Without the stop this would wait for ever.
        control.wait(None, None);
        assert!(control.stop_requested());
    }
}
