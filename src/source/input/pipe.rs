//! Pictures out of a pipe, a FIFO or a file: YUV4MPEG2, or raw ones one behind the other.
//!
//! A picture is handed over when its last byte is there, and not before.
//!
//! The kernel copies with one instruction for any length (`rep movsb`), which takes almost three times as long where source
//! and destination lie differently in their cache lines. Samples do, behind a line of six bytes. So they are read to where
//! they lie alike, in a part of the cache, and copied from there in pieces that are short enough for memcpy not to use that
//! instruction as well.

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
        Self { fd, blocks, intake, head: Vec::with_capacity(HEAD), at: 0, pictures: 0, stage: Vec::new(), phase: 0 }
    }

    /// Hands over one picture after the other, for as long as their writer `is_alone`: those of two would be mixed.
    pub fn read(mut self, form: &Form, is_alone: &dyn Fn() -> bool) -> End {
        match self.pictures(form, is_alone) {
            Stop::Over => End::Over,
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
                self.intake.size_for(&header.shape).map_err(Stop::Bad)?;
                (header.shape, header.frame_rate)
            }
        };
        let has_lines = matches!(form, Form::Y4m(_));
        let bytes = shape.bytes().ok_or_else(|| Stop::Bad(too_large(&shape)))?;
        loop {
            if has_lines {
                self.line(y4m::FRAME, LONGEST_FRAME_LINE, out_of_step)?;
            }
            let samples = self.picture(bytes, has_lines)?;
            // Looked at last: whoever wrote a part of it had opened the pipe before.
            if !is_alone() {
                return Err(Stop::Bad(in_company()));
            }
            let at = Instant::now();
            self.intake.offer(Arrived { samples, shape, is_converted: false, frame_rate, at })?;
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
                    if more || filled > 0 {
                        // Noted as cut short.
                        self.head.push(0);
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
                    return Ok(read);
                }
                Err(Errno::AGAIN) => is_to_wait = true,
                Err(Errno::INTR) => {}
                Err(errno) => {
                    return Err(Stop::Bad(
                        Error::machine("input-unreadable", "cannot read the input", "").caused_by(errno),
                    ));
                }
            }
        }
    }
}

fn too_large(shape: &Shape) -> Error {
    Error::input("y4m-header", format!("the input's {}x{} are too large", shape.width, shape.height), "")
}

fn in_company() -> Error {
    Error::input("input-shared", "two programs write frames to it at once, so both were turned away", "end one of them")
}

/// Where a picture should begin, something else does.
fn out_of_step(found: &[u8]) -> Error {
    let begins: String = String::from_utf8_lossy(&found[..found.len().min(16)]).escape_debug().collect();
    Error::input(
        "input-out-of-step",
        format!("where a frame of the Y4M input should begin with \"FRAME\" there is \"{begins}\""),
        "",
    )
}

#[cfg(test)]
mod tests {
    use super::super::Wanted;
    use super::super::intake::{Keep, Next};
    use super::*;
    use crate::settings::PixelFormat;
    use rustix::pipe::{PipeFlags, pipe_with};
    use std::io::Write as _;

    const Y4M: Form = Form::Y4m(InputSettings { matrix: crate::settings::Matrix::Bt709, range: None });

    /// Writes pieces by themselves, and returns the first samples of what arrives, and how it ended.
    fn through(form: &Form, pieces: &[&[u8]]) -> (Vec<u8>, End) {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        // Pictures of a few bytes are scaled to one that a stream can have.
        let wanted = Wanted { width: Some(64), height: Some(64), frame_rate: None };
        let intake = Intake::new(Keep::Every).unwrap().for_stream(wanted);
        let mut seen = Vec::new();
        let end = std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut write = std::fs::File::from(write);
                for piece in pieces {
                    // It may have been refused by then.
                    let _ = write.write_all(piece);
                    std::thread::yield_now();
                }
            });
            let intake = &intake;
            let reading = scope.spawn(move || {
                let end = Pipe::new(&read, intake).read(form, &|| true);
                intake.end(Ok(()));
                end
            });
            loop {
                crate::os::poll::wait_for(&intake.arrivals(), PollFlags::IN, None);
                match intake.take().unwrap() {
                    Next::Picture(Arrived { samples, .. }) => {
                        seen.push(samples[0]);
                        intake.give_back(samples);
                    }
                    Next::Ended => break,
                    _ => {}
                }
            }
            reading.join().unwrap()
        });
        (seen, end)
    }

    #[test]
    fn pictures_come_out_whole_however_their_bytes_come() {
        let mut stream = b"YUV4MPEG2 W4 H2 F30:1 Cmono\n".to_vec();
        for at in 0..5u8 {
            stream.extend_from_slice(if at == 2 { b"FRAME Ip XSOME=THING\n" } else { b"FRAME\n" });
            stream.extend_from_slice(&[at; 8]);
        }
        for size in [1, 2, 3, 7, 13, 64, stream.len()] {
            let pieces: Vec<_> = stream.chunks(size).collect();
            let (seen, end) = through(&Y4M, &pieces);
            assert_eq!(seen, [0, 1, 2, 3, 4], "in pieces of {size}");
            assert!(matches!(end, End::Closed { pictures: 5, cut: false }), "{end:?}");
        }
    }

    #[test]
    fn raw_pictures_are_told_apart_by_their_size() {
        let (matrix, range) = Default::default();
        let form = Form::Raw(Shape { width: 2, height: 2, format: PixelFormat::Rgb24, matrix, range });
        let bytes: Vec<u8> = (0..30).collect();
        let (seen, end) = through(&form, &[&bytes[..5], &bytes[5..25], &bytes[25..]]);
        assert_eq!(seen, [0, 12]);
        assert!(matches!(end, End::Closed { pictures: 2, cut: true }), "{end:?}");
        let (_, end) = through(&form, &[&bytes[..24]]);
        assert!(matches!(end, End::Closed { pictures: 2, cut: false }), "{end:?}");
    }

    #[test]
    fn a_picture_that_is_cut_short_is_not_shown() {
        for cut in
            [&b"YUV4MPEG2 W4 H2 Cmono\nFRAME\n12345678FRAME\n1234567"[..], b"YUV4MPEG2 W4 H2 Cmono\nFRAME\n12345678FRA"]
        {
            let (seen, end) = through(&Y4M, &[cut]);
            assert_eq!(seen, *b"1");
            assert!(matches!(end, End::Closed { pictures: 1, cut: true }), "{end:?}");
        }
        let (_, end) = through(&Y4M, &[b"YUV4MP"]);
        assert!(matches!(end, End::Closed { pictures: 0, cut: true }), "{end:?}");
    }

    #[test]
    fn what_is_no_y4m_is_refused_at_its_first_bytes() {
        let junk: Vec<u8> = (0..200_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let endless = [b"YUV4MPEG2 ".to_vec(), vec![b'X'; 1 << 20]].concat();
        for (bytes, code) in [
            (junk.as_slice(), "input-not-y4m"),
            (b"YUV4MPEG3 W4 H2\nFRAME\n", "input-not-y4m"),
            (&endless, "input-not-y4m"),
            (b"YUV4MPEG2 W4 H2 Cmono\nFRAME\n12345678FROG\n", "input-out-of-step"),
            (b"YUV4MPEG2 W4 H2 Cmono\nFRAME\n123456789", "input-out-of-step"),
        ] {
            let (_, end) = through(&Y4M, &[bytes]);
            assert!(matches!(&end, End::Bad(error) if error.code() == code), "{end:?}");
        }
    }
}
