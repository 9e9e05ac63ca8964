//! The folder that a FIFO lies in: the FIFO is made there, and others take its place, by descriptors alone.
//!
//! Whoever else may write to the folder can put anything at any name in it, at any moment. So the folder is opened once;
//! nothing is followed in it; a fresh FIFO is made in a folder that nobody else may write to (see `os/claim.rs`), gets
//! its owner and mode there, and comes to its name in one step that changes nothing of it.

use super::fresh::{FRESH, Prepared, make_fresh, make_in, put_where_nothing_is};
use super::lock::claim;
use super::path::{FifoPath, not_made, refuse, unusable};
use crate::error::Error;
use crate::os::claim::Claim;
use crate::os::others;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A name opened as such, and not followed.
const AS_A_NAME: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Where a FIFO lies, held for this process alone where that can be.
#[derive(Debug)]
pub struct Ground {
    at: FifoPath,
    pub path: PathBuf,
    folder: Arc<OwnedFd>,
    /// `None` where this user may add no names, so that the FIFO cannot be exchanged either; why not.
    claim: Result<Claim, Errno>,
}

impl Ground {
    /// Takes charge of the FIFO at a path, and makes its folder if that is not there.
    ///
    /// # Errors
    /// Another process serves it, or the folder cannot be made or opened.
    pub fn take(at: FifoPath) -> Result<Self, Error> {
        let path = at.whole();
        let folder = Arc::new(
            open_folder(&at.folder)
                .or_else(|error| match error.kind() {
                    io::ErrorKind::NotFound => make_folder(&at.folder).and_then(|()| open_folder(&at.folder)),
                    _ => Err(error),
                })
                .map_err(|error| not_made(&path, error))?,
        );
        // What is no FIFO is not even locked.
        open_fifo(folder.as_fd(), &at.name, &path)?;
        let claim = claim(&folder, &at.name, &path)?;
        Ok(Self { at, path, folder, claim })
    }

    /// Takes charge anew where the folder is no longer the one at the path, or somebody has removed what holds the FIFO.
    ///
    /// # Errors
    /// As [`Ground::take`].
    pub fn keep(&mut self) -> Result<(), Error> {
        if !self.is_kept() {
            // A folder that was made for a FIFO that cannot be made then stays; it is one that there was before.
            *self = Self::take(self.at.clone())?;
        }
        Ok(())
    }

    /// Whether the folder is the one at the path, and what holds the FIFO is there.
    pub fn is_kept(&self) -> bool {
        self.is_folder_at_path() && self.claim.as_ref().map_or(true, Claim::is_held)
    }

    /// The folder.
    pub fn folder(&self) -> &Arc<OwnedFd> {
        &self.folder
    }

    /// The folder's path.
    pub fn folder_path(&self) -> &Path {
        &self.at.folder
    }

    /// Opens what is at the path, as a name, and makes a FIFO there where nothing is.
    ///
    /// # Errors
    /// Something else than a FIFO is there, or it cannot be made.
    pub fn inode(&self, mode: u32) -> Result<OwnedFd, Error> {
        let open = || open_fifo(self.folder.as_fd(), &self.at.name, &self.path);
        if let Some(inode) = open()? {
            return Ok(inode);
        }
        self.make(mode).map_err(|errno| not_made(&self.path, errno.into()))?;
        open()?.ok_or_else(|| unusable(&self.path, Errno::NOENT))
    }

    /// Makes a FIFO where nothing is. What somebody else has put there meanwhile stays.
    fn make(&self, mode: u32) -> Result<(), Errno> {
        let made = match &self.claim {
            Ok(claim) => {
                make_fresh(claim, mode, None)?;
                let moved = put_where_nothing_is(claim.own(), FRESH.as_ref(), self.folder.as_fd(), &self.at.name);
                let _ = rustix::fs::unlinkat(claim.own(), FRESH, AtFlags::empty());
                moved
            }
            Err(_) => make_in(self.folder.as_fd(), &self.at.name, mode, None),
        };
        match made {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// Whether `inode` is what lies at the path.
    pub fn is_at_path(&self, inode: &OwnedFd) -> bool {
        let there = rustix::fs::statat(&*self.folder, &self.at.name, AtFlags::SYMLINK_NOFOLLOW);
        match (rustix::fs::fstat(inode), there) {
            (Ok(ours), Ok(there)) => same_file(&ours, &there) && self.is_folder_at_path(),
            _ => false,
        }
    }

    fn is_folder_at_path(&self) -> bool {
        match (rustix::fs::fstat(&*self.folder), rustix::fs::stat(&self.at.folder)) {
            (Ok(ours), Ok(there)) => same_file(&ours, &there),
            _ => false,
        }
    }

    /// Makes a FIFO with the owner and permissions of `inode`, so that [`Ground::exchange`] is one step. `None` where
    /// that cannot be done beforehand.
    pub fn prepare(&self, inode: &OwnedFd) -> Option<Prepared> {
        let old = rustix::fs::fstat(inode).ok()?;
        make_fresh(self.claim.as_ref().ok()?, old.st_mode & 0o777, Some(&old)).ok()?;
        Some(Prepared::like(&old))
    }

    /// Puts a fresh FIFO with the same owner and permissions in the place of `inode`: what was prepared, unless somebody
    /// has given `inode` others since.
    ///
    /// # Errors
    /// The system's, or something else has taken the place of `inode`; then that stays.
    pub fn exchange(&self, inode: &OwnedFd, prepared: Option<Prepared>) -> io::Result<()> {
        let claim = self.claim.as_ref().map_err(|&errno| errno)?;
        let old = rustix::fs::fstat(inode)?;
        if prepared != Some(Prepared::like(&old)) {
            make_fresh(claim, old.st_mode & 0o777, Some(&old))?;
        }
        let exchanged = self.put_in_place(claim, &old);
        let _ = rustix::fs::unlinkat(claim.own(), FRESH, AtFlags::empty());
        exchanged
    }

    fn put_in_place(&self, claim: &Claim, old: &Stat) -> io::Result<()> {
        let (own, name) = (claim.own(), &self.at.name);
        let is_old = |folder: BorrowedFd<'_>, name: &OsStr| {
            rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|there| same_file(old, &there))
        };
        let swap = || rustix::fs::renameat_with(own, FRESH, &*self.folder, name, RenameFlags::EXCHANGE);
        match swap() {
            Ok(()) => {
                // Something else may have taken the path since the reader opened it; then it goes back untouched.
                if !is_old(own, FRESH.as_ref()) {
                    swap()?;
                    return Err(io::Error::other("something else has taken its place"));
                }
                Ok(())
            }
            // File systems without the exchange, NFS for one.
            Err(Errno::INVAL | Errno::NOSYS) if is_old(self.folder.as_fd(), name) => {
                Ok(rustix::fs::renameat(own, FRESH, &*self.folder, name)?)
            }
            Err(errno) => Err(errno.into()),
        }
    }
}

/// Makes a FIFO at a path if nothing is there, with the folders above it, without taking charge of it.
///
/// # Errors
/// Something else is at the path, or it cannot be made.
pub fn make_missing(path: &Path, mode: u32) -> Result<(), Error> {
    let at = FifoPath::resolve(path)?;
    let path = at.whole();
    let failed = |error| not_made(&path, error);
    make_folder(&at.folder).map_err(failed)?;
    let folder = open_folder(&at.folder).map_err(failed)?;
    match make_in(folder.as_fd(), &at.name, mode, None) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => match rustix::fs::statat(&folder, &at.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Fifo => Ok(()),
            Ok(stat) => Err(refuse(&path, FileType::from_raw_mode(stat.st_mode))),
            Err(errno) => Err(failed(errno.into())),
        },
        Err(errno) => Err(failed(errno.into())),
    }
}

/// Folders that only their owner may write to, whatever the umask: a FIFO is not to be had from under its worker.
fn make_folder(folder: &Path) -> io::Result<()> {
    let missing: Vec<_> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
    let made = DirBuilder::new().recursive(true).mode(0o755).create(folder);
    if made.is_err() {
        // The deepest first; one that is not there or not empty stays as it is.
        missing.iter().for_each(|folder| drop(std::fs::remove_dir(folder)));
    }
    made
}

/// The path has no links; the last part is not followed in case it has become one.
fn open_folder(folder: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(folder, AS_A_NAME.union(OFlags::DIRECTORY), Mode::empty())?)
}

/// Opens the FIFO in a folder, as a name; `None` where nothing is there.
///
/// # Errors
/// Something else is there, or a FIFO that cannot be trusted.
fn open_fifo(folder: BorrowedFd<'_>, name: &OsStr, path: &Path) -> Result<Option<OwnedFd>, Error> {
    let inode = match rustix::fs::openat(folder, name, AS_A_NAME, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        other => other.map_err(|errno| unusable(path, errno))?,
    };
    let stat = rustix::fs::fstat(&inode).map_err(|errno| unusable(path, errno))?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind != FileType::Fifo {
        return Err(refuse(path, kind));
    }
    let around = rustix::fs::fstat(folder).map_err(|errno| unusable(path, errno))?;
    let (user, shown) = (stat.st_uid, path.display());
    if others::is_shared(&around) && others::is_stranger(user) && user != around.st_uid {
        return Err(Error::input(
            "fifo-of-others",
            format!("another user (uid {user}) has put the FIFO {shown} into a folder that everybody may write to"),
            "choose a folder that only you may write to: mb-encode --fifo temp/streams/demo.h264",
        ));
    }
    Ok(Some(inode))
}

fn same_file(a: &Stat, b: &Stat) -> bool {
    (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    /// What an attacker wants to have: mode and owner, of a file and of a folder with a file in it.
    fn states(folder: &Path) -> Vec<(PathBuf, u32, u32, u32)> {
        let state = |path: PathBuf| {
            let it = std::fs::symlink_metadata(&path).unwrap();
            (path, it.mode(), it.uid(), it.gid())
        };
        ["file", "folder", "folder/fresh", "folder/kept"].map(|name| state(folder.join(name))).into()
    }

    /// Ends the swapping, also where a check fails.
    struct Over<'a>(&'a AtomicBool);

    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// Whoever may write to the folder puts links in the place of everything that turns up there, as fast as they can.
    #[test]
    fn nothing_is_given_away_through_links_that_are_swapped_a_thousand_times() {
        let (folder, safe) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir(safe.path().join("folder")).unwrap();
        for name in ["file", "folder/fresh", "folder/kept"] {
            std::fs::write(safe.path().join(name), "").unwrap();
            std::fs::set_permissions(safe.path().join(name), std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        let before = states(safe.path());
        let at = FifoPath { folder: folder.path().canonicalize().unwrap(), name: "demo.h264".into() };
        let path = at.whole();
        make_missing(&path, 0o666).unwrap();
        // Only root can give them away; everybody else can be had with the mode.
        let (user, group) = (Some(12_345), Some(12_345));
        let _ = std::os::unix::fs::chown(&path, user, group)
            .and_then(|()| std::os::unix::fs::chown(folder.path(), user, group));
        let (over, swaps, exchanges) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
        let swap = || {
            let link = folder.path().join(".link");
            for turn in 0.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                // Now and then they wait for an exchange: on a machine with few cores, they would be all that runs. Once
                // they have had their thousand, always: links that never rest let no exchange through where a call to
                // the file system is slow, and then nothing would be tried.
                let (before, waited) = (exchanges.load(Ordering::Relaxed), Instant::now());
                while (turn % 16 == 0 || swaps.load(Ordering::Relaxed) > 1000)
                    && !over.load(Ordering::Relaxed)
                    && exchanges.load(Ordering::Relaxed) == before
                    && waited.elapsed() < Duration::from_millis(50)
                {
                    std::thread::sleep(Duration::from_millis(1));
                }
                for entry in std::fs::read_dir(folder.path()).unwrap().flatten() {
                    let there = entry.path();
                    if there == link || there == path && turn % 7 > 0 {
                        continue;
                    }
                    let is_folder = entry.file_type().is_ok_and(|it| it.is_dir());
                    let target = safe.path().join(if is_folder { "folder" } else { "file" });
                    // What was there before may be a folder in which something is made at this moment.
                    let _ = std::fs::remove_file(&link).or_else(|_| std::fs::remove_dir_all(&link));
                    if symlink(target, &link).is_err() {
                        continue;
                    }
                    let exchange = |a: &Path, b: &Path| {
                        use rustix::fs::{CWD, renameat_with};
                        renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).is_ok()
                    };
                    if exchange(&link, &there) {
                        swaps.fetch_add(1, Ordering::Relaxed);
                        std::thread::yield_now();
                        // The FIFO comes back; of the rest, only what can be removed is.
                        if there == path || turn % 3 > 0 {
                            exchange(&link, &there);
                        }
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(swap);
            let _over = Over(&over);
            let begun = Instant::now();
            while swaps.load(Ordering::Relaxed) < 1000 || exchanges.load(Ordering::Relaxed) < 100 {
                assert!(begun.elapsed() < Duration::from_secs(60), "{swaps:?} swaps, {exchanges:?} exchanges");
                let Ok(mut ground) = Ground::take(at.clone()) else { continue };
                for _ in 0..50 {
                    let Ok(inode) = ground.inode(0o666) else { break };
                    let prepared = ground.prepare(&inode);
                    exchanges.fetch_add(usize::from(ground.exchange(&inode, prepared).is_ok()), Ordering::Relaxed);
                    if ground.keep().is_err() {
                        break;
                    }
                }
            }
        });
        assert_eq!(states(safe.path()), before);
    }

    #[test]
    fn a_fresh_fifo_has_the_mode_that_the_old_one_has_at_the_last_moment() {
        let folder = tempfile::tempdir().unwrap();
        let at = FifoPath { folder: folder.path().canonicalize().unwrap(), name: "demo.h264".into() };
        let ground = Ground::take(at).unwrap();
        let mode = || std::fs::metadata(&ground.path).unwrap().permissions().mode() & 0o7777;
        for bits in [0o640, 0o644, 0o600] {
            let inode = ground.inode(0o640).unwrap();
            let prepared = ground.prepare(&inode);
            std::fs::set_permissions(&ground.path, std::fs::Permissions::from_mode(bits)).unwrap();
            ground.exchange(&inode, prepared).unwrap();
            assert!(!ground.is_at_path(&inode) && mode() == bits, "{:o}", mode());
        }
    }
}
