//! A stream's first picture, for nobody: what would keep a stream from starting is known before somebody waits for it.

use super::pipeline::{Pipeline, Source};
use super::vitals::Vitals;
use crate::control::Control;
use crate::encoder::{Missed, Plan, is_lasting};
use crate::error::Error;
use crate::format::{Begin, Format};
use crate::settings::Settings;
use crate::source::MakeRenderer;
use std::time::{Duration, Instant};

/// Draws, encodes and lays out one picture, and throws it away: everything that a stream needs is there and works.
///
/// # Errors
/// What would keep a stream with these settings from starting.
pub fn rehearse(settings: &Settings, mut make_renderer: impl MakeRenderer, vitals: &Vitals) -> Result<(), Error> {
    rehearse_source(settings, Source::Drawn(&mut make_renderer), vitals).map(drop)
}

/// What a rehearsal has shown.
pub(crate) struct Rehearsed {
    /// How long it took to open everything.
    pub opening: Duration,
    /// Whether a GPU draws or encodes.
    pub on_gpu: bool,
    /// Whether there is no NVENC where it would have been taken, and that stays so: see [`is_lasting`].
    pub without_nvenc: bool,
}

/// Rehearses from any source. Pictures that lie in host memory are not waited for: one colour stands for them.
///
/// # Errors
/// As [`rehearse`].
pub(crate) fn rehearse_source(
    settings: &Settings,
    mut source: Source<'_>,
    vitals: &Vitals,
) -> Result<Rehearsed, Error> {
    let mut format = Format::open(settings, false, Begin::At(Duration::ZERO))?;
    let began = Instant::now();
    let pipeline = Pipeline::open(settings, &mut source, Plan::at_the_start(settings.encoder), vitals)?;
    let rehearsed = Rehearsed {
        opening: began.elapsed(),
        on_gpu: pipeline.is_on_gpu(),
        without_nvenc: matches!(&pipeline.missed, Some(Missed::Nvenc(why)) if is_lasting(why)),
    };
    let unit = pipeline.first_picture(settings, &vitals.pulse)?;
    // With nobody who leaves or stops it, there is no other outcome than an error.
    let _ = format.lay_out(&unit, None, &Control::new()?)?;
    Ok(rehearsed)
}
