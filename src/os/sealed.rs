//! Bytes for a child process that nobody can change any more, not even the child.

use rustix::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

/// That nothing of it changes any more, these seals included.
const SEALS: SealFlags = SealFlags::WRITE.union(SealFlags::GROW).union(SealFlags::SHRINK).union(SealFlags::SEAL);

/// A file in memory without a name.
#[derive(Debug)]
pub struct Sealed(OwnedFd);

impl Sealed {
    /// Holds a copy of `bytes`.
    ///
    /// # Errors
    /// No memory or descriptor is left.
    pub fn copy(bytes: &[u8]) -> io::Result<Self> {
        let mut file = File::from(memfd_create("sealed", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
        file.write_all(bytes)?;
        fcntl_add_seals(&file, SEALS)?;
        Ok(Self(file.into()))
    }

    /// What a process was handed down that has taken this one's place, under the number of the descriptor that it has given
    /// it. `None` where that is something else. The descriptor is closed.
    pub fn handed_down(number: i32) -> Option<Vec<u8>> {
        if number <= 2 {
            return None;
        }
        // SAFETY: borrowed for a call that only asks; a number that is not open is answered with an error.
        let fd = unsafe { BorrowedFd::borrow_raw(number) };
        // Nothing else that a process is started with has all of these.
        if !fcntl_get_seals(fd).is_ok_and(|seals| seals.contains(SEALS)) {
            return None;
        }
        // SAFETY: it is open, and was made for this process alone.
        let file = File::from(unsafe { OwnedFd::from_raw_fd(number) });
        let mut bytes = vec![0; file.metadata().ok()?.len() as usize];
        file.read_exact_at(&mut bytes, 0).ok().map(|()| bytes)
    }

    /// The descriptor, under the same number.
    pub fn into_fd(self) -> OwnedFd {
        self.0
    }

    /// Its path in a process that inherits it under its number here.
    pub fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }
}

impl AsFd for Sealed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_can_be_read_again_and_again_and_written_by_nobody() {
        let sealed = Sealed::copy(b"streams: {}\n").unwrap();
        for _ in 0..2 {
            assert_eq!(std::fs::read(sealed.path()).unwrap(), b"streams: {}\n");
        }
        assert!(std::fs::write(sealed.path(), "x").is_err());
        assert_eq!(Sealed::handed_down(File::open("/dev/null").unwrap().as_raw_fd()), None);
        assert!(File::options().append(true).open(sealed.path()).is_ok_and(|mut file| file.write_all(b"x").is_err()));
        let number = std::os::fd::IntoRawFd::into_raw_fd(sealed.into_fd());
        assert_eq!(Sealed::handed_down(number).as_deref(), Some(&b"streams: {}\n"[..]));
    }
}
