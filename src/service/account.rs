//! What is known of a worker, from the events that it tells. Time is passed in.

use crate::events::{Event, Failure, Holder, Progress};
use crate::stats::Chosen;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long its readers are looked after once something has happened to its FIFO.
pub const LOOK_ON: Duration = Duration::from_secs(5);
/// Figures are of a window as long as this, or up to twice that.
const WINDOW: Duration = Duration::from_secs(2);

/// What a worker is doing.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Started, and has not said more yet.
    Starting,
    /// Nobody reads.
    Waiting,
    /// Somebody does, or several.
    Streaming,
    /// Its last stream failed; it takes no reader for a while.
    Failing,
    /// Not running.
    Down,
}

/// What is known of a worker, from its events.
#[derive(Debug)]
pub struct Account {
    pub state: State,
    /// Why it fails or is down.
    pub why: Option<String>,
    /// What to do about that.
    pub remedy: Option<String>,
    /// What draws and encodes, as its rehearsal or its latest stream has told it.
    pub chosen: Option<Chosen>,
    /// Its streams, by their readers' numbers.
    pub running: BTreeMap<u64, Running>,
    /// Whether a process is ready for its next reader.
    pub has_spare: bool,
    /// How its last stream ended, and when.
    pub last_end: Option<(LastEnd, Instant)>,
    /// The last thing that went wrong since its start, for when it ends.
    failure: Option<Failure>,
    /// Until when its readers are to be looked after; see `supervisor/stale_readers.rs`.
    pub look_until: Option<Instant>,
}

/// One stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Running {
    /// Its latest progress, and an earlier one to compare it with.
    pub latest: Option<(Progress, Instant)>,
    pub earlier: Option<(Progress, Instant)>,
    /// Since when its reader has taken nothing, and which process that is.
    pub stalled: Option<(Instant, Option<Holder>)>,
    /// How often it went on in another process.
    pub restarts: u64,
}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq)]
pub enum LastEnd {
    /// The reader left, or all frames were written.
    Well,
    Failed(Failure),
}

impl Default for Account {
    fn default() -> Self {
        Self {
            state: State::Starting,
            why: None,
            remedy: None,
            chosen: None,
            running: BTreeMap::new(),
            has_spare: false,
            last_end: None,
            failure: None,
            look_until: None,
        }
    }
}

impl Account {
    /// It was started.
    pub fn started(&mut self) {
        let last_end = self.last_end.take();
        *self = Self { last_end, ..Self::default() };
    }

    /// It has told this.
    pub fn hear(&mut self, event: Event, now: Instant) {
        match event {
            Event::Listening { .. } => {}
            // No worker tells these.
            Event::Streams { .. } | Event::Chosen(_) | Event::Checkpoint { .. } => {}
            Event::Rehearsed { .. } | Event::Ready | Event::Taken => {}
            Event::Spare { ready } => self.has_spare = ready,
            Event::Restarted { reader, .. } => {
                self.running.get_mut(&reader).into_iter().for_each(|running| running.restarts += 1);
            }
            Event::Waiting => {
                self.idle(State::Waiting);
                self.look_until = Some(now + LOOK_ON);
            }
            Event::Reopened => self.look_until = Some(now + LOOK_ON),
            Event::Connected { reader } => {
                self.state = State::Streaming;
                self.why = None;
                self.remedy = None;
                self.running.insert(reader, Running::default());
            }
            // A rehearsal has progress, too, and no reader.
            Event::Progress(mut progress) => {
                if let Some(chosen) = &mut progress.chosen {
                    self.say_why(chosen);
                    self.chosen = Some(chosen.clone());
                }
                if let Some(running) = progress.reader.and_then(|reader| self.running.get_mut(&reader)) {
                    running.progress(progress, now);
                }
            }
            Event::Stalled { reader, seconds, by } => {
                let idle = Duration::try_from_secs_f64(seconds).unwrap_or_default();
                if let Some(running) = self.running.get_mut(&reader) {
                    running.stalled = Some((now.checked_sub(idle).unwrap_or(now), by));
                }
            }
            Event::Resumed { reader } => {
                self.running.get_mut(&reader).into_iter().for_each(|running| running.stalled = None);
            }
            Event::Disconnected { reader, .. } => {
                self.running.remove(&reader);
                self.last_end = Some((LastEnd::Well, now));
                self.look_until = Some(now + LOOK_ON);
            }
            Event::Failed { reader, failure } => {
                // A rehearsal is no stream.
                let was_stream = self.state != State::Starting;
                match reader {
                    Some(reader) => drop(self.running.remove(&reader)),
                    // It is all of them.
                    None => self.running.clear(),
                }
                if self.running.is_empty() {
                    self.idle(State::Failing);
                    self.why = Some(failure.to_string());
                    self.remedy = Some(failure.remedy.clone());
                }
                self.failure = Some(failure.clone());
                if was_stream {
                    self.last_end = Some((LastEnd::Failed(failure), now));
                }
            }
        }
    }

    /// A stream that has not looked for another encoder does not know why it has this one; whoever did look has said it.
    fn say_why(&self, chosen: &mut Chosen) {
        let same = self.chosen.as_ref().filter(|known| known.encoder == chosen.encoder);
        chosen.fallback = chosen.fallback.take().or(same.and_then(|known| known.fallback.clone()));
    }

    fn idle(&mut self, state: State) {
        self.state = state;
        self.why = None;
        self.remedy = None;
        self.running.clear();
    }

    /// It has ended although nobody asked it to: `how`, and for what reason if it wrote one. Returns why, for people.
    pub fn ended(&mut self, how: &str, reason: Option<String>) -> String {
        let failure = self.failure.take();
        let why = match failure.as_ref().map(ToString::to_string).or(reason) {
            Some(said) => format!("{how}: {said}"),
            None => how.to_owned(),
        };
        self.down(why.clone());
        self.remedy = failure.map(|failure| failure.remedy);
        why
    }

    /// It cannot be started.
    pub fn down(&mut self, why: String) {
        self.idle(State::Down);
        self.has_spare = false;
        self.why = Some(why);
    }
}

impl Running {
    fn progress(&mut self, progress: Progress, now: Instant) {
        match &self.earlier {
            None => self.earlier = Some((progress.clone(), now)),
            Some((_, since)) if now.saturating_duration_since(*since) >= WINDOW * 2 => {
                // The newest one that is old enough would be best; the latest before this one is within a window of it.
                self.earlier = self.latest.take();
            }
            Some(_) => {}
        }
        self.latest = Some((progress, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pulse::Stage;
    use crate::stats::{Fallback, Snapshot};

    fn progress(reader: u64, pictures: u64) -> Event {
        let mut counts = Snapshot::default();
        counts.totals.pictures = pictures;
        let (stage, reader) = (Stage::Idle, Some(reader));
        Event::Progress(Progress {
            seconds: 1.0,
            counts,
            chosen: None,
            stage,
            stage_seconds: 0.0,
            intake: None,
            reader,
        })
    }

    fn failure(cause: &str) -> Failure {
        Failure { code: String::new(), cause: cause.to_owned(), remedy: String::new(), input: false }
    }

    #[test]
    fn its_events_are_its_state() {
        let now = Instant::now();
        let mut account = Account::default();
        account.hear(progress(1, 1), now);
        assert_eq!((&account.state, account.running.len()), (&State::Starting, 0), "a rehearsal");
        account.hear(Event::Waiting, now);
        assert_eq!((&account.state, account.look_until), (&State::Waiting, Some(now + LOOK_ON)));
        account.hear(Event::Connected { reader: 1 }, now);
        account.hear(progress(1, 30), now);
        assert_eq!(account.state, State::Streaming);
        assert!(account.running[&1].latest.is_some());
        account.hear(Event::Disconnected { reader: 1, last: None }, now);
        account.hear(Event::Waiting, now);
        assert_eq!((&account.state, account.running.len()), (&State::Waiting, 0));
        assert_eq!(account.last_end, Some((LastEnd::Well, now)));
    }

    #[test]
    fn each_of_several_readers_has_a_stream_of_its_own() {
        let now = Instant::now();
        let mut account = Account::default();
        account.hear(Event::Connected { reader: 1 }, now);
        account.hear(Event::Connected { reader: 2 }, now);
        account.hear(progress(2, 30), now);
        let pictures = |account: &Account, reader| {
            let running: &Running = &account.running[&reader];
            running.latest.as_ref().map(|(progress, _)| progress.counts.totals.pictures)
        };
        assert_eq!((pictures(&account, 1), pictures(&account, 2)), (None, Some(30)));
        account.hear(Event::Failed { reader: Some(1), failure: failure("the disk is full") }, now);
        assert_eq!((&account.state, &account.why), (&State::Streaming, &None), "the other one goes on");
        account.hear(Event::Failed { reader: Some(2), failure: failure("the disk is full") }, now);
        assert_eq!((&account.state, account.running.len()), (&State::Failing, 0));
    }

    #[test]
    fn a_stream_has_its_encoder_for_the_reason_that_was_found_last() {
        let now = Instant::now();
        let chose = |reader, encoder: &str, code: Option<&str>| {
            let Event::Progress(mut progress) = progress(1, 1) else { unreachable!() };
            let fallback = code.map(|code| Fallback { code: code.to_owned(), why: String::new() });
            progress.chosen = Some(Chosen { encoder: encoder.to_owned(), fallback, ..Chosen::default() });
            Event::Progress(Progress { reader, ..progress })
        };
        let mut account = Account::default();
        let code = |account: &Account| {
            let (progress, _) = account.running[&1].latest.clone().unwrap();
            assert_eq!(progress.chosen, account.chosen);
            progress.chosen.unwrap().fallback.map(|fallback| fallback.code)
        };
        account.hear(chose(None, "OpenH264", Some("no-nvenc")), now);
        account.hear(Event::Connected { reader: 1 }, now);
        account.hear(chose(Some(1), "OpenH264", None), now);
        assert_eq!(code(&account).as_deref(), Some("no-nvenc"), "nobody looked any more");
        account.hear(chose(Some(1), "OpenH264", Some("nvenc-sessions")), now);
        assert_eq!(code(&account).as_deref(), Some("nvenc-sessions"));
        account.hear(chose(Some(1), "NVENC", None), now);
        assert_eq!(code(&account), None);
        account.started();
        assert_eq!(account.chosen, None);
    }

    #[test]
    fn a_reader_that_takes_nothing_is_told_of_until_it_does() {
        let now = Instant::now();
        let (mut account, by) = (Account::default(), Some(Holder { pid: 12, name: "cat".to_owned() }));
        account.hear(Event::Connected { reader: 1 }, now);
        let later = now + Duration::from_secs(9);
        account.hear(Event::Stalled { reader: 1, seconds: 5.0, by: by.clone() }, later);
        assert_eq!(account.running[&1].stalled, Some((later - Duration::from_secs(5), by.clone())));
        account.hear(Event::Resumed { reader: 1 }, later);
        assert_eq!(account.running[&1].stalled, None);
        account.hear(Event::Stalled { reader: 1, seconds: 5.0, by }, later);
        account.hear(Event::Disconnected { reader: 1, last: None }, later);
        account.hear(Event::Waiting, later);
        assert_eq!((account.running.len(), &account.state), (0, &State::Waiting), "it has gone with its reader");
    }

    #[test]
    fn a_stream_that_goes_on_in_another_process_streams_all_the_while() {
        let now = Instant::now();
        let mut account = Account::default();
        account.hear(Event::Connected { reader: 1 }, now);
        account.hear(Event::Restarted { reader: 1, failure: failure("the driver hung") }, now);
        account.hear(progress(1, 30), now);
        assert_eq!((&account.state, &account.why, account.running[&1].restarts), (&State::Streaming, &None, 1));
        assert_eq!(account.last_end, None);
    }

    #[test]
    fn a_failure_is_told_until_the_next_stream_and_remembered_after_it() {
        let now = Instant::now();
        let mut account = Account::default();
        account.hear(Event::Connected { reader: 1 }, now);
        account.hear(Event::failed(failure("the disk is full")), now);
        assert_eq!((&account.state, account.why.as_deref()), (&State::Failing, Some("the disk is full")));
        account.hear(Event::Waiting, now);
        assert_eq!((&account.state, &account.why), (&State::Waiting, &None));
        assert_eq!(account.last_end, Some((LastEnd::Failed(failure("the disk is full")), now)));
    }

    #[test]
    fn an_end_is_told_in_its_own_words_or_else_by_its_reason() {
        let mut account = Account::default();
        assert_eq!(account.ended("exit status: 2", Some("error: no".to_owned())), "exit status: 2: error: no");
        assert_eq!(account.state, State::Down);
        account.started();
        let rehearsal = Failure { remedy: "install one".to_owned(), ..failure("no driver") };
        account.hear(Event::failed(rehearsal), Instant::now());
        assert_eq!(account.last_end, None, "a rehearsal is no stream");
        assert_eq!(account.ended("exit status: 1", Some("INFO waiting".to_owned())), "exit status: 1: no driver");
        assert_eq!(account.remedy.as_deref(), Some("install one"));
        account.started();
        assert_eq!(account.ended("signal: 9 (SIGKILL)", None), "signal: 9 (SIGKILL)");
    }

    #[test]
    fn figures_are_of_the_last_seconds() {
        let start = Instant::now();
        let mut account = Account::default();
        account.hear(Event::Connected { reader: 1 }, start);
        for half_seconds in 0..40u32 {
            account.hear(progress(1, half_seconds.into()), start + half_seconds * Duration::from_millis(500));
            let (_, latest) = account.running[&1].latest.as_ref().unwrap();
            let (_, earlier) = account.running[&1].earlier.as_ref().unwrap();
            assert!(*latest - *earlier <= WINDOW * 2);
        }
    }
}
