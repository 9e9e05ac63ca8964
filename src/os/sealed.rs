//! Bytes for a child process that nobody can change any more, not even the child.

use rustix::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;

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
        fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
        Ok(Self(file.into()))
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
        assert!(File::options().append(true).open(sealed.path()).is_ok_and(|mut file| file.write_all(b"x").is_err()));
    }
}
