//! A stream that goes on in another process, on the same pipe: this one tells its worker, which keeps the pipe, or takes its
//! own place where nobody does.

use crate::control::{Control, signals};
use crate::error::Error;
use crate::events::{Event, Failure};
use crate::os::link::Link;
use crate::os::process;
use crate::os::replace::replace;
use crate::os::sealed::Sealed;
use crate::service::exit::FAILED;
use crate::service::role::Role;
use crate::source::input::Onward;
use crate::stream::{Checkpoint, Moved, Vitals};
use rustix::fd::{AsFd as _, AsRawFd as _, BorrowedFd};

/// The vitals of a stream in this process, which goes on where it was told to.
pub fn vitals(role: Role) -> Vitals {
    match role {
        Role::Rehearsal => Vitals::default(),
        Role::Program => Vitals::of_one_that_may_move(Checkpoint::of_this_process(false)),
        // Its first process, with nothing behind it.
        Role::Spare => Vitals::of_one_that_may_move(None),
        Role::Reader(..) => Vitals::of_one_that_may_move(Checkpoint::of_this_process(true)),
    }
}

/// Has a stream go on that was lost here. Nothing that a driver holds is given back to it.
///
/// # Errors
/// This process cannot take its own place.
pub fn move_on(moved: Moved, link: Option<&Link>, control: &Control) -> Result<(), Error> {
    let Moved { mut checkpoint, why, unshown } = moved;
    if let (Role::Reader(..) | Role::Spare, Some(link)) = (Role::of_this_process()?, link) {
        link.send(&Event::Checkpoint { checkpoint: checkpoint.to_text(), failure: Some(Failure::from(&why)) });
        process::leave(FAILED.into());
    }
    let unshown = match checkpoint.onward {
        Onward::Lost => Some(Sealed::copy(&unshown).map_err(cannot_start)?),
        _ => None,
    };
    if let Some(unshown) = &unshown {
        checkpoint.onward = Onward::Behind(unshown.as_fd().as_raw_fd());
    }
    let kept = link.iter().map(|link| link.as_fd()).chain(unshown.iter().map(|unshown| unshown.as_fd()));
    take_own_place(&checkpoint, &kept.collect::<Vec<_>>(), control)
}

/// Starts the program anew in this process, which keeps these descriptors, unless a stop was requested; then it is nothing.
///
/// # Errors
/// The system's.
pub fn take_own_place(checkpoint: &Checkpoint, kept: &[BorrowedFd<'_>], control: &Control) -> Result<(), Error> {
    // A request that comes from now on is for whoever takes this place.
    let _held = signals::hold();
    if control.stop_requested() {
        return Ok(());
    }
    Err(cannot_start(replace(checkpoint.variable(), kept)))
}

fn cannot_start(error: std::io::Error) -> Error {
    let remedy = "it starts itself by /proc/self/exe: mount /proc";
    Error::machine("too-many-processes", "cannot start the program anew", remedy).caused_by(error)
}
