//! Child processes that end with the test, and bytes that are read with a deadline.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long anything may take that takes well under a second on a quiet machine.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Looks again and again until there is something, and returns it.
pub fn until<T>(limit: Duration, what: &str, mut reached: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(it) = reached() {
            return it;
        }
        assert!(begun.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// `mb-encode` as it was built for this test, with none of the options that the environment might hold. Its workers do not
/// wait for the rehearsals of other tests' workers, and keep no process ready because a busy machine was slow.
pub fn mb_encode() -> Command {
    let mut command = clean(Command::new(env!("CARGO_BIN_EXE_mb-encode")));
    command.env("MB_ENCODE_SPARE", "off").env("XDG_RUNTIME_DIR", "/nonexistent");
    command
}

/// `command` without the variables of the environment that would change what a test asks for.
pub fn clean(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        let bytes = name.as_encoded_bytes();
        if bytes.starts_with(b"MB_ENCODE_") || bytes.starts_with(b"METABONK_") {
            command.env_remove(name);
        }
    }
    command
}

/// Gives `to` what `from` says about its environment: for a shell that starts the program.
pub fn pass_environment(from: &Command, to: &mut Command) {
    for (name, value) in from.get_envs() {
        match value {
            Some(value) => to.env(name, value),
            None => to.env_remove(name),
        };
    }
}

/// A running child. It is killed, by its own id, when this is dropped.
pub struct Process {
    child: Child,
    /// Readable once the child has ended.
    ended: OwnedFd,
    stderr: Arc<Lines>,
    name: String,
}

/// How a child ended.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    /// All of its standard error.
    pub stderr: String,
}

impl Ended {
    /// The exit code, or the signal as a shell shows it.
    pub fn code(&self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }
}

#[derive(Default)]
struct Lines {
    state: Mutex<(Vec<String>, bool)>,
    changed: Condvar,
}

impl Process {
    /// Starts `command`, with its standard error captured. Standard output is whatever `command` says.
    pub fn start(command: &mut Command) -> Self {
        let name = format!("{command:?}");
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        let ended = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).expect("Linux 5.3 or newer");
        let stderr = Arc::new(Lines::default());
        let pipe = BufReader::new(child.stderr.take().expect("piped above"));
        let lines = Arc::clone(&stderr);
        std::thread::spawn(move || lines.fill(pipe));
        Self { child, ended, stderr, name }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the child writes, if its standard output is a pipe. Each read fails after [`DEADLINE`].
    pub fn stdout(&mut self) -> Reader<ChildStdout> {
        Reader::new(self.child.stdout.take().expect("standard output is piped and taken once"))
    }

    pub fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("standard input is piped and taken once")
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the child is not reaped yet");
    }

    /// Waits for a line on standard error that holds `words`, and gives it.
    pub fn wait_for_line(&self, words: &str) -> String {
        self.wait_for_nth_line(1, words)
    }

    /// Waits until `n` lines on standard error hold `words`, and gives the last of them.
    pub fn wait_for_nth_line(&self, n: usize, words: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        let mut state = self.stderr.lock();
        loop {
            if let Some(line) = state.0.iter().filter(|line| line.contains(words)).nth(n - 1) {
                return line.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.1 || left.is_zero() {
                let why = if state.1 { "it has ended" } else { "in time" };
                panic!("no line no. {n} with {words:?} ({why}): {}\n{}", self.name, state.0.join("\n"));
            }
            let waited = self.stderr.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The lines on standard error so far.
    pub fn lines(&self) -> Vec<String> {
        self.stderr.lock().0.clone()
    }

    pub fn is_running(&self) -> bool {
        self.is_running_after(Duration::ZERO)
    }

    /// Whether the child does not end within `time`.
    pub fn is_running_after(&self, time: Duration) -> bool {
        !ready(self.ended.as_fd(), PollFlags::IN, time)
    }

    /// Waits until the child has ended by itself.
    pub fn wait(self) -> Ended {
        self.wait_for(DEADLINE)
    }

    /// Waits until the child has ended by itself, for at most `limit`.
    pub fn wait_for(mut self, limit: Duration) -> Ended {
        let ended = ready(self.ended.as_fd(), PollFlags::IN, limit);
        assert!(ended, "still running after {limit:?}: {}\n{}", self.name, self.lines().join("\n"));
        let status = self.child.wait().expect("it has ended");
        // A grandchild may hold standard error for longer; it is not waited for.
        let deadline = Instant::now() + Duration::from_secs(2);
        let mut state = self.stderr.lock();
        while !state.1 && Instant::now() < deadline {
            let waited = self.stderr.changed.wait_timeout(state, Duration::from_secs(2));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ended { status, stderr: state.0.iter().map(|line| format!("{line}\n")).collect() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail on a child that has ended and was waited for, which is what they are to reach.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Lines {
    fn lock(&self) -> std::sync::MutexGuard<'_, (Vec<String>, bool)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fill(&self, mut pipe: impl BufRead) {
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
            self.lock().0.push(text);
            self.changed.notify_all();
            line.clear();
        }
        self.lock().1 = true;
        self.changed.notify_all();
    }
}

/// Waits until `fd` reports `events`, or an end or error, for at most `limit`.
pub fn ready(fd: BorrowedFd<'_>, events: PollFlags, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::from_borrowed_fd(fd, events)], Some(&timeout)) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => panic!("poll: {errno}"),
        }
    }
}

/// Reads from a pipe and fails where nothing comes for [`DEADLINE`].
pub struct Reader<F> {
    inner: F,
}

impl<F: Read + AsFd> Reader<F> {
    pub fn new(inner: F) -> Self {
        Self { inner }
    }

    /// Everything up to the writer's end.
    pub fn all(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes).unwrap_or_else(|error| panic!("{error}, after {} bytes", bytes.len()));
        bytes
    }

    /// The next `count` bytes.
    pub fn take_bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.read_exact(&mut bytes).unwrap_or_else(|error| panic!("{error}, of {count} bytes"));
        bytes
    }

    /// Waits until there is something to read, or the writer is gone.
    pub fn wait(&self) {
        assert!(ready(self.inner.as_fd(), PollFlags::IN, DEADLINE), "nothing to read for {DEADLINE:?}");
    }
}

impl<F: Read + AsFd> Read for Reader<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !ready(self.inner.as_fd(), PollFlags::IN, DEADLINE) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("nothing to read for {DEADLINE:?}")));
        }
        self.inner.read(buffer)
    }
}

impl<F: AsFd> AsFd for Reader<F> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}
