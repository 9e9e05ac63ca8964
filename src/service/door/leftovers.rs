//! What workers that were killed have left in a folder: their locks, and fresh FIFOs, which earlier versions made beside
//! the others.
//!
//! Only what nobody can use any more is removed: it is this user's, and its worker has ended. A worker that lives loses
//! nothing, for its fresh FIFO lies in its lock, and it holds that.

use super::lock::is_claim;
use crate::os::claim::Claim;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

/// `.mb-encode.PID.INODE`.
const PREFIX: &str = ".mb-encode.";

/// Removes what is left in a folder.
pub fn clear(folder: &Arc<OwnedFd>) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(listed) = rustix::fs::openat(&**folder, ".", flags, Mode::empty()) else { return };
    let us = rustix::process::geteuid().as_raw();
    for entry in Dir::read_from(&listed).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if is_claim(OsStr::from_bytes(name.to_bytes())) {
            // Removed as it is dropped.
            drop(Claim::of_the_dead(folder, OsStr::from_bytes(name.to_bytes())));
        }
        let Some(maker) = name.to_str().ok().and_then(maker) else { continue };
        let is_ours = rustix::fs::statat(&**folder, name, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo && stat.st_uid == us);
        if is_ours && !is_mb_encode(maker) {
            tracing::debug!("removing {name:?}, which a killed worker left");
            let _ = rustix::fs::unlinkat(&**folder, name, AtFlags::empty());
        }
    }
}

/// The process that has made what is called so.
fn maker(name: &str) -> Option<u32> {
    let (pid, inode) = name.strip_prefix(PREFIX)?.split_once('.')?;
    inode.parse::<u64>().ok()?;
    pid.parse().ok()
}

/// Whether a process is another worker, or may be: what may not be looked at is.
fn is_mb_encode(pid: u32) -> bool {
    match std::fs::read_link(format!("/proc/{pid}/exe")) {
        // Its file may have been replaced by a newer one since.
        Ok(program) => {
            let name = program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            pid != std::process::id() && name.starts_with("mb-encode")
        }
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::DirBuilderExt as _;
    #[test]
    fn only_what_workers_left_that_have_ended_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let path = folder.path().join(name);
            rustix::fs::mknodat(rustix::fs::CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        };
        // No process has the first one: ids go to 2^22.
        let gone = [".mb-encode.4194999.1", &format!(".mb-encode.{}.1", std::process::id())].map(str::to_owned);
        let kept = [".mb-encode.4194999.x", ".mb-encode.4194999", "demo.h264", ".other.4194999.1"].map(str::to_owned);
        gone.iter().chain(&kept).for_each(|name| make(name));
        std::fs::write(folder.path().join(".mb-encode.4194999.2"), "no FIFO").unwrap();
        let around: Arc<OwnedFd> = Arc::new(std::fs::File::open(folder.path()).unwrap().into());
        let held = Claim::take(&around, OsStr::new(".held.mb-encode")).unwrap();
        let dead = folder.path().join(".dead.mb-encode");
        std::fs::DirBuilder::new().mode(0o700).create(&dead).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, dead.join("fresh"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        clear(&around);
        assert!(!dead.exists() && held.is_held());
        let left = |name: &String| folder.path().join(name).exists();
        assert!(kept.iter().all(left) && !gone.iter().any(left));
        assert!(folder.path().join(".mb-encode.4194999.2").exists());
    }
}
