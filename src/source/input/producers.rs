//! Who makes the pictures: one that comes once, one after the other that open a FIFO, or a command that this program runs.

mod command;
mod fifo;

pub use command::Command;
pub use fifo::{Comers, Fifo};

use super::intake::Intake;
use super::onward::Onward;
use super::pipe::{End, Form, Pipe};
use crate::error::Error;
use rustix::fd::OwnedFd;
use std::time::Duration;

/// Hands pictures over, on a thread of its own, until they or the stream end.
pub trait Producer: Send {
    /// Runs to the end. What can be got over is logged.
    ///
    /// # Errors
    /// What a person has to mend.
    fn run(&mut self, intake: &Intake) -> Result<(), Error>;

    /// What it is, as people know it.
    fn name(&self) -> String;

    /// From where another process would go on, as far as can be said while it is read from: a file from its beginning.
    fn onward(&self) -> Onward {
        Onward::Anew
    }
}

/// A pipe or file that is open already. Its end is the input's.
pub struct Once {
    pub fd: OwnedFd,
    pub form: Form,
    pub name: String,
    /// Whether it is a file, which can be read again.
    pub is_file: bool,
    /// The first byte to show, of a file.
    pub from: Option<u64>,
    /// What was read of it before, of a pipe.
    pub behind: Vec<u8>,
}

impl Producer for Once {
    fn run(&mut self, intake: &Intake) -> Result<(), Error> {
        let mut pipe = Pipe::new(&self.fd, intake).behind(std::mem::take(&mut self.behind));
        if let Some(byte) = self.from {
            pipe = pipe.from(byte);
        }
        match pipe.read(&self.form, &|| true) {
            End::Over => Ok(()),
            End::Closed { pictures, cut } => {
                note_cut(&self.name, pictures, cut);
                Ok(())
            }
            End::Bad(error) => Err(error),
        }
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn onward(&self) -> Onward {
        if self.is_file { Onward::Byte(self.from.unwrap_or_default()) } else { Onward::Lost }
    }
}

fn note_cut(name: &str, pictures: u64, cut: bool) {
    if cut {
        let whole = if pictures == 1 { "frame" } else { "frames" };
        tracing::warn!("{name} ended in the middle of a frame, after {pictures} whole {whole}");
    } else {
        tracing::debug!("{name} ended after {pictures} frames");
    }
}

/// How long to wait before trying again: longer each time, until something works.
#[derive(Debug)]
pub struct Patience {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Patience {
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    pub fn reset(&mut self) {
        self.next = self.first;
    }

    /// The wait that is due now.
    pub fn next(&mut self) -> Duration {
        let longer = (self.next * 2).min(self.longest);
        std::mem::replace(&mut self.next, longer)
    }
}
