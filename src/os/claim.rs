//! What one process at a time may have: a name in a folder, and a folder of its own behind that name.
//!
//! The lock lies on a folder of mode 0700 which who holds it has made itself, so that nobody can take it who may not
//! write there, whatever they may read; and it is the same one by whatever path, through whatever mount and in whatever
//! network it is come to. The kernel lets go of it when its process ends, however that ends. What is left then is a
//! folder that the next one takes over, with all that is in it: only the holder ever puts something there.

use super::others;
use rustix::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, Stat, flock};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::time::Duration;

/// A process that was killed lets go within this: a child of it may not have come to its `exec` yet.
const LETS_GO_WITHIN: Duration = Duration::from_millis(300);
const LOOK: Duration = Duration::from_millis(10);
/// A name opened as such, and not followed.
const AS_A_NAME: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Held by this process until it is dropped.
#[derive(Debug)]
pub struct Claim {
    around: Arc<OwnedFd>,
    name: OsString,
    own: OwnedFd,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Another process has it.
    Taken,
    /// What lies there was put there by this user, and only they or root can remove it.
    Strangers(u32),
    /// This user may not write there, or the file system knows no such locks.
    Impossible(Errno),
}

impl Claim {
    /// Takes `name` in the folder `around`.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn take(around: &Arc<OwnedFd>, name: &OsStr) -> Result<Self, Refused> {
        let mut refused = Refused::Taken;
        for _ in 0..LETS_GO_WITHIN.as_millis() / LOOK.as_millis() {
            match Self::try_take(around, name)? {
                Tried::Held(claim) => return Ok(claim),
                Tried::Taken => {
                    refused = Refused::Taken;
                    std::thread::sleep(LOOK);
                }
                // It was another one's a moment ago.
                Tried::Again(why) => refused = why,
            }
        }
        Err(refused)
    }

    fn try_take(around: &Arc<OwnedFd>, name: &OsStr) -> Result<Tried, Refused> {
        match rustix::fs::mkdirat(&**around, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(Refused::Impossible(errno)),
        }
        // Opened as a name first: what it is comes before all else.
        let named = match rustix::fs::openat(&**around, name, AS_A_NAME, Mode::empty()) {
            Ok(named) => named,
            Err(Errno::NOENT) => return Ok(Tried::Again(Refused::Taken)),
            Err(errno) => return Err(Refused::Impossible(errno)),
        };
        let stat = rustix::fs::fstat(&named).map_err(Refused::Impossible)?;
        if !is_ours(&stat) {
            return remove_strangers(around, name, &stat, open(&named).ok());
        }
        if stat.st_mode & 0o700 != 0o700 {
            chmod(&named, 0o700).map_err(Refused::Impossible)?;
        }
        Self::lock(around, name, &named)
    }

    fn lock(around: &Arc<OwnedFd>, name: &OsStr, named: &OwnedFd) -> Result<Tried, Refused> {
        let own = open(named).map_err(Refused::Impossible)?;
        match flock(&own, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(Tried::Taken),
            Err(errno) => return Err(Refused::Impossible(errno)),
        }
        let claim = Self { around: Arc::clone(around), name: name.to_owned(), own };
        // Whoever held it before may have removed it between the two.
        if !claim.is_held() {
            return Ok(Tried::Again(Refused::Taken));
        }
        claim.clear();
        Ok(Tried::Held(claim))
    }

    /// Takes over what a process that was killed has left under a name; `None` where there is no such thing.
    pub fn of_the_dead(around: &Arc<OwnedFd>, name: &OsStr) -> Option<Self> {
        let named = rustix::fs::openat(&**around, name, AS_A_NAME, Mode::empty()).ok()?;
        if !is_ours(&rustix::fs::fstat(&named).ok()?) {
            return None;
        }
        match Self::lock(around, name, &named) {
            Ok(Tried::Held(claim)) => Some(claim),
            _ => None,
        }
    }

    /// Whether its name still leads to it; somebody may have removed it.
    pub fn is_held(&self) -> bool {
        let there = rustix::fs::statat(&*self.around, &self.name, AtFlags::SYMLINK_NOFOLLOW);
        match (there, rustix::fs::fstat(&self.own)) {
            (Ok(there), Ok(own)) => (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino),
            _ => false,
        }
    }

    /// The folder that nobody else may write to, on the same file system.
    pub fn own(&self) -> BorrowedFd<'_> {
        self.own.as_fd()
    }

    /// Removes what an earlier holder has left.
    fn clear(&self) {
        remove_fifos_in(&self.own);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.is_held() {
            self.clear();
            // Still locked: who takes the name next makes a new one.
            let _ = rustix::fs::unlinkat(&*self.around, &self.name, AtFlags::REMOVEDIR);
        }
    }
}

/// Whether it is one that a process of this user has made. It never has more permissions than its owner's; the process's
/// umask may have left it with less.
fn is_ours(stat: &Stat) -> bool {
    is(stat, FileType::Directory) && stat.st_uid == rustix::process::geteuid().as_raw() && stat.st_mode & 0o077 == 0
}

fn open(named: &OwnedFd) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(named, ".", flags, Mode::empty())
}

enum Tried {
    Held(Claim),
    Taken,
    Again(Refused),
}

/// Makes room where another user was first. In a folder that everybody may add names to, theirs count for nothing; where
/// only some may, one that is held is held.
fn remove_strangers(around: &OwnedFd, name: &OsStr, there: &Stat, own: Option<OwnedFd>) -> Result<Tried, Refused> {
    let around_stat = rustix::fs::fstat(around).map_err(Refused::Impossible)?;
    if let (false, Some(own)) = (others::is_shared(&around_stat), &own) {
        if flock(own, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
            return Ok(Tried::Taken);
        }
    }
    let refused = Refused::Strangers(there.st_uid);
    let flags = if is(there, FileType::Directory) {
        own.iter().for_each(remove_fifos_in);
        AtFlags::REMOVEDIR
    } else {
        AtFlags::empty()
    };
    match rustix::fs::unlinkat(around, name, flags) {
        Ok(()) | Err(Errno::NOENT) => Ok(Tried::Again(refused)),
        Err(_) => Err(refused),
    }
}

/// Holders put nothing else there: a folder of other things was given the name by somebody else, and is left as it is.
fn remove_fifos_in(folder: &OwnedFd) {
    for entry in Dir::read_from(folder).into_iter().flatten().flatten() {
        let stat = rustix::fs::statat(folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW);
        if stat.is_ok_and(|stat| is(&stat, FileType::Fifo)) {
            let _ = rustix::fs::unlinkat(folder, entry.file_name(), AtFlags::empty());
        }
    }
}

/// Sets the permission bits of what a descriptor names, which may have been opened as a name only.
///
/// # Errors
/// The system's: it is another user's, or there is no `/proc`.
pub fn chmod(named: &OwnedFd, mode: u32) -> Result<(), Errno> {
    let path = format!("/proc/self/fd/{}", named.as_raw_fd());
    rustix::fs::chmodat(CWD, path, Mode::from_raw_mode(mode), AtFlags::empty())
}

fn is(stat: &Stat, kind: FileType) -> bool {
    FileType::from_raw_mode(stat.st_mode) == kind
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn folder() -> (tempfile::TempDir, Arc<OwnedFd>) {
        let folder = tempfile::tempdir().unwrap();
        let opened: OwnedFd = std::fs::File::open(folder.path()).unwrap().into();
        (folder, Arc::new(opened))
    }

    #[test]
    fn one_at_a_time_and_nothing_is_left() {
        let (folder, around) = folder();
        let name = OsStr::new(".name");
        let claim = Claim::take(&around, name).unwrap();
        assert_eq!(std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o7777, 0o700);
        assert_eq!(Claim::take(&around, name).unwrap_err(), Refused::Taken);
        assert!(claim.is_held());
        drop(claim);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(Claim::take(&around, name).is_ok());
    }

    #[test]
    fn what_a_killed_one_left_is_taken_over_and_cleared() {
        let (folder, around) = folder();
        let left = folder.path().join("name");
        std::fs::create_dir(&left).unwrap();
        rustix::fs::mknodat(CWD, left.join("fresh"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        std::fs::set_permissions(&left, std::fs::Permissions::from_mode(0o500)).unwrap();
        let claim = Claim::take(&around, OsStr::new("name")).unwrap();
        assert_eq!(std::fs::read_dir(&left).unwrap().count(), 0);
        assert_eq!(std::fs::metadata(&left).unwrap().permissions().mode() & 0o7777, 0o700);
        std::fs::remove_dir(&left).unwrap();
        assert!(!claim.is_held(), "it was removed");
    }

    /// Each one takes it and gives it back, thousands of times.
    #[test]
    fn two_never_have_it_at_once() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let (_folder, around) = folder();
        let (holders, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..300 {
                        if let Ok(claim) = Claim::take(&around, OsStr::new("name")) {
                            assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                            taken.fetch_add(1, Ordering::SeqCst);
                            holders.fetch_sub(1, Ordering::SeqCst);
                            drop(claim);
                        }
                    }
                });
            }
        });
        assert!(taken.load(Ordering::SeqCst) > 300, "{taken:?}");
    }

    #[test]
    fn a_folder_that_somebody_gave_the_name_keeps_what_is_in_it() {
        let (folder, around) = folder();
        let name = folder.path().join("name");
        std::fs::create_dir(&name).unwrap();
        std::fs::write(name.join("kept"), "").unwrap();
        std::fs::set_permissions(&name, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(Claim::take(&around, OsStr::new("name")).unwrap_err(), Refused::Strangers(_)));
        std::fs::set_permissions(&name, std::fs::Permissions::from_mode(0o700)).unwrap();
        drop(Claim::take(&around, OsStr::new("name")).unwrap());
        assert!(name.join("kept").exists());
    }

    #[test]
    fn a_link_or_a_file_in_its_place_is_none_of_it() {
        let (folder, around) = folder();
        let (name, victim) = (folder.path().join("name"), folder.path().join("victim"));
        std::fs::create_dir(&victim).unwrap();
        std::fs::write(victim.join("kept"), "").unwrap();
        std::os::unix::fs::symlink("victim", &name).unwrap();
        let _claim = Claim::take(&around, OsStr::new("name")).unwrap();
        assert!(victim.join("kept").exists(), "the link is removed, and nothing behind it");
        assert!(std::fs::symlink_metadata(&name).unwrap().is_dir());
    }

    #[test]
    fn a_stranger_in_a_sticky_folder_keeps_nobody_from_it() {
        let (folder, around) = folder();
        let name = folder.path().join("name");
        std::fs::create_dir(&name).unwrap();
        if std::os::unix::fs::chown(&name, Some(12_345), Some(12_345)).is_err() {
            return;
        }
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o1777)).unwrap();
        let squat: OwnedFd = std::fs::File::open(&name).unwrap().into();
        flock(&squat, FlockOperation::NonBlockingLockExclusive).unwrap();
        assert!(Claim::take(&around, OsStr::new("name")).is_ok());
    }
}
