//! A reader that takes nothing of its stream: when that is worth a word, and when it is over.

use crate::events::{Event, Holder, Intake};
use crate::os::holders::{FileId, reader_of};
use std::time::Duration;

/// A reader may pause for so long without a word.
const LIMIT: Duration = Duration::from_secs(5);

/// What was said of one reader.
#[derive(Debug)]
pub struct Stall {
    reader: u64,
    pipe: Option<FileId>,
    is_told: bool,
    is_warned: bool,
}

impl Stall {
    /// Of reader `reader`, whose pipe is this one, if it reads from one itself.
    pub fn new(reader: u64, pipe: Option<FileId>) -> Self {
        Self { reader, pipe, is_told: false, is_warned: false }
    }

    /// Takes what it has taken. Returns what there is to tell, and logs, once, that one has never taken anything: others
    /// wait for it, and it may have been left behind by something. One that pauses is no fault.
    pub fn hear(&mut self, intake: Intake) -> Option<Event> {
        let (reader, idle) = (self.reader, intake.idle_seconds);
        let stalls = idle >= LIMIT.as_secs_f64();
        if stalls == self.is_told {
            return None;
        }
        self.is_told = stalls;
        if !stalls {
            if std::mem::replace(&mut self.is_warned, false) {
                tracing::info!(reader, "the reader reads now");
            }
            return Some(Event::Resumed { reader });
        }
        let by = self.pipe.and_then(reader_of).map(|(pid, name)| Holder { pid: pid.as_raw_nonzero().get(), name });
        if intake.taken == 0 {
            self.is_warned = true;
            match (&by, self.pipe) {
                (Some(by), _) => self.warn(idle, &format!(", and later ones wait behind it: {by} has it open")),
                (None, Some(_)) => {
                    self.warn(idle, ", and later ones wait behind it: /proc does not show who has it open");
                }
                (None, None) => self.warn(idle, ""),
            }
        }
        Some(Event::Stalled { reader, seconds: idle, by })
    }

    fn warn(&self, idle: f64, who: &str) {
        tracing::warn!(reader = self.reader, "the reader has read nothing for {idle:.0} s{who}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_once_and_so_is_its_end() {
        let mut stall = Stall::new(7, None);
        let mut hear = |idle_seconds| stall.hear(Intake { taken: 0, idle_seconds });
        assert_eq!([hear(0.0), hear(4.9)], [None, None]);
        assert_eq!(hear(5.0), Some(Event::Stalled { reader: 7, seconds: 5.0, by: None }));
        assert_eq!(hear(9.0), None);
        assert_eq!(hear(0.4), Some(Event::Resumed { reader: 7 }));
        assert_eq!(hear(0.0), None);
    }
}
