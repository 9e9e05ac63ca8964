//! The loop: what is done in which order, who owns what, when a picture is skipped or made an IDR, and how it ends.
//!
//! ```text
//! Tick -> Renderer -> picture -> Encoder -> AccessUnit -> Sink
//!            ^                                             |
//!            +--- has the reader come, gone or stalled? ---+
//! ```
//!
//! Drawing and reading back stay on the thread that calls [`run`], which owns the GL context. Coding on the CPU and
//! writing have a thread of their own, so that one picture is drawn while the one before is coded.

use crate::control::Control;
use crate::encoder::{Encoder, HostEncoder, HostPicture, Readback};
use crate::error::Error;
use crate::gl::{Gl, Target};
use crate::h264::{self, AccessUnit};
use crate::pacer::{Pacer, Steadier};
use crate::render::{Frame, Renderer};
use crate::settings::Settings;
use crate::sink::{Delivery, Fifo, Output, Readiness, Sink, Writer};
use crate::stats::{Stats, Totals};
use rustix::event::PollFlags;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// Makes the renderer of a stream, in the context that it will draw in.
pub trait MakeRenderer: FnMut(&Gl, &Settings) -> Result<Box<dyn Renderer>, Error> {}

impl<F: FnMut(&Gl, &Settings) -> Result<Box<dyn Renderer>, Error>> MakeRenderer for F {}

/// Pictures in flight between drawing and coding: one being coded, one being drawn. Another one would add delay and
/// no speed.
const PICTURES_IN_FLIGHT: usize = 2;

/// Why a stream ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Done,
    ReaderGone,
    Stopped,
}

/// Streams until all pictures are written, the reader leaves (on a FIFO: until a stop is requested, reader after
/// reader), or a stop is requested. Gives what was written in all.
///
/// `stats_every` logs a line at that interval, as an event of target `mb_encode::stats`.
///
/// # Errors
/// Whatever keeps the stream from starting or from going on. A reader that leaves is no error.
pub fn run(
    settings: &Settings,
    output: &Output,
    mut make_renderer: impl MakeRenderer,
    control: &Control,
    stats_every: Option<Duration>,
) -> Result<Totals, Error> {
    let make = &mut make_renderer;
    match output {
        Output::Stdout => {
            let sink = Writer::stdout()?;
            Ok(Pipeline::open(settings, make)?.run(&sink, control, stats_every)?.1)
        }
        Output::File(path) => {
            // The file is touched last: a stream that cannot start leaves the old one alone.
            let pipeline = Pipeline::open(settings, make)?;
            Ok(pipeline.run(&Writer::file(path)?, control, stats_every)?.1)
        }
        Output::Fifo { path, mode, pipe_size } => {
            let mut fifo = Fifo::new(path, *mode, *pipe_size)?;
            tracing::info!(fifo = %path.display(), "waiting for a reader");
            let mut all = Totals::default();
            for reader in 1u64.. {
                let Some(pipe) = fifo.wait_for_reader(control)? else { break };
                let sink = Writer::pipe(pipe, path.display().to_string())?;
                tracing::info!(reader, "reader connected");
                let connected = Instant::now();
                let (end, totals) = Pipeline::open(settings, make)?.run(&sink, control, stats_every)?;
                all.add(&totals);
                log_disconnected(reader, &totals, connected.elapsed());
                if end != End::ReaderGone {
                    break;
                }
            }
            Ok(all)
        }
    }
}

/// Logs that a FIFO's reader left, with what it was sent.
pub fn log_disconnected(reader: u64, totals: &Totals, connected: Duration) {
    tracing::info!(
        reader,
        pictures = totals.pictures,
        bytes = totals.bytes,
        skipped = totals.skipped(),
        seconds = (connected.as_secs_f64() * 10.0).round() / 10.0,
        "reader disconnected"
    );
}

/// Draws and codes one picture, and throws it away: everything that a stream needs is there and works.
///
/// # Errors
/// What would keep a stream with these settings from starting.
pub fn rehearse(settings: &Settings, mut make_renderer: impl MakeRenderer) -> Result<(), Error> {
    let Pipeline { mut artist, encoder: Encoder::Host(mut encoder) } = Pipeline::open(settings, &mut make_renderer)?;
    let mut picture = HostPicture::new(settings.size);
    artist.draw(0, Duration::ZERO, settings.frame_rate.interval())?;
    Readback::new(settings.size).fetch(&artist.target, Duration::ZERO, &mut picture);
    encoder.encode(&picture, true, &mut AccessUnit::default())
}

/// Everything that exists only while somebody watches. Dropping it releases the GPU.
struct Pipeline<'a> {
    artist: Artist<'a>,
    encoder: Encoder,
}

/// The drawing half, bound to the thread of its GL context.
struct Artist<'a> {
    settings: &'a Settings,
    renderer: Box<dyn Renderer>,
    target: Target,
    gl: Gl,
}

impl<'a> Pipeline<'a> {
    fn open(settings: &'a Settings, make_renderer: &mut impl MakeRenderer) -> Result<Self, Error> {
        let gl = Gl::open(settings.device)?;
        let target = Target::new(&gl, settings.size)?;
        let renderer = make_renderer(&gl, settings)?;
        let encoder = Encoder::open(settings)?;
        tracing::debug!(renderer = %gl.hardware(), "ready to draw {} at {}/s", settings.size, settings.frame_rate);
        Ok(Self { artist: Artist { settings, renderer, target, gl }, encoder })
    }

    fn run(self, sink: &dyn Sink, control: &Control, stats_every: Option<Duration>) -> Result<(End, Totals), Error> {
        let Self { mut artist, encoder: Encoder::Host(encoder) } = self;
        let start = Instant::now();
        let stats = Mutex::new(Stats::new(stats_every));
        let (to_coder, drawn) = sync_channel(PICTURES_IN_FLIGHT);
        let (to_artist, free) = sync_channel(PICTURES_IN_FLIGHT);
        for _ in 0..PICTURES_IN_FLIGHT {
            // The channel has room for all of them.
            let _ = to_artist.try_send(HostPicture::new(artist.settings.size));
        }
        let steadier = artist.settings.paced.then(|| Steadier::new(artist.settings.frame_rate));
        let coder = Coder { encoder, sink, control, stats: &stats, drawn, done: to_artist, start, steadier };

        let (drawing, coding) = std::thread::scope(|scope| {
            let coder = std::thread::Builder::new()
                .name("encode".to_owned())
                .spawn_scoped(scope, || coder.run())
                .map_err(|error| {
                    Error::machine("cannot start a thread", "raise the limit of processes: ulimit -u").caused_by(error)
                })?;
            // Dropping the sender, which `draw_all` owns, ends the coder after the pictures at hand.
            let drawing = artist.draw_all(sink, control, &stats, start, to_coder, &free);
            let coding = coder.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Ok::<_, Error>((drawing, coding))
        })?;
        // What the coder met is why the drawing ended.
        let end = match (coding?, drawing?) {
            (End::Done, end) | (end, _) => end,
        };
        let totals = stats.into_inner().unwrap_or_else(PoisonError::into_inner).totals();
        tracing::debug!("stream ended ({end:?}): {totals}");
        Ok((end, totals))
    }
}

impl Artist<'_> {
    fn draw(&mut self, index: u64, pts: Duration, delta: Duration) -> Result<(), Error> {
        self.target.bind();
        let frame = Frame { gl: &self.gl, target: &self.target, index, pts, delta, wall_clock: SystemTime::now() };
        self.renderer.draw(&frame)
    }

    fn draw_all(
        &mut self,
        sink: &dyn Sink,
        control: &Control,
        stats: &Mutex<Stats>,
        start: Instant,
        to_coder: SyncSender<Job>,
        free: &Receiver<HostPicture>,
    ) -> Result<End, Error> {
        let Settings { frame_rate, paced, pictures, .. } = *self.settings;
        let mut pacer = Pacer::new(frame_rate);
        let mut readback = Readback::new(self.settings.size);
        let mut last_pts = None;
        let mut index = 0;
        let lock = || stats.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if pictures == Some(index) {
                return Ok(End::Done);
            }
            let tick = if paced { pacer.next(start.elapsed()) } else { pacer.next_unpaced() };
            lock().late(tick.skipped);
            if paced {
                if let Some(end) = wait_until(start + tick.pts, sink, control) {
                    return Ok(end);
                }
            }
            let stat_window = lock().close_window(start.elapsed());
            if let Some(window) = stat_window {
                log_stats(&window);
            }
            if control.stop_requested() {
                return Ok(End::Stopped);
            }
            let ready = match sink.readiness() {
                Readiness::Gone => return Ok(End::ReaderGone),
                Readiness::Ready => true,
                // Without pacing nothing is gained by skipping: the coder waits for the reader, and so do we.
                Readiness::Busy => !paced,
            };
            if !ready {
                lock().held_back();
                continue;
            }
            let mut picture = if paced {
                match free.try_recv() {
                    Ok(picture) => picture,
                    Err(TryRecvError::Disconnected) => return Ok(End::Done),
                    Err(TryRecvError::Empty) => {
                        lock().late(1);
                        continue;
                    }
                }
            } else {
                match free.recv() {
                    Ok(picture) => picture,
                    Err(_) => return Ok(End::Done),
                }
            };
            let delta = tick.pts - last_pts.unwrap_or(tick.pts.saturating_sub(frame_rate.interval()));
            let delta = if delta.is_zero() { frame_rate.interval() } else { delta };
            last_pts = Some(tick.pts);
            self.draw(index, tick.pts, delta)?;
            readback.fetch(&self.target, tick.pts, &mut picture);
            index += 1;
            let job = Job { picture, force_idr: control.take_idr_request() };
            if to_coder.send(job).is_err() {
                return Ok(End::Done);
            }
        }
    }
}

/// Waits for the deadline. Gives an end if there is a reason for one before.
fn wait_until(deadline: Instant, sink: &dyn Sink, control: &Control) -> Option<End> {
    loop {
        if control.stop_requested() {
            return Some(End::Stopped);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        let reader = sink.reader().map(|fd| (fd, PollFlags::empty()));
        if control.wait(reader, Some(left)).intersects(PollFlags::ERR | PollFlags::HUP) {
            return Some(End::ReaderGone);
        }
    }
}

fn log_stats(window: &crate::stats::Window) {
    tracing::info!(
        target: "mb_encode::stats",
        "{:.2} pictures/s, {:.2} Mb/s, {} skipped, encode p50 {:.2} ms p99 {:.2} ms",
        window.pictures_per_second,
        window.megabits_per_second,
        window.skipped,
        window.encode_p50_ms,
        window.encode_p99_ms
    );
}

struct Job {
    picture: HostPicture,
    force_idr: bool,
}

/// The other thread's half: picture -> access unit -> sink.
struct Coder<'a> {
    encoder: Box<dyn HostEncoder>,
    sink: &'a dyn Sink,
    control: &'a Control,
    stats: &'a Mutex<Stats>,
    drawn: Receiver<Job>,
    done: SyncSender<HostPicture>,
    start: Instant,
    steadier: Option<Steadier>,
}

impl Coder<'_> {
    fn run(mut self) -> Result<End, Error> {
        let mut unit = AccessUnit::default();
        let mut min_bytes = h264::MIN_BYTES_FIRST;
        while let Ok(job) = self.drawn.recv() {
            let begun = Instant::now();
            self.encoder.encode(&job.picture, job.force_idr, &mut unit)?;
            let encode_time = begun.elapsed();
            if let Some(fault) = unit.layout_fault() {
                return Err(Error::machine(
                    format!("the encoder put out an access unit that breaks streams: {fault}"),
                    "",
                ));
            }
            unit.pad_to(std::mem::replace(&mut min_bytes, h264::MIN_BYTES));
            if let Some(steadier) = &mut self.steadier {
                let now = self.start.elapsed();
                let early = steadier.release(unit.pts(), now).saturating_sub(now);
                if !early.is_zero() {
                    self.control.wait(None, Some(early));
                }
            }
            match self.sink.write(&unit, self.control)? {
                Delivery::Written => {
                    let mut stats = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
                    stats.picture(unit.bytes().len(), encode_time);
                }
                Delivery::ReaderGone => return Ok(End::ReaderGone),
                Delivery::Stopped => return Ok(End::Stopped),
            }
            tracing::trace!(idr = unit.is_idr(), bytes = unit.bytes().len(), at = ?self.start.elapsed(), "written");
            // Nobody to take it back: the drawing has ended.
            let _ = self.done.try_send(job.picture);
        }
        Ok(End::Done)
    }
}
