//! What a worker by HTTP has done since its start, over all readers. Nothing here ever goes down when a reader leaves.

use crate::events::{Event, Progress};
use crate::service::account::Account;
use crate::stats::Snapshot;
use std::time::{Duration, Instant};

/// Why a stream was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The reader left.
    Left,
    /// The stream ended by itself, and well.
    Done,
    /// It failed.
    Failed,
    /// It hung.
    Hung,
    /// No frame came in time.
    Late,
    /// Somebody killed its process.
    Killed,
    /// The worker was asked to end.
    Stopped,
}

impl Cause {
    /// All of them, with their names for machines.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Left, "left"),
        (Self::Done, "done"),
        (Self::Failed, "failed"),
        (Self::Hung, "hung"),
        (Self::Late, "late"),
        (Self::Killed, "killed"),
        (Self::Stopped, "stopped"),
    ];
}

/// The counts of all streams.
#[derive(Debug, Default)]
pub struct Books {
    pub account: Account,
    pub starts: u64,
    /// Streams that went on in another process.
    pub restarts: u64,
    /// In the order of [`Cause::ALL`].
    pub ends: [u64; Cause::ALL.len()],
    finished: Snapshot,
    /// When each stream that runs has told of one more picture.
    fresh: std::collections::BTreeMap<u64, Instant>,
}

impl Books {
    /// Takes an event.
    pub fn hear(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Connected { reader } => {
                self.starts += 1;
                self.fresh.insert(*reader, now);
            }
            Event::Progress(progress) => self.progress(progress, now),
            Event::Restarted { .. } => self.restarts += 1,
            _ => {}
        }
        self.account.hear(event.clone(), now);
    }

    fn progress(&mut self, progress: &Progress, now: Instant) {
        let Some(reader) = progress.reader else { return };
        let before = self.account.running.get(&reader).and_then(|running| running.latest.as_ref());
        let before = before.map_or(0, |(progress, _)| progress.counts.totals.pictures);
        if progress.counts.totals.pictures > before {
            self.fresh.insert(reader, now);
        }
    }

    /// Closes the account of a stream, before its end is told. `last` is what it had done, where it could say so.
    pub fn close(&mut self, reader: u64, cause: Cause, last: Option<&Progress>) {
        let heard = self.account.running.remove(&reader).and_then(|running| running.latest);
        if let Some(counts) = last.or(heard.as_ref().map(|(progress, _)| progress)).map(|progress| &progress.counts) {
            self.finished.add(counts);
        }
        self.fresh.remove(&reader);
        if let Some(at) = Cause::ALL.iter().position(|(known, _)| *known == cause) {
            self.ends[at] += 1;
        }
    }

    /// Everything counted, those streams included that run.
    pub fn counts(&self) -> Snapshot {
        let mut counts = self.finished.clone();
        let running = self.account.running.values().filter_map(|running| running.latest.as_ref());
        running.for_each(|(progress, _)| counts.add(&progress.counts));
        counts
    }

    /// How long ago that stream has told of a picture which waits the longest for one; `None` while nobody reads.
    pub fn since_last_picture(&self, now: Instant) -> Option<Duration> {
        self.fresh.values().min().map(|at| now.saturating_duration_since(*at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pulse::Stage;

    fn progress(reader: u64, pictures: u64) -> Progress {
        let mut counts = Snapshot::default();
        counts.totals.pictures = pictures;
        let (stage, reader) = (Stage::Idle, Some(reader));
        Progress { seconds: 1.0, counts, chosen: None, stage, stage_seconds: 0.0, intake: None, reader }
    }

    #[test]
    fn counts_never_go_down() {
        let now = Instant::now();
        let mut books = Books::default();
        for reader in 1..=2 {
            books.hear(&Event::Connected { reader }, now);
        }
        books.hear(&Event::Progress(progress(1, 30)), now);
        books.hear(&Event::Progress(progress(2, 10)), now + Duration::from_secs(1));
        assert_eq!(books.counts().totals.pictures, 40);
        books.close(1, Cause::Left, Some(&progress(1, 33)));
        assert_eq!(books.counts().totals.pictures, 43, "with its last words");
        books.close(2, Cause::Killed, None);
        assert_eq!(books.counts().totals.pictures, 43, "with what it had told");
        assert_eq!((books.starts, books.ends), (2, [1, 0, 0, 0, 0, 1, 0]));
    }

    #[test]
    fn a_picture_is_as_old_as_that_of_the_stream_that_waits_the_longest() {
        let now = Instant::now();
        let later = |seconds| now + Duration::from_secs(seconds);
        let mut books = Books::default();
        assert_eq!(books.since_last_picture(now), None);
        books.hear(&Event::Connected { reader: 1 }, now);
        books.hear(&Event::Connected { reader: 2 }, now);
        books.hear(&Event::Progress(progress(1, 5)), later(1));
        books.hear(&Event::Progress(progress(2, 5)), later(2));
        books.hear(&Event::Progress(progress(2, 6)), later(3));
        books.hear(&Event::Progress(progress(1, 5)), later(4));
        assert_eq!(books.since_last_picture(later(4)), Some(Duration::from_secs(3)));
        books.close(1, Cause::Left, None);
        assert_eq!(books.since_last_picture(later(4)), Some(Duration::from_secs(1)));
    }
}
