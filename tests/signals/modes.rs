//! The modes of the program that run until they are told to end, as cheap as they can be.

use crate::sim;
use crate::support::process::{mb_encode, ready};
use rustix::event::PollFlags;
use rustix::fd::AsFd as _;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Until when a program has to be gone that was asked to end.
pub const LIMIT: Duration = Duration::from_secs(2);

/// The variable by which everything that a test has started is found.
const MARK: &str = "MB_SIGNAL_FOLDER";

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    Stdout,
    Fifo,
    Out,
    Supervise,
    Mpegts,
}

pub const MODES: [Mode; 5] = [Mode::Stdout, Mode::Fifo, Mode::Out, Mode::Supervise, Mode::Mpegts];

impl Mode {
    /// The program in this mode, with all its files in `folder`.
    pub fn command(self, folder: &Path) -> Command {
        let mut command = mb_encode();
        match self {
            Mode::Stdout => command.arg("--stdout"),
            Mode::Fifo => command.arg("--fifo").arg(folder.join("stream.h264")),
            Mode::Out => command.arg("--out").arg(folder.join("clip.h264")),
            Mode::Supervise => {
                command.args(["supervise", "--workers", "1", "--temp"]).arg(folder.join("temp")).arg("--")
            }
            Mode::Mpegts => command.arg("mpegts"),
        };
        if self != Mode::Mpegts {
            command.args(["--width", "64", "--height", "64", "--fps", "5", "--encoder", "openh264"]);
        }
        command
            .env("LD_LIBRARY_PATH", sim::library_path(&sim::gl_alone()))
            .env(MARK, folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }
}

/// How a program ended that was asked to.
#[derive(Debug)]
pub enum End {
    /// By itself: the exit code, or the signal as a shell shows it.
    Code(i32),
    /// By itself, and too late: it was slow, and lost nothing.
    Late,
    /// It went on, and was killed.
    Lost,
}

/// Waits for the end of a program that `signal` was sent to. Its standard input stays open as long.
pub fn end(mut child: Child) -> (End, String) {
    let process = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).expect("it is not reaped yet");
    let input = child.stdin.take();
    let mut ended = None;
    if !ready(process.as_fd(), PollFlags::IN, LIMIT) {
        let late = ready(process.as_fd(), PollFlags::IN, 2 * LIMIT);
        let _ = pidfd_send_signal(&process, Signal::KILL);
        ended = Some(if late { End::Late } else { End::Lost });
    }
    let status = child.wait().expect("it has ended");
    drop(input);
    // What a child of it holds is not waited for, so not to its end.
    let mut said = vec![0; 4096];
    let mut length = 0;
    if let Some(mut pipe) = child.stderr.take() {
        if ready(pipe.as_fd(), PollFlags::IN, Duration::ZERO) {
            length = std::io::Read::read(&mut pipe, &mut said).unwrap_or(0);
        }
    }
    let said = String::from_utf8_lossy(&said[..length]).into_owned();
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    (ended.unwrap_or(End::Code(code)), said)
}

/// What was started with `folder`, or a folder in it, and is not dead.
fn left(folder: &Path) -> Vec<Pid> {
    let mark = format!("{MARK}={}", folder.display());
    let all = std::fs::read_dir("/proc").expect("/proc");
    let ours = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).filter(|id: &i32| {
        let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        environment.split(|&byte| byte == 0).any(|entry| entry.starts_with(mark.as_bytes()))
    });
    ours.filter_map(Pid::from_raw).collect()
}

/// Kills whatever was started with `folder`, or a folder in it.
pub fn kill_the_rest(folder: &Path) {
    for pid in left(folder) {
        if let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) {
            let _ = pidfd_send_signal(&process, Signal::KILL);
        }
    }
}

/// Waits until nothing is there any more that was started with `folder`, for as long as a program may take to end.
pub fn assert_nothing_left(folder: &Path, what: &str) {
    let begun = Instant::now();
    loop {
        let left = left(folder);
        if left.is_empty() {
            break;
        }
        if begun.elapsed() > LIMIT {
            kill_the_rest(folder);
            panic!("{what}: {} processes are left", left.len());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
