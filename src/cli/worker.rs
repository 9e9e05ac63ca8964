//! A FIFO worker: a small process that waits, and for each reader one more that draws and encodes.
//!
//! Graphics drivers keep memory, threads and open devices after everything in them was freed; only the end of a
//! process gives it all back. So this process never loads one. It also outlives a driver that crashes.

use super::signals::Child;
use anyhow::Context as _;
use mb_encode::settings::{FifoMode, PipeSize};
use mb_encode::sink::Fifo;
use mb_encode::{Control, Error};
use rustix::event::PollFlags;
use rustix::fd::AsFd;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

/// The longest wait after a stream that failed.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Serves reader after reader until a stop is requested.
pub fn serve(
    path: &Path,
    mode: FifoMode,
    pipe_size: Option<PipeSize>,
    control: &Control,
    child: &Child,
) -> anyhow::Result<()> {
    rehearse()?;
    let mut fifo = Fifo::new(path, mode, pipe_size)?;
    tracing::info!(fifo = %path.display(), "waiting for a reader");
    let mut wait = Duration::ZERO;
    for reader in 1u64.. {
        let Some(pipe) = fifo.wait_for_reader(control)? else { break };
        tracing::info!(reader, "reader connected");
        let status = stream(reader, Stdio::from(pipe), control, child)?;
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

/// Runs the stream for one reader in a process of its own, to its end.
fn stream(reader: u64, pipe: Stdio, control: &Control, child: &Child) -> anyhow::Result<ExitStatus> {
    let mut process = this_program()?
        .arg(format!("--serve-reader={reader}"))
        .stdin(Stdio::null())
        .stdout(pipe)
        // Ctrl-C in a terminal goes to the whole group, and this process passes it on already.
        .process_group(0)
        .spawn()
        .context("cannot start a process for the reader")?;
    let pid = Pid::from_child(&process);
    child.set(Some(pid));
    // Without a pidfd, on a kernel before 5.3, a stop waits until the reader leaves.
    if let Ok(ended) = pidfd_open(pid, PidfdFlags::empty()) {
        while !control.stop_requested() && control.wait(Some((ended.as_fd(), PollFlags::IN)), None).is_empty() {}
        if control.stop_requested() {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::TERM);
        }
    }
    let status = process.wait().context("cannot wait for the reader's process")?;
    child.set(None);
    Ok(status)
}

/// Draws and codes one picture in a process of its own, so that a worker that cannot work says so when it is started
/// and not hours later to its first reader.
fn rehearse() -> anyhow::Result<()> {
    let status = this_program()?
        .arg("--rehearse")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .context("cannot start this program a second time")?;
    match status.code() {
        Some(0) => Ok(()),
        // It has printed its reason.
        Some(code) => std::process::exit(code),
        None => Err(Error::machine(
            format!("the graphics driver crashed while the first picture was drawn ({status})"),
            "try another GPU with --device, or --encoder openh264",
        )
        .into()),
    }
}

/// This very program with the options that it was started with.
fn this_program() -> anyhow::Result<Command> {
    // Not its path: the file may have been replaced by a newer one since.
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = std::env::args_os().next() {
        command.arg0(name);
    }
    command.args(std::env::args_os().skip(1));
    Ok(command)
}
