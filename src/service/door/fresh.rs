//! A fresh FIFO, made by descriptors where nobody else may write, with the owner and mode of the one whose place it takes.

use crate::os::claim::{Claim, chmod};
use rustix::fd::BorrowedFd;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, Stat, Uid};
use rustix::io::Errno;
use std::ffi::OsStr;

/// What it is called until it takes its place.
pub const FRESH: &str = "fresh";

/// Whose and for whom a fresh FIFO is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prepared {
    user: u32,
    group: u32,
    mode: u32,
}

impl Prepared {
    pub fn like(old: &Stat) -> Self {
        Self { user: old.st_uid, group: old.st_gid, mode: old.st_mode & 0o777 }
    }
}

/// Makes a fresh FIFO where nobody else may exchange it.
pub fn make_fresh(claim: &Claim, mode: u32, like: Option<&Stat>) -> Result<(), Errno> {
    // Left where the last one could not take its place.
    let _ = rustix::fs::unlinkat(claim.own(), FRESH, AtFlags::empty());
    make_in(claim.own(), FRESH.as_ref(), mode, like)
}

/// Makes a FIFO, with the owner of another one where it is to be `like` that. Its mode and owner go to the very FIFO that
/// is made, whatever has its name by then.
pub fn make_in(folder: BorrowedFd<'_>, name: &OsStr, mode: u32, like: Option<&Stat>) -> Result<(), Errno> {
    rustix::fs::mknodat(folder, name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
    let made = rustix::fs::openat(folder, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
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
pub fn put_where_nothing_is(from: BorrowedFd<'_>, old: &OsStr, to: BorrowedFd<'_>, new: &OsStr) -> Result<(), Errno> {
    match rustix::fs::renameat_with(from, old, to, new, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) => rustix::fs::linkat(from, old, to, new, AtFlags::empty()),
        other => other,
    }
}
