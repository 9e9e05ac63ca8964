//! What a worker that was killed has left beside its FIFO: a fresh one under a name of its own, where it had no folder of
//! its own for that yet.
//!
//! Only what nobody can use any more is removed: a FIFO of this user's, whose worker has ended. What a worker leaves in
//! its own folder is cleared by whoever takes that over; see `os/claim.rs`.

use rustix::fd::BorrowedFd;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};

/// `.mb-encode.PID.INODE`.
const PREFIX: &str = ".mb-encode.";

/// Removes what is left in a folder.
pub fn clear(folder: BorrowedFd<'_>) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(listed) = rustix::fs::openat(folder, ".", flags, Mode::empty()) else { return };
    let us = rustix::process::geteuid().as_raw();
    for entry in Dir::read_from(&listed).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(maker) = name.to_str().ok().and_then(maker) else { continue };
        let is_ours = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo && stat.st_uid == us);
        if is_ours && !is_mb_encode(maker) {
            tracing::debug!("removing {name:?}, which a killed worker left");
            let _ = rustix::fs::unlinkat(folder, name, AtFlags::empty());
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
    use rustix::fd::AsFd as _;

    #[test]
    fn only_fifos_of_workers_that_have_ended_are_removed() {
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
        clear(std::fs::File::open(folder.path()).unwrap().as_fd());
        let left = |name: &String| folder.path().join(name).exists();
        assert!(kept.iter().all(left) && !gone.iter().any(left));
        assert!(folder.path().join(".mb-encode.4194999.2").exists());
    }
}
