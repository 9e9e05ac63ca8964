//! A worker that is cheap to start, its readers, and what is left of it.

use crate::sim;
use crate::support::process::{DEADLINE, Process, Reader, mb_encode};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// The variable by which everything that a test has started is found.
const MARK: &str = "MB_NEIGHBOUR_FOLDER";
/// What every reader's stream begins with.
pub const SPS: [u8; 5] = [0, 0, 0, 1, 0x67];

/// The program with the smallest pictures there are; everything of it bears `folder` as its mark.
pub fn program(folder: &Path) -> Command {
    let mut command = mb_encode();
    command.env("LD_LIBRARY_PATH", sim::library_path(&sim::gl_alone())).env(MARK, folder).stdin(Stdio::null());
    command
}

/// The options of a worker.
pub const SMALL: [&str; 8] = ["--width", "64", "--height", "64", "--fps", "60", "--encoder", "openh264"];

/// A command that serves `path`.
pub fn serving(path: &Path, folder: &Path) -> Command {
    let mut command = program(folder);
    command.arg("--fifo").arg(path).args(SMALL).stdout(Stdio::null());
    command
}

/// A worker in a folder of its own. It is dropped before its folder.
pub struct Worker {
    pub process: Process,
    pub path: PathBuf,
    pub folder: TempDir,
}

impl Worker {
    pub fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap())
    }

    pub fn start_in(folder: TempDir) -> Self {
        let path = folder.path().join("demo.h264");
        let process = Process::start(&mut serving(&path, folder.path()));
        process.wait_for_line("waiting for a reader");
        Self { process, path, folder }
    }

    /// The processes that it has started and that it has not reaped.
    pub fn children(&self) -> Vec<Pid> {
        let id = self.process.id();
        let list = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        list.split_whitespace().filter_map(|id| Pid::from_raw(id.parse().ok()?)).collect()
    }

    /// The process of the reader that is served, as soon as there is one.
    pub fn child(&self) -> Pid {
        until("no process for the reader", || self.children().first().copied())
    }

    /// Ends it as a person does, and checks that nothing is left of it but its FIFO.
    pub fn end(self) {
        let Self { process, folder, .. } = self;
        process.signal(Signal::TERM);
        assert_eq!(process.wait().code(), 0);
        assert_nothing_runs(folder.path());
        assert_eq!(names(folder.path()), ["demo.h264"]);
    }
}

/// Opens a FIFO as a reader. Like a blocking open this wakes the worker, but it returns at once.
pub fn connect(path: &Path) -> Reader<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Reader::new(File::from(rustix::fs::open(path, flags, Mode::empty()).expect("the FIFO is there")))
}

/// What lies in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Looks until something is there.
pub fn until<T>(fault: &str, look: impl Fn() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < DEADLINE, "{fault}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Checks that everything ends that was started with this mark.
pub fn assert_nothing_runs(folder: &Path) {
    let begun = Instant::now();
    loop {
        let left = marked(folder);
        if left.is_empty() {
            return;
        }
        if begun.elapsed() > Duration::from_secs(3) {
            let names: Vec<_> = left.iter().map(|pid| command_line(*pid)).collect();
            for pid in left {
                if let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) {
                    let _ = pidfd_send_signal(process, Signal::KILL);
                }
            }
            panic!("still running: {names:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn marked(folder: &Path) -> Vec<Pid> {
    let mark = format!("{MARK}={}", folder.display());
    let all = std::fs::read_dir("/proc").expect("/proc");
    let ours = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).filter(|id: &i32| {
        let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        environment.split(|&byte| byte == 0).any(|entry| entry == mark.as_bytes())
    });
    ours.filter_map(Pid::from_raw).collect()
}

fn command_line(pid: Pid) -> String {
    let line = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    String::from_utf8_lossy(&line).replace('\0', " ")
}

/// How often something is done, unless a variable says so.
pub fn number(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// A seed that differs from run to run.
pub fn seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64
}

/// From 0 to 1, by a number (splitmix64).
pub fn random(seed: u64, number: usize) -> f64 {
    let mut x = seed.wrapping_add((number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((x ^ (x >> 31)) >> 32) as f64 / 2f64.powi(32)
}
