//! A worker under supervision: what its events make of its state. Time is passed in.

use super::child::Kept;
use crate::events::{Event, Failure, Holder, Progress, Request};
use crate::os::link::{Link, Received};
use rustix::process::{Pid, Signal};
use std::path::PathBuf;
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
    /// Somebody does.
    Streaming { reader: u64 },
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
    /// The latest progress of its stream, and an earlier one to compare it with.
    pub latest: Option<(Progress, Instant)>,
    pub earlier: Option<(Progress, Instant)>,
    /// Since when its reader has taken nothing, and which process that is.
    pub stalled: Option<(Instant, Option<Holder>)>,
    /// How its last stream ended, and when.
    pub last_end: Option<(LastEnd, Instant)>,
    /// The last thing that went wrong since its start, for when it ends.
    failure: Option<Failure>,
    /// Until when its readers are to be looked after; see [`super::stale_readers`].
    pub look_until: Option<Instant>,
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
            latest: None,
            earlier: None,
            stalled: None,
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
            Event::Waiting => {
                self.idle(State::Waiting);
                self.look_until = Some(now + LOOK_ON);
            }
            Event::Reopened => self.look_until = Some(now + LOOK_ON),
            Event::Connected { reader } => self.idle(State::Streaming { reader }),
            Event::Progress(progress) => {
                // A rehearsal has progress, too.
                if matches!(self.state, State::Streaming { .. }) {
                    self.progress(progress, now);
                }
            }
            Event::Stalled { seconds, by, .. } => {
                let idle = Duration::try_from_secs_f64(seconds).unwrap_or_default();
                self.stalled = Some((now.checked_sub(idle).unwrap_or(now), by));
            }
            Event::Resumed { .. } => self.stalled = None,
            Event::Disconnected { .. } => {
                self.last_end = Some((LastEnd::Well, now));
                self.look_until = Some(now + LOOK_ON);
            }
            Event::Failed(failure) => {
                // A rehearsal is no stream.
                let was_stream = self.state != State::Starting;
                self.idle(State::Failing);
                self.why = Some(failure.to_string());
                self.remedy = Some(failure.remedy.clone());
                self.failure = Some(failure.clone());
                if was_stream {
                    self.last_end = Some((LastEnd::Failed(failure), now));
                }
            }
        }
    }

    fn idle(&mut self, state: State) {
        self.state = state;
        self.why = None;
        self.remedy = None;
        self.latest = None;
        self.earlier = None;
        self.stalled = None;
    }

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
        self.why = Some(why);
    }
}

/// Whether a worker says with a line why it ends: what is neither a line of its log in one of its two forms, nor the rest
/// of one, comes from the parser or from the C library.
pub fn is_reason(line: &str) -> bool {
    !line.starts_with(|first: char| first.is_ascii_digit() || first.is_whitespace() || first == '{')
}

/// A worker that is kept running.
#[derive(Debug)]
pub struct Worker {
    pub kept: Kept,
    pub fifo: PathBuf,
    pub account: Account,
    /// A reader that has not got the FIFO open, and since when.
    pub blocked: Option<(Pid, Instant)>,
    link: Option<Link>,
}

impl Worker {
    pub fn new(kept: Kept, fifo: PathBuf) -> Self {
        Self { kept, fifo, account: Account::default(), blocked: None, link: None }
    }

    /// Readable when it has told something.
    pub fn link(&self) -> Option<&Link> {
        self.link.as_ref()
    }

    /// Starts it.
    pub fn start(&mut self, now: Instant) {
        let started = match Link::pair() {
            Ok((ours, theirs)) => {
                self.link = Some(ours);
                self.kept.start(Some(&theirs), now)
            }
            Err(error) => {
                let why = format!("cannot be started: {error}");
                self.kept.try_again(&why, now);
                Err(why)
            }
        };
        match started {
            Ok(()) => self.account.started(),
            Err(why) => self.account.down(why),
        }
    }

    /// Takes what it has written and told.
    pub fn listen(&mut self, now: Instant) {
        self.kept.listen();
        while let Some(link) = &self.link {
            match link.receive() {
                Received::Message(event) => self.account.hear(event, now),
                Received::Nothing => return,
                Received::Closed => self.link = None,
            }
        }
    }

    /// Reaps it if it has ended.
    pub fn collect(&mut self, now: Instant) {
        if self.kept.process().is_some_and(|process| process.has_ended()) {
            self.listen(now);
            if let Some((how, reason)) = self.kept.reap(now) {
                let why = self.account.ended(&how, reason);
                self.kept.try_again(&why, now);
            }
        }
    }

    /// Asks it to end: along the link, or by a signal where it may not listen there yet. By one of them alone, for who
    /// is asked twice ends at once.
    pub fn stop(&self) {
        match &self.link {
            Some(link) if self.account.state != State::Starting => link.send(&Request::Stop),
            _ => self.kept.signal(Signal::TERM),
        }
    }

    /// Whether nobody serves its FIFO, for longer than a start takes.
    pub fn needs_turning_away(&self, now: Instant) -> bool {
        let long_down = self.kept.due().is_some_and(|due| due > now + Duration::from_secs(1));
        self.account.state == State::Down && (self.kept.restarts > 3 || long_down)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pulse::Stage;
    use crate::stats::Snapshot;

    fn progress(pictures: u64) -> Event {
        let mut counts = Snapshot::default();
        counts.totals.pictures = pictures;
        let stage = Stage::Idle;
        Event::Progress(Progress { seconds: 1.0, counts, chosen: None, stage, stage_seconds: 0.0, intake: None })
    }

    fn failure(cause: &str) -> Failure {
        Failure { code: String::new(), cause: cause.to_owned(), remedy: String::new(), input: false }
    }

    #[test]
    fn its_events_are_its_state() {
        let now = Instant::now();
        let mut account = Account::default();
        account.hear(progress(1), now);
        assert_eq!((&account.state, &account.latest), (&State::Starting, &None), "a rehearsal");
        account.hear(Event::Waiting, now);
        assert_eq!((&account.state, account.look_until), (&State::Waiting, Some(now + LOOK_ON)));
        account.hear(Event::Connected { reader: 1 }, now);
        account.hear(progress(30), now);
        assert_eq!(account.state, State::Streaming { reader: 1 });
        assert!(account.latest.is_some());
        account.hear(Event::Disconnected { reader: 1, last: None }, now);
        account.hear(Event::Waiting, now);
        assert_eq!((&account.state, &account.latest), (&State::Waiting, &None));
        assert_eq!(account.last_end, Some((LastEnd::Well, now)));
    }

    #[test]
    fn a_reader_that_takes_nothing_is_told_of_until_it_does() {
        let now = Instant::now();
        let (mut account, by) = (Account::default(), Some(Holder { pid: 12, name: "cat".to_owned() }));
        account.hear(Event::Connected { reader: 1 }, now);
        let later = now + Duration::from_secs(9);
        account.hear(Event::Stalled { reader: 1, seconds: 5.0, by: by.clone() }, later);
        assert_eq!(account.stalled, Some((later - Duration::from_secs(5), by.clone())));
        account.hear(Event::Resumed { reader: 1 }, later);
        assert_eq!(account.stalled, None);
        account.hear(Event::Stalled { reader: 1, seconds: 5.0, by }, later);
        account.hear(Event::Disconnected { reader: 1, last: None }, later);
        account.hear(Event::Waiting, later);
        assert_eq!((&account.stalled, &account.state), (&None, &State::Waiting), "it has gone with its reader");
    }

    #[test]
    fn a_failure_is_told_until_the_next_stream_and_remembered_after_it() {
        let now = Instant::now();
        let mut account = Account::default();
        account.hear(Event::Connected { reader: 1 }, now);
        account.hear(Event::Failed(failure("the disk is full")), now);
        assert_eq!((&account.state, account.why.as_deref()), (&State::Failing, Some("the disk is full")));
        account.hear(Event::Waiting, now);
        assert_eq!((&account.state, &account.why), (&State::Waiting, &None));
        assert_eq!(account.last_end, Some((LastEnd::Failed(failure("the disk is full")), now)));
    }

    #[test]
    fn a_line_of_a_log_is_no_reason() {
        assert!(is_reason("error: invalid value '0' for '--fps <RATE>'") && is_reason("terminate called"));
        for line in ["2026-11-25T21:16:46.3Z  INFO waiting", "  what to do", r#"{"level":"INFO"}"#] {
            assert!(!is_reason(line), "{line}");
        }
    }

    #[test]
    fn an_end_is_told_in_its_own_words_or_else_by_its_reason() {
        let mut account = Account::default();
        assert_eq!(account.ended("exit status: 2", Some("error: no".to_owned())), "exit status: 2: error: no");
        assert_eq!(account.state, State::Down);
        account.started();
        let rehearsal = Failure { remedy: "install one".to_owned(), ..failure("no driver") };
        account.hear(Event::Failed(rehearsal), Instant::now());
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
            account.hear(progress(half_seconds.into()), start + half_seconds * Duration::from_millis(500));
            let (_, latest) = account.latest.as_ref().unwrap();
            let (_, earlier) = account.earlier.as_ref().unwrap();
            assert!(*latest - *earlier <= WINDOW * 2);
        }
    }
}
