//! Measures how long each stage of a picture takes, on the same path as the program's: the test card goes through
//! [`stream::run`] into a FIFO with a reader, as fast as possible, or in real time with `--paced`.
//!
//! ```text
//! cargo run --release --example stage_times -- --encoder nvenc --width 1920 --height 1080
//! ```
//!
//! A time is the wall-clock time of the call. A GPU goes on working after the call returns, so `draw` and `convert` only
//! hand work over, and the first stage that needs the result waits for it: `map`, `copy` or `encode`. With `--sync` each
//! of these stages ends by waiting for the GPU (glFinish, cuStreamSynchronize); then each time is that of the work, and
//! their sum is more than a picture takes without.
//!
//! `encode` always waits for the encoder, and `write` for a reader that is behind. `cpu` is the CPU time of the thread
//! that draws, from one picture to the next, measured in a run of its own, with the drivers' work on that thread. With
//! simulated drivers that do nothing it is the time of mb-encode's own code, which is how `scripts/bench` measures it.

use clap::Parser;
use mb_encode::gl::Gl;
use mb_encode::parts::{CudaContext, STAGE, TestCard, open_cuda};
use mb_encode::settings::{Bitrate, EncoderChoice, FrameRate, Size};
use mb_encode::{Control, Error, Frame, Output, Renderer, Settings, stream};
use rustix::time::{ClockId, clock_gettime};
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Print how long each stage of a picture takes, in microseconds
#[derive(Parser)]
struct Args {
    #[arg(long, default_value_t = 1280)]
    width: u32,
    #[arg(long, default_value_t = 720)]
    height: u32,
    #[arg(long, default_value = "60")]
    fps: FrameRate,
    #[arg(long, default_value = "6M")]
    bitrate: Bitrate,
    /// auto, nvenc or openh264
    #[arg(long, default_value = "auto", value_parser = encoder)]
    encoder: EncoderChoice,
    /// Which GPU, as CUDA counts them
    #[arg(long)]
    device: Option<u32>,
    /// Pictures to measure, after a warm-up of one second or as many
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pictures: u32,
    /// Draw each picture when it is due
    #[arg(long)]
    paced: bool,
    /// Wait for the GPU at the end of each stage
    #[arg(long)]
    sync: bool,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

fn encoder(word: &str) -> Result<EncoderChoice, String> {
    match word {
        "auto" => Ok(EncoderChoice::Auto),
        "nvenc" => Ok(EncoderChoice::Nvenc),
        "openh264" => Ok(EncoderChoice::Openh264),
        _ => Err("must be auto, nvenc or openh264".to_owned()),
    }
}

/// In the order in which a picture meets them.
const STAGES: [&str; 8] = ["draw", "convert", "read", "map", "copy", "unmap", "encode", "write"];

/// Times of each of [`STAGES`], in the order of the pictures.
type Times = [Vec<Duration>; STAGES.len()];

/// Listens to the stages, and records how long each was open.
struct Clock {
    times: Arc<Mutex<Times>>,
    sync: bool,
}

thread_local! {
    static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
    /// What draws on this thread, if anything does.
    static GL: RefCell<Option<Gl>> = const { RefCell::new(None) };
    static CUDA: RefCell<Option<CudaContext>> = const { RefCell::new(None) };
}

impl Clock {
    /// Waits until the GPU has finished the stage's work.
    fn wait_for_gpu(stage: &str) {
        match stage {
            "draw" | "convert" => GL.with_borrow(|gl| gl.iter().for_each(Gl::finish)),
            // The stream meets a failure too, and reports it.
            "map" | "copy" | "unmap" => CUDA.with_borrow_mut(|cuda| {
                if cuda.is_none() {
                    *cuda = GL.with_borrow(|gl| gl.as_ref().and_then(|gl| open_cuda(gl).ok()));
                }
                let _ = cuda.as_ref().map(CudaContext::finish);
            }),
            _ => {}
        }
    }
}

impl Subscriber for Clock {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.target() == STAGE
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let stage = STAGES.iter().position(|&stage| stage == span.metadata().name());
        // An id is not zero.
        Id::from_u64(1 + stage.expect("a stage that is known here") as u64)
    }

    fn enter(&self, _: &Id) {
        BEGAN.set(Some(Instant::now()));
    }

    fn exit(&self, span: &Id) {
        let stage = span.into_u64() as usize - 1;
        if self.sync {
            Self::wait_for_gpu(STAGES[stage]);
        }
        let Some(began) = BEGAN.take() else { return };
        let time = began.elapsed();
        self.times.lock().unwrap_or_else(PoisonError::into_inner)[stage].push(time);
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
}

/// The test card, which records the thread's CPU time before each picture.
struct Watched {
    card: TestCard,
    cpu: Arc<Mutex<Vec<Duration>>>,
}

impl Renderer for Watched {
    fn draw(&mut self, frame: &Frame<'_>) -> Result<(), Error> {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        let now = Duration::new(now.tv_sec as u64, now.tv_nsec as u32);
        self.cpu.lock().unwrap_or_else(PoisonError::into_inner).push(now);
        self.card.draw(frame)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // The context goes with the stream; what was kept here for waiting would outlive it.
        CUDA.take();
        GL.take();
    }
}

/// What one run measured.
struct Run {
    renderer: String,
    /// CPU time of the drawing thread at the beginning of each picture.
    cpu: Vec<Duration>,
}

/// Streams into a FIFO in `folder` that a thread of this process reads.
fn run(settings: &Settings, folder: &Path) -> anyhow::Result<Run> {
    let path = folder.join("stream.h264");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0)?;
    let reader = std::thread::spawn({
        let path = path.clone();
        move || std::io::copy(&mut File::open(path)?, &mut std::io::sink())
    });
    let pipe = File::options().write(true).open(&path)?;
    let output = Output::Pipe { fd: pipe.into(), name: "the FIFO".to_owned() };
    let renderer = OnceLock::new();
    let cpu = Arc::new(Mutex::new(Vec::with_capacity(settings.pictures.unwrap_or(0) as usize)));
    let make = |gl: &Gl, settings: &Settings| {
        let _ = renderer.set(gl.hardware().to_string());
        GL.set(Some(gl.clone()));
        let card = TestCard::new(gl, settings.size, "stage times")?;
        Ok(Box::new(Watched { card, cpu: Arc::clone(&cpu) }) as Box<dyn Renderer>)
    };
    stream::run(settings, &output, make, &Control::new()?, None)?;
    drop(output);
    reader.join().map_err(|_| anyhow::anyhow!("the reader of the FIFO panicked"))??;
    std::fs::remove_file(path)?;
    let cpu = std::mem::take(&mut *cpu.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Run { renderer: renderer.into_inner().unwrap_or_default(), cpu })
}

/// One line of the table: values in microseconds.
struct Row {
    name: &'static str,
    p50: f64,
    p99: f64,
}

impl Row {
    fn of(name: &'static str, mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        let at = |share: f64| {
            let rank = (times.len() as f64 * share).ceil() as usize;
            times.get(rank.saturating_sub(1)).map(|time| time.as_secs_f64() * 1e6)
        };
        Some(Self { name, p50: at(0.50)?, p99: at(0.99)? })
    }
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut settings = Settings {
        size: Size::new(args.width, args.height)?,
        frame_rate: args.fps,
        bitrate: args.bitrate,
        encoder: args.encoder,
        device: args.device,
        paced: args.paced,
        ..Settings::default()
    };
    // A second's worth, which is a GOP; no more than are measured.
    let first = u64::from(settings.gop_length().min(args.pictures));
    settings.pictures = Some(first + u64::from(args.pictures));
    let folder = tempfile::tempdir()?;

    // First without a listener, whose own time would count.
    let Run { renderer, cpu } = run(&settings, folder.path())?;
    let steady = |times: Vec<Duration>| times.into_iter().skip(first as usize).collect::<Vec<_>>();
    let cpu = steady(cpu).windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();

    let times = Arc::new(Mutex::new(Times::default()));
    tracing::subscriber::set_global_default(Clock { times: Arc::clone(&times), sync: args.sync })?;
    run(&settings, folder.path())?;
    let times = std::mem::take(&mut *times.lock().unwrap_or_else(PoisonError::into_inner));

    let rows: Vec<_> = STAGES
        .into_iter()
        .zip(times)
        .filter_map(|(stage, times)| Row::of(stage, steady(times)))
        .chain(Row::of("cpu", cpu))
        .collect();
    let coded_by = if rows.iter().any(|row| row.name == "convert") { "nvenc" } else { "openh264" };
    print(&args, &renderer, coded_by, &rows);
    Ok(())
}

#[allow(clippy::print_stdout)] // No video goes there.
fn print(args: &Args, renderer: &str, coded_by: &str, rows: &[Row]) {
    let Args { width, height, pictures, sync, .. } = *args;
    if args.json {
        let stages: serde_json::Map<_, _> = rows
            .iter()
            .map(|row| (row.name.to_owned(), serde_json::json!({ "p50_us": row.p50, "p99_us": row.p99 })))
            .collect();
        let line = serde_json::json!({
            "encoder": coded_by, "renderer": renderer, "width": width, "height": height, "pictures": pictures,
            "sync": sync, "stages": stages,
        });
        println!("{line}");
        return;
    }
    let each =
        if sync { "each stage with the GPU's work in it" } else { "time of the calls; a GPU works on after them" };
    println!("{width}x{height}, {coded_by}, {pictures} pictures, drawn by {renderer}");
    println!("{:<10} {:>10} {:>10}    microseconds, {each}", "stage", "p50", "p99");
    for Row { name, p50, p99 } in rows {
        println!("{name:<10} {p50:>10.1} {p99:>10.1}");
    }
}
