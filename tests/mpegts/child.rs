//! Child processes that end with the test, and pipes that are read with a deadline.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use std::io::Read;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long anything may take that takes well under a second on a quiet machine.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// `mb-encode` as it was built for this test, with none of the options that the environment might hold: small pictures,
/// which a debug build draws in real time.
pub fn mb_encode(options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mb-encode"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MB_ENCODE_") {
            command.env_remove(name);
        }
    }
    command.args(["--width", "320", "--height", "240"]).args(options);
    command
}

/// A running child, killed by its own id when this is dropped.
pub struct Running {
    child: Child,
    stderr: Option<JoinHandle<String>>,
}

impl Running {
    /// Starts it with standard output and standard error in pipes.
    pub fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut pipe = child.stderr.take().expect("piped");
        let stderr = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = pipe.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Self { child, stderr: Some(stderr) }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is not reaped yet");
    }

    pub fn stdout(&mut self) -> Pipe {
        Pipe(self.child.stdout.take().expect("taken once"))
    }

    /// Waits for its end. Gives the exit code (128 and the signal, as a shell would) and its standard error.
    pub fn end(mut self) -> (i32, String) {
        use std::os::unix::process::ExitStatusExt;
        let status = eventually("it ends", || self.child.try_wait().expect("it is waited for here alone"));
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        let stderr = self.stderr.take().expect("taken once");
        eventually("its standard error ends", || stderr.is_finished().then_some(()));
        (code, stderr.join().expect("it does not panic"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail on a child that was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The reading end of a child's standard output.
pub struct Pipe(ChildStdout);

impl Pipe {
    /// What comes next, or nothing at the end.
    pub fn some(&mut self) -> Vec<u8> {
        let timeout = Timespec { tv_sec: DEADLINE.as_secs() as i64, tv_nsec: 0 };
        let ready = poll(&mut [PollFd::from_borrowed_fd(self.0.as_fd(), PollFlags::IN)], Some(&timeout));
        assert_ne!(ready, Ok(0), "nothing to read for {DEADLINE:?}");
        let mut bytes = vec![0; 64 * 1024];
        let read = self.0.read(&mut bytes).expect("a pipe can be read");
        bytes.truncate(read);
        bytes
    }

    pub fn at_least(&mut self, count: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < count {
            let some = self.some();
            assert!(!some.is_empty(), "it ended after {} bytes", all.len());
            all.extend(some);
        }
        all
    }

    pub fn all(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let some = self.some();
            if some.is_empty() {
                return all;
            }
            all.extend(some);
        }
    }
}

/// Asks until there is an answer.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < until, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The children of a process by id and name. A process that has ended has none.
pub fn children(of: u32) -> Vec<(u32, String)> {
    let threads = std::fs::read_dir(format!("/proc/{of}/task")).into_iter().flatten().flatten();
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|ids| ids.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>())
        .filter_map(|id| {
            let name = std::fs::read_to_string(format!("/proc/{id}/comm")).ok()?;
            Some((id, name.trim().to_owned()))
        })
        .collect()
}

/// Waits until a process has a child of that name.
pub fn child_named(of: u32, name: &str) -> u32 {
    eventually(name, || children(of).into_iter().find(|(_, its)| its == name).map(|(id, _)| id))
}

/// Whether a process runs: one that has ended and that nobody has waited for does not.
pub fn runs(id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // "1234 (name) S …"
    stat.rsplit(')').next().is_some_and(|rest| !matches!(rest.trim().chars().next(), None | Some('Z' | 'X')))
}

/// A folder that goes with the test.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("mb-encode-mpegts-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder for temporary files");
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Puts a shell script into the folder, and gives a PATH with the folder in front.
    pub fn with_program(&self, name: &str, script: &str) -> String {
        use std::os::unix::fs::PermissionsExt;
        let program = self.path(name);
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("the folder can be written");
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("the file is ours");
        format!("{}:{}", self.0.display(), std::env::var("PATH").expect("a PATH"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
