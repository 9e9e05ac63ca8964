//! Child processes: started, tied to this process, watched, asked to end, killed.
//!
//! Every process that the program starts goes through here, so that none of them outlives it, however it ends, and none
//! of them can keep it from ending. The same holds for this process where it becomes another program.

use super::poll;
use rustix::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, getpid, getppid, pidfd_open, pidfd_send_signal,
    set_parent_process_death_signal, waitid,
};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Whether a driver in this process is of no use any more.
static IN_RUINS: AtomicBool = AtomicBool::new(false);

/// Names of the processes that are killed with this one.
static TIED: Mutex<Vec<Weak<OwnedFd>>> = Mutex::new(Vec::new());

/// Not its path: the file may have been replaced by a newer one since.
pub const THIS_PROGRAM: &str = "/proc/self/exe";

/// What a process has from the request to end until it is killed: a picture takes a fraction of it, and only a driver
/// that hangs takes more.
pub const GRACE: Duration = Duration::from_millis(1300);
/// The same for a process that gives [`GRACE`] to children of its own first: on a busy machine it takes a while to hear of
/// the end of one that was killed.
pub const GRACE_OF_PARENT: Duration = Duration::from_millis(1700);

/// How long the end of a process that was killed is waited for.
const UNKILLABLE: Duration = Duration::from_secs(1);

/// What becomes of a child whose parent has ended without ending it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orphaned {
    /// It is asked to end: for programs that have something to give back, and that end by themselves where they hang.
    Asked,
    /// It is killed: for whatever may hang.
    Killed,
    /// Nothing: it learns of it, from a pipe that ends, and has something to do before it ends by itself.
    Left,
}

/// A process that does not outlive this one, or not for long. Dropping it kills it.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    /// Names the process for good, where its id may become another one's.
    pidfd: Arc<OwnedFd>,
}

impl Child {
    /// Starts `command`, tied to this process. The thread that does so has to last: the kernel takes its end for the
    /// parent's.
    ///
    /// `inherited` are descriptors that the child gets beside its standard streams, under the numbers that they have
    /// here; see [`inherited`].
    ///
    /// # Errors
    /// The system's: no such program, no room for a process or descriptor.
    pub fn start(mut command: Command, orphaned: Orphaned, inherited: &[BorrowedFd<'_>]) -> io::Result<Self> {
        let parent = getpid();
        let signal = match orphaned {
            Orphaned::Asked => Some(Signal::TERM),
            Orphaned::Killed => Some(Signal::KILL),
            Orphaned::Left => None,
        };
        let inherited: Vec<_> = inherited.iter().map(|fd| fd.as_raw_fd()).collect();
        let before_exec = move || {
            // What this process keeps back is none of the other program's matter.
            unblock_signals();
            set_parent_process_death_signal(signal)?;
            // It may have ended before there was anybody to tell.
            if getppid() != Some(parent) {
                return Err(Errno::CHILD.into());
            }
            for &fd in &inherited {
                // SAFETY: the descriptor is open in the parent until `spawn` returns, and so in this copy of it.
                let fd = unsafe { BorrowedFd::borrow_raw(fd) };
                rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty())?;
            }
            Ok(())
        };
        super::dedicated::hide_from(&mut command);
        // SAFETY: between fork and exec it makes system calls and nothing else: no allocation, no lock.
        unsafe { command.pre_exec(before_exec) };
        let mut process = command.spawn()?;
        match pidfd_open(Pid::from_child(&process), PidfdFlags::empty()) {
            Ok(pidfd) => {
                let pidfd = Arc::new(pidfd);
                if orphaned == Orphaned::Killed {
                    let mut tied = TIED.lock().unwrap_or_else(PoisonError::into_inner);
                    tied.retain(|other| other.strong_count() > 0);
                    tied.push(Arc::downgrade(&pidfd));
                }
                Ok(Self { process, pidfd })
            }
            Err(errno) => {
                let _ = process.kill();
                let _ = process.wait();
                Err(match errno {
                    Errno::NOSYS => io::Error::other("Linux 5.3 or newer is needed to watch processes"),
                    errno => errno.into(),
                })
            }
        }
    }

    /// Its id, which is its own until it was waited for.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    /// Readable once the process has ended.
    pub fn ended(&self) -> BorrowedFd<'_> {
        (*self.pidfd).as_fd()
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        poll::is_readable(&*self.pidfd)
    }

    /// Its pipes, where it was started with some, for the first caller.
    pub fn take_pipes(&mut self) -> (Option<ChildStdin>, Option<ChildStdout>, Option<ChildStderr>) {
        (self.process.stdin.take(), self.process.stdout.take(), self.process.stderr.take())
    }

    /// Asks it to end.
    pub fn ask_to_end(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends a signal; to one that has ended it does nothing.
    pub fn signal(&self, signal: Signal) {
        let _ = pidfd_send_signal(&*self.pidfd, signal);
    }

    /// Waits for its end until `deadline`. `None` where it had to be killed.
    pub fn end_by(&mut self, deadline: Instant) -> Option<ExitStatus> {
        if poll::readable_until(&*self.pidfd, deadline) {
            return self.process.wait().ok();
        }
        self.kill();
        None
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Somebody else has waited for it.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.process.wait()
    }

    /// Kills it. One that hangs inside the kernel outlives that, and is left to it.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        if poll::readable_until(&*self.pidfd, Instant::now() + UNKILLABLE) {
            let _ = self.process.wait();
        }
    }
}

impl AsFd for Child {
    /// Readable once the process has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        (*self.pidfd).as_fd()
    }
}

/// Has this thread keep no signal back.
fn unblock_signals() {
    // SAFETY: a signal set is plain data, which `sigemptyset` initialises before it is read.
    unsafe {
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::pthread_sigmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
    }
}

/// Kills the children that are tied to this process, and waits for them: a program that takes its place would not.
pub(super) fn end_tied() {
    let tied = std::mem::take(&mut *TIED.lock().unwrap_or_else(PoisonError::into_inner));
    for child in tied.iter().filter_map(Weak::upgrade) {
        // Both fail for one that has ended and was waited for.
        let _ = pidfd_send_signal(&*child, Signal::KILL);
        if poll::readable_until(&*child, Instant::now() + UNKILLABLE) {
            let _ = waitid(WaitId::PidFd(child.as_fd()), WaitIdOptions::EXITED);
        }
    }
}

/// Notes that a driver is of no use any more: nothing is to be given back to it, not even at the end of the process.
pub fn leave_in_ruins() {
    IN_RUINS.store(true, Ordering::Relaxed);
}

/// Whether that is so.
pub fn is_in_ruins() -> bool {
    IN_RUINS.load(Ordering::Relaxed)
}

/// Ends this process here and now: nothing is given back, and no driver's own end is waited for.
pub fn leave(code: i32) -> ! {
    // SAFETY: it only ends the process.
    unsafe { libc::_exit(code) }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Does nothing to a child that was waited for, which is what it is to reach.
        self.kill();
    }
}

/// A call of this very program, under the name that it was called by.
pub fn this_program() -> Command {
    let mut command = Command::new(THIS_PROGRAM);
    command.arg0(std::env::args_os().next().unwrap_or_else(|| "mb-encode".into()));
    command
}

/// Takes the descriptor that `value`, the parent's number and its own, says was passed on. `None` where another process
/// is the parent: the value may have come down from further up.
pub fn handed_down(value: &str) -> Option<OwnedFd> {
    let (parent, number) = value.split_once(' ')?;
    if Pid::from_raw(parent.parse().ok()?) != getppid() {
        return None;
    }
    inherited(number.parse().ok()?)
}

/// Takes a descriptor that this process was started with, by its number, which nobody here must use otherwise. From now
/// on it is not inherited any further. `None` where there is none, or where it is of another kind than a socket.
pub fn inherited(number: i32) -> Option<OwnedFd> {
    use rustix::fd::FromRawFd as _;
    // Standard streams are never passed on so.
    if number <= 2 {
        return None;
    }
    // SAFETY: borrowed for two calls that only ask; a number that is not open is answered with an error.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    let is_socket = rustix::fs::fstat(fd)
        .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Socket);
    if !is_socket || rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC).is_err() {
        return None;
    }
    // SAFETY: it is open, and the caller vouches that it is nobody else's.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Stdio;

    fn shell(line: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", line]).stdin(Stdio::null()).stdout(Stdio::piped());
        Child::start(command, Orphaned::Killed, &[]).unwrap()
    }

    #[test]
    fn one_that_ends_when_asked_is_not_killed() {
        let mut child = shell("sleep 60 & wait");
        child.ask_to_end();
        let status = child.end_by(Instant::now() + Duration::from_secs(20)).unwrap();
        assert_eq!(status.signal(), Some(15));
    }

    #[test]
    fn one_that_does_not_end_is_killed() {
        let mut child = shell("trap '' TERM; echo ready; while :; do sleep 1; done");
        let (_, stdout, _) = child.take_pipes();
        io::Read::read_exact(&mut stdout.unwrap(), &mut [0; 6]).unwrap();
        assert!(!child.has_ended());
        child.ask_to_end();
        assert_eq!(child.end_by(Instant::now() + Duration::from_millis(50)), None);
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }

    #[test]
    fn a_descriptor_is_inherited_under_its_number() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", &format!("echo hello >&{}", theirs.as_raw_fd())]).stdin(Stdio::null());
        let mut child = Child::start(command, Orphaned::Killed, &[theirs.as_fd()]).unwrap();
        drop(theirs);
        let mut said = String::new();
        io::Read::read_to_string(&mut { ours }, &mut said).unwrap();
        assert_eq!((said.as_str(), child.wait().unwrap().success()), ("hello\n", true));
    }
}
