//! Counts who opens a file, by fanotify(7): the kernel has no other way to tell how many readers a pipe has.
//!
//! inotify would not do: it makes one event of two that nobody has read in between. fanotify does so with those of one
//! process, or of one thread where this process may tell threads apart.

use rustix::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use rustix::fs::{CWD, OFlags};
use rustix::io::Errno;
use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Threads of this process that have opened something, and may have ended since.
static OWN_THREADS: Mutex<VecDeque<u32>> = Mutex::new(VecDeque::new());
/// Enough for those of the last seconds.
const MOST_THREADS: usize = 256;

/// Opens of one file by other processes, from the making of this on. What one process, or one thread of it where this one
/// has the privilege to know, opens twice may count once.
#[derive(Debug)]
pub struct Openings {
    group: OwnedFd,
    seen: Cell<usize>,
}

impl Openings {
    /// Of the file that `path` leads to, through links.
    ///
    /// # Errors
    /// The kernel is older than 5.13, a container's rules forbid it, or the user watches too much already.
    pub fn of(path: &str) -> io::Result<Self> {
        let group = Self::group()?;
        let path = std::ffi::CString::new(path)?;
        // SAFETY: the group is open and the path ends with a zero; the kernel writes nothing here.
        let marked = unsafe {
            libc::fanotify_mark(group.as_raw_fd(), libc::FAN_MARK_ADD, libc::FAN_OPEN, CWD.as_raw_fd(), path.as_ptr())
        };
        if marked == -1 { Err(io::Error::last_os_error()) } else { Ok(Self { group, seen: Cell::new(0) }) }
    }

    /// Has what this thread opens from now on count as this process's, even after the thread's end.
    pub fn are_ours_on_this_thread() {
        let mut own = OWN_THREADS.lock().unwrap_or_else(PoisonError::into_inner);
        own.push_back(rustix::thread::gettid().as_raw_nonzero().get() as u32);
        if own.len() > MOST_THREADS {
            own.pop_front();
        }
    }

    /// Threads apart where that is allowed.
    fn group() -> io::Result<OwnedFd> {
        Self::group_with(libc::FAN_REPORT_TID).or_else(|_| Self::group_with(0))
    }

    fn group_with(more: u32) -> io::Result<OwnedFd> {
        let flags = libc::FAN_CLASS_NOTIF | libc::FAN_REPORT_FID | libc::FAN_NONBLOCK | libc::FAN_CLOEXEC | more;
        // SAFETY: both are plain numbers; a new descriptor comes back, or -1.
        let group = unsafe { libc::fanotify_init(flags, OFlags::RDONLY.bits()) };
        if group == -1 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made it for this call.
        Ok(unsafe { OwnedFd::from_raw_fd(group) })
    }

    /// How many there were until now.
    pub fn count(&self) -> usize {
        let mut events = [0u8; 4096];
        loop {
            let bytes = match rustix::io::read(&self.group, &mut events) {
                Ok(bytes) if bytes > 0 => bytes,
                Err(Errno::INTR) => continue,
                _ => return self.seen.get(),
            };
            let mut rest = &events[..bytes];
            // `struct fanotify_event_metadata`: 32-bit length of the event first, 32-bit process id at byte 20.
            while let (Some(length), Some(id)) = (number_at(rest, 0), number_at(rest, 20)) {
                // Who may not know other processes' ids is told 0 for them.
                if !is_ours(id) {
                    self.seen.set(self.seen.get() + 1);
                }
                rest = rest.get(length as usize..).unwrap_or_default();
            }
        }
    }
}

impl AsFd for Openings {
    /// Readable when there are more.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.group.as_fd()
    }
}

/// Whether an id is this process's, or that of a thread of it.
fn is_ours(id: u32) -> bool {
    let is_own_thread = || OWN_THREADS.lock().unwrap_or_else(PoisonError::into_inner).contains(&id);
    id == std::process::id() || id > 0 && (is_own_thread() || Path::new(&format!("/proc/self/task/{id}")).exists())
}

fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes).filter(|&number| at > 0 || number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn others_are_counted_and_this_process_is_not() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let openings = match Openings::of(path) {
            Ok(openings) => openings,
            // Where the kernel or a container forbids it there is nothing to test.
            Err(error) => {
                assert!(matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS | libc::EINVAL)), "{error}");
                return;
            }
        };
        drop(std::fs::File::open(path).unwrap());
        assert_eq!(openings.count(), 0);
        for _ in 0..2 {
            assert!(Command::new("cat").arg(path).stdout(Stdio::null()).status().unwrap().success());
        }
        assert_eq!(openings.count(), 2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                Openings::are_ours_on_this_thread();
                drop(std::fs::File::open(path).unwrap());
            });
        });
        assert_eq!(openings.count(), 2, "a thread of this process that has ended");
    }
}
