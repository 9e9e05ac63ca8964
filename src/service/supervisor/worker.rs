//! A worker under supervision: kept running, and heard.

use super::child::Kept;
use super::entrance::Entrance;
use crate::events::Request;
use crate::os::link::{Link, Received};
use crate::service::account::{Account, State};
use crate::service::go2rtc::keyframes::Keyframes;
use rustix::process::{Pid, Signal};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Whether a worker says with a line why it ends: what is neither a line of its log in one of its two forms, nor the rest
/// of one, comes from the parser or from the C library.
pub fn is_reason(line: &str) -> bool {
    !line.starts_with(|first: char| first.is_ascii_digit() || first.is_whitespace() || first == '{')
}

/// A worker that is kept running.
#[derive(Debug)]
pub struct Worker {
    pub kept: Kept,
    pub entrance: Entrance,
    pub account: Account,
    /// A reader that has not got the FIFO open, and since when.
    pub blocked: Option<(Pid, Instant)>,
    link: Option<Arc<Link>>,
    /// The latest of the readers whose streams are served with keyframes.
    served: Option<u64>,
}

impl Worker {
    pub fn new(kept: Kept, entrance: Entrance) -> Self {
        Self { kept, entrance, account: Account::default(), blocked: None, link: None, served: None }
    }

    /// Readable when it has told something.
    pub fn link(&self) -> Option<&Link> {
        self.link.as_deref()
    }

    /// Starts it.
    pub fn start(&mut self, now: Instant) {
        let started = match Link::pair() {
            Ok((ours, theirs)) => {
                self.link = Some(Arc::new(ours));
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

    /// Tells `keyframes` whether its stream runs, where that has changed.
    pub fn tell(&mut self, keyframes: &Keyframes) {
        let reader = self.account.running.keys().next_back().copied();
        if reader != self.served {
            match self.link.as_ref().filter(|_| reader.is_some()) {
                Some(link) => keyframes.runs(&self.kept.name, link),
                None => keyframes.rests(&self.kept.name),
            }
            self.served = reader;
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

    /// Whether nobody serves those who come, for longer than a start takes.
    pub fn needs_turning_away(&self, now: Instant) -> bool {
        let long_down = self.kept.due().is_some_and(|due| due > now + Duration::from_secs(1));
        self.account.state == State::Down && (self.kept.restarts > 3 || long_down)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_log_is_no_reason() {
        assert!(is_reason("error: invalid value '0' for '--fps <RATE>'") && is_reason("terminate called"));
        for line in ["2026-11-25T21:16:46.3Z  INFO waiting", "  what to do", r#"{"level":"INFO"}"#] {
            assert!(!is_reason(line), "{line}");
        }
    }
}
