//! What came of a stream in this process.

use super::checkpoint::Checkpoint;
use crate::error::Error;
use crate::stats::Totals;

/// What came of a stream.
#[derive(Debug)]
pub enum Outcome {
    /// It is over. What was written in all.
    Over(Totals),
    /// It goes on in another process. What this one holds of a driver is lost, and goes with it.
    Elsewhere(Box<Moved>),
}

/// What goes on in another process.
#[derive(Debug)]
pub struct Moved {
    pub checkpoint: Checkpoint,
    /// What was met here.
    pub why: Error,
    /// What was read of an input and not shown, where nobody can read it again.
    pub unshown: Vec<u8>,
}

impl Outcome {
    /// What was written.
    pub fn totals(self) -> Totals {
        match self {
            Self::Over(totals) => totals,
            Self::Elsewhere(moved) => moved.checkpoint.counts.totals,
        }
    }
}
