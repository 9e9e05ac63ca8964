//! Rehearsals take turns: workers that are started together would ask a GPU for everything at once, and it has few encoder
//! sessions.
//!
//! A lock on a file of this user's says whose turn it is. It goes with the process that holds it, however that ends. Nobody
//! waits for longer than a start may take, so that one that hangs keeps no other from starting; and where there is no place
//! for such a file, nobody waits at all.

use crate::control::Control;
use crate::os::environment::variable;
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, FlockOperation, Mode, OFlags, flock, fstat, open};
use rustix::process::geteuid;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often it is asked whose turn it is.
const OFTEN: Duration = Duration::from_millis(20);

/// It is this process's turn until this is dropped.
#[derive(Debug)]
pub struct Turn {
    _lock: Option<OwnedFd>,
}

impl Turn {
    /// Waits for it until `limit` is over, a stop is requested, or somebody `is_waiting` for this process.
    pub fn wait(control: &Control, limit: Duration, is_waiting: &dyn Fn() -> bool) -> Self {
        Self::wait_at(&place(), control, limit, is_waiting)
    }

    fn wait_at(place: &Path, control: &Control, limit: Duration, is_waiting: &dyn Fn() -> bool) -> Self {
        let Some(lock) = open_lock(place) else { return Self { _lock: None } };
        let deadline = Instant::now() + limit;
        let mut is_told = false;
        loop {
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
                return Self { _lock: Some(lock) };
            }
            if !std::mem::replace(&mut is_told, true) {
                tracing::debug!("another worker rehearses: waiting until it is done");
            }
            if control.stop_requested() || Instant::now() >= deadline || is_waiting() {
                return Self { _lock: None };
            }
            control.wait(None, Some(OFTEN));
        }
    }
}

/// One for all workers of this user on this machine. systemd names the folder that its services share.
fn place() -> PathBuf {
    let own = ["XDG_RUNTIME_DIR", "RUNTIME_DIRECTORY"].into_iter().find_map(variable);
    let own = own.and_then(|folders| std::env::split_paths(&folders).next());
    own.unwrap_or_else(std::env::temp_dir).join(format!("mb-encode-{}.turn", geteuid().as_raw()))
}

/// A file that somebody else has put there is none.
fn open_lock(place: &Path) -> Option<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let lock = open(place, flags, Mode::RUSR | Mode::WUSR).ok()?;
    let stat = fstat(&lock).ok()?;
    let is_own = stat.st_uid == geteuid().as_raw() && FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    is_own.then_some(lock)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::sync::mpsc::channel;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn one_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("turn");
        let control = Control::new().unwrap();
        let first = Turn::wait_at(&place, &control, LONG, &|| false);
        let (sender, come) = channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let turn = Turn::wait_at(&place, &control, LONG, &|| false);
                sender.send(turn._lock.is_some()).unwrap();
            });
            assert!(come.recv_timeout(OFTEN * 3).is_err(), "it is not its turn");
            drop(first);
            assert_eq!(come.recv(), Ok(true));
        });
    }

    #[test]
    fn nobody_waits_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("turn");
        let control = Control::new().unwrap();
        let wait = |limit, is_waiting: &dyn Fn() -> bool| Turn::wait_at(&place, &control, limit, is_waiting);
        let first = wait(LONG, &|| false);
        assert!(first._lock.is_some());
        // What keeps its own for ever is waited for as long as a start may take,
        assert!(wait(OFTEN, &|| false)._lock.is_none());
        // no longer than nobody waits for this one,
        let looks = Cell::new(0);
        assert!(wait(LONG, &|| looks.replace(looks.get() + 1) == 2)._lock.is_none());
        // and not by who is to end.
        control.request_stop();
        assert!(wait(LONG, &|| false)._lock.is_none());
    }

    #[test]
    fn where_no_file_can_be_everybody_goes_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let control = Control::new().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), &link).unwrap();
        for place in [folder.path().join("none/turn"), folder.path().to_owned(), link] {
            assert!(Turn::wait_at(&place, &control, LONG, &|| false)._lock.is_none(), "{}", place.display());
        }
        assert!(!folder.path().join("elsewhere").exists());
    }
}
