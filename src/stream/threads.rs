//! The loops over pictures: what is done in which order, and on which thread.
//!
//! The thread that runs a stream owns GL, CUDA and NVENC. Encoding on the CPU has a thread of its own, so that one
//! picture is drawn while the one before is encoded.

use super::clock::End;
use super::delivery::Delivery;
use super::precedence::Precedence;
use super::schedule::Schedule;
use super::standing::Standing;
use crate::codec::AccessUnit;
use crate::control::Control;
use crate::encoder::{HostPicture, Lost, Nvenc, Openh264, Readback, check_layout};
use crate::error::Error;
use crate::os::threads;
use crate::pacer::Tick;
use crate::pulse::{Lane, Pulse, Stage};
use crate::settings::Bitrate;
use crate::source::{Artist, Drawn};
use crate::stats::STAGE;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, Instant};
use tracing::trace_span;

/// How one life of an encoder ended.
pub enum Ended {
    /// With the stream.
    Over(End),
    /// With a picture that it failed on. Another one may do better.
    Lost(Lost),
}

/// Draws, encodes and writes on one thread: the GPU does the work, and its objects belong to that thread.
pub fn on_gpu(
    artist: &mut Artist,
    mut nvenc: Box<Nvenc>,
    bitrate: Bitrate,
    schedule: &mut Schedule<'_>,
    delivery: &mut Delivery<'_>,
    control: &Control,
    pulse: &Pulse,
) -> Result<Ended, Error> {
    let mut unit = AccessUnit::with_room_for(artist.target.size());
    let mut standing = Standing::new(bitrate);
    let ended = loop {
        let tick = match schedule.next() {
            Ok(tick) => tick,
            Err(end) => break Ok(Ended::Over(end)),
        };
        let drawn = match artist.draw(&tick, pulse) {
            Ok(Drawn::Over) => break Ok(Ended::Over(End::Done)),
            Ok(drawn) => drawn,
            Err(error) => break Err(error),
        };
        let begun = Instant::now();
        let mut encode = |idr, unit: &mut _| {
            if nvenc.reads_back() {
                let _reading = pulse.during(Lane::Artist, Stage::Reading);
                nvenc.read_back(&artist.target, tick.pts);
            }
            let _encoding = pulse.during(Lane::Artist, Stage::Encoding);
            // A picture that breaks streams is as good as none.
            nvenc.encode(&artist.target, tick.pts, idr, unit).and_then(|()| check_layout(unit).map_err(Lost))
        };
        let coded = match drawn {
            Drawn::New => {
                let idr = control.take_idr_request() | standing.needs_idr();
                standing.moved(tick.pts);
                encode(idr, &mut unit).map(|()| Some(&unit))
            }
            _ if tick.pts < standing.due() => Ok(None),
            _ => standing.send(tick.pts, encode).map(Some),
        };
        let encode_time = begun.elapsed();
        // What a lost context drew is black, and the encoder takes it for a picture.
        let coded = coded.and_then(|unit| artist.gl().check_lost().map(|()| unit).map_err(Lost));
        // A picture that was lost with its encoder is drawn again.
        let unit = match coded {
            Ok(unit) => unit,
            Err(lost) => break Ok(Ended::Lost(lost)),
        };
        schedule.drew(&tick);
        let Some(unit) = unit else { continue };
        match delivery.deliver(unit, encode_time) {
            Ok(None) => {}
            Ok(Some(end)) => break Ok(Ended::Over(end)),
            Err(error) => break Err(error),
        }
    };
    let _releasing = pulse.during(Lane::Artist, Stage::Encoding);
    match &ended {
        // There is nobody to take anything back.
        Ok(Ended::Lost(Lost(why))) if why.is_for_good() => std::mem::forget(nvenc),
        _ => drop(nvenc),
    }
    ended
}

/// Pictures between drawing and encoding in real time: one being encoded, one being drawn. Another one would add delay.
const IN_FLIGHT: usize = 2;
/// The same where pictures are not held to real time: another one waits, so that the coder never does.
const IN_FLIGHT_UNPACED: usize = 3;

enum Job {
    /// Encode this picture.
    New { picture: HostPicture, force_idr: bool },
    /// The last one is shown at this time as well.
    Unchanged(Duration),
}

/// Draws on this thread, encodes and writes on another.
pub fn on_host(
    artist: &mut Artist,
    mut openh264: Box<Openh264>,
    bitrate: Bitrate,
    schedule: &mut Schedule<'_>,
    delivery: &mut Delivery<'_>,
    control: &Control,
    pulse: &Pulse,
) -> Result<Ended, Error> {
    let size = artist.target.size();
    let in_flight = if schedule.is_paced() { IN_FLIGHT } else { IN_FLIGHT_UNPACED };
    let (to_coder, drawn) = sync_channel::<Job>(in_flight);
    let (to_artist, free) = sync_channel(in_flight);
    // A thread that waits for the first time takes memory for that: now, and not in the middle of a stream.
    let _ = free.recv_timeout(Duration::from_micros(1));
    let code = move || -> Result<End, Error> {
        // The first picture is drawn meanwhile, which takes longer. The system gives it memory when that is written to.
        let mut first = HostPicture::new(size);
        first.samples_mut().fill(0);
        let others = (1..in_flight).map(|_| HostPicture::new(size));
        for picture in std::iter::once(first).chain(others) {
            // The channel has room for all of them.
            let _ = to_artist.try_send(picture);
        }
        openh264.warm_up()?;
        let mut unit = AccessUnit::with_room_for(size);
        let mut standing = Standing::new(bitrate);
        let mut encode = |picture: &HostPicture, idr, unit: &mut _| {
            let _encoding = pulse.during(Lane::Coder, Stage::Encoding);
            trace_span!(target: STAGE, "encode").in_scope(|| openh264.encode(picture, idr, unit))?;
            check_layout(unit)
        };
        // The picture that is shown.
        let mut shown: Option<HostPicture> = None;
        while let Ok(job) = drawn.recv() {
            let begun = Instant::now();
            let unit = match job {
                Job::New { picture, force_idr } => {
                    if let Some(old) = shown.take() {
                        // Nobody to take it back: the drawing has ended.
                        let _ = to_artist.try_send(old);
                    }
                    let picture = shown.insert(picture);
                    encode(picture, force_idr | standing.needs_idr(), &mut unit)?;
                    standing.moved(picture.pts());
                    &unit
                }
                Job::Unchanged(pts) => match &mut shown {
                    Some(picture) if pts >= standing.due() => {
                        picture.show_at(pts);
                        standing.send(pts, |idr, unit| encode(picture, idr, unit))?
                    }
                    _ => continue,
                },
            };
            if let Some(end) = delivery.deliver(unit, begun.elapsed())? {
                return Ok(end);
            }
        }
        Ok(End::Done)
    };
    std::thread::scope(|scope| {
        let coder = std::thread::Builder::new()
            .name("encode".to_owned())
            .spawn_scoped(scope, code)
            .map_err(threads::cannot_start)?;
        // Dropping the sender, which the drawing owns, ends the coder after the pictures at hand.
        let drawing = Drawing::new(artist, schedule, to_coder, &free, control, pulse).run();
        let coding = coder.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // What the coder met is why the drawing ended.
        match (coding?, drawing?) {
            (End::Done, drawing) => Ok(drawing),
            (end, _) => Ok(Ended::Over(end)),
        }
    })
}

/// One of the pictures that were drawn.
#[derive(Clone, Copy)]
enum Which {
    Last,
    /// The one before the last.
    Before,
}

/// Draws until the end, or until the GPU is lost, or until the coder has ended and takes no more; then that is the end.
struct Drawing<'a, 'b> {
    artist: &'a mut Artist,
    schedule: &'a mut Schedule<'b>,
    to_coder: SyncSender<Job>,
    free: &'a Receiver<HostPicture>,
    control: &'a Control,
    pulse: &'a Pulse,
    readback: Readback,
    precedence: Precedence,
    /// One that nothing was drawn for.
    spare: Option<HostPicture>,
    has_begun: bool,
}

impl<'a, 'b> Drawing<'a, 'b> {
    fn new(
        artist: &'a mut Artist,
        schedule: &'a mut Schedule<'b>,
        to_coder: SyncSender<Job>,
        free: &'a Receiver<HostPicture>,
        control: &'a Control,
        pulse: &'a Pulse,
    ) -> Self {
        let readback = Readback::new(artist.gl(), artist.target.size());
        let names = if schedule.is_paced() { None } else { artist.gl().hardware().threads() };
        let precedence = Precedence::over(names);
        Self { artist, schedule, to_coder, free, control, pulse, readback, precedence, spare: None, has_begun: false }
    }

    fn run(mut self) -> Result<Ended, Error> {
        // In real time the next picture is not due before the last one is to be seen.
        let may_be_ahead = !self.schedule.is_paced();
        // One that is drawn and not read yet.
        let mut unread = None;
        loop {
            let tick = match self.schedule.next_behind(unread.as_ref()) {
                Ok(tick) => tick,
                Err(end) => return self.finish(unread.as_ref(), Ended::Over(end)),
            };
            // In real time a picture is not drawn that would wait for the coder, but for the first one, which it waits for.
            if self.spare.is_none() && self.schedule.is_paced() && self.has_begun {
                match self.free.try_recv() {
                    Ok(picture) => self.spare = Some(picture),
                    Err(TryRecvError::Disconnected) => return Ok(Ended::Over(End::Done)),
                    Err(TryRecvError::Empty) => {
                        self.schedule.too_late();
                        continue;
                    }
                }
            }
            // A reader has the first picture sooner without.
            let is_ahead = may_be_ahead && self.has_begun && self.artist.begin_ahead()?;
            let drawn =
                if is_ahead { self.artist.draw_ahead(&tick, self.pulse) } else { self.artist.draw(&tick, self.pulse) };
            let handed_over = match drawn {
                Ok(Drawn::New) if is_ahead => {
                    unread.replace(tick).map_or(Ok(()), |before| self.hand_over(&before, Which::Before))
                }
                Ok(Drawn::New) => self.hand_over(&tick, Which::Last),
                Ok(Drawn::Unchanged) => {
                    let read = unread.take().map_or(Ok(()), |last| self.hand_over(&last, Which::Last));
                    read.and_then(|()| {
                        self.schedule.drew(&tick);
                        self.send(Job::Unchanged(tick.pts))
                    })
                }
                Ok(Drawn::Over) => return self.finish(unread.as_ref(), Ended::Over(End::Done)),
                Err(error) => return self.finish(unread.as_ref(), Ended::Over(End::Done)).and(Err(error)),
            };
            if let Err(ended) = handed_over {
                return Ok(ended);
            }
        }
    }

    /// Hands over what is drawn, if anything is, and ends.
    fn finish(&mut self, unread: Option<&Tick>, ended: Ended) -> Result<Ended, Error> {
        let read = unread.map_or(Ok(()), |last| self.hand_over(last, Which::Last));
        Ok(read.err().unwrap_or(ended))
    }

    /// Reads the picture of `tick` back and gives it to the coder.
    ///
    /// # Errors
    /// That ends the drawing.
    fn hand_over(&mut self, tick: &Tick, which: Which) -> Result<(), Ended> {
        let at_hand = self.spare.take().or_else(|| self.free.try_recv().ok());
        self.precedence.drew(at_hand.is_none());
        let waited_for = || {
            // It is drawn meanwhile.
            self.artist.gl().flush();
            self.free.recv().ok()
        };
        let mut picture = at_hand.or_else(waited_for).ok_or(Ended::Over(End::Done))?;
        let reading = self.pulse.during(Lane::Artist, Stage::Reading);
        let target = match which {
            Which::Last => &self.artist.target,
            Which::Before => self.artist.before(),
        };
        trace_span!(target: STAGE, "read").in_scope(|| self.readback.fetch(target, tick.pts, &mut picture));
        drop(reading);
        // A picture that may be black is drawn again.
        self.artist.gl().check_lost().map_err(|lost| Ended::Lost(Lost(lost)))?;
        self.schedule.drew(tick);
        self.send(Job::New { picture, force_idr: self.control.take_idr_request() })?;
        if !self.has_begun {
            // While the first one is encoded, which its reader waits for.
            self.artist.settle();
            self.has_begun = true;
        }
        Ok(())
    }

    fn send(&self, job: Job) -> Result<(), Ended> {
        self.to_coder.send(job).map_err(|_| Ended::Over(End::Done))
    }
}

#[cfg(test)]
mod tests {
    use crate::gl::Gl;
    use crate::settings::{EncoderChoice, Size};
    use crate::source::{Drawn, Frame, Renderer};
    use crate::{Control, Error, Output, Settings, stream};

    /// A grey that changes with most pictures, and an end.
    struct Greys {
        fills_target: bool,
        looks: u64,
    }

    impl Renderer for Greys {
        fn draw(&mut self, frame: &Frame<'_>) -> Result<(), Error> {
            frame.target.clear([(frame.index * 7 % 200) as f32 / 255.0; 3]);
            Ok(())
        }

        fn look(&mut self, _: &Frame<'_>) -> Drawn {
            self.looks += 1;
            match self.looks {
                60 => Drawn::Over,
                looks if looks % 20 > 12 => Drawn::Unchanged,
                _ => Drawn::New,
            }
        }

        fn fills_target(&self) -> bool {
            self.fills_target
        }
    }

    /// All that is written of a stream without pacing.
    fn stream_of(pictures: Option<u64>, fills_target: bool) -> Vec<u8> {
        let settings = Settings {
            size: Size::new(64, 64).unwrap(),
            frame_rate: "20".parse().unwrap(),
            encoder: EncoderChoice::Openh264,
            paced: false,
            pictures,
            ..Settings::default()
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("greys.h264");
        let make = |_: &Gl, _: &Settings| Ok(Box::new(Greys { fills_target, looks: 0 }) as Box<dyn Renderer>);
        stream::run(&settings, &Output::File(path.clone()), make, &Control::new().unwrap(), None).unwrap();
        std::fs::read(path).unwrap()
    }

    #[test]
    fn what_is_drawn_ahead_is_the_same_stream() {
        // To the renderer's end, behind one that stands still, and behind new ones; and the first one alone.
        for pictures in [None, Some(15), Some(30), Some(1)] {
            let (ahead, one_by_one) = (stream_of(pictures, true), stream_of(pictures, false));
            assert!(!ahead.is_empty() && ahead == one_by_one, "{pictures:?} pictures: they differ");
        }
    }
}
