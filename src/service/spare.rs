//! A process that is ready before its reader comes: EGL and CUDA are up in it, what draws is compiled, and it holds no
//! session of NVENC, of which a GPU has few.
//!
//! A reader is given the one that is ready, and another is made once the reader has its first picture, so that the two do
//! not get into each other's way. Whatever becomes of a spare is nobody's loss: without one, a reader's process is started
//! as ever. This process never loads a driver itself.

use super::rehearsal::Found;
use super::role::{Known, Role};
use super::start::{Started, start};
use super::terms::Terms;
use super::watched::Health;
use crate::control::Control;
use crate::events::{Event, Request};
use crate::os::link::{Link, Received};
use crate::os::poll;
use crate::os::process::GRACE;
use crate::settings::Limits;
use rustix::event::PollFlags;
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// How long one that is ready may take to answer, on a machine that is busy. It has nothing else to do.
const ANSWERS_WITHIN: Duration = Duration::from_millis(500);
/// What one has to end when the worker does: it has nothing to finish.
const FAREWELL: Duration = Duration::from_millis(150);

/// The one of a worker, if there is one.
pub struct Spares<'a> {
    is_kept: bool,
    idle: Duration,
    limits: Limits,
    known: Known,
    tell: &'a dyn Fn(&Event),
    state: State,
    /// The reader whose first picture another one is made behind.
    behind: Option<u64>,
    /// Since when there is no reader.
    unread: Option<Instant>,
}

enum State {
    None,
    /// It opens everything.
    Coming(Started, Box<Health>),
    /// It waits for a reader, since then.
    Ready(Started, Instant),
    /// It was asked to end, and is killed then.
    Leaving(Started, Instant),
}

impl<'a> Spares<'a> {
    /// None so far. What becomes of it is told by `tell`.
    pub fn new(terms: &Terms, found: &Found, tell: &'a dyn Fn(&Event)) -> Self {
        let is_kept = terms.spare.is_kept(found.opening, found.on_gpu);
        let (idle, limits, known) = (terms.spare_idle.time(), terms.limits, found.known.clone());
        Self { is_kept, idle, limits, known, tell, state: State::None, behind: None, unread: None }
    }

    /// Makes one, if one is kept and there is none. The calling thread has to last as long as it does.
    pub fn make(&mut self, now: Instant) {
        // One that takes its time to leave is killed, by being dropped.
        if !self.is_kept || !matches!(self.state, State::None | State::Leaving(..)) {
            return;
        }
        match start(self.known.same_again(Stdio::null()), Role::Spare) {
            Ok(started) => self.state = State::Coming(started, Box::new(Health::new(self.limits, now))),
            Err(error) => tracing::info!("no process is ready for the next reader: {}", error.cause()),
        }
    }

    /// A reader has come. Returns what is ready for it.
    pub fn take(&mut self, reader: u64) -> Option<Started> {
        self.unread = None;
        self.behind = self.is_kept.then_some(reader);
        match std::mem::replace(&mut self.state, State::None) {
            State::Ready(started, _) => {
                (self.tell)(&Event::Spare { ready: false });
                Some(started)
            }
            other => {
                self.state = other;
                None
            }
        }
    }

    /// A reader's stream tells of this.
    pub fn hear(&mut self, event: &Event, now: Instant) {
        if let Event::Progress(progress) = event {
            if self.behind.is_some() && progress.reader == self.behind && progress.counts.totals.pictures > 0 {
                self.behind = None;
                self.make(now);
            }
        }
    }

    /// A reader has gone, `well` unless its stream failed. Then the next one would fail likewise, and so would a spare.
    pub fn gone(&mut self, reader: u64, well: bool, now: Instant) {
        if self.behind == Some(reader) {
            self.behind = None;
            if well {
                self.make(now);
            }
        }
    }

    /// Nobody reads from now on.
    pub fn rest(&mut self, now: Instant) {
        self.unread = Some(now);
    }

    /// Adds what is waited for on its account.
    pub fn watch<'fd, K: Copy>(&'fd self, key: K, fds: &mut poll::Set<'fd, K>) {
        match &self.state {
            State::None => {}
            State::Coming((child, link), _) | State::Ready((child, link), _) => {
                fds.add(key, child);
                fds.add(key, link);
            }
            State::Leaving((child, _), _) => fds.add(key, child),
        }
    }

    /// When it is to be looked after whatever happens.
    pub fn due(&self) -> Option<Instant> {
        match &self.state {
            State::None => None,
            State::Coming(_, health) => Some(health.deadline()),
            State::Ready(_, since) => self.unread.map(|unread| unread.max(*since) + self.idle),
            State::Leaving(_, until) => Some(*until),
        }
    }

    /// Looks after it.
    pub fn tend(&mut self, now: Instant) {
        self.state = match std::mem::replace(&mut self.state, State::None) {
            State::None => State::None,
            State::Coming(started, health) => self.coming(started, health, now),
            State::Ready(started, _) if !is_there(&started) => {
                tracing::warn!(
                    "the process that was ready for the next reader has ended; the next reader's takes its time"
                );
                (self.tell)(&Event::Spare { ready: false });
                State::None
            }
            State::Ready(started, since) if self.unread.is_some_and(|at| at.max(since) + self.idle <= now) => {
                tracing::info!("nobody has come for {} s: letting the spare process go", self.idle.as_secs());
                (self.tell)(&Event::Spare { ready: false });
                started.0.ask_to_end();
                State::Leaving(started, now + GRACE)
            }
            State::Leaving((child, _), until) if child.has_ended() || until <= now => {
                // It is killed where it has to be, and reaped.
                drop(child);
                State::None
            }
            other => other,
        };
    }

    fn coming(&self, started: Started, mut health: Box<Health>, now: Instant) -> State {
        loop {
            let hang = match started.1.receive() {
                Received::Message(Event::Ready) => {
                    tracing::debug!("a process is ready for the next reader");
                    (self.tell)(&Event::Spare { ready: true });
                    return State::Ready(started, now);
                }
                Received::Message(Event::Progress(progress)) => health.heard(progress, now),
                // It has not logged it: nobody has lost anything.
                Received::Message(Event::Failed { failure, .. }) => {
                    tracing::info!("no process is ready for the next reader: {failure}");
                    None
                }
                Received::Message(_) => None,
                Received::Closed => return State::Leaving(started, now + FAREWELL),
                Received::Nothing => match health.silence(now) {
                    None => return State::Coming(started, health),
                    hang => hang,
                },
            };
            if let Some(hang) = hang {
                tracing::warn!("no process is ready for the next reader: {hang}");
                // Dropping it kills it.
                return State::None;
            }
        }
    }

    /// Ends it, with the worker.
    pub fn end(&mut self) {
        if let State::Coming((mut child, _), _) | State::Ready((mut child, _), _) | State::Leaving((mut child, _), _) =
            std::mem::replace(&mut self.state, State::None)
        {
            child.ask_to_end();
            child.end_by(Instant::now() + FAREWELL);
        }
    }
}

/// Whether one that is ready still runs. It has nothing to tell.
fn is_there((child, link): &Started) -> bool {
    loop {
        match link.receive::<Event>() {
            Received::Message(_) => {}
            Received::Nothing => return !child.has_ended(),
            Received::Closed => return false,
        }
    }
}

/// Hands a reader's pipe to a process that is ready, for this role. `None` where the process has died or hangs; it is gone
/// then.
pub fn hand_over((mut child, link): Started, pipe: BorrowedFd<'_>, role: Role) -> Option<Started> {
    let deadline = Instant::now() + ANSWERS_WITHIN;
    let mut is_waiting = link.send_with(&Request::Serve { role: role.value() }, pipe);
    while is_waiting {
        match link.receive() {
            Received::Message(Event::Taken) => return Some((child, link)),
            Received::Message(_) => {}
            Received::Nothing => is_waiting = poll::readable_until(&link, deadline),
            Received::Closed => break,
        }
    }
    // Before another one writes there.
    child.kill();
    // One that has answered in its last moment may have written, too. The reader gets the end of file, and can come again.
    if link.receive() == Received::Message(Event::Taken) {
        return Some((child, link));
    }
    tracing::warn!("the process that was ready for the reader does not answer: starting another one");
    None
}

/// In a process that is ready: waits for its reader, and returns the role and the pipe. `None` when there is none to come.
pub fn wait_for_reader(link: &Link, control: &Control) -> Option<(String, OwnedFd)> {
    loop {
        if control.stop_requested() {
            return None;
        }
        match link.receive_with() {
            (Received::Message(Request::Serve { role }), Some(pipe)) => return Some((role, pipe)),
            (Received::Message(_), _) => {}
            (Received::Nothing, _) => drop(control.wait(Some((link.as_fd(), PollFlags::IN)), None)),
            (Received::Closed, _) => return None,
        }
    }
}
