//! The loop: what is done in which order, who owns what, when a picture is skipped or made an IDR, and how it ends.
//!
//! ```text
//! Tick -> Renderer -> picture -> Encoder -> AccessUnit -> Sink
//!            ^                                             |
//!            +--- has the reader come, gone or stalled? ---+
//! ```
//!
//! The thread that calls [`run`] owns GL, CUDA and NVENC. Coding on the CPU has a thread of its own, so that one
//! picture is drawn while the one before is coded.

use crate::codec::{self, AccessUnit};
use crate::control::Control;
use crate::cuda;
use crate::encoder::{Encoder, GpuEncoder, HostEncoder, HostPicture, Profile, Readback};
use crate::error::Error;
use crate::format::{MpegTs, Wrapper};
use crate::gl::{Gl, Target};
use crate::gpu::open_gl;
use crate::pacer::{Pacer, Steadier};
use crate::settings::{EncoderChoice, Settings};
use crate::sink::{Delivery, Output, Readiness, Sink, Writer};
use crate::source::{Frame, Renderer};
use crate::stats::{STAGE, Stats, Totals, Window};
use rustix::event::PollFlags;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tracing::trace_span;

/// Makes the renderer of a stream, in the context that it will draw in.
pub trait MakeRenderer: FnMut(&Gl, &Settings) -> Result<Box<dyn Renderer>, Error> {}

impl<F: FnMut(&Gl, &Settings) -> Result<Box<dyn Renderer>, Error>> MakeRenderer for F {}

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
            let writer = Writer::stdout()?;
            let wrapper = Wrapper::open(settings)?;
            let pipeline = Pipeline::open(settings, make, Coding::AsSet)?;
            Ok(stream(settings, make, pipeline, &*MpegTs::sink(writer, wrapper), control, stats_every)?.1)
        }
        Output::File(path) => {
            let wrapper = Wrapper::open(settings)?;
            // The file is touched last: a stream that cannot start leaves the old one alone.
            let pipeline = Pipeline::open(settings, make, Coding::AsSet)?;
            let writer = Writer::file(path)?;
            Ok(stream(settings, make, pipeline, &*MpegTs::sink(writer, wrapper), control, stats_every)?.1)
        }
        Output::Pipe { fd, name } => {
            let fd = fd.try_clone().map_err(|error| {
                Error::machine(format!("cannot use {name}"), "raise the limit of open files: ulimit -n")
                    .caused_by(error)
            })?;
            let wrapper = Wrapper::open(settings)?;
            let pipeline = Pipeline::open(settings, make, Coding::AsSet)?;
            let sink = MpegTs::sink(Writer::pipe(fd, name.clone())?, wrapper);
            Ok(stream(settings, make, pipeline, &*sink, control, stats_every)?.1)
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

/// Draws, codes and wraps one picture, and throws it away: everything that a stream needs is there and works.
///
/// # Errors
/// What would keep a stream with these settings from starting.
pub fn rehearse(settings: &Settings, mut make_renderer: impl MakeRenderer) -> Result<(), Error> {
    let mut wrapper = Wrapper::open(settings)?;
    let Pipeline { mut artist, encoder, .. } = Pipeline::open(settings, &mut make_renderer, Coding::AsSet)?;
    let due = Due { index: 0, pts: Duration::ZERO, delta: settings.frame_rate.interval() };
    artist.draw(&due)?;
    let mut unit = AccessUnit::default();
    let encoder = match encoder {
        Encoder::Gpu(mut encoder) => {
            match encoder.encode(&artist.target, due.pts, true, &mut unit).and_then(|()| check_layout(&unit)) {
                Ok(()) => None,
                // As a stream would, which has something to go on with.
                Err(error) if settings.encoder == EncoderChoice::Auto => {
                    tracing::debug!("NVENC codes no picture: {}", error.cause());
                    drop(encoder);
                    Some(Encoder::openh264(settings, Profile::High)?)
                }
                Err(error) => return Err(error),
            }
        }
        host => Some(host),
    };
    if let Some(Encoder::Host(mut encoder)) = encoder {
        let mut picture = HostPicture::new(settings.size);
        Readback::new(settings.size).fetch(&artist.target, due.pts, &mut picture);
        encoder.encode(&picture, true, &mut unit)?;
    }
    if let Some(wrapper) = &mut wrapper {
        let _ = wrapper.wrap(&unit, None, &Control::new()?)?;
    }
    Ok(())
}

/// Streams to one reader, from the first picture to the last, through the loss of a GPU.
fn stream(
    settings: &Settings,
    make_renderer: &mut impl MakeRenderer,
    mut pipeline: Pipeline,
    sink: &dyn Sink,
    control: &Control,
    stats_every: Option<Duration>,
) -> Result<(End, Totals), Error> {
    let start = Instant::now();
    let stats = Mutex::new(Stats::new(stats_every));
    let mut schedule = Schedule::new(settings, start, sink, control, &stats);
    let mut courier = Courier::new(settings, start, sink, control, &stats);
    let mut losses = Losses::default();
    let end = loop {
        let Pipeline { mut artist, encoder, instead_of_nvenc } = pipeline;
        if let Some(why) = instead_of_nvenc {
            log_choice(&why);
        }
        let ended = match encoder {
            Encoder::Gpu(encoder) => code_on_gpu(&mut artist, encoder, &mut schedule, &mut courier),
            Encoder::Host(encoder) => code_on_host(&mut artist, encoder, &mut schedule, &mut courier),
        };
        // The old one is gone before a new one is opened: a GPU has few sessions.
        drop(artist);
        match ended {
            Ok(end) => break end,
            Err(error) if error.is_device_loss() => {
                match losses.start_over(&error, settings, make_renderer, sink, control)? {
                    Ok(again) => pipeline = again,
                    Err(end) => break end,
                }
            }
            Err(error) => return Err(error),
        }
    };
    let totals = lock(&stats).totals();
    tracing::debug!("stream ended ({end:?}): {totals}");
    Ok((end, totals))
}

/// Everything that exists only while somebody watches. Dropping it releases the GPU.
struct Pipeline {
    // First: it lets go of the GPU while the artist's context is still there.
    encoder: Encoder,
    artist: Artist,
    /// Why OpenH264 codes where NVENC would have been taken.
    instead_of_nvenc: Option<Error>,
}

/// Which encoder a pipeline is opened with.
enum Coding {
    /// The one that the settings ask for.
    AsSet,
    /// NVENC or an error.
    Nvenc,
    /// OpenH264, going on with a stream that NVENC began.
    Openh264AfterNvenc,
}

/// The drawing half, bound to the thread of its GL context.
struct Artist {
    renderer: Box<dyn Renderer>,
    target: Target,
    // Last: everything above is freed in this context.
    gl: Gl,
}

impl Pipeline {
    fn open(settings: &Settings, make_renderer: &mut impl MakeRenderer, coding: Coding) -> Result<Self, Error> {
        let gl = open_gl(settings)?;
        let target = Target::new(&gl, settings.size)?;
        let renderer = make_renderer(&gl, settings)?;
        let (encoder, instead_of_nvenc) = match coding {
            Coding::AsSet => Encoder::open(&gl, settings)?,
            Coding::Nvenc => (Encoder::nvenc(&gl, settings)?, None),
            Coding::Openh264AfterNvenc => (Encoder::openh264(settings, Profile::High)?, None),
        };
        tracing::debug!(renderer = %gl.hardware(), "ready to draw {} at {}/s", settings.size, settings.frame_rate);
        Ok(Self { encoder, instead_of_nvenc, artist: Artist { renderer, target, gl } })
    }
}

impl Artist {
    fn draw(&mut self, due: &Due) -> Result<(), Error> {
        let _stage = trace_span!(target: STAGE, "draw").entered();
        self.target.bind();
        let &Due { index, pts, delta } = due;
        let frame = Frame { gl: &self.gl, target: &self.target, index, pts, delta, wall_clock: SystemTime::now() };
        self.renderer.draw(&frame)
    }
}

/// The picture to draw now: see [`Frame`].
struct Due {
    index: u64,
    pts: Duration,
    delta: Duration,
}

/// Decides when the next picture is drawn, and whether.
struct Schedule<'a> {
    settings: &'a Settings,
    start: Instant,
    sink: &'a dyn Sink,
    control: &'a Control,
    stats: &'a Mutex<Stats>,
    pacer: Pacer,
    index: u64,
    last_pts: Option<Duration>,
}

impl<'a> Schedule<'a> {
    fn new(
        settings: &'a Settings,
        start: Instant,
        sink: &'a dyn Sink,
        control: &'a Control,
        stats: &'a Mutex<Stats>,
    ) -> Self {
        let pacer = Pacer::new(settings.frame_rate);
        Self { settings, start, sink, control, stats, pacer, index: 0, last_pts: None }
    }

    /// Waits until a picture is due that the sink has room for.
    fn next(&mut self) -> Result<Due, End> {
        let Settings { frame_rate, paced, pictures, .. } = *self.settings;
        if pictures == Some(self.index) {
            return Err(End::Done);
        }
        loop {
            let tick = if paced { self.pacer.next(self.start.elapsed()) } else { self.pacer.next_unpaced() };
            if paced {
                self.wait_until(self.start + tick.pts)?;
            }
            let window = {
                let mut stats = lock(self.stats);
                stats.late(tick.skipped);
                stats.close_window(self.start.elapsed())
            };
            if let Some(window) = window {
                log_window(&window);
            }
            if self.control.stop_requested() {
                return Err(End::Stopped);
            }
            match self.sink.readiness() {
                Readiness::Gone => return Err(End::ReaderGone),
                // Without pacing nothing is gained by skipping: the writer waits for the reader.
                Readiness::Busy if paced => lock(self.stats).held_back(),
                Readiness::Busy | Readiness::Ready => {
                    let delta = match self.last_pts {
                        Some(last) => tick.pts.saturating_sub(last),
                        None => frame_rate.interval(),
                    };
                    return Ok(Due { index: self.index, pts: tick.pts, delta });
                }
            }
        }
    }

    /// The picture was drawn and is on its way.
    fn drawn(&mut self, due: &Due) {
        self.index += 1;
        self.last_pts = Some(due.pts);
    }

    /// Waits for the deadline, or gives the end that comes before it.
    fn wait_until(&self, deadline: Instant) -> Result<(), End> {
        loop {
            if self.control.stop_requested() {
                return Err(End::Stopped);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let reader = self.sink.reader().map(|fd| (fd, PollFlags::empty()));
            if self.control.wait(reader, Some(left)).intersects(PollFlags::ERR | PollFlags::HUP) {
                return Err(End::ReaderGone);
            }
        }
    }
}

/// Refuses what go2rtc or a browser would take for something else.
fn check_layout(unit: &AccessUnit) -> Result<(), Error> {
    let Some(fault) = unit.layout_fault() else { return Ok(()) };
    Err(Error::machine(
        format!("the encoder put out an access unit that breaks streams: {fault}"),
        "if it was NVENC, use --encoder openh264 meanwhile",
    )
    .examined_by_doctor())
}

/// Takes access units to the sink.
struct Courier<'a> {
    start: Instant,
    sink: &'a dyn Sink,
    control: &'a Control,
    stats: &'a Mutex<Stats>,
    steadier: Option<Steadier>,
    min_bytes: usize,
}

impl<'a> Courier<'a> {
    fn new(
        settings: &Settings,
        start: Instant,
        sink: &'a dyn Sink,
        control: &'a Control,
        stats: &'a Mutex<Stats>,
    ) -> Self {
        let steadier = settings.paced.then(|| Steadier::new(settings.frame_rate));
        Self { start, sink, control, stats, steadier, min_bytes: codec::MIN_BYTES_FIRST }
    }

    fn deliver(&mut self, unit: &mut AccessUnit, encode_time: Duration) -> Result<Option<End>, Error> {
        unit.pad_to(std::mem::replace(&mut self.min_bytes, codec::MIN_BYTES));
        if let Some(steadier) = &mut self.steadier {
            let now = self.start.elapsed();
            let early = steadier.release(unit.pts(), now).saturating_sub(now);
            if !early.is_zero() {
                self.control.wait(None, Some(early));
            }
        }
        match trace_span!(target: STAGE, "write").in_scope(|| self.sink.write(unit, self.control))? {
            Delivery::Written => lock(self.stats).picture(unit.bytes().len(), encode_time),
            Delivery::ReaderGone => return Ok(Some(End::ReaderGone)),
            Delivery::Stopped => return Ok(Some(End::Stopped)),
        }
        tracing::trace!(idr = unit.is_idr(), bytes = unit.bytes().len(), pts = ?unit.pts(), at = ?self.start.elapsed(), "written");
        Ok(None)
    }
}

/// Draws, codes and writes on one thread: the GPU does the work, and its objects belong to that thread.
fn code_on_gpu(
    artist: &mut Artist,
    mut encoder: Box<dyn GpuEncoder>,
    schedule: &mut Schedule<'_>,
    courier: &mut Courier<'_>,
) -> Result<End, Error> {
    let mut unit = AccessUnit::with_room_for(artist.target.size());
    loop {
        let due = match schedule.next() {
            Ok(due) => due,
            Err(end) => return Ok(end),
        };
        artist.draw(&due)?;
        let begun = Instant::now();
        let coded = encoder.encode(&artist.target, due.pts, schedule.control.take_idr_request(), &mut unit);
        // Whatever an encoder fails with that was opened, another life may be without.
        coded.and_then(|()| check_layout(&unit)).map_err(Error::device_was_lost)?;
        let encode_time = begun.elapsed();
        schedule.drawn(&due);
        if let Some(end) = courier.deliver(&mut unit, encode_time)? {
            return Ok(end);
        }
    }
}

/// Pictures in flight between drawing and coding: one being coded, one being drawn. Another one would add delay and
/// no speed.
const PICTURES_IN_FLIGHT: usize = 2;

struct Job {
    picture: HostPicture,
    force_idr: bool,
}

/// Draws on this thread, codes and writes on another: at 720p on two cores without a GPU this makes 860 pictures/s
/// where one thread makes 450.
fn code_on_host(
    artist: &mut Artist,
    mut encoder: Box<dyn HostEncoder>,
    schedule: &mut Schedule<'_>,
    courier: &mut Courier<'_>,
) -> Result<End, Error> {
    let size = artist.target.size();
    let (to_coder, drawn) = sync_channel::<Job>(PICTURES_IN_FLIGHT);
    let (to_artist, free) = sync_channel(PICTURES_IN_FLIGHT);
    for _ in 0..PICTURES_IN_FLIGHT {
        // The channel has room for all of them.
        let _ = to_artist.try_send(HostPicture::new(size));
    }
    let code = move || {
        let mut unit = AccessUnit::with_room_for(size);
        while let Ok(job) = drawn.recv() {
            let begun = Instant::now();
            trace_span!(target: STAGE, "encode").in_scope(|| encoder.encode(&job.picture, job.force_idr, &mut unit))?;
            check_layout(&unit)?;
            if let Some(end) = courier.deliver(&mut unit, begun.elapsed())? {
                return Ok(end);
            }
            // Nobody to take it back: the drawing has ended.
            let _ = to_artist.try_send(job.picture);
        }
        Ok(End::Done)
    };
    std::thread::scope(|scope| {
        let coder =
            std::thread::Builder::new().name("encode".to_owned()).spawn_scoped(scope, code).map_err(|error| {
                Error::machine("cannot start a thread", "raise the limit of processes: ulimit -u").caused_by(error)
            })?;
        // Dropping the sender, which `draw_for_host` owns, ends the coder after the pictures at hand.
        let drawing = draw_for_host(artist, schedule, to_coder, &free);
        let coding = coder.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // What the coder met is why the drawing ended.
        match (coding?, drawing?) {
            (End::Done, end) | (end, _) => Ok(end),
        }
    })
}

/// Draws until the end, or until the coder has ended and takes no more; then that is the end.
fn draw_for_host(
    artist: &mut Artist,
    schedule: &mut Schedule<'_>,
    to_coder: SyncSender<Job>,
    free: &Receiver<HostPicture>,
) -> Result<End, Error> {
    let mut readback = Readback::new(artist.target.size());
    loop {
        let due = match schedule.next() {
            Ok(due) => due,
            Err(end) => return Ok(end),
        };
        let mut picture = if schedule.settings.paced {
            match free.try_recv() {
                Ok(picture) => picture,
                Err(TryRecvError::Disconnected) => return Ok(End::Done),
                Err(TryRecvError::Empty) => {
                    lock(schedule.stats).late(1);
                    continue;
                }
            }
        } else {
            match free.recv() {
                Ok(picture) => picture,
                Err(_) => return Ok(End::Done),
            }
        };
        artist.draw(&due)?;
        trace_span!(target: STAGE, "read").in_scope(|| readback.fetch(&artist.target, due.pts, &mut picture));
        schedule.drawn(&due);
        if to_coder.send(Job { picture, force_idr: schedule.control.take_idr_request() }).is_err() {
            return Ok(End::Done);
        }
    }
}

/// How often in a row a lost GPU is opened again, and how long is waited before each time.
const WAITS: [Duration; 3] = [Duration::from_millis(100), Duration::from_millis(400), Duration::from_millis(1600)];
/// A GPU that has worked for so long is trusted again.
const TRUSTED_AFTER: Duration = Duration::from_secs(30);

/// What is done about a GPU that is lost while somebody watches.
#[derive(Default)]
struct Losses {
    in_a_row: usize,
    last: Option<Instant>,
}

impl Losses {
    /// Opens a new pipeline: on the GPU, a bounded number of times, and then with OpenH264 where that is allowed. The
    /// stream goes on with an IDR picture of the same size and profile.
    fn start_over(
        &mut self,
        lost: &Error,
        settings: &Settings,
        make_renderer: &mut impl MakeRenderer,
        sink: &dyn Sink,
        control: &Control,
    ) -> Result<Result<Pipeline, End>, Error> {
        if self.last.is_some_and(|last| last.elapsed() > TRUSTED_AFTER) {
            self.in_a_row = 0;
        }
        let mut cause = lost.cause();
        while let Some(&wait) = WAITS.get(self.in_a_row) {
            self.in_a_row += 1;
            tracing::warn!("{cause}; starting over in {} ms ({} of {})", wait.as_millis(), self.in_a_row, WAITS.len());
            control.wait(sink.reader().map(|fd| (fd, PollFlags::empty())), Some(wait));
            if control.stop_requested() {
                return Ok(Err(End::Stopped));
            }
            if sink.readiness() == Readiness::Gone {
                return Ok(Err(End::ReaderGone));
            }
            match Pipeline::open(settings, make_renderer, Coding::Nvenc) {
                Ok(pipeline) => {
                    self.last = Some(Instant::now());
                    return Ok(Ok(pipeline));
                }
                Err(error) => cause = error.cause(),
            }
        }
        if settings.encoder == EncoderChoice::Nvenc {
            return Err(Error::machine(
                format!("NVENC failed and does not come back in {} attempts", WAITS.len()),
                "check dmesg for NVRM messages; --encoder auto would go on with OpenH264",
            )
            .caused_by(cause));
        }
        tracing::warn!("going on with OpenH264, since NVENC does not come back: {cause}");
        Pipeline::open(settings, make_renderer, Coding::Openh264AfterNvenc).map(Ok)
    }
}

fn log_choice(why: &Error) {
    // Without an NVIDIA driver there is nothing to look into; with one there is.
    if cuda::is_installed() {
        let why = why.cause();
        tracing::warn!("coding with OpenH264, since NVENC is not to be had: {why} (what to do: mb-encode doctor)");
    } else {
        tracing::info!("coding with OpenH264, since NVENC is not to be had: {}", why.cause());
    }
}

fn lock(stats: &Mutex<Stats>) -> MutexGuard<'_, Stats> {
    // The counts stay right when a thread panics between two of them.
    stats.lock().unwrap_or_else(PoisonError::into_inner)
}

fn log_window(window: &Window) {
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
