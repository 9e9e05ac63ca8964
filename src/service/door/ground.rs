//! The folder that a FIFO lies in: the FIFO is made there, and others take its place, by descriptors alone.
//!
//! Whoever else may write to the folder can put anything at any name in it, at any moment. So the folder is opened once;
//! nothing is followed in it; a fresh FIFO is made in a folder that nobody else may write to (see `os/claim.rs`), gets
//! its owner and mode there, and comes to its name in one step that changes nothing of it.

use super::path::{FifoPath, not_made, refuse};
use crate::error::Error;
use crate::os::claim::{Claim, Refused, chmod};
use crate::os::others;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, Stat, Uid};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::DirBuilder;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A name has so many bytes.
const LONGEST_NAME: usize = 255;
/// What a fresh FIFO is called until it takes its place.
const FRESH: &str = "fresh";
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
        let is_there = self.is_folder_at_path();
        if !is_there || self.claim.as_ref().is_ok_and(|claim| !claim.is_held()) {
            // A folder that was made for a FIFO that cannot be made then stays; it is one that there was before.
            *self = Self::take(self.at.clone())?;
        }
        Ok(())
    }

    /// The folder.
    pub fn folder(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
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
        let open = || open_fifo(self.folder(), &self.at.name, &self.path);
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
                let moved = put_where_nothing_is(claim.own(), FRESH.as_ref(), self.folder(), &self.at.name);
                let _ = rustix::fs::unlinkat(claim.own(), FRESH, AtFlags::empty());
                moved
            }
            Err(_) => make_in(self.folder(), &self.at.name, mode, None),
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

    /// Puts a fresh FIFO with the same owner and permissions in the place of `inode`.
    ///
    /// # Errors
    /// The system's, or something else has taken the place of `inode`; then that stays.
    pub fn exchange(&self, inode: &OwnedFd) -> io::Result<()> {
        let claim = self.claim.as_ref().map_err(|&errno| errno)?;
        let old = rustix::fs::fstat(inode)?;
        make_fresh(claim, old.st_mode & 0o777, Some(&old))?;
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
            Err(Errno::INVAL | Errno::NOSYS) if is_old(self.folder(), name) => {
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

/// Why a FIFO that is there cannot be used.
pub fn unusable(path: &Path, errno: Errno) -> Error {
    Error::machine("fifo-unwritable", format!("cannot use the FIFO {}", path.display()), String::new()).caused_by(errno)
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

/// Two writers would mix their streams.
fn claim(folder: &Arc<OwnedFd>, name: &OsStr, path: &Path) -> Result<Result<Claim, Errno>, Error> {
    let shown = path.display();
    match Claim::take(folder, &name_of_claim(name)) {
        Ok(claim) => Ok(Ok(claim)),
        Err(Refused::Taken) => Err(Error::input(
            "fifo-taken",
            format!("another mb-encode serves the FIFO {shown}"),
            "choose another path, or stop the other one",
        )),
        Err(Refused::Strangers(user)) => {
            let theirs = path.with_file_name(name_of_claim(name));
            Err(Error::input(
                "fifo-taken",
                format!("the worker of another user (uid {user}) serves the FIFO {shown}, or did and was killed"),
                format!("choose another path, or remove what it left: rm -r {}", theirs.display()),
            ))
        }
        // Nobody can serve it as it should be served then; whoever does writes to one reader at a time in any case.
        Err(Refused::Impossible(errno)) => match unusable(path, errno) {
            error if error.is_shortage() => Err(error),
            _ => Ok(Err(errno)),
        },
    }
}

/// Beside the FIFO, and hidden.
fn name_of_claim(name: &OsStr) -> OsString {
    const CRC: crc::Crc<u64> = crc::Crc::<u64>::new(&crc::CRC_64_XZ);
    const END: &[u8] = b".mb-encode";
    let bytes = name.as_bytes();
    let mut claim = b".".to_vec();
    if 1 + bytes.len() + END.len() <= LONGEST_NAME {
        claim.extend_from_slice(bytes);
    } else {
        // The beginning, and a number that stands for all of it.
        claim.extend_from_slice(&bytes[..LONGEST_NAME - END.len() - 20]);
        claim.extend_from_slice(format!(".{:016x}", CRC.checksum(bytes)).as_bytes());
    }
    claim.extend_from_slice(END);
    OsStr::from_bytes(&claim).to_owned()
}

/// Makes a fresh FIFO where nobody else may exchange it.
fn make_fresh(claim: &Claim, mode: u32, like: Option<&Stat>) -> Result<(), Errno> {
    // Left where the last one could not take its place.
    let _ = rustix::fs::unlinkat(claim.own(), FRESH, AtFlags::empty());
    make_in(claim.own(), FRESH.as_ref(), mode, like)
}

/// Makes a FIFO, with the owner of another one where it is to be `like` that. Its mode and owner go to the very FIFO that
/// is made, whatever has its name by then.
fn make_in(folder: BorrowedFd<'_>, name: &OsStr, mode: u32, like: Option<&Stat>) -> Result<(), Errno> {
    rustix::fs::mknodat(folder, name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
    let made = rustix::fs::openat(folder, name, AS_A_NAME, Mode::empty())?;
    let stat = rustix::fs::fstat(&made)?;
    let is_ours = FileType::from_raw_mode(stat.st_mode) == FileType::Fifo
        && stat.st_uid == rustix::process::geteuid().as_raw()
        && stat.st_nlink == 1;
    if !is_ours {
        return Err(Errno::STALE);
    }
    if let Some(old) = like {
        // Only root may give files away; for everybody else the owner is right already, and the group may differ.
        let (user, group) = (Uid::from_raw(old.st_uid), Gid::from_raw(old.st_gid));
        let _ = rustix::fs::chownat(&made, "", Some(user), Some(group), AtFlags::EMPTY_PATH);
    }
    // The process's umask took bits away.
    chmod(&made, mode)
}

/// Moves a file to a name that nothing has.
fn put_where_nothing_is(from: BorrowedFd<'_>, old: &OsStr, to: BorrowedFd<'_>, new: &OsStr) -> Result<(), Errno> {
    match rustix::fs::renameat_with(from, old, to, new, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) => rustix::fs::linkat(from, old, to, new, AtFlags::empty()),
        other => other,
    }
}

fn same_file(a: &Stat, b: &Stat) -> bool {
    (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)
}
