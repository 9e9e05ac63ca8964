//! The memory behind a producer's descriptors. A producer goes through the same few pieces of memory again and again, each
//! time with a new descriptor.

use super::wire::{Broken, Piece};
use crate::os::shared_memory::{Identity, Mapping, SharedMemory};
use rustix::fd::OwnedFd;
use std::rc::Rc;

/// More pieces of memory than a producer has in turn.
const KNOWN: usize = 32;

/// What came lately, the last one last. A memory is mapped when it comes for the second time: some producers make a new one
/// for each picture, and those are not kept from being freed.
#[derive(Debug, Default)]
pub struct Memories(Vec<(Identity, Option<Rc<Mapping>>)>);

/// The bytes of one buffer.
#[derive(Debug)]
pub struct Bytes(Vec<Part>);

#[derive(Debug)]
struct Part {
    memory: Memory,
    piece: Piece,
}

#[derive(Debug)]
enum Memory {
    Mapped(Rc<Mapping>),
    Copied(SharedMemory),
}

impl Memories {
    /// The bytes of these pieces, one behind the other.
    ///
    /// # Errors
    /// A descriptor is not one of memory, or its memory does not have that piece.
    pub fn open(&mut self, pieces: &[Piece], fds: Vec<OwnedFd>) -> Result<Bytes, Broken> {
        let parts = pieces.iter().zip(fds).map(|(piece, fd)| {
            let memory = SharedMemory::new(fd).ok_or("shares what is not memory: memfd_create makes it")?;
            let has = memory.len();
            if piece.offset.checked_add(piece.len).is_none_or(|end| end > has) {
                let Piece { offset, len } = piece;
                return Err(Broken(format!("shares {len} bytes from {offset} on, of memory that has {has}")));
            }
            Ok(Part { memory: self.remember(memory), piece: *piece })
        });
        parts.collect::<Result<_, _>>().map(Bytes)
    }

    fn remember(&mut self, memory: SharedMemory) -> Memory {
        let id = memory.id();
        let before = self.0.iter().position(|(known, _)| *known == id).map(|at| self.0.remove(at));
        let mapping = before.and_then(|(_, mapping)| {
            // What has grown is mapped again.
            mapping.filter(|it| it.len() as u64 >= memory.len()).or_else(|| memory.map().map(Rc::new))
        });
        if self.0.len() == KNOWN {
            self.0.remove(0);
        }
        self.0.push((id, mapping.clone()));
        mapping.map_or(Memory::Copied(memory), Memory::Mapped)
    }
}

impl Bytes {
    /// Copies those from `offset` on.
    ///
    /// # Errors
    /// They are not there, or not any more.
    pub fn read(&self, mut offset: u64, mut into: &mut [u8]) -> Result<(), Broken> {
        for part in &self.0 {
            let Some(left) = part.piece.len.checked_sub(offset) else {
                offset -= part.piece.len;
                continue;
            };
            let bytes = usize::try_from(left).map_or(into.len(), |left| left.min(into.len()));
            let (now, later) = into.split_at_mut(bytes);
            part.memory.read(part.piece.offset + offset, now)?;
            (offset, into) = (0, later);
        }
        if into.is_empty() { Ok(()) } else { Err("shares less than a frame".into()) }
    }
}

impl Memory {
    fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), Broken> {
        match self {
            Self::Mapped(mapping) => match usize::try_from(offset) {
                Ok(offset) if mapping.read(offset, into) => Ok(()),
                _ => Err("shares memory that shrank".into()),
            },
            Self::Copied(memory) => memory
                .read(offset, into)
                .map_err(|errno| Broken(format!("shares memory that cannot be read, or not any more: {errno}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
    use rustix::io::pwrite;

    fn memfd(bytes: &[u8], seals: SealFlags) -> OwnedFd {
        let fd = memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        assert_eq!(pwrite(&fd, bytes, 0).unwrap(), bytes.len());
        fcntl_add_seals(&fd, seals).unwrap();
        fd
    }

    fn open(memories: &mut Memories, offset: u64, len: u64, fd: &OwnedFd) -> Result<Bytes, Broken> {
        memories.open(&[Piece { offset, len }], vec![fd.try_clone().unwrap()])
    }

    fn is_mapped(bytes: &Bytes) -> bool {
        matches!(bytes.0[..], [Part { memory: Memory::Mapped(_), .. }])
    }

    #[test]
    fn memory_that_comes_again_is_mapped_once_and_the_oldest_is_forgotten() {
        let mut memories = Memories::default();
        let fds: Vec<_> = (0..=KNOWN as u8).map(|at| memfd(&[at; 16], SealFlags::SHRINK)).collect();
        for round in 0..3 {
            for (at, fd) in fds[..KNOWN].iter().enumerate() {
                let bytes = open(&mut memories, 4, 8, fd).unwrap();
                assert_eq!(is_mapped(&bytes), round > 0);
                let mut read = [0; 8];
                bytes.read(0, &mut read).unwrap();
                assert_eq!(read, [at as u8; 8]);
            }
        }
        assert!(!is_mapped(&open(&mut memories, 0, 1, &fds[KNOWN]).unwrap()));
        assert!(!is_mapped(&open(&mut memories, 0, 1, &fds[0]).unwrap()), "forgotten");
        assert!(is_mapped(&open(&mut memories, 0, 1, &fds[KNOWN - 1]).unwrap()));
        assert_eq!(memories.0.len(), KNOWN);

        let unsealed = memfd(&[1; 16], SealFlags::empty());
        for _ in 0..3 {
            assert!(!is_mapped(&open(&mut memories, 0, 16, &unsealed).unwrap()));
        }
    }

    #[test]
    fn memory_that_grows_is_mapped_again() {
        let mut memories = Memories::default();
        let fd = memfd(&[1; 16], SealFlags::SHRINK);
        (0..2).for_each(|_| drop(open(&mut memories, 0, 16, &fd).unwrap()));
        pwrite(&fd, &[2; 16], 8192).unwrap();
        let bytes = open(&mut memories, 8192, 16, &fd).unwrap();
        let mut read = [0; 16];
        bytes.read(0, &mut read).unwrap();
        assert!(is_mapped(&bytes) && read == [2; 16]);
    }

    #[test]
    fn pieces_are_read_as_one() {
        let fds =
            [memfd(b"..abc", SealFlags::empty()), memfd(b"", SealFlags::empty()), memfd(b"defgh.", SealFlags::empty())];
        let piece = |offset, len| Piece { offset, len };
        let bytes = Memories::default().open(&[piece(2, 3), piece(0, 0), piece(0, 5)], fds.into()).unwrap();
        for offset in 0..8 {
            for len in 0..=8 - offset {
                let mut read = vec![0; len];
                bytes.read(offset as u64, &mut read).unwrap();
                assert_eq!(read, &b"abcdefgh"[offset..][..len]);
            }
        }
        assert!(bytes.read(7, &mut [0; 2]).is_err() && bytes.read(u64::MAX, &mut [0; 1]).is_err());
    }

    #[test]
    fn what_is_not_there_is_not_read() {
        let mut memories = Memories::default();
        let fd = memfd(&[1; 16], SealFlags::empty());
        for (offset, len) in [(0, 17), (17, 0), (u64::MAX, 1), (1, u64::MAX), (1 << 63, 1 << 63)] {
            assert!(open(&mut memories, offset, len, &fd).unwrap_err().0.contains("of memory that has 16"));
        }
        let bytes = open(&mut memories, 0, 16, &fd).unwrap();
        ftruncate(&fd, 8).unwrap();
        assert!(bytes.read(0, &mut [0; 16]).unwrap_err().0.contains("not any more"));
        let (pipe, _write) = rustix::pipe::pipe().unwrap();
        assert!(open(&mut memories, 0, 0, &pipe).unwrap_err().0.contains("not memory"));
    }
}
