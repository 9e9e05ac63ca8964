//! Pictures that other programs make: read on a thread of their own, brought to the stream's size and colours, and shown
//! as they come.

mod chroma;
mod convert;
mod correction;
mod fit;
#[cfg(all(fuzzing, feature = "cli"))]
pub mod fuzz;
mod intake;
mod onward;
mod pipe;
mod producers;
mod rgb;
mod scale;
mod unixfd;
mod y4m;

pub use convert::{Converter, is_native};
pub use fit::size_for;
pub use intake::{Arrived, Intake, Keep, Next};
pub use onward::Onward;
pub use pipe::Form;
pub use producers::{Comers, Command, Fifo, Once, Producer};
pub use unixfd::UnixFd;

use super::feed::{Feed, Filled};
use super::{Drawn, Planes};
use crate::encoder::HostPicture;
use crate::error::Error;
use crate::os::threads;
use crate::pacer::Tick;
use crate::settings::{FrameRate, Named as _, Settings, Shape, Size};
use rustix::fd::BorrowedFd;
use std::sync::Arc;
use std::thread::JoinHandle;

/// What the stream is to be, whatever its pictures are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub width: Option<u32>,
    pub height: Option<u32>,
    /// The most pictures per second.
    pub frame_rate: Option<FrameRate>,
}

/// Takes pictures in for as long as it lives. Dropping it ends the thread, and with it whatever the producer holds open:
/// that is how a producer learns that nobody watches.
pub struct Input {
    intake: Arc<Intake>,
    thread: Option<JoinHandle<()>>,
    is_live: bool,
    name: String,
    wanted: Wanted,
    size: Option<Size>,
    /// For pictures of this shape.
    converter: Option<(Shape, Converter)>,
    /// The last picture as it came, where it had to be converted.
    last: Option<(Shape, Vec<u8>)>,
    shown: bool,
    /// From where another process would go on behind the last picture that was taken.
    onward: Onward,
}

impl Input {
    /// Starts taking pictures in.
    ///
    /// # Errors
    /// No thread or descriptor is left.
    pub fn start(mut producer: Box<dyn Producer>, keep: Keep, wanted: Wanted) -> Result<Self, Error> {
        let intake = Arc::new(Intake::new(keep)?.for_stream(wanted));
        let (name, onward) = (producer.name(), producer.onward());
        let thread = {
            let intake = intake.clone();
            let run = move || {
                let ended = producer.run(&intake);
                // What it holds open goes before the end is told.
                drop(producer);
                intake.end(ended);
            };
            // A producer may share what a driver has to read.
            threads::deep("input").spawn(run).map_err(threads::cannot_start)?
        };
        Ok(Self {
            intake,
            thread: Some(thread),
            is_live: keep == Keep::Latest,
            name,
            wanted,
            size: None,
            converter: None,
            last: None,
            shown: false,
            onward,
        })
    }

    /// Brings a picture to the stream's size and colours. Of a live producer, one that is shown already is no new one.
    fn show(&mut self, arrived: Arrived, picture: &mut HostPicture) -> Result<Drawn, Error> {
        let Arrived { samples, shape, is_converted, .. } = arrived;
        let size = picture.size();
        if is_converted || is_native(&shape, size) {
            let is_same = self.is_live && self.shown && self.last.is_none() && samples == picture.samples();
            self.intake.give_back(if is_same { samples } else { picture.exchange(samples) });
            if let Some((_, last)) = self.last.take() {
                self.intake.give_back(last);
            }
            return Ok(if is_same { Drawn::Unchanged } else { Drawn::New });
        }
        if self.is_live && self.last.as_ref().is_some_and(|(of, last)| *of == shape && *last == samples) {
            self.intake.give_back(samples);
            return Ok(Drawn::Unchanged);
        }
        if self.converter.as_ref().is_none_or(|(made_for, _)| *made_for != shape) {
            self.converter = Some((shape, Converter::new(&shape, size)?));
        }
        if let (Some((_, converter)), Some(planes)) = (&mut self.converter, Planes::packed(&shape, &samples)) {
            converter.convert(&planes, picture);
        }
        // Kept to be compared with the next one.
        if let Some((_, last)) = self.last.replace((shape, samples)) {
            self.intake.give_back(last);
        }
        Ok(Drawn::New)
    }
}

impl Feed for Input {
    fn settle(&mut self, settings: &Settings) -> Result<Option<Settings>, Error> {
        let Some((shape, frame_rate)) = self.intake.peek()? else {
            return match self.intake.has_ended() {
                true => Err(Error::input("input-empty", format!("{} ended before its first frame", self.name), "")),
                false => Ok(None),
            };
        };
        let Shape { width, height, format, .. } = shape;
        let size = self.intake.size_for(&shape)?;
        let frame_rate = self.wanted.frame_rate.or(frame_rate).unwrap_or(settings.frame_rate);
        tracing::info!("{}: {width}x{height} {}, shown as {size} at up to {frame_rate} fps", self.name, format.name());
        self.size = Some(size);
        Ok(Some(Settings { size, frame_rate, ..settings.clone() }))
    }

    fn silence(&self) -> String {
        match self.intake.is_heard() {
            true => format!("{} has sent none that is whole; see what the program that makes them says", self.name),
            false => {
                format!("nothing has come from {}; start the program that makes them, or see what it says", self.name)
            }
        }
    }

    fn arrivals(&self) -> Option<BorrowedFd<'_>> {
        Some(self.intake.arrivals())
    }

    fn is_live(&self) -> bool {
        self.is_live
    }

    fn fill(&mut self, _: &Tick, picture: &mut HostPicture) -> Result<Filled, Error> {
        let arrived = match self.intake.take()? {
            Next::Picture(arrived) => arrived,
            Next::Nothing => return Ok(Drawn::Unchanged.into()),
            Next::Ended => return Ok(Drawn::Over.into()),
        };
        let Arrived { shape, at, ends_at, .. } = arrived;
        let size = self.intake.size_for(&shape).ok();
        if size != self.size {
            tracing::info!(
                "the input has changed to {}x{}, so this stream ends; the next one shows it",
                shape.width,
                shape.height
            );
            return Ok(Drawn::Over.into());
        }
        let drawn = self.show(arrived, picture)?;
        self.shown = true;
        if let Onward::Byte(byte) = &mut self.onward {
            *byte = ends_at;
        }
        Ok(Filled { drawn, age: at.elapsed() })
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn onward(&self) -> Onward {
        self.onward
    }

    fn leave(&mut self, last: Option<(&HostPicture, bool)>) -> Vec<u8> {
        if self.onward != Onward::Lost {
            return Vec::new();
        }
        self.end();
        // Who shows the latest begins with a picture, whether or not it was shown: none may come for a while.
        let last = last.filter(|&(_, owed)| owed || self.is_live);
        let samples = last.map(|(picture, _)| self.last.as_ref().map_or(picture.samples(), |(_, samples)| samples));
        self.intake.unshown(samples)
    }
}

impl Input {
    /// Has the thread return. It waits for nothing but what the intake ends.
    fn end(&mut self) {
        self.intake.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.end();
    }
}
