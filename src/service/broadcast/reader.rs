//! One reader's process and connection, from the first to the last, on a thread of its own: processes are tied to the
//! thread that has started them.

use super::pump::Pump;
use crate::control::Control;
use crate::error::Error;
use crate::events::Event;
use crate::os::event::Event as Bell;
use crate::os::threads;
use crate::service::door::http::Guest;
use crate::service::relay::relay;
use crate::service::role::{Known, Role};
use crate::service::start::Started;
use crate::service::streams::Format;
use crate::service::watched::{Ended, Watcher};
use crate::settings::Limits;
use rustix::pipe::{PipeFlags, pipe_with};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A process that says itself why it hangs does so a moment after its limit.
const SAYS_WHY: Duration = Duration::from_millis(750);

/// What a reader's thread tells.
#[derive(Debug)]
pub enum Told {
    /// What its process does.
    Event(Event),
    /// It is over, and the process has ended.
    Over(Over),
}

/// How it was.
#[derive(Debug)]
pub struct Over {
    pub reader: u64,
    pub guest: Guest,
    /// Whether the reader was sent anything. If not, it has not got an answer yet.
    pub has_begun: bool,
    /// Whether it was the reader who left.
    pub is_gone: bool,
    pub ended: anyhow::Result<Ended>,
    pub since: Instant,
}

/// To whom it is told.
#[derive(Clone, Debug)]
pub struct Ear {
    pub sender: Sender<Told>,
    pub bell: Arc<Bell>,
}

impl Ear {
    fn tell(&self, told: Told) {
        // Nobody listens any more where everything ends.
        let _ = self.sender.send(told);
        self.bell.raise();
    }
}

/// A reader that is served.
#[derive(Debug)]
pub struct Serving {
    pub control: Arc<Control>,
    pub thread: JoinHandle<()>,
}

/// What a reader's thread is to do.
pub struct Errand {
    pub reader: u64,
    pub format: Format,
    pub limits: Limits,
    pub known: Known,
    /// The process that is ready for it.
    pub spare: Option<Started>,
}

impl Serving {
    /// Starts a stream for a guest.
    ///
    /// # Errors
    /// No thread or descriptor is left. The guest is lost with it.
    pub fn start(errand: Errand, guest: Guest, ear: Ear) -> Result<Self, Error> {
        let control = Arc::new(Control::new()?);
        let ours = Arc::clone(&control);
        let serve = move || {
            let (reader, since) = (errand.reader, Instant::now());
            let mut over = Over { reader, guest, has_begun: false, is_gone: false, ended: Ok(Ended::Stopped), since };
            over.ended = serve(&mut over, errand, &ours, &ear);
            ear.tell(Told::Over(over));
        };
        let thread = threads::small("reader").spawn(serve).map_err(threads::cannot_start)?;
        Ok(Self { control, thread })
    }
}

fn serve(over: &mut Over, errand: Errand, control: &Control, ear: &Ear) -> anyhow::Result<Ended> {
    let Errand { reader, format, limits, known, spare } = errand;
    let (pipe, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
    let mut pump = Pump::new(pipe, &over.guest.socket, media_type(format), over.since + limits.opening + SAYS_WHY)?;
    let tell = |event: &Event| ear.tell(Told::Event(event.clone()));
    let watcher = Watcher { control, limits, tell: &tell };
    let role = Role::Reader(reader, Some(format));
    let ended = relay(&watcher, &theirs, (reader, role), spare, &known, &mut pump);
    // The last copy of it: this one would keep its end from the pump.
    drop(theirs);
    if !matches!(ended, Ok(Ended::Stopped)) {
        pump.finish(&control.wake_fd());
    }
    (over.has_begun, over.is_gone) = (pump.has_begun(), pump.is_gone());
    ended
}

/// What a stream is on the network.
pub fn media_type(format: Format) -> &'static str {
    match format {
        Format::Mpegts => "video/mp2t",
        Format::H264 => "video/h264",
    }
}
