//! Wraps H.264 that another program writes in MPEG-TS.
//!
//! A byte stream does not say where a picture ends; only the start of the next one does, which is a picture too late.
//! But a program that encodes in real time writes a picture and then nothing until the next, so a pause in the stream says
//! it as well. A pause in the middle of a picture is told from it by what comes next, and `Patience` learns.

mod notices;
mod patience;
mod stamps;

use crate::codec::{AccessUnit, Splitter};
use crate::control::Control;
use crate::error::Error;
use crate::format::Format;
use crate::os::poll;
use crate::settings::{FrameRate, MpegTs};
use crate::sink::{Outlet, Output, Writer, Written};
use crate::stream::since_boot;
use notices::{Notices, no_h264};
use patience::Patience;
use rustix::event::{PollFd, PollFlags};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;
use stamps::Stamps;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Programs that write whenever a buffer is full do so in multiples of this. Such a piece ends no picture, but for one
/// in 4096, which comes a picture late.
const BUFFERS: usize = 4096;
/// One piece of the stream: as much as a pipe holds.
const PIECE: usize = 64 * 1024;
/// More than any picture. Something else than H.264 might never come to an end.
const MOST_HELD: usize = 32 << 20;
/// How long before it is shown a picture may begin to arrive, where nothing says how far apart they are.
const LEAD: Duration = Duration::from_millis(40);

/// Wraps what `input` gives until its end, and writes it to standard output. With a `frame_rate` the pictures are put on
/// its grid by their number; without, each one is stamped when it begins to arrive, which only [`MpegTs::Native`] can.
///
/// # Errors
/// `input` is no H.264, or cannot be read; standard output or ffmpeg fail. A reader that left is no error.
pub fn wrap(input: impl AsFd, how: MpegTs, frame_rate: Option<FrameRate>, control: &Control) -> Result<(), Error> {
    if rustix::termios::isatty(&input) {
        return Err(Error::input(
            "stdin-terminal",
            "standard input is a terminal, which gives no H.264",
            "pipe it: ffmpeg -re -i film.mkv -c:v libx264 -bf 0 -f h264 - | mb-encode mpegts",
        ));
    }
    let writer = Writer::open(&Output::Stdout)?;
    let begin = since_boot();
    let format = match (how, frame_rate) {
        (MpegTs::Ffmpeg, None) => {
            return Err(Error::input(
                "mpegts-no-rate",
                "ffmpeg stamps frames by their number, and needs to know their rate",
                "",
            ));
        }
        (how, Some(frame_rate)) => Format::mpegts(how, frame_rate, begin)?,
        (MpegTs::Native, None) => Format::stamped(LEAD, begin),
    };
    Run::new(input.as_fd(), format, &writer, control, frame_rate).finish()
}

struct Run<'a> {
    input: BorrowedFd<'a>,
    format: Format,
    writer: &'a Writer,
    control: &'a Control,
    stamps: Stamps,
    splitter: Splitter,
    patience: Patience,
    unit: AccessUnit,
    start: Instant,
    /// When the access unit at hand began to arrive, since the start.
    begun: Duration,
    /// How long the next piece was waited for. Time that the reader takes is none of the source's.
    waited: Duration,
    /// Whether the source may have paused behind that piece.
    may_pause: bool,
    notices: Notices,
    pictures: u64,
}

/// What a wait ended with.
enum Event {
    Input,
    Pause,
    /// Nothing that can be passed on has come for a while.
    Silence,
    End,
}

impl<'a> Run<'a> {
    fn new(
        input: BorrowedFd<'a>,
        format: Format,
        writer: &'a Writer,
        control: &'a Control,
        frame_rate: Option<FrameRate>,
    ) -> Self {
        Self {
            input,
            format,
            writer,
            control,
            stamps: Stamps::new(frame_rate),
            splitter: Splitter::default(),
            patience: Patience::default(),
            unit: AccessUnit::default(),
            start: Instant::now(),
            begun: Duration::ZERO,
            waited: Duration::ZERO,
            may_pause: false,
            notices: Notices::new(),
            pictures: 0,
        }
    }

    fn finish(mut self) -> Result<(), Error> {
        let mut piece = vec![0; PIECE];
        let mut empty = true;
        loop {
            let from = Instant::now();
            let event = self.wait();
            self.waited += from.elapsed();
            match event {
                Event::End => return Ok(()),
                Event::Pause if self.deliver_rest()? => continue,
                Event::Pause => return Ok(()),
                Event::Silence => {
                    self.notices.waited(&self.splitter);
                    continue;
                }
                Event::Input => {}
            }
            let read = match rustix::io::read(self.input, &mut piece) {
                Ok(read) => read,
                Err(Errno::INTR | Errno::AGAIN) => continue,
                Err(errno) => {
                    return Err(Error::machine("stdin-unreadable", "cannot read standard input", "pipe H.264 into it")
                        .caused_by(errno));
                }
            };
            if read == 0 {
                while self.splitter.rest(&mut self.unit) {
                    if !self.deliver()? {
                        return Ok(());
                    }
                }
                // A program that wrote nothing has said why.
                let is_fine = self.pictures > 0 || empty;
                return if is_fine { Ok(()) } else { Err(self.notices.no_picture(&self.splitter)) };
            }
            empty = false;
            if !self.take(&piece[..read])? {
                return Ok(());
            }
        }
    }

    /// Takes the next piece. Returns whether there is somebody to go on for.
    fn take(&mut self, piece: &[u8]) -> Result<bool, Error> {
        self.notices.arrived(piece)?;
        let now = self.start.elapsed();
        // Behind the last piece a picture might have ended, or was taken to have.
        if self.may_pause && (self.splitter.held() == 0 || self.splitter.may_be_whole()) {
            if let Some(between) = Splitter::begins_unit(piece) {
                self.patience.saw(self.waited, between);
            }
        }
        if self.splitter.held() == 0 {
            self.begun = now;
        }
        self.waited = Duration::ZERO;
        self.may_pause = piece.len() % BUFFERS != 0;
        self.splitter.push(piece);
        while self.splitter.next(&mut self.unit) {
            if !self.deliver()? {
                return Ok(false);
            }
            self.begun = now;
        }
        self.notices.split(&mut self.splitter, self.patience.now())?;
        if self.splitter.held() > MOST_HELD {
            return Err(no_h264("no picture in it ends within 32 MB"));
        }
        Ok(true)
    }

    fn deliver_rest(&mut self) -> Result<bool, Error> {
        if self.splitter.rest(&mut self.unit) { self.deliver() } else { Ok(true) }
    }

    /// Returns whether there is somebody to go on for.
    fn deliver(&mut self) -> Result<bool, Error> {
        self.pictures += 1;
        self.notices.picture(&self.splitter);
        let (dts, waits) = self.stamps.of(self.begun, &self.splitter);
        self.unit.decode_at(dts, waits);
        let needs_native = self.splitter.waits() > 0
            || self.splitter.sps().is_some_and(|sps| sps.interlaced || sps.reorders.is_some_and(|most| most > 0));
        if needs_native && self.format.stamp_natively(LEAD) {
            tracing::warn!(
                "ffmpeg cannot time a byte stream that may have B frames or fields, so this one is wrapped without ffmpeg"
            );
        }
        let written = match self.format.lay_out(&self.unit, Some(self.writer.as_fd()), self.control)? {
            ControlFlow::Continue(bytes) => self.writer.write(bytes, self.control)?,
            ControlFlow::Break(written) => written,
        };
        Ok(written == Written::Whole)
    }

    /// Waits for input, for the end of a picture by a pause, for a stop, or until the reader leaves.
    fn wait(&self) -> Event {
        let pause = (self.may_pause && self.splitter.may_be_whole()).then(|| self.patience.now());
        let silence = self.notices.silence();
        if silence == Some(Duration::ZERO) {
            return Event::Silence;
        }
        let limit = pause.into_iter().chain(silence).min();
        let mut fds = [
            PollFd::from_borrowed_fd(self.input, PollFlags::IN),
            PollFd::from_borrowed_fd(self.control.wake_fd(), PollFlags::IN),
            PollFd::new(self.writer, PollFlags::empty()),
        ];
        // Signals are another thread's, so this is not interrupted before its time.
        let found = poll::wait(&mut fds, limit);
        let [_input, _wake, reader] = &fds;
        match found {
            0 if limit == pause => Event::Pause,
            0 => Event::Silence,
            _ if self.control.stop_requested() || reader.revents().intersects(poll::GONE) => Event::End,
            _ => Event::Input,
        }
    }
}
