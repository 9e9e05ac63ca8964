//! Between the thread that takes pictures in from outside and the stream that shows them.
//!
//! A live producer is never waited for and never made to wait: of what it hands over before the stream is ready for
//! another picture, the latest is kept. Where every picture is wanted, from a file say, one is kept and the producer waits.

use super::Wanted;
use super::size_for;
use crate::error::Error;
use crate::os::event::Event;
use crate::os::poll;
use crate::settings::{FrameRate, Shape, Size};
use rustix::event::{PollFd, PollFlags};
use rustix::fd::{AsFd as _, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Which pictures are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The latest one.
    Latest,
    /// All of them.
    Every,
}

/// A whole picture from outside.
#[derive(Debug)]
pub struct Arrived {
    /// Its planes one behind the other, without padding. The memory is used again.
    pub samples: Vec<u8>,
    /// What it is, or was before it was converted.
    pub shape: Shape,
    /// Whether the samples are a picture of the stream's already, in its size and colours.
    pub is_converted: bool,
    /// What its producer calls the rate; `None` where it does not.
    pub frame_rate: Option<FrameRate>,
    /// When its last byte was there.
    pub at: Instant,
    /// The bytes of the input up to its end, where they are counted.
    pub ends_at: u64,
}

/// The stream is over: whoever hands pictures over is to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over;

/// Buffers that are kept: one is being filled, one waits, and one is shown.
const SPARE: usize = 3;

/// Shared by the two threads.
#[derive(Debug)]
pub struct Intake {
    keep: Keep,
    wanted: Wanted,
    slot: Mutex<Slot>,
    /// Readable while a picture waits, and from the end of the input on.
    arrivals: Event,
    /// Readable while none waits, where every one is kept.
    room: Event,
    /// Readable from the end of the stream on.
    over: Event,
    /// Whether the producer has sent anything, or is connected.
    is_heard: AtomicBool,
}

#[derive(Debug, Default)]
struct Slot {
    waiting: Option<Arrived>,
    spare: Vec<Vec<u8>>,
    /// A picture that came when the stream was over.
    turned_away: Option<Arrived>,
    /// What a pipe begins with, where it has a header.
    header: Vec<u8>,
    /// What was read of a pipe behind its last whole picture when the stream was over.
    rest: Vec<u8>,
    /// How the input ended, for good.
    ended: Option<Result<(), Error>>,
    has_ended: bool,
}

/// What the stream finds.
#[derive(Debug)]
pub enum Next {
    Picture(Arrived),
    /// None has come since the last one.
    Nothing,
    /// None will come.
    Ended,
}

impl Intake {
    /// An empty one, for a stream whose size is its pictures'.
    ///
    /// # Errors
    /// No file descriptor is left.
    pub fn new(keep: Keep) -> Result<Self, Error> {
        Ok(Self {
            keep,
            wanted: Wanted::default(),
            slot: Mutex::default(),
            arrivals: Event::new(false)?,
            room: Event::new(true)?,
            over: Event::new(false)?,
            is_heard: AtomicBool::new(false),
        })
    }

    /// The same for another stream.
    pub fn for_stream(self, wanted: Wanted) -> Self {
        Self { wanted, ..self }
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // For the thread that takes pictures in.

    /// Whether each picture is wanted, not the latest one alone.
    pub fn keeps_every(&self) -> bool {
        self.keep == Keep::Every
    }

    /// Waits until `fd` reports one of `events` or an error, or `timeout` is over; then nothing is reported.
    ///
    /// # Errors
    /// The stream is over.
    pub fn wait(&self, fd: Option<(BorrowedFd<'_>, PollFlags)>, timeout: Option<Duration>) -> Result<PollFlags, Over> {
        let over = PollFd::new(&self.over, PollFlags::IN);
        let (fd, events) = fd.unwrap_or((self.over.as_fd(), PollFlags::empty()));
        let mut fds = [over, PollFd::from_borrowed_fd(fd, events)];
        if poll::wait(&mut fds, timeout) == 0 {
            return Ok(PollFlags::empty());
        }
        if fds[0].revents().is_empty() { Ok(fds[1].revents()) } else { Err(Over) }
    }

    /// The size of a stream that shows pictures of this shape. Asked before any is read: who makes others is turned away.
    ///
    /// # Errors
    /// They cannot be shown.
    pub fn size_for(&self, shape: &Shape) -> Result<Size, Error> {
        size_for(shape.width, shape.height, self.wanted.width, self.wanted.height)
    }

    /// Something has come from the producer, if no whole picture.
    pub fn hear(&self) {
        self.is_heard.store(true, Ordering::Relaxed);
    }

    /// A buffer of so many bytes, which hold anything.
    pub fn buffer(&self, bytes: usize) -> Vec<u8> {
        let mut buffer = self.slot().spare.pop().unwrap_or_default();
        if buffer.len() != bytes {
            // Not grown: what a larger picture needed before goes back to the system.
            buffer = vec![0; bytes];
        }
        buffer
    }

    /// Hands a whole picture over.
    ///
    /// # Errors
    /// The stream is over.
    pub fn offer(&self, picture: Arrived) -> Result<(), Over> {
        if self.keep == Keep::Every {
            loop {
                match self.wait(Some((self.room.as_fd(), PollFlags::IN)), None) {
                    Ok(events) if events.is_empty() => {}
                    Ok(_) => break,
                    Err(over) => {
                        self.slot().turned_away = Some(picture);
                        return Err(over);
                    }
                }
            }
        }
        let mut slot = self.slot();
        let passed_over = slot.waiting.replace(picture);
        if self.keep == Keep::Every {
            self.room.lower();
        }
        self.arrivals.raise();
        if let Some(Arrived { samples, .. }) = passed_over {
            slot.give_back(samples);
        }
        Ok(())
    }

    /// Notes what a pipe's pictures are announced with.
    pub fn note_header(&self, header: Vec<u8>) {
        self.slot().header = header;
    }

    /// Notes what was read of a pipe behind its last whole picture.
    pub fn note_rest(&self, rest: Vec<u8>) {
        self.slot().rest = rest;
    }

    /// No picture comes after this, since the input is at its end, or for an error.
    pub fn end(&self, how: Result<(), Error>) {
        let mut slot = self.slot();
        slot.has_ended = true;
        slot.ended = Some(how);
        self.arrivals.raise();
    }

    // For the stream.

    /// Readable when there is something to take.
    pub fn arrivals(&self) -> BorrowedFd<'_> {
        self.arrivals.as_fd()
    }

    /// What the picture is that waits, with its producer's rate. `None` where none does.
    ///
    /// # Errors
    /// What ended the input, once.
    pub fn peek(&self) -> Result<Option<(Shape, Option<FrameRate>)>, Error> {
        let mut slot = self.slot();
        match &slot.waiting {
            Some(picture) => Ok(Some((picture.shape, picture.frame_rate))),
            None => slot.ended.take().unwrap_or(Ok(())).map(|()| None),
        }
    }

    /// Whether anything has come from the producer.
    pub fn is_heard(&self) -> bool {
        self.is_heard.load(Ordering::Relaxed)
    }

    /// Whether there is nothing to take and never will be.
    pub fn has_ended(&self) -> bool {
        let slot = self.slot();
        slot.has_ended && slot.waiting.is_none()
    }

    /// Takes what is there.
    ///
    /// # Errors
    /// What ended the input, once.
    pub fn take(&self) -> Result<Next, Error> {
        let mut slot = self.slot();
        if let Some(picture) = slot.waiting.take() {
            if !slot.has_ended {
                self.arrivals.lower();
            }
            if self.keep == Keep::Every {
                self.room.raise();
            }
            return Ok(Next::Picture(picture));
        }
        if !slot.has_ended {
            return Ok(Next::Nothing);
        }
        slot.ended.take().unwrap_or(Ok(())).map(|()| Next::Ended)
    }

    /// Everything that was read of a pipe and not shown, once its thread has returned, as the pipe had it: behind `last`,
    /// a picture's samples.
    pub fn unshown(&self, last: Option<&[u8]>) -> Vec<u8> {
        let slot = self.slot();
        let line: &[u8] = if slot.header.is_empty() { b"" } else { b"FRAME\n" };
        let waiting = [&slot.waiting, &slot.turned_away].into_iter().flatten().map(|picture| &*picture.samples);
        let pictures = last.into_iter().chain(waiting).flat_map(|samples| [line, samples]);
        let parts = [&*slot.header].into_iter().chain(pictures).chain([&*slot.rest]);
        parts.collect::<Vec<_>>().concat()
    }

    /// Gives a picture's memory back, to be filled again.
    pub fn give_back(&self, samples: Vec<u8>) {
        self.slot().give_back(samples);
    }

    /// Has the other thread return.
    pub fn close(&self) {
        self.over.raise();
    }
}

impl Slot {
    fn give_back(&mut self, samples: Vec<u8>) {
        if self.spare.len() < SPARE {
            self.spare.push(samples);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{ColorRange, Matrix, PixelFormat};

    fn picture(value: u8) -> Arrived {
        let shape = Shape {
            width: 2,
            height: 2,
            format: PixelFormat::Gray8,
            matrix: Matrix::Bt709,
            range: ColorRange::Limited,
        };
        Arrived {
            samples: vec![value; 4],
            shape,
            is_converted: false,
            frame_rate: None,
            at: Instant::now(),
            ends_at: 0,
        }
    }

    fn value(next: Next) -> u8 {
        let Next::Picture(Arrived { samples, .. }) = next else { panic!("{next:?}") };
        samples[0]
    }

    #[test]
    fn of_a_live_producers_pictures_the_latest_is_kept() {
        let intake = Intake::new(Keep::Latest).unwrap();
        assert!(!poll::is_readable(&intake.arrivals()));
        assert!(matches!(intake.take(), Ok(Next::Nothing)));
        (1..=3).for_each(|at| intake.offer(picture(at)).unwrap());
        assert!(poll::is_readable(&intake.arrivals()));
        assert_eq!(value(intake.take().unwrap()), 3);
        assert!(!poll::is_readable(&intake.arrivals()));
        assert_eq!(intake.buffer(4).len(), 4);
    }

    #[test]
    fn where_every_picture_is_wanted_the_producer_waits() {
        let intake = Intake::new(Keep::Every).unwrap();
        let seen: Vec<u8> = std::thread::scope(|scope| {
            scope.spawn(|| {
                (0..50).for_each(|at| intake.offer(picture(at)).unwrap());
                intake.end(Ok(()));
            });
            std::iter::from_fn(|| {
                loop {
                    poll::wait_for(&intake.arrivals(), PollFlags::IN, None);
                    match intake.take().unwrap() {
                        Next::Nothing => {}
                        Next::Ended => return None,
                        next => return Some(value(next)),
                    }
                }
            })
            .collect()
        });
        assert_eq!(seen, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn the_last_picture_is_taken_before_the_end_and_the_end_lasts() {
        let intake = Intake::new(Keep::Latest).unwrap();
        intake.offer(picture(7)).unwrap();
        intake.end(Err(Error::input("", "cut short", "")));
        assert_eq!(value(intake.take().unwrap()), 7);
        assert!(poll::is_readable(&intake.arrivals()));
        assert_eq!(intake.take().unwrap_err().cause(), "cut short");
        assert!(matches!(intake.take(), Ok(Next::Ended)));
    }

    #[test]
    fn the_end_of_the_stream_ends_every_wait() {
        let intake = Intake::new(Keep::Every).unwrap();
        intake.offer(picture(1)).unwrap();
        intake.close();
        assert_eq!(intake.wait(None, None), Err(Over));
        assert_eq!(intake.offer(picture(2)), Err(Over));
    }
}
