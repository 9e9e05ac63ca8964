//! One stream, from its first picture to its last, for one reader.
//!
//! A picture passes each floor once, downwards, and nothing of it comes back up:
//!
//! ```text
//! source    Renderer::draw(Frame)  a texture on the GPU     schedule: whether and when
//!           Feed::fill             planes in host memory    standing: a picture that stays as it is
//!    |
//! encoder   Nvenc | Openh264       AccessUnit               fallback: which of them; recovery: after a loss
//!    |
//! format    AnnexB | Muxer | ...   bytes                    delivery: held back where the format wants it
//!    |
//! sink      Writer                 the reader
//! ```
//!
//! What does come back is one question, before a picture is drawn: has the reader come, gone or stalled? The sink's
//! `Gate` answers it.
//!
//! What needs no reader can be `ready` before there is one. This file starts a stream and goes from one life of its encoder
//! to the next. What happens on which thread is `threads`' matter.

#[cfg(feature = "cli")]
mod appetite;
mod checkpoint;
mod clock;
mod delivery;
mod feeding;
mod losses;
mod opening;
mod outcome;
mod pipeline;
mod precedence;
mod ready;
mod recovery;
mod rehearsal;
mod report;
mod schedule;
mod standing;
mod threads;
mod vitals;
#[cfg(feature = "cli")]
pub(crate) mod watchdog;

pub use crate::pulse::{Lane, Pulse, Stage};
pub use crate::source::MakeRenderer;
pub use crate::stats::{Chosen, Fallback, Snapshot, Stats};
pub(crate) use checkpoint::{Afterwards, Checkpoint};
#[cfg(feature = "cli")]
pub(crate) use clock::since_boot;
pub(crate) use outcome::{Moved, Outcome};
pub(crate) use pipeline::Source;
pub(crate) use ready::Ready;
pub use rehearsal::rehearse;
pub(crate) use rehearsal::{Rehearsed, rehearse_source};
pub use vitals::Vitals;

use crate::control::Control;
use crate::encoder::{Encoder, HostPicture, Lost, Plan};
use crate::error::Error;
use crate::format::{Begin, Format};
use crate::settings::Settings;
use crate::sink::{self, Gate, Output, Writer};
use crate::source::{Frames, Pulled};
use crate::stats::Totals;
use clock::{Clock, End, Time as _};
use delivery::Delivery;
use feeding::Feeding;
use opening::Opening;
use pipeline::Pipeline;
use recovery::{Recovery, Restart};
use report::Report;
use schedule::Schedule;
use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use threads::Ended;

/// After so long without a first picture it is said what it is waited for: longer than a simulator takes to start, and less
/// than the 30 s that go2rtc waits for a first byte.
const SILENCE: Duration = Duration::from_secs(8);

/// Streams until all pictures are written, the reader leaves, or a stop is requested. Returns what was written in all.
///
/// `stats_every` logs a line at that interval, as an event of target `mb_encode::stats`.
///
/// # Errors
/// Whatever keeps the stream from starting or from going on. A reader that leaves is no error.
pub fn run(
    settings: &Settings,
    output: &Output,
    make_renderer: impl MakeRenderer,
    control: &Control,
    stats_every: Option<Duration>,
) -> Result<Totals, Error> {
    run_with(settings, output, make_renderer, control, stats_every, &Vitals::default())
}

/// Streams pictures that lie in host memory, at the frame rate, as [`run`] does those that are drawn. They are scaled to the
/// size in `settings` with their aspect kept.
///
/// # Errors
/// As [`run`].
pub fn run_frames(
    settings: &Settings,
    output: &Output,
    mut frames: impl Frames,
    control: &Control,
    stats_every: Option<Duration>,
) -> Result<Totals, Error> {
    let mut pulled = Pulled::new(&mut frames);
    let source = Source::Fed(&mut pulled);
    run_source(None, settings, output, source, control, stats_every, &Vitals::default()).map(Outcome::totals)
}

/// Streams as [`run`] does. What the stream does is in `vitals` meanwhile, for another thread to read.
///
/// # Errors
/// As [`run`].
pub fn run_with(
    settings: &Settings,
    output: &Output,
    mut make_renderer: impl MakeRenderer,
    control: &Control,
    stats_every: Option<Duration>,
    vitals: &Vitals,
) -> Result<Totals, Error> {
    let source = Source::Drawn(&mut make_renderer);
    run_source(None, settings, output, source, control, stats_every, vitals).map(Outcome::totals)
}

/// Streams as [`run_with`] does, from any source, with what is `ready` for it. Where `vitals` say so, a stream may go on in
/// another process, or goes on from one.
///
/// # Errors
/// As [`run`].
pub(crate) fn run_source(
    ready: Option<Ready>,
    settings: &Settings,
    output: &Output,
    mut source: Source<'_>,
    control: &Control,
    stats_every: Option<Duration>,
    vitals: &Vitals,
) -> Result<Outcome, Error> {
    let (course, from) = (&vitals.course, vitals.course.from());
    let early = match output {
        // The file is touched last: a stream that cannot start leaves the old one alone.
        Output::File(_) => None,
        Output::Stdout | Output::Pipe { .. } => Some(Writer::open(output)?),
    };
    let settings = match settle(&mut source, settings, early.as_ref(), control)? {
        ControlFlow::Continue(settings) => settings,
        ControlFlow::Break(end) => {
            tracing::debug!("stream ended ({end:?}) before its first frame");
            return Ok(Outcome::Over(vitals.stats.totals()));
        }
    };
    let settings = &*settings;
    if from.is_some_and(|from| from.size != (settings.size.width(), settings.size.height())) {
        tracing::info!("the input is of another size by now, so this stream ends; the next one shows it");
        return Ok(Outcome::Over(vitals.stats.totals()));
    }
    let begin = match from.and_then(|from| from.transport) {
        Some(transport) => Begin::Behind(transport),
        // Whoever takes it as it comes may have taken another one before it.
        None if early.is_some() => Begin::At(clock::since_boot()),
        None => Begin::At(Duration::ZERO),
    };
    let format = Format::open(settings, early.is_some() && source.is_on_grid(), begin)?;
    let opening = Opening::new(settings, early.is_some());
    let plan = from.map_or(Plan::at_the_start(settings.encoder), |from| from.plan);
    let mut like_it = plan;
    let opened = match ready {
        Some(ready) => ready.complete(settings, &mut source, plan, vitals),
        None => Pipeline::open(settings, &mut source, plan, vitals),
    };
    // One that goes on has losses behind it, and this is another one.
    let mut opened = if from.is_some() && plan == Plan::Nvenc { opened.map_err(Lost) } else { Ok(opened?) };
    let writer = match (early, from) {
        (Some(writer), _) => writer,
        (None, None) => Writer::open(output)?,
        (None, Some(_)) => Writer::append(output)?,
    };
    writer.note_sent(vitals.stats.totals().bytes);
    from.and_then(|from| from.fallback.clone()).into_iter().for_each(|why| vitals.fell_back(why));

    let meter = writer.meter().map(Arc::new);
    meter.iter().for_each(|meter| vitals.measure(meter));

    if let Source::Fed(feed) = &source {
        course.reads(feed.onward());
    }
    let clock = Clock::of_one_that_ran(course.begin(settings.size), &writer, control);
    let report = Report::new(stats_every);
    let mut schedule = Schedule::new(settings, &clock, &writer, control, vitals, report, opening);
    let mut delivery = Delivery::new(format, &clock, &writer, &writer, control, vitals);
    let recovery = Recovery::new(settings.encoder, &clock, course);
    let mut feeding = None;
    let end = loop {
        let pipeline = match opened {
            Ok(pipeline) => pipeline,
            Err(lost) => {
                let why = Fallback::because_of(&lost.0);
                let again = |plan| Pipeline::open(settings, &mut source, plan, vitals);
                match recovery.start_over(lost, like_it, again)? {
                    Restart::Again(pipeline) => {
                        if like_it == Plan::Nvenc && pipeline.again != Plan::Nvenc {
                            vitals.fell_back(why);
                        }
                        pipeline
                    }
                    Restart::Over(end) => break end,
                    Restart::Elsewhere(why) => {
                        let last = feeding.as_ref().map(Feeding::last);
                        match leave(&mut source, last, why, vitals) {
                            Some(moved) => return Ok(Outcome::Elsewhere(Box::new(moved))),
                            None => break End::Stopped,
                        }
                    }
                }
            }
        };
        let Pipeline { artist, encoder, missed, again } = pipeline;
        like_it = again;
        if let Some(missed) = missed {
            missed.log();
        }
        let (schedule, delivery) = (&mut schedule, &mut delivery);
        let (bitrate, pulse) = (settings.bitrate, &vitals.pulse);
        let ended = match (artist, &mut source) {
            (Some(mut artist), _) => {
                let ended = match encoder {
                    Encoder::Nvenc(nvenc) => {
                        threads::on_gpu(&mut artist, nvenc, bitrate, schedule, delivery, control, pulse)
                    }
                    Encoder::Openh264(openh264) => {
                        threads::on_host(&mut artist, openh264, bitrate, schedule, delivery, control, pulse)
                    }
                };
                // The old one is gone before a new one is opened: a GPU has few sessions. A driver in ruins is not asked
                // for anything any more where the process goes with it.
                match &ended {
                    Ok(Ended::Lost(Lost(why))) if why.is_for_good() && course.may_move() => std::mem::forget(artist),
                    _ => artist.release(pulse),
                }
                ended
            }
            (None, Source::Fed(feed)) => feeding
                .get_or_insert_with(|| Feeding::new(settings, control, vitals))
                .run(*feed, encoder, schedule, delivery),
            (None, Source::Drawn(_)) => unreachable!("what is drawn has an artist"),
        };
        opened = match ended? {
            Ended::Over(end) => break end,
            Ended::Lost(lost) => Err(lost),
        };
    };
    let totals = vitals.stats.totals();
    tracing::debug!("stream ended ({end:?}): {totals}");
    Ok(Outcome::Over(totals))
}

/// What another process goes on with, after `why`. `None` where a hang has been seen, and whoever has seen it ends this one.
fn leave(source: &mut Source<'_>, last: Option<(&HostPicture, bool)>, why: Error, vitals: &Vitals) -> Option<Moved> {
    let unshown = if let Source::Fed(feed) = source { feed.leave(last) } else { Vec::new() };
    let checkpoint = vitals.course.leave(vitals.stats.snapshot()).ok()??;
    Some(Moved { checkpoint, why, unshown })
}

/// Waits for what a stream's first picture makes of its settings; a picture that is drawn makes nothing of them. Returns
/// the end that comes before.
fn settle<'s>(
    source: &mut Source<'_>,
    settings: &'s Settings,
    writer: Option<&Writer>,
    control: &Control,
) -> Result<ControlFlow<End, Cow<'s, Settings>>, Error> {
    let Source::Fed(feed) = source else { return Ok(ControlFlow::Continue(Cow::Borrowed(settings))) };
    let gate: &dyn Gate = writer.map_or(&sink::Nobody, |writer| writer);
    let clock = Clock::start(gate, control);
    let mut said = String::new();
    loop {
        if let Some(settled) = feed.settle(settings)? {
            return Ok(ControlFlow::Continue(Cow::Owned(settled)));
        }
        let Some(arrivals) = feed.arrivals() else { continue };
        match clock.wait_for(arrivals, clock.now() + SILENCE) {
            Ok(true) => {}
            Ok(false) => {
                // Another one, where something has come meanwhile.
                let silence = feed.silence();
                if silence != said {
                    tracing::warn!("still waiting for frames: {silence} [input-silent]");
                    said = silence;
                }
            }
            Err(end) => return Ok(ControlFlow::Break(end)),
        }
    }
}

/// Logs that a FIFO's reader left, with what it was sent.
pub fn log_disconnected(reader: u64, totals: &Totals, connected: Duration) {
    tracing::info!(
        reader,
        frames = totals.pictures,
        bytes = totals.bytes,
        skipped = totals.skipped(),
        seconds = (connected.as_secs_f64() * 10.0).round() / 10.0,
        "reader disconnected"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gl::Gl;
    use crate::settings::{EncoderChoice, PixelFormat, Shape, Size};
    use crate::source::{Bar, Drawn, Frame, Renderer};
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn a_stream_can_be_watched_from_another_thread() {
        let settings = Settings {
            size: Size::new(64, 64).unwrap(),
            frame_rate: "240".parse().unwrap(),
            encoder: EncoderChoice::Openh264,
            ..Settings::default()
        };
        let make = |gl: &Gl, settings: &Settings| Ok(Box::new(Bar::new(gl, settings.size)?) as Box<dyn Renderer>);
        let (vitals, control) = (Vitals::default(), Control::new().unwrap());
        assert_eq!(vitals.chosen(), None);
        let output = Output::File("/dev/null".into());
        let totals = std::thread::scope(|scope| {
            let stream = scope.spawn(|| run_with(&settings, &output, make, &control, None, &vitals));
            while vitals.stats.totals().pictures < 3 && !stream.is_finished() {
                std::thread::sleep(Duration::from_millis(1));
            }
            let first = vitals.stats.snapshot();
            assert!(first.encode_time(0.5) > Duration::ZERO && first.totals.bytes > 0, "{first:?}");
            let chosen = vitals.chosen().expect("it streams");
            assert_eq!((chosen.encoder.as_str(), chosen.gpu.as_ref()), ("OpenH264", None));
            assert_ne!(chosen.renderer, "");
            control.request_stop();
            stream.join().unwrap().unwrap()
        });
        assert_eq!(vitals.stats.totals(), totals);
        assert_eq!(vitals.pulse.longest().0, Stage::Idle, "at the end");
    }

    /// Draws one picture, and then says that there is no other one, until there is nothing at all.
    struct Still<'a> {
        drawn: &'a AtomicU64,
        looks: u64,
    }

    impl Renderer for Still<'_> {
        fn draw(&mut self, frame: &Frame<'_>) -> Result<(), Error> {
            frame.target.clear([0.2, 0.4, 0.6]);
            self.drawn.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }

        fn look(&mut self, _: &Frame<'_>) -> Drawn {
            self.looks += 1;
            if self.looks <= 40 { Drawn::Unchanged } else { Drawn::Over }
        }
    }

    impl Frames for Still<'_> {
        fn shape(&self) -> Shape {
            Shape::new(64, 64, PixelFormat::Gray8)
        }

        fn fill(&mut self, index: u64, _: Duration, samples: &mut [u8]) -> Result<Drawn, Error> {
            self.looks += 1;
            assert_eq!(index, self.looks - 1);
            if self.looks == 1 {
                samples.fill(99);
                self.drawn.fetch_add(1, Ordering::Relaxed);
            }
            Ok(if self.looks <= 40 { Drawn::Unchanged } else { Drawn::Over })
        }
    }

    #[test]
    fn a_picture_that_stands_still_is_drawn_once_and_sent_now_and_then() {
        // 40 pictures are two seconds.
        let settings = Settings {
            size: Size::new(64, 64).unwrap(),
            frame_rate: "20".parse().unwrap(),
            encoder: EncoderChoice::Openh264,
            paced: false,
            ..Settings::default()
        };
        let (output, control) = (Output::File("/dev/null".into()), Control::new().unwrap());
        let drawn = AtomicU64::new(0);
        // One at the start, and then one each 100 ms from 200 ms on.
        let expected = 1 + (2000 - 200) / 100;
        let counted = run_frames(&settings, &output, Still { drawn: &drawn, looks: 0 }, &control, None).unwrap();
        assert_eq!((drawn.swap(0, Ordering::Relaxed), counted.pictures), (1, expected));

        let seen = &*Box::leak(Box::new(AtomicU64::new(0)));
        let make = |_: &Gl, _: &Settings| Ok(Box::new(Still { drawn: seen, looks: 0 }) as Box<dyn Renderer>);
        let counted = run(&settings, &output, make, &control, None).unwrap();
        assert_eq!((seen.load(Ordering::Relaxed), counted.pictures), (1, expected));
    }

    #[test]
    fn a_stream_that_fails_rests_as_well() {
        let vitals = Vitals::default();
        let settings = Settings { encoder: EncoderChoice::Openh264, ..Settings::default() };
        let fails = |_: &Gl, _: &Settings| Err(crate::Error::input("", "no renderer", ""));
        assert_eq!(rehearse(&settings, fails, &vitals).unwrap_err().cause(), "no renderer");
        assert_eq!((vitals.pulse.longest().0, vitals.chosen()), (Stage::Idle, None));
    }
}
