//! Pictures out of a pipe, a FIFO or a file: YUV4MPEG2, or raw ones one behind the other.
//!
//! A picture is handed over when its last byte is there, and not before.
//!
//! The kernel copies with one instruction for any length (`rep movsb`), which takes almost three times as long where source
//! and destination lie differently in their cache lines. Samples do, behind a line of six bytes. So they are read to where
//! they lie alike, in a part of the cache, and copied from there in pieces that are short enough for memcpy not to use that
//! instruction as well.

#[cfg(test)]
mod tests;

use super::intake::{Arrived, Intake, Over};
use super::y4m;
use crate::error::Error;
use crate::settings::{InputSettings, Shape};
use rustix::event::PollFlags;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::convert::Infallible;
use std::time::Instant;

/// What is in a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Pictures of this shape, and nothing else.
    Raw(Shape),
    /// A header, and pictures with a line each.
    Y4m(InputSettings),
}

/// How a pipe came to its end.
#[derive(Debug)]
pub enum End {
    /// The stream is over.
    Over,
    /// Its writer has closed it, after this many whole pictures. `cut` is in the middle of one, or of a header.
    Closed { pictures: u64, cut: bool },
    /// What comes cannot be shown.
    Bad(Error),
}

/// Room for a header and what is read along with it.
const HEAD: usize = 2 * y4m::LONGEST_HEADER;
/// A picture's own line is no longer than this, in bytes.
const LONGEST_FRAME_LINE: usize = 256;

/// Bytes of a cache line.
const LINE: usize = 64;
/// How much is read at a time: what stays in the cache of a core, in few calls.
const STAGE: usize = 128 << 10;
/// How much is copied at a time: less than the 2 KiB from which on memcpy may do as the kernel does.
const STRIDE: usize = 31 * LINE;

/// Reads one pipe, to its end.
pub struct Pipe<'a> {
    fd: BorrowedFd<'a>,
    /// Whether a read waits where nothing is there.
    blocks: bool,
    intake: &'a Intake,
    /// Bytes that were read with others and have not been looked at, from `at` on.
    head: Vec<u8>,
    at: usize,
    pictures: u64,
    /// Bytes that were read, those passed over among them.
    read: u64,
    /// The first byte to read behind the header.
    goes_on_at: Option<u64>,
    /// What was read of the picture at hand.
    begun: Vec<u8>,
    /// What was read last, on its way to where it stays.
    stage: Vec<u8>,
    /// How far from the beginning of a cache line the next bytes lie in the kernel's memory, as far as can be told.
    phase: usize,
}

/// Why reading stops.
enum Stop {
    Over,
    Closed,
    Bad(Error),
}

impl From<Over> for Stop {
    fn from(Over: Over) -> Self {
        Self::Over
    }
}

impl<'a> Pipe<'a> {
    /// From the first byte on. `fd` may block or not.
    pub fn new(fd: &'a impl AsFd, intake: &'a Intake) -> Self {
        let fd = fd.as_fd();
        let blocks = rustix::fs::fcntl_getfl(fd).is_ok_and(|flags| !flags.contains(OFlags::NONBLOCK));
        let (head, begun) = (Vec::with_capacity(HEAD), Vec::new());
        let (stage, goes_on_at) = (Vec::new(), None);
        Self { fd, blocks, intake, head, at: 0, pictures: 0, read: 0, goes_on_at, begun, stage, phase: 0 }
    }

    /// Behind these bytes, which were read of it before.
    pub fn behind(self, bytes: Vec<u8>) -> Self {
        Self { read: bytes.len() as u64, head: bytes, ..self }
    }

    /// Behind the header, from this byte of a file on.
    pub fn from(self, byte: u64) -> Self {
        Self { goes_on_at: Some(byte), ..self }
    }

    /// Hands over one picture after the other, for as long as their writer `is_alone`: those of two would be mixed.
    pub fn read(mut self, form: &Form, is_alone: &dyn Fn() -> bool) -> End {
        match self.pictures(form, is_alone) {
            Stop::Over => {
                self.begun.extend_from_slice(&self.head[self.at..]);
                self.intake.note_rest(self.begun);
                End::Over
            }
            Stop::Bad(error) => End::Bad(error),
            Stop::Closed => End::Closed { pictures: self.pictures, cut: self.at < self.head.len() },
        }
    }

    fn pictures(&mut self, form: &Form, is_alone: &dyn Fn() -> bool) -> Stop {
        match self.pictures_of(form, is_alone) {
            Err(stop) => stop,
            Ok(never) => match never {},
        }
    }

    fn pictures_of(&mut self, form: &Form, is_alone: &dyn Fn() -> bool) -> Result<Infallible, Stop> {
        let (shape, frame_rate) = match form {
            Form::Raw(shape) => (*shape, None),
            Form::Y4m(settings) => {
                let line = self.line(y4m::SIGNATURE, y4m::LONGEST_HEADER, y4m::not_y4m)?;
                let header = y4m::parse(&line, settings).map_err(Stop::Bad)?;
                self.intake.note_header([&*line, b"\n"].concat());
                self.intake.size_for(&header.shape).map_err(Stop::Bad)?;
                (header.shape, header.frame_rate)
            }
        };
        let has_lines = matches!(form, Form::Y4m(_));
        let bytes = shape.bytes().ok_or_else(|| Stop::Bad(too_large(&shape)))?;
        if let Some(byte) = self.goes_on_at.take() {
            let sought = rustix::fs::seek(self.fd, rustix::fs::SeekFrom::Start(byte));
            self.read = sought.map_err(|errno| Stop::Bad(unreadable(errno)))?;
            self.head.clear();
            self.at = 0;
        }
        loop {
            if has_lines {
                let line = self.line(y4m::FRAME, LONGEST_FRAME_LINE, out_of_step)?;
                self.begun.extend_from_slice(&line);
                self.begun.push(b'\n');
            }
            let samples = self.picture(bytes, has_lines)?;
            self.begun.clear();
            let ends_at = self.read - (self.head.len() - self.at) as u64;
            // Looked at last: whoever wrote a part of it had opened the pipe before.
            if !is_alone() {
                return Err(Stop::Bad(in_company()));
            }
            let at = Instant::now();
            self.intake.offer(Arrived { samples, shape, is_converted: false, frame_rate, at, ends_at })?;
            self.pictures += 1;
        }
    }

    /// A line that begins with `start`, without its break. What does not is known from its first wrong byte on.
    fn line(&mut self, start: &[u8], longest: usize, wrong: fn(&[u8]) -> Error) -> Result<Vec<u8>, Stop> {
        loop {
            let rest = &self.head[self.at..];
            let known = rest.len().min(start.len());
            if rest[..known] != start[..known] {
                return Err(Stop::Bad(wrong(rest)));
            }
            if let Some(length) = memchr::memchr(b'\n', &rest[..rest.len().min(longest)]) {
                let line = rest[..length].to_vec();
                self.at += length + 1;
                return Ok(line);
            }
            if rest.len() >= longest {
                return Err(Stop::Bad(wrong(rest)));
            }
            self.head.drain(..self.at);
            self.at = 0;
            let mut more = [0; HEAD];
            let room = longest - self.head.len();
            let read = self.read_some(&mut more[..room])?;
            self.head.extend_from_slice(&more[..read]);
        }
    }

    /// The samples of one picture, and the beginning of what follows where `more` does.
    fn picture(&mut self, bytes: usize, more: bool) -> Result<Vec<u8>, Stop> {
        let mut samples = self.intake.buffer(bytes);
        let known = (self.head.len() - self.at).min(bytes);
        samples[..known].copy_from_slice(&self.head[self.at..][..known]);
        self.at += known;
        if self.at == self.head.len() {
            self.head.clear();
            self.at = 0;
        }
        // The next picture's line comes along, and costs no read of its own.
        let behind = if more { y4m::FRAME.len() + 1 } else { 0 };
        let mut stage = std::mem::take(&mut self.stage);
        stage.resize(STAGE.min(bytes + behind) + LINE, 0);
        let mut filled = known;
        while filled < bytes {
            let at = self.phase.wrapping_sub(stage.as_ptr().addr()) % LINE;
            let wanted = (bytes - filled + behind).min(stage.len() - LINE);
            let read = match self.read_some(&mut stage[at..][..wanted]) {
                Ok(read) => read,
                Err(stop) => {
                    match stop {
                        Stop::Over => self.begun.extend_from_slice(&samples[..filled]),
                        // Noted as cut short.
                        _ if more || filled > 0 => self.head.push(0),
                        _ => {}
                    }
                    self.intake.give_back(samples);
                    return Err(stop);
                }
            };
            let (now, next) = stage[at..][..read].split_at(read.min(bytes - filled));
            for (into, from) in samples[filled..].chunks_mut(STRIDE).zip(now.chunks(STRIDE)) {
                into[..from.len()].copy_from_slice(from);
            }
            filled += now.len();
            self.head.extend_from_slice(next);
        }
        self.stage = stage;
        Ok(samples)
    }

    /// Waits for bytes, and reads what is there.
    fn read_some(&mut self, into: &mut [u8]) -> Result<usize, Stop> {
        // One that says itself that nothing is there is asked first, which saves a call for each read.
        let mut is_to_wait = self.blocks;
        loop {
            if is_to_wait && self.intake.wait(Some((self.fd, PollFlags::IN)), None)?.is_empty() {
                continue;
            }
            match rustix::io::read(self.fd, &mut *into) {
                Ok(0) => return Err(Stop::Closed),
                Ok(read) => {
                    // What is written into an empty pipe begins a page.
                    self.phase = if read < into.len() { 0 } else { (self.phase + read) % LINE };
                    if self.read == 0 {
                        self.intake.hear();
                    }
                    self.read += read as u64;
                    return Ok(read);
                }
                Err(Errno::AGAIN) => is_to_wait = true,
                Err(Errno::INTR) => {}
                Err(errno) => {
                    return Err(Stop::Bad(unreadable(errno)));
                }
            }
        }
    }
}

fn unreadable(errno: Errno) -> Error {
    Error::machine("input-unreadable", "cannot read the input", "").caused_by(errno)
}

fn too_large(shape: &Shape) -> Error {
    Error::input("y4m-header", format!("the input's {}x{} are too large", shape.width, shape.height), "")
}

fn in_company() -> Error {
    Error::input("input-shared", "two programs write frames to it at once, so both were turned away", "end one of them")
}

/// Where a picture should begin, something else does.
fn out_of_step(found: &[u8]) -> Error {
    if found.starts_with(&y4m::SIGNATURE[..4]) {
        return Error::input(
            "input-out-of-step",
            "the Y4M input goes on with another header, as two files do that are one behind the other",
            "join their frames: ffmpeg -f concat -i list.txt -f yuv4mpegpipe joined.y4m",
        );
    }
    let begins: String = String::from_utf8_lossy(&found[..found.len().min(16)]).escape_debug().collect();
    Error::input(
        "input-out-of-step",
        format!("where a frame of the Y4M input should begin with \"FRAME\" there is \"{begins}\""),
        "",
    )
}
