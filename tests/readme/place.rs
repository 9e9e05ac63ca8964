//! A folder that looks to a command like the repository's, with everything that it starts and makes in it.

use crate::rig::Rig;
use crate::support::go2rtc;
use crate::support::process::{DEADLINE, Process, Reader, clean};
use mb_encode::settings::Size;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::time::Duration;

pub const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

pub struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let link = |from: &Path, to: &str| {
            std::os::unix::fs::symlink(from, folder.path().join(to)).expect("a folder to write to");
        };
        for name in ["docker", "examples", "scripts"] {
            link(&Path::new(REPOSITORY).join(name), name);
        }
        std::fs::create_dir(folder.path().join("bin")).expect("a folder to write to");
        link(Path::new(env!("CARGO_BIN_EXE_mb-encode")), "bin/mb-encode");
        link(&std::path::absolute(go2rtc::find()).expect("a path"), "bin/go2rtc");
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `line` as a shell runs it here, with `mb-encode` and `go2rtc` on the PATH.
    pub fn shell(&self, line: &str) -> Command {
        let mut command = clean(Command::new("bash"));
        command.args(["-euc", line]).current_dir(self.folder.path());
        let rest = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(std::iter::once(self.path("bin")).chain(std::env::split_paths(&rest)));
        command.env("PATH", path.expect("a PATH")).env("GO2RTC", go2rtc::find());
        command.env("MB_ENCODE", env!("CARGO_BIN_EXE_mb-encode"));
        // A player needs neither a screen nor a loudspeaker to play.
        command.env("SDL_VIDEODRIVER", "dummy").env("SDL_AUDIODRIVER", "dummy");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// Runs `line` to its end, which must be a good one, and gives what it wrote on standard output and error.
    pub fn run(&self, line: &str, limit: Duration) -> (Vec<u8>, String) {
        run(line, self.shell(line), limit)
    }

    /// Starts what `line` says, which is a supervisor in the end, on ports of this test's own.
    pub fn start(&self, line: &str) -> Rig {
        for _ in 0..5 {
            let ports = go2rtc::free_ports();
            let mut command = self.shell(&format!("exec {line}"));
            for (name, port) in ["API", "RTSP", "WEBRTC"].iter().zip(ports) {
                command.env(format!("MB_ENCODE_{name}_PORT"), port.to_string());
            }
            command.env("MB_ENCODE_WORKER_PORT", go2rtc::free_run(16).to_string());
            if let Some(rig) = Rig::launch(command, &self.path("temp"), ports) {
                return rig;
            }
        }
        panic!("every port was taken, five times in a row");
    }
}

/// The same for a command that is made already.
pub fn run(line: &str, mut command: Command, limit: Duration) -> (Vec<u8>, String) {
    let mut group = Group::start(command.stdout(Stdio::piped()));
    let mut stdout = group.process().stdout();
    // Its end may be further off than a read's deadline.
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        loop {
            match std::io::Read::read_to_end(&mut stdout, &mut bytes) {
                Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {}
                _ => return bytes,
            }
        }
    });
    let ended = group.process.take().expect("it is taken once").wait_for(limit);
    assert_eq!(ended.code(), 0, "{line}\n{}", ended.stderr);
    (reader.join().expect("it does not panic"), ended.stderr)
}

/// A process and everything that it has started, ended together with this at the latest.
pub struct Group {
    process: Option<Process>,
    id: Pid,
}

impl Group {
    pub fn start(command: &mut Command) -> Self {
        let process = Process::start(command.process_group(0));
        let id = Pid::from_raw(process.id() as i32).expect("a process id");
        Self { process: Some(process), id }
    }

    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("it was not waited for")
    }

    pub fn stdout(&mut self) -> Reader<ChildStdout> {
        self.process().stdout()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process_group(self.id, signal).expect("one of them runs");
    }

    /// Asks all of them to end, and waits until they have.
    pub fn end(mut self) {
        self.signal(Signal::TERM);
        self.process.take().expect("it was not waited for").wait();
        crate::rig::until(DEADLINE, "all of them end", || test_kill_process_group(self.id).err());
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Fails where all have ended, which is what it is to reach.
        let _ = kill_process_group(self.id, Signal::KILL);
    }
}

/// The size that `line` asks for.
pub fn size_in(line: &str) -> Size {
    let value = |name: &str, default: u32| {
        let words: Vec<_> = line.split_whitespace().collect();
        let at = words.iter().position(|word| *word == name);
        at.map_or(default, |at| words[at + 1].parse().expect("a number"))
    };
    Size::new(value("--width", 1280), value("--height", 720)).expect("a legal size")
}
