//! Where a stream gets pictures that lie in host memory.

use super::input::{Converter, Onward, is_native};
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

    /// What keeps the first picture away, for people who wait for it.
    fn silence(&self) -> String {
        format!("none has come from {}", self.name())
    }

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

    /// From where another process goes on behind the last picture that was taken, should this one end at any time.
    fn onward(&self) -> Onward {
        Onward::Anew
    }

    /// Takes no more pictures. Returns what was read and not shown, of what nobody can read again. The last picture that was
    /// taken, if there is one, may be owed: it was not shown either.
    fn leave(&mut self, _last: Option<(&HostPicture, bool)>) -> Vec<u8> {
        Vec::new()
    }
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
    /// Whether a picture was written.
    has_some: bool,
    /// `None` where pictures are made as the encoder takes them, in the place where it does.
    converted: Option<Converted>,
}

/// Pictures that are converted, and the place where they are made.
struct Converted {
    samples: Vec<u8>,
    converter: Converter,
}

impl<'a, F: Frames> Pulled<'a, F> {
    /// Of `frames`, from the first one on.
    pub fn new(frames: &'a mut F) -> Self {
        let shape = frames.shape();
        Self { frames, shape, has_some: false, converted: None }
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
        let converter = Converter::new(&self.shape, settings.size)?;
        let convert = || Converted { samples: vec![0; bytes], converter };
        self.converted = (!is_native(&self.shape, settings.size)).then(convert);
        Ok(Some(settings.clone()))
    }

    fn arrivals(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn is_live(&self) -> bool {
        false
    }

    fn fill(&mut self, tick: &Tick, picture: &mut HostPicture) -> Result<Filled, Error> {
        let samples = match &mut self.converted {
            Some(converted) => &mut *converted.samples,
            None => picture.samples_mut(),
        };
        let drawn = match self.frames.fill(tick.index, tick.pts, samples)? {
            Drawn::Unchanged if !self.has_some => Drawn::New,
            drawn => drawn,
        };
        self.has_some = true;
        if let (Drawn::New, Some(Converted { samples, converter })) = (drawn, &mut self.converted) {
            if let Some(planes) = Planes::packed(&self.shape, samples) {
                converter.convert(&planes, picture);
            }
        }
        Ok(drawn.into())
    }

    fn name(&self) -> String {
        "the program's own frames".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{PixelFormat, Size};
    use crate::source::Frames;

    /// Notes where each picture is to be written, and writes its number.
    struct Noted {
        shape: Shape,
        places: Vec<*const u8>,
    }

    impl Frames for Noted {
        fn shape(&self) -> Shape {
            self.shape
        }

        fn fill(&mut self, index: u64, _: Duration, samples: &mut [u8]) -> Result<Drawn, Error> {
            assert!(samples.iter().all(|&sample| u64::from(sample) == index), "the picture before, or zeros");
            samples.fill(index as u8 + 1);
            self.places.push(samples.as_ptr());
            Ok(Drawn::New)
        }
    }

    /// Takes three pictures of a format, and says whether they were made in the encoder's own place.
    fn is_made_in_place(format: PixelFormat, size: Size) -> bool {
        let mut noted = Noted { shape: Shape::new(64, 64, format), places: Vec::new() };
        let mut feed = Pulled::new(&mut noted);
        let settings = Settings { size, ..Settings::default() };
        assert!(feed.settle(&settings).unwrap().is_some());
        let mut picture = HostPicture::new(size);
        for index in 0..3 {
            let tick = Tick { index, pts: Duration::ZERO, delta: Duration::ZERO, skipped: 0 };
            assert_eq!(feed.fill(&tick, &mut picture).unwrap().drawn, Drawn::New);
            assert_eq!(u64::from(picture.planes().0[size.pixels() / 2]), index + 1, "{format:?}");
        }
        let own = picture.samples().as_ptr();
        noted.places.iter().all(|&place| place == own)
    }

    #[test]
    fn what_the_encoder_takes_as_it_is_is_made_where_it_takes_it() {
        let [own, larger] = [64, 128].map(|side| Size::new(side, side).unwrap());
        assert!(is_made_in_place(PixelFormat::Yuv420p, own));
        assert!(!is_made_in_place(PixelFormat::Yuv420p, larger));
        assert!(!is_made_in_place(PixelFormat::Nv12, own));
    }
}
