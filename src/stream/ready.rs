//! What of a stream can be there before its reader: everything but the encoder, of which a GPU has few.

use super::pipeline::{Pipeline, Source};
use super::vitals::Vitals;
use crate::encoder::{Missed, Plan, Prepared, may_have_aged};
use crate::error::Error;
use crate::pacer::Pacer;
use crate::pulse::{Lane, Stage};
use crate::settings::Settings;
use crate::source::Artist;
use std::time::Duration;

/// It belongs to the thread that opened it. Dropping it releases the GPU.
pub struct Ready {
    /// `None` where pictures lie in host memory.
    artist: Option<Artist>,
    encoder: Option<Prepared>,
}

impl Ready {
    /// Opens what a stream with these settings opens before its encoder, and draws a picture for nobody.
    ///
    /// # Errors
    /// As of a stream that starts.
    pub fn open(settings: &Settings, source: &mut Source<'_>, vitals: &Vitals) -> Result<Self, Error> {
        let opening = vitals.pulse.during(Lane::Artist, Stage::Opening);
        let Source::Drawn(make_renderer) = source else {
            let encoder = Plan::at_the_start(settings.encoder).prepare_for_host(settings);
            encoder.shrink();
            return Ok(Self { artist: None, encoder: Some(encoder) });
        };
        let mut artist = Artist::open(settings, &mut |gl, settings| make_renderer(gl, settings))?;
        drop(opening);
        artist.try_first(&Pacer::new(settings.frame_rate).next(Duration::ZERO), &vitals.pulse)?;
        artist.shrink();
        Ok(Self { artist: Some(artist), encoder: None })
    }

    /// Makes what draws anew, where what it was made of has changed.
    ///
    /// # Errors
    /// The renderer's own.
    pub fn remake(&mut self, settings: &Settings, source: &mut Source<'_>, vitals: &Vitals) -> Result<(), Error> {
        let _opening = vitals.pulse.during(Lane::Artist, Stage::Opening);
        match (&mut self.artist, source) {
            (Some(artist), Source::Drawn(make_renderer)) => {
                artist.remake(settings, &mut |gl, settings| make_renderer(gl, settings))
            }
            _ => Ok(()),
        }
    }
    /// Opens the encoder beside it. Where NVENC is not to be had so, which may have been lost since, everything is opened
    /// afresh.
    ///
    /// # Errors
    /// As of a stream that starts.
    pub fn complete(
        self,
        settings: &Settings,
        source: &mut Source<'_>,
        plan: Plan,
        vitals: &Vitals,
    ) -> Result<Pipeline, Error> {
        let why = match Pipeline::beside(self.artist, settings, source, plan, vitals) {
            Ok(Pipeline { missed: Some(Missed::Nvenc(why)), .. }) if may_have_aged(&why) => why,
            Err(why) => why,
            opened => return opened,
        };
        tracing::debug!("what was ready is of no use: {}", why.cause());
        drop(self.encoder);
        Pipeline::open(settings, source, plan, vitals)
    }
}
