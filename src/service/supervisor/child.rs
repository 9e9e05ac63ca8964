//! A process that is kept running: started again when it ends, after a wait that grows, with what it writes kept in a
//! log. What it writes means nothing here; the log is for people.

use super::log::Log;
use crate::os::link::Link;
use crate::os::process::{Child, Orphaned};
use crate::service::backoff::Backoff;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal};
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Before each start that follows a quick end.
const WAITS: &[Duration] = &[
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(20),
];
/// One that has run for so long begins anew with the waits.
const LASTING: Duration = Duration::from_secs(10);
/// A longer line is cut.
const LONGEST_LINE: usize = 8192;

/// What to run.
#[derive(Debug)]
pub struct Recipe {
    pub program: OsString,
    pub args: Vec<OsString>,
    pub envs: Vec<(&'static str, OsString)>,
    /// Inherited under their numbers here.
    pub descriptors: Vec<Arc<OwnedFd>>,
    /// Not to be read in the log.
    pub secret: Option<String>,
}

/// One such process.
#[derive(Debug)]
pub struct Kept {
    pub name: String,
    /// How often it was started again.
    pub restarts: u64,
    recipe: Recipe,
    log: Log,
    /// Both ends of the pipe that the process writes to. It outlives each process, so that one which ends later than its
    /// parent does not lose its last words.
    words: (OwnedFd, OwnedFd),
    line: Vec<u8>,
    /// Whether a line says why it ends. Nothing is done because of it.
    is_reason: fn(&str) -> bool,
    /// The first such line since its start: for people, where there is nothing else to tell.
    reason: Option<String>,
    process: Option<(Child, Instant)>,
    due: Option<Instant>,
    backoff: Backoff,
}

impl Kept {
    /// To be started at `due`, or when [`Kept::start_at`] says so.
    pub fn new(
        name: &str,
        recipe: Recipe,
        log: Log,
        is_reason: fn(&str) -> bool,
        due: Option<Instant>,
    ) -> io::Result<Self> {
        let words = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::fs::fcntl_setfl(&words.0, OFlags::NONBLOCK)?;
        Ok(Self {
            name: name.to_owned(),
            restarts: 0,
            recipe,
            log,
            words,
            line: Vec::new(),
            is_reason,
            reason: None,
            process: None,
            due,
            backoff: Backoff::new(WAITS),
        })
    }

    /// Has the next process be told this as the last of its arguments, instead of what was.
    pub fn tell_last(&mut self, argument: OsString) {
        self.recipe.args.pop();
        self.recipe.args.push(argument);
    }

    pub fn start_at(&mut self, due: Instant) {
        self.due = Some(due);
    }

    /// When it is to be started, if it is not running.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether it has been started, or is about to be.
    pub fn is_up_or_due(&self) -> bool {
        self.due.is_some() || self.process.is_some()
    }

    /// Readable when it has written something.
    pub fn words(&self) -> &OwnedFd {
        &self.words.0
    }

    pub fn process(&self) -> Option<&Child> {
        self.process.as_ref().map(|(child, _)| child)
    }

    pub fn pid(&self) -> Option<Pid> {
        self.process().map(Child::pid)
    }

    /// For how long it has been running.
    pub fn age(&self, now: Instant) -> Option<Duration> {
        self.process.as_ref().map(|(_, since)| now.saturating_duration_since(*since))
    }

    /// Why its log lacks lines, if it does.
    pub fn log_failed(&self) -> Option<&str> {
        self.log.failed()
    }

    /// Starts the process, which inherits an end of `link`. Where that fails it is down until the next try, and the
    /// reason is returned.
    pub fn start(&mut self, link: Option<&Link>, now: Instant) -> Result<(), String> {
        self.due = None;
        self.reason = None;
        match self.spawn(link) {
            Ok(child) => {
                self.process = Some((child, now));
                Ok(())
            }
            Err(error) => {
                let why = format!("cannot be started: {error}");
                self.try_again(&why, now);
                Err(why)
            }
        }
    }

    fn spawn(&self, link: Option<&Link>) -> io::Result<Child> {
        let mut command = Command::new(&self.recipe.program);
        if self.recipe.program == crate::os::process::THIS_PROGRAM {
            command.arg0("mb-encode");
        }
        command
            .args(&self.recipe.args)
            .envs(self.recipe.envs.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(self.words.1.try_clone()?)
            .stderr(self.words.1.try_clone()?)
            // Ctrl-C in a terminal goes to the whole group; the end comes from here, in order.
            .process_group(0);
        if let Some(link) = link {
            command.env(Link::VARIABLE, link.for_child());
        }
        let inherited = link.iter().map(|link| link.as_fd());
        let inherited: Vec<_> = inherited.chain(self.recipe.descriptors.iter().map(|fd| fd.as_fd())).collect();
        Child::start(command, Orphaned::Asked, &inherited)
    }

    /// Down for `why`, until it is started again after a wait that grows.
    pub fn try_again(&mut self, why: &str, now: Instant) {
        let wait = self.backoff.fail();
        tracing::error!("{} is down: {why}; starting it again in {} s", self.name, wait.as_secs_f32());
        self.log.add(&format!("down: {why}"));
        self.due = Some(now + wait);
        self.restarts += 1;
    }

    /// Reaps the process, which has ended although nobody asked it to. Returns how it ended, and why, if it wrote that.
    pub fn reap(&mut self, now: Instant) -> Option<(String, Option<String>)> {
        self.listen();
        let (mut child, since) = self.process.take()?;
        let how = child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        if now.saturating_duration_since(since) >= LASTING {
            self.backoff.succeed();
        }
        Some((how, self.reason.take()))
    }

    pub fn signal(&self, signal: Signal) {
        if let Some(child) = self.process() {
            child.signal(signal);
        }
    }

    /// Waits for its end until `deadline`, and kills it then.
    pub fn end_by(&mut self, deadline: Instant) {
        if let Some((mut child, _)) = self.process.take() {
            if child.end_by(deadline).is_none() {
                tracing::warn!("{} did not exit in time: killed it", self.name);
            }
        }
        self.listen();
    }

    /// Takes what the process has written so far to its log.
    pub fn listen(&mut self) {
        let mut buffer = [0u8; 16384];
        loop {
            match rustix::io::read(&self.words.0, &mut buffer) {
                Ok(0) => return,
                Ok(bytes) => {
                    for part in buffer[..bytes].split_inclusive(|&b| b == b'\n') {
                        let room = LONGEST_LINE.saturating_sub(self.line.len());
                        self.line.extend_from_slice(&part[..part.len().min(room)]);
                        if part.ends_with(b"\n") {
                            let mut line = String::from_utf8_lossy(&self.line).trim_end().to_owned();
                            self.recipe.secret.iter().for_each(|secret| line = line.replace(secret, "(secret)"));
                            self.line.clear();
                            self.log.add(&line);
                            if self.reason.is_none() && (self.is_reason)(&line) {
                                self.reason = Some(line);
                            }
                        }
                    }
                }
                Err(Errno::INTR) => {}
                // Nothing more for now.
                Err(_) => return,
            }
        }
    }
}
