//! `mb-encode mpegts`: H.264 in, MPEG-TS out.

use crate::cli::named::named;
use crate::control::signals;
use crate::os::poll;
use crate::os::process::{Child, GRACE, GRACE_OF_PARENT, Orphaned};
use crate::service::exit::Exit;
use crate::settings::{FrameRate, MpegTs, Named as _};
use crate::{Control, Error, remux};
use rustix::event::PollFlags;
use rustix::fd::OwnedFd;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Instant;

const AFTER_HELP: &str = "\
A frame ends where the next one begins, or where the source pauses: for 3 ms (20 ms at first), or
four times the longest pause that it made within a frame. So a source that writes frame by frame is
passed on without delay; one that writes whenever a buffer is full is a frame late.

The stream may begin anywhere: it is taken from its first parameter sets (SPS, PPS) on, and what was
passed over is said once, as is what browsers do not play: B frames, 10 bits, 4:2:2, 4:4:4, fields.

Example:
  ffmpeg -re -i film.mkv -an -c:v libx264 -bf 0 -f h264 - | mb-encode mpegts >film.ts

Exit codes:
  0   the input has ended, a stop was asked for, or the reader left; a COMMAND that ends with
      another code than 0, by itself or when it is asked to, passes it on
  1   failed while running: the cause is on standard error
  2   wrong use, or no H.264";

/// Wrap H.264 from standard input in MPEG-TS
///
/// Reads an Annex B byte stream, and writes to standard output.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct MpegTsArgs {
    /// What wraps the stream [default: native]
    // The alias: it is what messages about ffmpeg name.
    #[arg(long, alias = "mpegts", env = "MB_ENCODE_MPEGTS", hide_env_values = true, value_name = "HOW")]
    #[arg(value_parser = named::<MpegTs>())]
    how: Option<MpegTs>,

    /// Frames per second, 1 to 240, also 30000/1001: each frame is stamped by its number. Without it each is stamped
    /// when it arrives, which only native can do and which keeps the jitter of the source
    #[arg(long, value_name = "RATE")]
    fps: Option<FrameRate>,

    /// Take the H.264 from this command's standard output, rather than from standard input
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub fn run(args: &MpegTsArgs) -> anyhow::Result<()> {
    let how = args.how.unwrap_or_default();
    if args.command.first().is_some_and(|program| Path::new(program).file_name() == Some(OsStr::new("mb-encode"))) {
        return become_mb_encode(&args.command, how);
    }
    let control = Arc::new(Control::new()?);
    signals::start(&control, GRACE_OF_PARENT, || {})?;
    if args.command.is_empty() {
        return Ok(remux::wrap(std::io::stdin(), how, args.fps, &control)?);
    }
    wrap_command(&args.command, how, args.fps, &control)
}

/// mb-encode wraps its own stream: not a process more than needed.
fn become_mb_encode(command: &[OsString], how: MpegTs) -> anyhow::Result<()> {
    let error = Command::new(&command[0]).args(&command[1..]).env("MB_ENCODE_MPEGTS", how.name()).exec();
    Err(cannot_run(&command[0], error).into())
}

/// Runs the command and wraps what it writes. Both end together, also where this process is killed.
fn wrap_command(command: &[OsString], how: MpegTs, fps: Option<FrameRate>, control: &Control) -> anyhow::Result<()> {
    let mut program = Command::new(&command[0]);
    program.args(&command[1..]).stdout(Stdio::piped());
    let started = Child::start(program, Orphaned::Killed, &[]).map_err(|error| cannot_run(&command[0], error));
    let mut child = started?;
    let (_, Some(stdout), _) = child.take_pipes() else { unreachable!("its standard output is piped") };
    let stdout = OwnedFd::from(stdout);
    let wrapped = remux::wrap(&stdout, how, fps, control);
    let has_finished = poll::look(&stdout, PollFlags::empty()).contains(PollFlags::HUP);
    drop(stdout);
    // It has closed its standard output, and ends when it likes.
    while wrapped.is_ok() && has_finished && !child.has_ended() && !control.stop_requested() {
        control.wait(Some((child.ended(), PollFlags::IN)), None);
    }
    let (has_ended, stopped) = (child.has_ended(), control.stop_requested());
    if !has_ended {
        child.ask_to_end();
    }
    let status = child.end_by(Instant::now() + GRACE);
    if wrapped.is_err() || !(has_ended || stopped) {
        // It ended because this did.
        return Ok(wrapped?);
    }
    let status = status.unwrap_or(ExitStatus::from_raw(libc::SIGKILL));
    // Its reader has left, which is nobody's failure.
    let code = status.code().or(status.signal().filter(|&signal| signal != libc::SIGPIPE).map(|signal| 128 + signal));
    match code {
        None | Some(0) => Ok(()),
        Some(code) if code == 128 + libc::SIGPIPE => Ok(()),
        Some(code) => Err(Exit::of_child(code).into()),
    }
}

fn cannot_run(program: &OsStr, error: std::io::Error) -> Error {
    Error::input(
        "command-missing",
        format!("cannot run {}", program.to_string_lossy()),
        "name a program that is there, with its path if it is not on the PATH",
    )
    .caused_by(error)
}
