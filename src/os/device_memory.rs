//! Memory of a device that another process shares through a descriptor: a dma-buf.
//!
//! Its owner is not trusted. A driver maps what it is given, and touching a page that is gone ends a process with SIGBUS, so
//! only what can never shrink counts: dma-bufs, which the kernel makes so, and memory that is sealed. What a driver makes
//! of it is the driver's matter. Nothing here writes to it.

use super::shared_memory::{Mapping, SharedMemory};
use rustix::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use std::path::Path;

/// `DMA_BUF_IOCTL_SYNC`, linux/dma-buf.h.
const SYNC: libc::Ioctl = 0x4008_6200_u32 as libc::Ioctl;
/// `DMA_BUF_SYNC_READ`, with `DMA_BUF_SYNC_START`, which is 0.
const BEGIN_READING: u64 = 1;
/// `DMA_BUF_SYNC_READ | DMA_BUF_SYNC_END`.
const END_READING: u64 = 1 | 1 << 2;

/// Memory of another process that a driver may be given.
#[derive(Debug)]
pub struct DeviceMemory {
    fd: OwnedFd,
    len: u64,
}

impl AsFd for DeviceMemory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl DeviceMemory {
    /// `None` for what is no dma-buf, and may shrink.
    pub fn new(fd: OwnedFd) -> Option<Self> {
        // The kernel alone answers this, where fstat asks a file system, which may never answer.
        let fdinfo = Path::new("/proc/self/fdinfo").join(fd.as_raw_fd().to_string());
        if let Some(len) = std::fs::read_to_string(fdinfo).ok().and_then(|text| dma_buf_len(&text)) {
            return Some(Self { fd, len });
        }
        let memory = SharedMemory::new(fd).filter(SharedMemory::never_shrinks)?;
        let len = memory.len();
        Some(Self { fd: memory.into_fd(), len })
    }

    /// Bytes that it has.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Has the device leave it to the processor for as long as the result lives, and maps it. `None` where that cannot be.
    pub fn map(&self) -> Option<Access<'_>> {
        let mapping = Mapping::new(&self.fd, self.len)?;
        let access = Access { mapping, memory: self };
        // What a device has drawn is waited for, and taken out of its caches. Memory that is no device's refuses, and needs
        // neither.
        access.sync(BEGIN_READING);
        Some(access)
    }
}

/// What a device has drawn, for the processor to read.
#[derive(Debug)]
pub struct Access<'a> {
    mapping: Mapping,
    memory: &'a DeviceMemory,
}

impl Access<'_> {
    /// Copies what lies from `offset` on. Whether all of it is there.
    #[must_use]
    pub fn read(&self, offset: u64, into: &mut [u8]) -> bool {
        usize::try_from(offset).is_ok_and(|offset| self.mapping.read(offset, into))
    }

    fn sync(&self, flags: u64) {
        // SAFETY: the kernel reads one 64-bit number from there, and writes nothing.
        while unsafe { libc::ioctl(self.memory.fd.as_raw_fd(), SYNC, &raw const flags) } == -1 {
            // AGAIN is asked for to be tried again, as INTR is.
            let error = Errno::from_io_error(&std::io::Error::last_os_error());
            if !matches!(error, Some(Errno::INTR | Errno::AGAIN)) {
                break;
            }
        }
    }
}

impl Drop for Access<'_> {
    fn drop(&mut self) {
        self.sync(END_READING);
    }
}

/// The bytes of a dma-buf, by what `/proc` says of its descriptor; `None` for any other descriptor. See the kernel's
/// Documentation/filesystems/proc.rst, "DMA Buffer files".
fn dma_buf_len(fdinfo: &str) -> Option<u64> {
    let value = |name| fdinfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value("exp_name")?;
    value("size")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    use rustix::io::pwrite;
    use std::fs::File;

    fn memfd(seals: SealFlags) -> OwnedFd {
        let fd = memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        assert_eq!(pwrite(&fd, &[7; 5000], 0).unwrap(), 5000);
        fcntl_add_seals(&fd, seals).unwrap();
        fd
    }

    #[test]
    fn what_cannot_shrink_is_read() {
        let memory = DeviceMemory::new(memfd(SealFlags::SHRINK)).unwrap();
        assert_eq!(memory.len(), 5000);
        let access = memory.map().unwrap();
        let mut bytes = [0; 5000];
        assert!(access.read(0, &mut bytes) && bytes == [7; 5000]);
        assert!(!access.read(1, &mut bytes) && !access.read(u64::MAX, &mut bytes));
    }

    #[test]
    fn nothing_else_is_given_to_a_driver() {
        let (read, _write) = rustix::pipe::pipe().unwrap();
        let this = File::open(std::env::current_exe().unwrap()).unwrap();
        for fd in [memfd(SealFlags::empty()), memfd(SealFlags::GROW), read, this.into()] {
            assert!(DeviceMemory::new(fd).is_none());
        }
    }

    #[test]
    fn a_dma_buf_is_known_by_what_the_kernel_says_of_it() {
        let text =
            "pos:\t0\nflags:\t02000002\nmnt_id:\t9\nino:\t63107\nsize:\t32768\ncount:\t2\nexp_name:\tsystem-heap\n";
        assert_eq!(dma_buf_len(text), Some(32_768));
        for other in ["", "pos:\t0\nsize:\t32768\n", &text.replace("size:\t32768\n", ""), &text.replace("32768", "-1")]
        {
            assert_eq!(dma_buf_len(other), None, "{other:?}");
        }
    }
}
