//! Producers that open a FIFO, one after the other.

use super::super::intake::{Intake, Over};
use super::super::pipe::{End, Form, Pipe};
use super::{Patience, Producer, note_cut};
use crate::error::Error;
use rustix::event::PollFlags;
use rustix::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

/// How often it is looked whether the FIFO is still at its path, while nobody has come.
const LOOK: Duration = Duration::from_millis(500);

/// How long nobody is let in after one who wrote nothing that can be shown: at first, and at most. Longer, and a good
/// producer would wait for the sake of a bad one; none, and the bad one would fill the log.
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Where producers come from.
pub trait Comers: Send {
    /// Opens the FIFO for reading, and does not wait. From then on a producer can open it.
    ///
    /// # Errors
    /// It cannot be opened or made.
    fn open(&mut self) -> Result<OwnedFd, Error>;

    /// The first one has come: has the next one open a FIFO of its own, where that can be done.
    fn close_behind(&mut self);

    /// Whether the one who came is the only one, as far as is known by now.
    fn is_alone(&self) -> bool;

    /// Whether what is open is what producers find.
    fn is_in_place(&self) -> bool;

    /// The FIFO's path.
    fn name(&self) -> String;
}

/// A FIFO that is read from while the stream runs, and at no other time.
pub struct Fifo {
    pub comers: Box<dyn Comers>,
    pub form: Form,
}

impl Producer for Fifo {
    fn run(&mut self, intake: &Intake) -> Result<(), Error> {
        match self.serve(intake) {
            Ok(never) => match never {},
            Err(Stop::Over) => Ok(()),
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    fn name(&self) -> String {
        self.comers.name()
    }
}

enum Stop {
    Over,
    Failed(Error),
}

impl From<Over> for Stop {
    fn from(Over: Over) -> Self {
        Self::Over
    }
}

impl Fifo {
    fn serve(&mut self, intake: &Intake) -> Result<std::convert::Infallible, Stop> {
        let (mut patience, mut told) = (Patience::new(FIRST_WAIT, LONGEST_WAIT), false);
        loop {
            let pipe = self.comers.open().map_err(Stop::Failed)?;
            widen(&pipe);
            if !std::mem::replace(&mut told, true) {
                tracing::info!("waiting for frames in {}", self.comers.name());
            }
            if !self.wait_for_one(&pipe, intake)? {
                continue;
            }
            self.comers.close_behind();
            let end = Pipe::new(&pipe, intake).read(&self.form, &|| self.comers.is_alone());
            drop(pipe);
            match end {
                End::Over => return Err(Stop::Over),
                End::Closed { pictures, cut } => {
                    note_cut(&self.comers.name(), pictures, cut);
                    if pictures > 0 {
                        patience.reset();
                        continue;
                    }
                    // Who only asks whether anybody watches opens it and closes it again.
                    if !cut {
                        intake.wait(None, Some(FIRST_WAIT))?;
                        continue;
                    }
                }
                End::Bad(error) => tracing::warn!("{}: {}", self.comers.name(), error.in_a_line()),
            }
            intake.wait(None, Some(patience.next()))?;
        }
    }

    /// Waits for the first bytes, or the end, of somebody who has come. Returns whether anybody has; else the FIFO is to
    /// be opened anew.
    fn wait_for_one(&self, pipe: &OwnedFd, intake: &Intake) -> Result<bool, Over> {
        loop {
            if !intake.wait(Some((pipe.as_fd(), PollFlags::IN)), Some(LOOK))?.is_empty() {
                return Ok(true);
            }
            if !self.comers.is_in_place() {
                return Ok(false);
            }
        }
    }
}

/// Has a pipe hold as much as an unprivileged process may have it hold: a picture in fewer turns.
fn widen(pipe: &OwnedFd) {
    const BYTES: usize = 1 << 20;
    // Where the user's pipes hold too much together, it stays as it is.
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, BYTES);
}
