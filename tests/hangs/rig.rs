//! A machine whose driver hangs in one call, the program on it, and those who read what it writes.

use crate::sim;
use crate::support::children;
use crate::support::decode;
pub use crate::support::process::until;
use crate::support::process::{Ended, Process, mb_encode, ready};
use mb_encode::parts::{NalUnit, NalUnitType, nal_units};
use rustix::event::PollFlags;
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::{CWD, FileType, Mode};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};
use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take that is no matter of a limit.
pub const DEADLINE: Duration = Duration::from_secs(15);
/// What a machine with other work to do may add to a time that the program promises.
pub const SLACK: Duration = Duration::from_millis(1500);
/// How long the program may take to end once it is asked to, while a driver hangs.
pub const LAST_WORK: Duration = Duration::from_secs(2);
/// Limits that a test can wait for. A busy machine may take a second for a start that goes well, and more where the drivers are
/// not in memory.
pub const LIMITS: [&str; 4] = ["--hang-timeout", "1", "--start-timeout", "3"];
/// Until when all is gone that a process has started, once it is killed.
pub const ORPHANS: Duration = Duration::from_secs(3);

/// Of a small stream.
const SIZE: (u32, u32) = (160, 96);

/// The stages of a stream, as messages name them.
pub const STAGES: [&str; 4] = ["opening", "drawing", "reading back", "encoding"];

/// A call of each kind that hangs, and the stage that it belongs to. With a number above 1 a stream is under way by then.
pub const CALLS: [(&str, &str); 5] = [
    ("eglInitialize@1", "opening"),
    ("nvEncOpenEncodeSessionEx@1", "opening"),
    ("glBlitFramebuffer@60", "drawing"),
    ("glReadPixels@40", "reading back"),
    ("nvEncLockBitstream@20", "encoding"),
];

/// Which of [`LIMITS`] ends what hangs in this stage, in seconds.
pub fn limit(stage: &str) -> u32 {
    if stage == "opening" { 3 } else { 1 }
}

/// Runs `check` on all of `items` at the same time, where each of them waits for more than it works.
pub fn at_once<T: Sync>(items: &[T], check: impl Fn(&T) + Sync) {
    std::thread::scope(|scope| {
        for item in items {
            scope.spawn(|| check(item));
        }
    });
}

/// A folder, and what hangs for the programs that are started with it. When it is dropped, whatever they started and
/// left is killed.
pub struct Machine {
    pub folder: TempDir,
    settings: Vec<(&'static str, String)>,
    nvidia: bool,
    encoder: &'static str,
}

impl Machine {
    /// One on which `call` hangs. Its encoder is the one that the call belongs to, OpenH264 for EGL and GL.
    pub fn new(call: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = vec![("MB_SIM_HANG", call.to_owned())];
        let nvidia = !call.starts_with("egl") && !call.starts_with("gl");
        Self { folder, settings, nvidia, encoder: if nvidia { "nvenc" } else { "openh264" } }
    }

    /// Streams choose their encoder by themselves.
    pub fn auto(mut self) -> Self {
        self.encoder = "auto";
        self
    }

    /// Only a worker's children of this role hang.
    pub fn role(mut self, role: &str) -> Self {
        self.settings.push(("MB_SIM_HANG_ROLE", role.to_owned()));
        self
    }

    /// Only the first process that comes to the call hangs.
    pub fn once(mut self) -> Self {
        self.settings.push(("MB_SIM_HANG_ONCE", self.path("once").display().to_string()));
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `mb-encode` on this machine, without any option.
    pub fn bare(&self) -> Command {
        let mut command = mb_encode();
        command
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .env("MB_SIM_REPORT", self.path("drivers.json"))
            .env("__EGL_VENDOR_LIBRARY_FILENAMES", sim::egl_vendor())
            .env_remove("CUDA_VISIBLE_DEVICES")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if self.nvidia {
            command.env("LD_LIBRARY_PATH", sim::library_path(sim::drivers()));
        }
        command
    }

    /// The options of a small stream on this machine, `options` behind them.
    pub fn small(&self, options: &[&str]) -> Vec<String> {
        let words = ["--width", "160", "--height", "96", "--fps", "30", "--encoder", self.encoder];
        words.iter().chain(options).map(|&word| word.to_owned()).collect()
    }

    /// Starts a small stream to where `to` says.
    pub fn stream(&self, to: &[&str], options: &[&str]) -> Process {
        Process::start(self.bare().args(to).args(self.small(options)))
    }

    /// Starts a worker of the FIFO `stream` in the folder.
    pub fn worker(&self, options: &[&str]) -> Process {
        Process::start(self.bare().arg("--fifo").arg(self.fifo()).args(self.small(options)))
    }

    pub fn fifo(&self) -> PathBuf {
        self.path("stream.h264")
    }

    /// Starts a supervisor of one worker, without go2rtc.
    pub fn supervisor(&self, options: &[&str]) -> Process {
        let mut command = self.bare();
        command.arg("supervise").arg("--temp").arg(self.path("temp")).args(["--workers", "1", "--"]);
        Process::start(command.args(self.small(options)))
    }

    /// The FIFO of its worker.
    pub fn supervised_fifo(&self) -> PathBuf {
        self.path("temp/streams/omega-0.h264")
    }

    /// What `mb-encode status --json` prints.
    pub fn status(&self) -> serde_json::Value {
        let output = mb_encode().args(["status", "--json", "--temp"]).arg(self.path("temp")).output();
        serde_json::from_slice(&output.expect("it can be run").stdout).unwrap_or_default()
    }

    /// Waits until the supervisor's worker waits for readers.
    pub fn wait_until_waiting(&self, supervisor: &Process) {
        until(DEADLINE, &format!("the worker waits: {:?}", supervisor.lines()), || {
            let output = mb_encode().args(["status", "--temp"]).arg(self.path("temp")).output().expect("it can be run");
            String::from_utf8_lossy(&output.stdout).contains("waiting").then_some(())
        });
    }

    /// The processes that have come to the call that hangs, dead ones among them.
    pub fn hung(&self) -> BTreeSet<i32> {
        let report = std::fs::read_to_string(self.path("drivers.json")).unwrap_or_default();
        let hung = report.lines().filter(|line| line.contains(r#""event":"hang""#));
        let pid = |line: &str| line.split_once(r#""pid":"#)?.1.split(',').next()?.parse().ok();
        hung.filter_map(pid).collect()
    }

    /// How often any of them has come to that call: a process that has taken its own place may do so twice.
    pub fn hangs(&self) -> usize {
        let report = std::fs::read_to_string(self.path("drivers.json")).unwrap_or_default();
        report.lines().filter(|line| line.contains(r#""event":"hang""#)).count()
    }

    /// Waits until `count` processes have come to the call that hangs, and gives the last of them.
    pub fn wait_until_hung(&self, count: usize, process: &Process) -> Pid {
        let what = format!("{count} hang: {:?}: {:?}", self.settings, process.lines());
        let pid = until(DEADLINE, &what, || {
            let hung = self.hung();
            assert!(hung.len() >= count || process.is_running(), "it has ended: {:?}", process.lines());
            (hung.len() >= count).then(|| hung.last().copied()).flatten()
        });
        Pid::from_raw(pid).expect("a process's id")
    }

    /// Waits until a process that took its own place has come to that call once more.
    pub fn wait_until_hung_again(&self, process: &Process) {
        until(DEADLINE, "it hangs again", || {
            let hangs = self.hangs();
            assert!(hangs == 2 || process.is_running(), "it has ended: {:?}", process.lines());
            (hangs == 2).then_some(())
        });
    }

    /// The processes that were started with this folder, by anybody, and are not dead.
    pub fn processes(&self) -> Vec<Pid> {
        let variable = format!("MB_SIM_REPORT={}", self.path("drivers.json").display());
        let all = std::fs::read_dir("/proc").expect("/proc");
        all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|id: &i32| {
                // What is dead, and not reaped yet, has no environment.
                let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
                environment.split(|&byte| byte == 0).any(|entry| entry == variable.as_bytes())
            })
            .filter_map(Pid::from_raw)
            .collect()
    }

    /// Waits until nothing runs any more.
    pub fn assert_all_gone(&self, limit: Duration) {
        until(limit, &format!("all end: {:?} are left", self.processes()), || {
            self.processes().is_empty().then_some(())
        });
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for pid in self.processes() {
            if let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) {
                let _ = pidfd_send_signal(&process, Signal::KILL);
            }
        }
    }
}

/// Somebody who reads a FIFO for as long as it goes.
pub struct Viewer {
    cat: Process,
    bytes: Arc<AtomicU64>,
}

impl Viewer {
    pub fn start(fifo: &Path) -> Self {
        let mut cat = Process::start(Command::new("cat").arg(fifo).stdin(Stdio::null()).stdout(Stdio::piped()));
        let mut pipe = cat.stdout();
        let bytes = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&bytes);
        std::thread::spawn(move || {
            let mut buffer = [0; 16_384];
            while let Ok(read @ 1..) = pipe.read(&mut buffer) {
                count.fetch_add(read as u64, Ordering::Relaxed);
            }
        });
        Self { cat, bytes }
    }

    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Waits until it has read so many bytes.
    pub fn wait_for_bytes(&self, count: u64, limit: Duration, what: &str) {
        until(limit, &format!("{what}: a viewer gets {count} bytes"), || (self.bytes() >= count).then_some(()));
    }

    /// Waits until its stream ends, and gives how many bytes there were.
    pub fn wait_for_end(self, limit: Duration) -> u64 {
        let Self { cat, bytes } = self;
        assert_eq!(cat.wait_for(limit).code(), 0);
        // The thread has what was in the pipe, or gets it soon.
        let before = bytes.load(Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(50));
        before.max(bytes.load(Ordering::Relaxed))
    }
}

/// Makes a FIFO, as an earlier run leaves one.
pub fn make_fifo(path: &Path) {
    rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("a FIFO can be made");
}

/// A descriptor of a process, readable once it has ended.
pub fn watch(pid: Pid) -> OwnedFd {
    pidfd_open(pid, PidfdFlags::empty()).expect("it runs")
}

/// Kills one process for good.
pub fn kill(process: &Process) {
    let pid = Pid::from_raw(process.id() as i32).expect("a process's id");
    let ended = watch(pid);
    kill_process(pid, Signal::KILL).expect("it is a child");
    assert!(ready(ended.as_fd(), PollFlags::IN, DEADLINE), "it does not end");
}

/// The only child of a process.
pub fn only_child(parent: Pid) -> Pid {
    let parent = parent.as_raw_nonzero().get() as u32;
    until(DEADLINE, "it has one child", || {
        let children = children::of(parent);
        (children.len() == 1).then(|| children[0])
    })
}

/// Checks what was said of a hang: within the first 512 bytes, with the limit and the stage.
pub fn assert_told(stderr: &str, seconds: u32, stage: &str) {
    let first = String::from_utf8_lossy(&stderr.as_bytes()[..stderr.len().min(512)]).into_owned();
    assert!(first.contains(&format!("no progress for {seconds} s")), "what hung is not told: {stderr}");
    assert!(first.contains(stage), "not told that it hung while {stage}: {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

/// Checks an end by a limit of so many seconds, `since` the call began to hang.
pub fn assert_failed_in_time(ended: &Ended, since: Instant, seconds: u32, stage: &str) {
    let (took, limit) = (since.elapsed(), Duration::from_secs(seconds.into()));
    assert_eq!(ended.code(), 1, "{stage}: {}", ended.stderr);
    assert_told(&ended.stderr, seconds, stage);
    assert!(took < limit + SLACK, "{stage}: ended {took:?} after it began to hang");
}

/// The stream up to its last frame, which may be there in part, where that is no IDR picture. `None` where there are not so
/// many frames before that.
pub fn up_to_last_frame(stream: &[u8], count: usize) -> Option<&[u8]> {
    let begins = |five: &[u8]| five[..4] == [0, 0, 0, 1] && five[4] & 0x1f == 1;
    let whole = &stream[..stream.windows(5).rposition(begins)?];
    let is_slice = |kind| [NalUnitType::Slice, NalUnitType::IdrSlice].contains(&kind);
    (nal_units(whole).filter(|unit| is_slice(unit.nal_unit_type())).count() >= count).then_some(whole)
}

/// Checks a stream of a small size: each of its first `count` frames is there once and is the right one.
pub fn assert_shows_each_frame(stream: &[u8], count: usize, what: &str) {
    let marks = decode::all_marks(stream, SIZE);
    assert!(marks.len() >= count, "{what}: {} frames", marks.len());
    decode::assert_frames_rise_by_one(&marks);
}

/// Checks a stream of a small size that goes on behind one hang: each of its first `count` frames is there once and is the
/// right one, the parameter sets stay, and there is one IDR picture more.
pub fn assert_carried_over(stream: &[u8], count: usize, what: &str) {
    assert_shows_each_frame(stream, count, what);
    let count = |kind| nal_units(stream).filter(|unit| unit.nal_unit_type() == kind).count();
    assert_eq!(count(NalUnitType::IdrSlice), 2, "{what}: IDR pictures");
    for kind in [NalUnitType::Sps, NalUnitType::Pps] {
        let sets = nal_units(stream).filter(|unit| unit.nal_unit_type() == kind).map(NalUnit::bytes);
        assert_eq!(sets.collect::<BTreeSet<_>>().len(), 1, "{what}: {kind:?}");
    }
}
