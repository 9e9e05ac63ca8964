//! Where a stream gets pictures that lie in host memory.

use super::input::Converter;
use super::{Drawn, Frames, Planes};
use crate::encoder::HostPicture;
use crate::error::Error;
use crate::pacer::Tick;
use crate::settings::{Settings, Shape};
use rustix::fd::BorrowedFd;
use std::time::Duration;

/// Fills pictures for the encoder.
pub trait Feed {
    /// The settings of a stream of these pictures, which `settings` are for so far. `None` until the first one is there.
    ///
    /// # Errors
    /// None will come, or they cannot be shown.
    fn settle(&mut self, settings: &Settings) -> Result<Option<Settings>, Error>;

    /// Readable when there is something to take. `None` where pictures are made when they are asked for.
    fn arrivals(&self) -> Option<BorrowedFd<'_>>;

    /// Whether pictures are shown as they come, rather than when they are due.
    fn is_live(&self) -> bool;

    /// Takes a picture, if there is a new one. `picture` holds the last one until then.
    ///
    /// # Errors
    /// Its source's.
    fn fill(&mut self, tick: &Tick, picture: &mut HostPicture) -> Result<Filled, Error>;

    /// What makes the pictures, as people know it.
    fn name(&self) -> String;
}

/// What was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filled {
    pub drawn: Drawn,
    /// How long ago it was there.
    pub age: Duration,
}

impl From<Drawn> for Filled {
    fn from(drawn: Drawn) -> Self {
        Self { drawn, age: Duration::ZERO }
    }
}

/// Pictures that nobody has made yet, for a stream that is only tried.
pub struct Absent;

impl Feed for Absent {
    fn settle(&mut self, settings: &Settings) -> Result<Option<Settings>, Error> {
        Ok(Some(settings.clone()))
    }

    fn arrivals(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn is_live(&self) -> bool {
        false
    }

    fn fill(&mut self, _: &Tick, _: &mut HostPicture) -> Result<Filled, Error> {
        Ok(Drawn::Over.into())
    }

    fn name(&self) -> String {
        "nothing yet".to_owned()
    }
}

/// Pictures that this program's own code makes when it is asked for them.
pub struct Pulled<'a, F> {
    frames: &'a mut F,
    shape: Shape,
    samples: Vec<u8>,
    /// Whether a picture was written into `samples`.
    has_some: bool,
    converter: Option<Converter>,
}

impl<'a, F: Frames> Pulled<'a, F> {
    /// Of `frames`, from the first one on.
    pub fn new(frames: &'a mut F) -> Self {
        let shape = frames.shape();
        Self { frames, shape, samples: Vec::new(), has_some: false, converter: None }
    }
}

impl<F: Frames> Feed for Pulled<'_, F> {
    fn settle(&mut self, settings: &Settings) -> Result<Option<Settings>, Error> {
        let bytes = self.shape.bytes().ok_or_else(|| {
            Error::input(
                "frames-size",
                format!("frames of {}x{} are too large", self.shape.width, self.shape.height),
                "",
            )
        })?;
        self.samples = vec![0; bytes];
        self.converter = Some(Converter::new(&self.shape, settings.size)?);
        Ok(Some(settings.clone()))
    }

    fn arrivals(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn is_live(&self) -> bool {
        false
    }

    fn fill(&mut self, tick: &Tick, picture: &mut HostPicture) -> Result<Filled, Error> {
        let drawn = match self.frames.fill(tick.index, tick.pts, &mut self.samples)? {
            Drawn::Unchanged if !self.has_some => Drawn::New,
            drawn => drawn,
        };
        self.has_some = true;
        if let (Drawn::New, Some(converter), Some(planes)) =
            (drawn, &mut self.converter, Planes::packed(&self.shape, &self.samples))
        {
            converter.convert(&planes, picture);
        }
        Ok(drawn.into())
    }

    fn name(&self) -> String {
        "the program's own frames".to_owned()
    }
}
