//! A process that draws and encodes, watched by the one that started it: it is ended when it hangs, when a stop is
//! requested, or when its reader turns out to share its pipe.
//!
//! The process that watches never loads a driver itself, so nothing that a driver does can keep it from watching.

use super::door::Company;
use super::role::Role;
use super::stall::Stall;
use super::start::{Started, start};
use crate::control::Control;
use crate::error::Error;
use crate::events::{Event, Failure, Progress, Request};
use crate::os::holders::FileId;
use crate::os::link::{Link, Received};
use crate::os::poll;
use crate::os::process::{Child, GRACE};
use crate::settings::Limits;
use crate::stream::watchdog;
use rustix::fd::BorrowedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

/// For so long another reader of the same pipe may turn up: one that had found the old FIFO before the exchange, and
/// was kept from running.
const COMPANY: Duration = Duration::from_secs(2);
/// How long a process goes on whose reader has left.
const FAREWELL: Duration = Duration::from_millis(150);
/// How long a process may say nothing beyond the limit of a picture. It tells how it is several times within that.
const SILENCE: Duration = Duration::from_secs(5);

/// How it ended.
#[derive(Debug)]
pub enum Ended {
    /// Well. What it had done by then.
    Well(Option<Progress>),
    /// By itself, and not well. It has logged its reason, or could not; then there is none here either.
    Failed(ExitStatus, Option<Failure>),
    /// It hung, and was killed.
    Hung(Error),
    /// Somebody else ended it, by this signal: a person, or the kernel for want of memory.
    Killed(i32),
    /// Somebody else read its pipe as well.
    InCompany,
    /// Nothing came of it in time, and it was ended.
    Late,
    /// A stop was requested.
    Stopped,
}

/// What came of it.
pub struct Watched {
    pub ended: Ended,
    /// From where another process can go on, in the words of `stream`'s own.
    pub checkpoint: Option<String>,
    /// Whether it has told of a picture that it wrote.
    pub has_written: bool,
    /// Whether it was at NVENC when it told last.
    pub in_nvenc: bool,
}

/// What all of them are watched with.
pub struct Watcher<'a> {
    pub control: &'a Control,
    pub limits: Limits,
    /// Who hears what it tells.
    pub tell: &'a dyn Fn(&Event),
}

/// Those whom a process works for, looked after while it runs.
pub trait Audience {
    /// Their pipe, where the system can say who has it open.
    fn pipe(&self) -> Option<FileId> {
        None
    }

    /// Adds what is waited for on their account, `age` after the start.
    fn watch<'fd>(&'fd self, age: Duration, fds: &mut poll::Set<'fd, Wake>);

    /// When they are to be looked after whatever happens.
    fn due(&self) -> Option<Instant> {
        None
    }

    /// Looks after them: after each wait, told whether it was for them. Returns why it is over, once it is.
    fn tend(&mut self, woken: bool, now: Instant) -> Option<Parted>;
}

/// Why a process works for nobody any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parted {
    /// Others have come, too.
    InCompany,
    /// They have left.
    Left,
    /// They were promised something by now.
    Late,
}

/// Nobody, as in a rehearsal.
pub struct Nobody;

impl Audience for Nobody {
    fn watch<'fd>(&'fd self, _: Duration, _: &mut poll::Set<'fd, Wake>) {}

    fn tend(&mut self, _: bool, _: Instant) -> Option<Parted> {
        None
    }
}

impl Audience for Company {
    fn pipe(&self) -> Option<FileId> {
        Self::pipe(self)
    }

    fn watch<'fd>(&'fd self, age: Duration, fds: &mut poll::Set<'fd, Wake>) {
        if let Some(openings) = self.openings().filter(|_| age <= COMPANY) {
            fds.add(Wake::Audience, openings);
        }
    }

    fn tend(&mut self, woken: bool, _: Instant) -> Option<Parted> {
        (woken && self.has_come()).then_some(Parted::InCompany)
    }
}

/// What a watcher wakes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    Stop,
    Idr,
    Child,
    Ended,
    Audience,
}

impl Watcher<'_> {
    /// Runs `command`, which is this very program, in a `role` to its end. `while_waiting` is called a few times a
    /// second once the start takes unusually long.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn run(
        &self,
        command: Command,
        role: Role,
        audience: &mut dyn Audience,
        while_waiting: &dyn Fn(),
    ) -> anyhow::Result<Watched> {
        self.watch(start(command, role)?, role, audience, while_waiting)
    }

    /// Watches a process that has this `role` from now on, to its end.
    ///
    /// # Errors
    /// Somebody else has waited for it.
    pub fn watch(
        &self,
        (child, link): Started,
        role: Role,
        audience: &mut dyn Audience,
        while_waiting: &dyn Fn(),
    ) -> anyhow::Result<Watched> {
        let stall = match role {
            Role::Reader(reader, _) => Some(Stall::new(reader, audience.pipe())),
            Role::Program | Role::Rehearsal | Role::Spare => None,
        };
        let health = Health::new(self.limits, Instant::now());
        let mut run = Run { watcher: self, child, link, health, role, stall, failure: None, checkpoint: None };
        let ended = loop {
            let now = Instant::now();
            if self.control.stop_requested() {
                break run.stop();
            }
            if run.health.is_slow(now) {
                while_waiting();
            }
            let look = audience.due().into_iter().fold(run.health.next_look(now), Instant::min);
            let wakes = run.wait(audience, now, look.saturating_duration_since(now));
            if wakes.contains(&Wake::Idr) && self.control.take_idr_request() {
                run.link.send(&Request::Idr);
            }
            // What it has told first: this process may have stood still, and the other one not.
            if let Some(hang) = run.listen(Instant::now()).or_else(|| run.health.silence(Instant::now())) {
                run.child.kill();
                break Ended::Hung(hang);
            }
            match audience.tend(wakes.contains(&Wake::Audience), Instant::now()) {
                None => {}
                Some(Parted::Left) => break run.leave(),
                Some(parted @ (Parted::InCompany | Parted::Late)) => {
                    run.child.kill();
                    break if parted == Parted::Late { Ended::Late } else { Ended::InCompany };
                }
            }
            if wakes.contains(&Wake::Ended) {
                break run.ended()?;
            }
        };
        let (checkpoint, last) = (run.checkpoint, run.health.last.as_ref());
        let has_written = last.is_some_and(|last| last.counts.totals.bytes > 0);
        Ok(Watched { ended, checkpoint, has_written, in_nvenc: last.is_some_and(Progress::is_in_nvenc) })
    }
}

/// One process that runs.
struct Run<'a> {
    watcher: &'a Watcher<'a>,
    child: Child,
    link: Link,
    health: Health,
    role: Role,
    stall: Option<Stall>,
    failure: Option<Failure>,
    checkpoint: Option<String>,
}

impl Run<'_> {
    fn wait(&self, audience: &dyn Audience, now: Instant, timeout: Duration) -> Vec<Wake> {
        let (stop, idr) = (self.watcher.control.wake_fd(), self.watcher.control.idr_fd());
        let ended: BorrowedFd<'_> = self.child.ended();
        let mut fds = poll::Set::default();
        fds.add(Wake::Stop, &stop);
        fds.add(Wake::Idr, &idr);
        fds.add(Wake::Ended, &ended);
        if !self.health.is_mute {
            fds.add(Wake::Child, &self.link);
        }
        audience.watch(now.saturating_duration_since(self.health.started), &mut fds);
        fds.wait(Some(timeout)).map(|(wake, _)| wake).collect()
    }

    /// Takes what it has told. Returns why it hangs, if it does.
    fn listen(&mut self, now: Instant) -> Option<Error> {
        loop {
            match self.link.receive() {
                Received::Message(Event::Progress(mut progress)) => {
                    if let Role::Reader(reader, _) = self.role {
                        progress.reader = Some(reader);
                    }
                    let told = self.stall.as_mut().zip(progress.intake).and_then(|(stall, intake)| stall.hear(intake));
                    (self.watcher.tell)(&Event::Progress(progress.clone()));
                    told.iter().for_each(|event| (self.watcher.tell)(event));
                    if let Some(hang) = self.health.heard(progress, now) {
                        return Some(hang);
                    }
                }
                Received::Message(Event::Checkpoint { checkpoint, failure }) => {
                    self.checkpoint = Some(checkpoint);
                    self.failure = failure.or(self.failure.take());
                }
                Received::Message(Event::Failed { failure, .. }) => self.failure = Some(failure),
                Received::Message(event @ Event::Rehearsed { .. }) => (self.watcher.tell)(&event),
                Received::Message(_) => {}
                Received::Nothing => return None,
                Received::Closed => {
                    // It is ending, which its descriptor will say.
                    self.health.is_mute = true;
                    return None;
                }
            }
        }
    }

    /// It takes the end of its pipe for the end of its work, wherever a driver lets it.
    fn leave(&mut self) -> Ended {
        self.child.end_by(Instant::now() + FAREWELL);
        let _ = self.listen(Instant::now());
        Ended::Well(self.health.last.take())
    }

    fn stop(&mut self) -> Ended {
        self.child.ask_to_end();
        if self.child.end_by(Instant::now() + GRACE).is_none() {
            let seconds = GRACE.as_secs_f64();
            tracing::warn!("the encoder process did not exit within {seconds} s (driver hang?): killed it");
        }
        Ended::Stopped
    }

    fn ended(&mut self) -> anyhow::Result<Ended> {
        let status = self
            .child
            .wait()
            .map_err(|error| Error::machine("no-pidfd", "cannot wait for the encoder process", "").caused_by(error))?;
        // Its last words, which may have come with its end.
        let _ = self.listen(Instant::now());
        let by_signal = |number: i32| status.signal() == Some(number);
        if by_signal(libc::SIGINT) || by_signal(libc::SIGTERM) {
            // Ctrl-C reaches a child that has not left the group yet, and may end it before this process takes notice.
            let control = self.watcher.control;
            control.wait(None, Some(Duration::from_secs(1)));
            if control.stop_requested() {
                return Ok(Ended::Stopped);
            }
        }
        Ok(match status.signal() {
            _ if status.success() => Ended::Well(self.health.last.take()),
            Some(signal) if is_sent(signal) => Ended::Killed(signal),
            _ => Ended::Failed(status, self.failure.take()),
        })
    }
}

/// Whether a signal is one that somebody sends, and none that a process brings on itself.
fn is_sent(signal: i32) -> bool {
    [libc::SIGKILL, libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT].contains(&signal)
}

/// Whether a process goes on, by what it tells and when. Time is passed in.
#[derive(Debug)]
pub struct Health {
    limits: Limits,
    started: Instant,
    heard_at: Option<Instant>,
    last: Option<Progress>,
    /// It has closed its end of the link.
    is_mute: bool,
}

impl Health {
    /// A start that takes longer is unusual.
    const SLOW: Duration = Duration::from_secs(1);
    /// How often a slow one is looked after.
    const OFTEN: Duration = Duration::from_millis(250);

    /// Of one that was started then.
    pub fn new(limits: Limits, started: Instant) -> Self {
        Self { limits, started, heard_at: None, last: None, is_mute: false }
    }

    /// Takes its progress. Returns why it hangs, if it does.
    pub fn heard(&mut self, progress: Progress, now: Instant) -> Option<Error> {
        let hang = watchdog::hang(progress.stage, progress.in_stage(), &self.limits);
        self.heard_at = Some(now);
        self.last = Some(progress);
        hang
    }

    /// When it counts as hung if nothing is heard of it.
    pub fn deadline(&self) -> Instant {
        match self.heard_at {
            Some(at) => at + self.limits.picture + SILENCE,
            None => self.started + self.limits.opening + SILENCE,
        }
    }

    /// Why one that says nothing hangs, if it does.
    pub fn silence(&self, now: Instant) -> Option<Error> {
        (now >= self.deadline()).then(|| {
            Error::machine(
                "hang",
                "the stream hung: its process said nothing any more, not even that it waits",
                "check dmesg for messages of the driver, and whether somebody has stopped the process",
            )
        })
    }

    /// Whether it is still starting, and unusually long.
    fn is_slow(&self, now: Instant) -> bool {
        now >= self.started + Self::SLOW && self.last.as_ref().is_none_or(|last| last.counts.totals.pictures == 0)
    }

    fn next_look(&self, now: Instant) -> Instant {
        let look =
            if self.is_slow(now) { now + Self::OFTEN } else { (self.started + Self::SLOW).max(now + Self::SLOW) };
        look.min(self.deadline())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pulse::Stage;
    use crate::stats::Snapshot;

    const LIMITS: Limits = Limits { opening: Duration::from_secs(60), picture: Duration::from_secs(5) };

    fn progress(stage: Stage, stage_seconds: f64) -> Progress {
        let counts = Snapshot::default();
        Progress { seconds: 1.0, counts, chosen: None, stage, stage_seconds, intake: None, reader: None }
    }

    #[test]
    fn one_that_tells_of_a_hang_hangs_and_one_that_waits_for_a_reader_does_not() {
        let start = Instant::now();
        let mut health = Health::new(LIMITS, start);
        assert!(health.heard(progress(Stage::Opening, 30.0), start).is_none());
        assert!(health.heard(progress(Stage::Idle, 3600.0), start).is_none());
        assert!(health.heard(progress(Stage::Drawing, 4.9), start).is_none());
        let hang = health.heard(progress(Stage::Drawing, 5.1), start).unwrap();
        assert!(hang.to_string().contains("no progress for 5 s while drawing"), "{hang}");
    }

    #[test]
    fn one_that_says_nothing_hangs_after_a_while() {
        let start = Instant::now();
        let seconds = Duration::from_secs;
        let mut health = Health::new(LIMITS, start);
        assert!(health.silence(start + seconds(64)).is_none());
        assert!(health.silence(start + seconds(65)).is_some());
        health.heard(progress(Stage::Idle, 0.0), start + seconds(64));
        assert!(health.silence(start + seconds(73)).is_none());
        assert!(health.silence(start + seconds(74)).is_some());
    }

    #[test]
    fn a_slow_start_is_looked_after_and_a_quick_one_is_left_alone() {
        let start = Instant::now();
        let ms = Duration::from_millis;
        let mut health = Health::new(LIMITS, start);
        assert!(!health.is_slow(start + ms(900)) && health.is_slow(start + ms(1100)));
        assert_eq!(health.next_look(start + ms(1100)), start + ms(1350));
        let mut streaming = progress(Stage::Encoding, 0.0);
        streaming.counts.totals.pictures = 1;
        health.heard(streaming, start + ms(1200));
        assert!(!health.is_slow(start + ms(1300)));
        assert_eq!(health.next_look(start + ms(1300)), start + ms(2300));
    }
}
