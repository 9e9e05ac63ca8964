//! Memory that another process shares through a descriptor, read whatever that process does to it meanwhile.
//!
//! Its owner is not trusted. A descriptor counts as memory where the kernel says so, since reading from anything else may
//! block. It is mapped only where it can never shrink again, since touching a page that is gone ends a process with
//! SIGBUS. All else is copied by the kernel, which reports what is not there. Nothing here writes to it.

use rustix::fd::OwnedFd;
use rustix::fs::{FileType, SealFlags, fcntl_get_seals, fstat, fstatfs};
use rustix::io::{Errno, pread};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// More than that is not mapped: whoever shares it decides how much there is.
const LARGEST_MAPPING: u64 = 256 << 20;

/// What tells one memory from another, whichever descriptor it comes with: the device and the inode.
pub type Identity = (u64, u64);

/// Memory of another process.
#[derive(Debug)]
pub struct SharedMemory {
    fd: OwnedFd,
    id: Identity,
    len: u64,
    seals: SealFlags,
}

impl SharedMemory {
    /// `None` for what is not memory, such as a pipe, a device, or a file on a disk.
    pub fn new(fd: OwnedFd) -> Option<Self> {
        // Asked first: the only question that no file system answers. Memory alone has seals, made by memfd_create or on a
        // tmpfs.
        let seals = fcntl_get_seals(&fd).ok()?;
        let stat = fstat(&fd).ok()?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        let len = u64::try_from(stat.st_size).ok()?;
        is_file.then_some(Self { fd, id: (stat.st_dev, stat.st_ino), len, seals })
    }

    /// The same for every descriptor of this memory, for as long as one is open or it is mapped.
    pub fn id(&self) -> Identity {
        self.id
    }

    /// Bytes that it had when it came. Some of them may be gone.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Maps it as it is now. `None` where that is not safe, or the system refuses.
    pub fn map(&self) -> Option<Mapping> {
        if self.never_shrinks() { Mapping::new(&self.fd, self.len) } else { None }
    }

    /// Whether all of it stays there for as long as anybody has it.
    pub fn never_shrinks(&self) -> bool {
        // Huge pages can be sealed as well, and still run out.
        let is_tmpfs = || fstatfs(&self.fd).is_ok_and(|stat| stat.f_type == libc::TMPFS_MAGIC);
        self.seals.contains(SealFlags::SHRINK) && is_tmpfs()
    }

    /// The descriptor that it came with.
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// Copies what lies from `offset` on.
    ///
    /// # Errors
    /// It is not all there, or cannot be read.
    pub fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), Errno> {
        let mut done = 0;
        while done < into.len() {
            match pread(&self.fd, &mut into[done..], offset + done as u64) {
                Ok(0) => return Err(Errno::NODATA),
                Ok(bytes) => done += bytes,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }
}

/// Memory of another process, mapped for reading until this is dropped. It never shrinks.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

impl Mapping {
    /// Maps the first `len` bytes of what never shrinks. `None` where there are none or too many, or the system refuses.
    pub(super) fn new(fd: &OwnedFd, len: u64) -> Option<Self> {
        let len = usize::try_from(len).ok().filter(|_| (1..=LARGEST_MAPPING).contains(&len))?;
        // SAFETY: the kernel chooses a place that is free.
        let start = unsafe { mmap(std::ptr::null_mut(), len, ProtFlags::READ, MapFlags::SHARED, fd, 0) }.ok()?;
        Some(Self { start: NonNull::new(start.cast())?, len })
    }

    /// Bytes that are mapped.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Copies what lies from `offset` on. Whether all of it is within the mapping.
    ///
    /// Of bytes that change at the same time, either value may come.
    #[must_use]
    pub fn read(&self, offset: usize, into: &mut [u8]) -> bool {
        if offset.checked_add(into.len()).is_none_or(|end| end > self.len) {
            return false;
        }
        // SAFETY: these bytes lie within the mapping, which lives as long as `self`; the seal keeps its pages there. Others
        // write to them meanwhile, which atomics may be. They are only loaded, so that they need not be writable.
        let bytes = unsafe { slice::from_raw_parts(self.start.add(offset).cast::<AtomicU8>().as_ptr(), into.len()) };
        // SAFETY: eight `AtomicU8` in a row, aligned for one, are an `AtomicU64` of any value.
        let (head, words, tail) = unsafe { bytes.align_to::<AtomicU64>() };
        let (into_head, into) = into.split_at_mut(head.len());
        let (into_words, into_tail) = into.split_at_mut(words.len() * 8);
        // Eight bytes at a time, which takes no longer than memcpy: both wait for the memory.
        for (into, word) in into_words.chunks_exact_mut(8).zip(words) {
            into.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
        }
        for (into, byte) in into_head.iter_mut().zip(head).chain(into_tail.iter_mut().zip(tail)) {
            *into = byte.load(Ordering::Relaxed);
        }
        true
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and nothing borrows from it any more.
        // What cannot be unmapped stays until the process ends.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{MemfdFlags, fcntl_add_seals, ftruncate, memfd_create};
    use std::fs::File;
    use std::io::Write as _;

    fn memfd(bytes: &[u8], seals: SealFlags) -> OwnedFd {
        let mut file = File::from(memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap());
        file.write_all(bytes).unwrap();
        fcntl_add_seals(&file, seals).unwrap();
        file.into()
    }

    #[test]
    fn mapped_or_copied_it_reads_alike_at_every_offset_and_length() {
        let bytes: Vec<u8> = (0..=255).cycle().take(5000).collect();
        let memory = SharedMemory::new(memfd(&bytes, SealFlags::SHRINK)).unwrap();
        let mapping = memory.map().unwrap();
        assert_eq!((memory.len(), mapping.len()), (5000, 5000));
        for offset in (0..20).chain(4090..4100) {
            for len in (0..40).chain([900, 5000 - offset]) {
                let (mut mapped, mut copied) = (vec![0; len], vec![0; len]);
                assert!(mapping.read(offset, &mut mapped));
                memory.read(offset as u64, &mut copied).unwrap();
                assert_eq!(mapped, &bytes[offset..][..len], "{offset}, {len}");
                assert_eq!(copied, mapped);
            }
        }
        for (offset, len) in [(0, 5001), (4999, 2), (5000, 1), (usize::MAX, 1), (usize::MAX, 0)] {
            assert!(!mapping.read(offset, &mut vec![0; len]), "{offset}, {len}");
        }
        assert!(memory.read(4999, &mut [0; 2]).is_err() && memory.read(u64::MAX - 8, &mut [0; 2]).is_err());
    }

    #[test]
    fn what_can_shrink_is_never_mapped_and_says_that_it_shrank() {
        let fd = memfd(&[7; 8192], SealFlags::empty());
        let memory = SharedMemory::new(fd.try_clone().unwrap()).unwrap();
        assert!(memory.map().is_none());
        ftruncate(&fd, 4096).unwrap();
        let mut bytes = [0; 8192];
        assert_eq!(memory.read(0, &mut bytes), Err(Errno::NODATA));
        assert_eq!(memory.read(0, &mut bytes[..4096]), Ok(()));

        let empty = SharedMemory::new(memfd(&[], SealFlags::SHRINK)).unwrap();
        assert!(empty.map().is_none());
        let sparse = memfd(&[], SealFlags::empty());
        ftruncate(&sparse, 1 << 40).unwrap();
        fcntl_add_seals(&sparse, SealFlags::SHRINK).unwrap();
        assert!(SharedMemory::new(sparse).unwrap().map().is_none());
    }

    #[test]
    fn a_hole_in_it_reads_as_zeros() {
        let fd = memfd(&[7; 8192], SealFlags::SHRINK);
        let mapping = SharedMemory::new(fd.try_clone().unwrap()).unwrap().map().unwrap();
        let hole = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(&fd, hole, 0, 4096).unwrap();
        let mut bytes = [1; 8192];
        assert!(mapping.read(0, &mut bytes));
        assert_eq!((bytes[..4096] == [0; 4096], bytes[4096..] == [7; 4096]), (true, true));
    }

    #[test]
    fn nothing_but_memory_is_taken_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let (read, _write) = rustix::pipe::pipe().unwrap();
        let this = File::open(std::env::current_exe().unwrap()).unwrap();
        let others = [File::open("/dev/zero").unwrap(), File::open(folder.path()).unwrap(), this];
        for fd in others.map(OwnedFd::from).into_iter().chain([read]) {
            assert!(SharedMemory::new(fd).is_none());
        }
        // What may only be written to is memory, and cannot be read.
        let fd = memfd(&[7; 4096], SealFlags::SHRINK);
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd));
        let write_only = SharedMemory::new(File::options().write(true).open(path).unwrap().into()).unwrap();
        assert!(write_only.map().is_none());
        assert_eq!(write_only.read(0, &mut [0]), Err(Errno::BADF));
    }
}
