//! What exists only while somebody watches: what draws, and what encodes.

use super::vitals::Vitals;
use crate::codec::AccessUnit;
use crate::encoder::{Drawing, Encoder, HostPicture, Lost, Missed, Opened, Plan, Readback, check_layout};
use crate::error::Error;
use crate::gl::Gl;
use crate::pacer::Pacer;
use crate::pulse::{Lane, Pulse, Stage};
use crate::settings::Settings;
use crate::source::{Artist, Drawn, Feed, MakeRenderer};
use std::time::Duration;

/// Where a stream gets its pictures.
pub enum Source<'a> {
    /// They are drawn, on the GPU where there is one.
    Drawn(&'a mut dyn MakeRenderer),
    /// They lie in host memory.
    Fed(&'a mut dyn Feed),
}

impl Source<'_> {
    /// Whether pictures are due at the frame rate, and do not come as they like.
    pub fn is_on_grid(&self) -> bool {
        match self {
            Self::Drawn(_) => true,
            Self::Fed(feed) => !feed.is_live(),
        }
    }
}

/// One life of a stream's encoder, and what draws for it. Dropping it releases the GPU.
pub struct Pipeline {
    // First: it lets go of the GPU while the artist's context is still there.
    pub encoder: Encoder,
    /// `None` where pictures lie in host memory.
    pub artist: Option<Artist>,
    /// What is done without that would have been taken.
    pub missed: Option<Missed>,
    /// What opens another encoder like it.
    pub again: Plan,
}

/// What draws while it is not settled on which GPU.
struct Moving<'a> {
    settings: &'a Settings,
    make_renderer: &'a mut dyn MakeRenderer,
    artist: Option<Artist>,
}

impl<'a> Moving<'a> {
    /// With what draws already, if anything does.
    fn start(
        settings: &'a Settings,
        make_renderer: &'a mut dyn MakeRenderer,
        artist: Option<Artist>,
    ) -> Result<Self, Error> {
        let mut this = Self { settings, make_renderer, artist };
        if this.artist.is_none() {
            this.move_to(settings.device)?;
        }
        Ok(this)
    }
}

impl Drawing for Moving<'_> {
    fn gl(&self) -> &Gl {
        self.artist.as_ref().expect("it has moved to where it can draw").gl()
    }

    fn move_to(&mut self, device: Option<u32>) -> Result<(), Error> {
        // A thread has one context.
        self.artist = None;
        let there = Settings { device, ..self.settings.clone() };
        self.artist = Some(Artist::open(&there, &mut |gl, settings| (self.make_renderer)(gl, settings))?);
        Ok(())
    }
}

impl Pipeline {
    /// Opens everything, with the encoder that is planned, and notes what it is.
    pub fn open(settings: &Settings, source: &mut Source<'_>, plan: Plan, vitals: &Vitals) -> Result<Self, Error> {
        Self::beside(None, settings, source, plan, vitals)
    }

    /// Opens what is missing beside what draws, if anything does already.
    pub fn beside(
        artist: Option<Artist>,
        settings: &Settings,
        source: &mut Source<'_>,
        plan: Plan,
        vitals: &Vitals,
    ) -> Result<Self, Error> {
        let _opening = vitals.pulse.during(Lane::Artist, Stage::Opening);
        let mut moving = match source {
            Source::Drawn(make_renderer) => Some(Moving::start(settings, *make_renderer, artist)?),
            Source::Fed(_) => None,
        };
        let drawing = moving.as_mut().map(|moving| moving as &mut dyn Drawing);
        let Opened { encoder, missed, again } = plan.open_with_fallback(drawing, settings)?;
        let mut artist = moving.and_then(|moving| moving.artist);
        artist.iter_mut().for_each(Artist::cool);
        vitals.course.goes_on_with(again);
        let drawn_by = match source {
            Source::Drawn(_) => artist.as_ref().map(|it| it.gl().hardware().renderer.clone()).unwrap_or_default(),
            Source::Fed(feed) => feed.name(),
        };
        vitals.choose(drawn_by, &encoder, missed.as_ref());
        Ok(Self { encoder, artist, missed, again })
    }

    /// Whether a GPU draws or encodes.
    pub fn is_on_gpu(&self) -> bool {
        let hardware = self.artist.as_ref().map(|artist| artist.gl().hardware());
        let draws = hardware.is_some_and(|by| by.is_nvidia() || !by.is_software());
        draws || matches!(self.encoder, Encoder::Nvenc(_))
    }

    /// Draws and encodes the first picture of a stream, to see that it works, and releases the GPU.
    pub fn first_picture(mut self, settings: &Settings, pulse: &Pulse) -> Result<AccessUnit, Error> {
        let unit = self.try_picture(settings, pulse);
        let _releasing = pulse.during(Lane::Artist, Stage::Encoding);
        drop(self);
        unit
    }

    /// As a stream would, it goes on with what there is to go on with.
    fn try_picture(&mut self, settings: &Settings, pulse: &Pulse) -> Result<AccessUnit, Error> {
        let Self { encoder, artist, .. } = self;
        let tick = Pacer::new(settings.frame_rate).next(Duration::ZERO);
        if let Some(artist) = artist {
            if artist.draw(&tick, pulse)? == Drawn::Over {
                return Err(Error::input("no-picture", "the renderer draws nothing", ""));
            }
        }
        let mut unit = AccessUnit::default();
        let _encoding = pulse.during(Lane::Artist, Stage::Encoding);
        // What nothing was drawn for is one colour.
        let mut picture = HostPicture::new(settings.size);
        if let Encoder::Nvenc(nvenc) = encoder {
            let coded = match artist {
                Some(artist) => nvenc.encode(&artist.target, tick.pts, true, &mut unit),
                None => nvenc.encode_host(&picture, true, &mut unit),
            };
            let Err(Lost(why)) = coded.and_then(|()| check_layout(&unit).map_err(Lost)) else { return Ok(unit) };
            tracing::debug!("NVENC encodes no picture: {}", why.cause());
            let plan = Plan::without_nvenc(settings.encoder, why)?;
            *encoder = plan.open_with_fallback(None, settings)?.encoder;
        }
        if let Encoder::Openh264(openh264) = encoder {
            if let Some(artist) = artist {
                Readback::new(artist.gl(), settings.size).fetch(&artist.target, tick.pts, &mut picture);
            }
            openh264.encode(&picture, true, &mut unit)?;
        }
        if let Some(artist) = artist {
            artist.gl().check_lost()?;
        }
        Ok(unit)
    }
}
