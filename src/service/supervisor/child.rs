//! One process that is kept running: a worker, or go2rtc.

use super::log::Log;
use crate::os::process as tied;
use rustix::fd::OwnedFd;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::Value;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Before each start that follows a quick end, in milliseconds. One that ran for [`LASTING`] begins anew.
const WAITS: [u64; 7] = [100, 500, 1000, 2000, 5000, 10_000, 20_000];
const LASTING: Duration = Duration::from_secs(10);
/// A longer line is cut.
const LONGEST_LINE: usize = 8192;

/// What a member is doing, as far as it has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Started, and has not said more yet.
    Starting,
    /// A worker without a reader.
    Waiting,
    /// A worker with one; the latest figures, once there are some.
    Streaming(Option<String>),
    /// A worker whose last stream failed.
    Failing(String),
    /// go2rtc, when it takes connections.
    Running,
    /// Not running, and why.
    Down(String),
}

/// What to run.
#[derive(Debug)]
pub struct Recipe {
    pub program: OsString,
    pub args: Vec<OsString>,
    pub envs: Vec<(&'static str, OsString)>,
}

#[derive(Debug)]
pub struct Member {
    pub name: String,
    /// A worker's.
    pub fifo: Option<PathBuf>,
    pub state: State,
    pub restarts: u64,
    /// When a worker's readers are to be looked after; see [`super::readers`].
    pub look_until: Option<Instant>,
    /// A reader that has not got the FIFO open, and since when.
    pub blocked: Option<(Pid, Instant)>,
    recipe: Recipe,
    log: Log,
    /// Both ends of the pipe that the process writes its words to. It outlives each process, so that one which ends
    /// later than its parent does not lose its last words.
    words: (OwnedFd, OwnedFd),
    line: Vec<u8>,
    complaint: Option<String>,
    process: Option<(Child, OwnedFd, Instant)>,
    due: Option<Instant>,
    quick_ends: usize,
}

impl Member {
    /// To be started at `due`, or when [`Member::start_at`] says so.
    pub fn new(name: &str, fifo: Option<PathBuf>, recipe: Recipe, log: Log, due: Option<Instant>) -> io::Result<Self> {
        let words = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::fs::fcntl_setfl(&words.0, OFlags::NONBLOCK)?;
        Ok(Self {
            name: name.to_owned(),
            fifo,
            state: State::Starting,
            restarts: 0,
            look_until: None,
            blocked: None,
            recipe,
            log,
            words,
            line: Vec::new(),
            complaint: None,
            process: None,
            due,
            quick_ends: 0,
        })
    }

    pub fn start_at(&mut self, due: Instant) {
        self.due = Some(due);
    }

    /// When it is to be started, if it is not running.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    pub fn words(&self) -> &OwnedFd {
        &self.words.0
    }

    /// Readable once the process has ended.
    pub fn ended(&self) -> Option<&OwnedFd> {
        self.process.as_ref().map(|(_, ended, _)| ended)
    }

    pub fn pid(&self) -> Option<Pid> {
        self.process.as_ref().map(|(child, _, _)| Pid::from_child(child))
    }

    /// Why its log lacks lines, if it does.
    pub fn log_failed(&self) -> Option<&str> {
        self.log.failed()
    }

    /// Starts the process. Where that fails it is down until the next try.
    pub fn start(&mut self) {
        self.due = None;
        self.complaint = None;
        match self.spawn() {
            Ok(process) => {
                self.state = State::Starting;
                self.process = Some((process.0, process.1, Instant::now()));
            }
            Err(error) => self.try_again(format!("cannot be started: {error}")),
        }
    }

    fn spawn(&self) -> io::Result<(Child, OwnedFd)> {
        let mut child = tied::command(&self.recipe.program)
            .args(&self.recipe.args)
            .envs(self.recipe.envs.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(self.words.1.try_clone()?)
            .stderr(self.words.1.try_clone()?)
            // Ctrl-C in a terminal goes to the whole group; the end comes from here, in order.
            .process_group(0)
            .spawn()?;
        match pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
            Ok(ended) => Ok((child, ended)),
            Err(errno) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(errno.into())
            }
        }
    }

    /// Down for `why`, until it is started again after a wait that grows.
    pub fn try_again(&mut self, why: String) {
        let wait = Duration::from_millis(WAITS[self.quick_ends.min(WAITS.len() - 1)]);
        self.quick_ends += 1;
        tracing::error!("{} is down: {why}; starting it again in {} s", self.name, wait.as_secs_f32());
        self.log.add(&format!("down: {why}"));
        self.state = State::Down(why);
        self.due = Some(Instant::now() + wait);
        self.restarts += 1;
    }

    /// Collects the process, which has ended although nobody asked it to.
    pub fn collect(&mut self) {
        self.listen();
        let Some((mut child, _, since)) = self.process.take() else { return };
        let how = child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        if since.elapsed() >= LASTING {
            self.quick_ends = 0;
        }
        let why = match self.complaint.take() {
            Some(complaint) => format!("{how}: {complaint}"),
            None => how,
        };
        self.try_again(why);
    }

    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            // It has not been waited for, so the id is its own; it may have ended.
            let _ = kill_process(pid, signal);
        }
    }

    /// Waits for the process, which has ended or is about to.
    pub fn bury(&mut self) {
        self.listen();
        if let Some((mut child, _, _)) = self.process.take() {
            let _ = child.wait();
        }
    }

    /// Reads what the process has written so far.
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
                            let line = String::from_utf8_lossy(&self.line).trim_end().to_owned();
                            self.line.clear();
                            self.hear(&line);
                        }
                    }
                }
                Err(Errno::INTR) => {}
                // Nothing more for now.
                Err(_) => return,
            }
        }
    }

    fn hear(&mut self, line: &str) {
        self.log.add(line);
        if self.fifo.is_some() { self.hear_worker(line) } else { self.hear_go2rtc(line) }
    }

    fn hear_worker(&mut self, line: &str) {
        let Ok(event) = serde_json::from_str::<Value>(line) else {
            // A usage error, or the last words of a crash: the first line says most.
            self.complaint.get_or_insert_with(|| line.to_owned());
            return;
        };
        let message = event["message"].as_str().unwrap_or_default();
        let first_line = || message.lines().next().unwrap_or_default().to_owned();
        let look = |member: &mut Self| member.look_until = Some(Instant::now() + super::LOOK_ON);
        match message {
            "waiting for a reader" => {
                self.state = State::Waiting;
                look(self);
            }
            "reader connected" => self.state = State::Streaming(None),
            "reader disconnected" => {
                self.state = State::Waiting;
                look(self);
            }
            "the FIFO was replaced or removed, waiting on it anew" => look(self),
            _ if message.contains(" pictures/s, ") => self.state = State::Streaming(Some(first_line())),
            _ if event["level"] == "ERROR" => {
                // The stream's own error comes first, and the worker's after it says that there was one.
                let why = match self.complaint.take() {
                    Some(cause) if message.starts_with("the stream failed") => cause,
                    _ => first_line(),
                };
                self.complaint = Some(why.clone());
                self.state = State::Failing(why);
            }
            _ => {}
        }
    }

    fn hear_go2rtc(&mut self, line: &str) {
        if line.contains(" ERR ") || line.contains(" FTL ") || line.starts_with("panic:") || line.contains("rror:") {
            // It goes on without a port that it could not have, and nobody could watch.
            if line.contains("address already in use") {
                self.signal(Signal::TERM);
            }
            self.complaint = Some(line.to_owned());
        } else if self.complaint.is_none() && matches!(self.state, State::Starting) && !line.contains(" INF ") {
            self.complaint = Some(line.to_owned());
        }
    }
}
