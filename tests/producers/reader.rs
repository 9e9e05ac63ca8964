//! A reader of frames that is not mb-encode: it opens a FIFO, and looks at every byte.

use crate::support::process::Reader;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::path::Path;

/// Opens a FIFO for reading, and does not wait for who writes.
pub fn open_fifo(fifo: &Path) -> Reader<File> {
    let opened = rustix::fs::open(fifo, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty());
    Reader::new(File::from(opened.expect("the FIFO can be read from")))
}

pub struct FrameReader {
    bytes: Reader<File>,
}

impl FrameReader {
    /// Opens the FIFO, from which moment on a producer finds somebody there.
    pub fn open(fifo: &Path) -> Self {
        Self { bytes: open_fifo(fifo) }
    }

    /// The next line, without its break.
    pub fn line(&mut self) -> String {
        let mut line = Vec::new();
        loop {
            match self.bytes.take_bytes(1)[0] {
                b'\n' => return String::from_utf8(line).expect("text"),
                byte => line.push(byte),
            }
        }
    }

    /// The next picture of `size` bytes.
    pub fn picture(&mut self, size: usize) -> Vec<u8> {
        assert_eq!(self.line(), "FRAME");
        self.bytes.take_bytes(size)
    }

    /// The value that all bytes of the next picture have.
    pub fn value(&mut self, size: usize) -> u8 {
        let picture = self.picture(size);
        let first = picture[0];
        let differs = picture.iter().position(|&byte| byte != first);
        assert_eq!(differs, None, "parts of two pictures in one: {first}, then {}", picture[differs.unwrap_or(0)]);
        first
    }

    /// What is left once the producer has closed the FIFO.
    pub fn rest(&mut self) -> Vec<u8> {
        self.bytes.all()
    }
}
