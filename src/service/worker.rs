//! A FIFO worker: a small process that waits, and for each reader one more that draws and encodes.
//!
//! Graphics drivers keep memory, threads and open devices after everything in them was freed; only the end of a
//! process gives it all back. So this process never loads one. It also outlives a driver that crashes.

use super::exit::Exit;
use crate::os::environment::variable;
use crate::os::signals::Child;
use crate::service::door::{Fifo, FifoPlace};
use crate::{Control, Error};
use anyhow::Context as _;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use rustix::process::{Pid, PidfdFlags, Signal, getppid, kill_process, pidfd_open, set_parent_process_death_signal};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

/// The longest wait after a stream that failed.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// What a stream's process has from the request to end until it is killed. It takes a picture's time at most, unless
/// it is stuck in a driver.
const LAST_WORK: Duration = Duration::from_secs(2);

/// What this process is to a FIFO worker. A worker tells its children in their environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The program that a person started.
    Program,
    /// Draws and codes one picture, to see that it works.
    Rehearsal,
    /// Streams to the reader with this number, whose pipe is standard output.
    Reader(u64),
}

impl Role {
    pub const VARIABLE: &str = "MB_ENCODE_WORKERS_CHILD";

    /// The role that this process was started for.
    pub fn of_this_process() -> Self {
        let Some(value) = variable(Self::VARIABLE) else { return Self::Program };
        let value = value.to_string_lossy();
        let mut words = value.split(' ');
        let parent = words.next().and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
        // Only a worker's own children: the variable may have been passed on to something else.
        if parent.is_none() || parent != getppid() {
            return Self::Program;
        }
        match words.next().and_then(|reader| reader.parse().ok()) {
            None => Self::Rehearsal,
            Some(reader) => Self::Reader(reader),
        }
    }

    /// What [`Role::VARIABLE`] holds in a child that is to have this role.
    pub fn value(self) -> String {
        let parent = std::process::id();
        match self {
            Self::Reader(reader) => format!("{parent} {reader}"),
            Self::Program | Self::Rehearsal => parent.to_string(),
        }
    }
}

/// Makes this process end when its worker does, however that ends.
///
/// # Errors
/// It has ended already.
pub fn end_with_worker() -> Result<(), Exit> {
    let _ = set_parent_process_death_signal(Some(Signal::TERM));
    // It may have ended before that.
    if Role::of_this_process() == Role::Program {
        return Err(Exit::Silent(0));
    }
    Ok(())
}

/// Serves reader after reader until a stop is requested.
pub fn serve(place: &FifoPlace, control: &Control, child: &Child) -> anyhow::Result<()> {
    let FifoPlace { path, mode, pipe_size } = place;
    rehearse(control, child)?;
    if control.stop_requested() {
        return Ok(());
    }
    let mut fifo = Fifo::new(path, *mode, *pipe_size)?;
    tracing::info!(fifo = %path.display(), "waiting for a reader");
    let mut wait = Duration::ZERO;
    for reader in 1u64.. {
        let Some(pipe) = fifo.wait_for_reader(control)? else { break };
        tracing::info!(reader, "reader connected");
        let status = run(Role::Reader(reader), Stdio::from(pipe), control, child)?;
        if control.stop_requested() {
            break;
        }
        if status.success() {
            wait = Duration::ZERO;
            continue;
        }
        // Whoever reads next would fail the same way, and go2rtc comes back at once.
        wait = (wait * 2).clamp(Duration::from_secs(1), LONGEST_WAIT);
        tracing::error!(reader, "the stream failed ({status}); taking the next reader in {} s", wait.as_secs());
        control.wait(None, Some(wait));
    }
    Ok(())
}

/// Draws and codes one picture in a process of its own, so that a worker that cannot work says so when it is started
/// and not hours later to its first reader.
fn rehearse(control: &Control, child: &Child) -> anyhow::Result<()> {
    let status = run(Role::Rehearsal, Stdio::null(), control, child)?;
    match status.code() {
        _ if control.stop_requested() => Ok(()),
        Some(0) => Ok(()),
        // It has printed its reason.
        Some(code) => Err(Exit::of_child(code).into()),
        None => Err(Error::machine(
            format!("the graphics driver crashed while the first picture was drawn ({status})"),
            "try another GPU with --device, or --encoder openh264",
        )
        .examined_by_doctor()
        .into()),
    }
}

/// Why this very program cannot be started once more.
pub fn no_second(error: std::io::Error) -> Error {
    Error::machine(
        "cannot start this program a second time",
        "make room for processes and open files: ulimit -u, ulimit -n, in a container --pids-limit",
    )
    .caused_by(error)
}

/// Runs this very program with the options that it was started with, in a process of its own, to its end.
fn run(role: Role, stdout: Stdio, control: &Control, child: &Child) -> anyhow::Result<ExitStatus> {
    // Not by its path: the file may have been replaced by a newer one since.
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = std::env::args_os().next() {
        command.arg0(name);
    }
    command
        .args(std::env::args_os().skip(1))
        .env(Role::VARIABLE, role.value())
        .stdin(Stdio::null())
        .stdout(stdout)
        // Ctrl-C in a terminal goes to the whole group, and this process passes it on already.
        .process_group(0);
    let mut process = command.spawn().map_err(no_second)?;
    // The parent's copy of the pipe: with it the reader would never see the end of file.
    drop(command);
    let pid = Pid::from_child(&process);
    let ended = pidfd_open(pid, PidfdFlags::empty()).context("cannot watch the process (Linux 5.3 is needed)")?;
    child.set(Some(pid));
    while !control.stop_requested() && control.wait(Some((ended.as_fd(), PollFlags::IN)), None).is_empty() {}
    // From here on the id may become another process's.
    child.set(None);
    if control.stop_requested() {
        // It may have ended by itself; then it is still there to be waited for.
        let _ = kill_process(pid, Signal::TERM);
        let limit = Timespec { tv_sec: LAST_WORK.as_secs() as i64, tv_nsec: 0 };
        if poll(&mut [PollFd::new(&ended, PollFlags::IN)], Some(&limit)) == Ok(0) {
            tracing::warn!("the stream's process does not end, mostly for a driver that hangs: killing it");
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    let status = process.wait().context("cannot wait for the process")?;
    let asked_to_end = [Signal::INT, Signal::TERM].map(|signal| Some(signal.as_raw()));
    if asked_to_end.contains(&status.signal()) && !control.stop_requested() {
        // Ctrl-C reaches a child that has not left the group yet, and may end it before this process has taken notice.
        control.wait(None, Some(Duration::from_secs(1)));
    }
    Ok(status)
}
