//! Measures how long each stage of a picture takes, on the same path as the program's: the test card, or a `--shader`, goes
//! through [`stream::run_with`] into a FIFO with a reader, as fast as possible, or in real time with `--paced`. With `--host`
//! pictures lie in host memory, which nobody fills: what they cost there is what it costs to take them over.
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
//! Where GL and CUDA do not share, `read` waits for the GPU, and `upload` takes the picture back there.
//!
//! `encode` always waits for the encoder, and `write` for a reader that is behind. `cpu` is the CPU time of the thread
//! that draws, or takes pictures, from one picture to the next, measured in a run of its own, with the drivers' work on that thread. With
//! simulated drivers that do nothing it is the time of mb-encode's own code, which is how `scripts/bench` measures it.
//!
//! `shares`, in the JSON, is the CPU time of a picture by who spends it: the GL driver (its own threads, and ours within
//! its calls), the encoder, and all the rest, which is mb-encode's own code and what it asks of the kernel.
//!
//! With `--alone` there is no stream: see `alone`.

mod alone;
mod clock;

use clap::Parser;
use clock::{Clock, Ledger, STAGES, Times, cpu_time};
use mb_encode::gl::Gl;
use mb_encode::parts::{CudaContext, Shader, ShaderScene, TestCard};
use mb_encode::settings::{Bitrate, EncoderChoice, FrameRate, Named, PixelFormat, Preset, Shape, Size, Tuning};
use mb_encode::stream::{self, Chosen, Vitals};
use mb_encode::{Control, Drawn, Error, Frame, Frames, Output, Renderer, Settings};
use rustix::time::ClockId;
use std::cell::RefCell;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

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
    #[arg(long, default_value = "auto", value_parser = named::<EncoderChoice>)]
    encoder: EncoderChoice,
    /// NVENC's: p1 to p7
    #[arg(long, default_value = "p4", value_parser = named::<Preset>)]
    preset: Preset,
    /// NVENC's: ll or ull
    #[arg(long, value_parser = named::<Tuning>)]
    tuning: Option<Tuning>,
    /// Which GPU, as CUDA counts them
    #[arg(long)]
    device: Option<u32>,
    /// Pictures to measure, after a warm-up of one second or as many
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pictures: u32,
    /// Draw each picture when it is due
    #[arg(long)]
    paced: bool,
    /// Take pictures from host memory, and draw none
    #[arg(long)]
    host: bool,
    /// Draw this shader instead of the test card
    #[arg(long, value_name = "FILE", conflicts_with = "host")]
    shader: Option<PathBuf>,
    /// Measure drawing alone and OpenH264 alone, without a stream, and print one line of JSON
    #[arg(long, conflicts_with_all = ["host", "paced", "sync", "save"])]
    alone: bool,
    /// Wait for the GPU at the end of each stage
    #[arg(long)]
    sync: bool,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
    /// Write that line to a file, whatever is printed
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

fn named<T: Named>(word: &str) -> Result<T, String> {
    let names = T::ALL.iter().map(|(_, name, _)| *name).collect::<Vec<_>>();
    let named = T::ALL.iter().find(|(_, name, _)| *name == word);
    named.map(|(value, ..)| *value).ok_or_else(|| format!("must be one of {}", names.join(", ")))
}

thread_local! {
    /// What draws on this thread, if anything does.
    static GL: RefCell<Option<Gl>> = const { RefCell::new(None) };
    static CUDA: RefCell<Option<CudaContext>> = const { RefCell::new(None) };
}

/// A thread's CPU time at the beginning of each picture.
#[derive(Clone)]
struct CpuTimes(Arc<Mutex<Vec<Duration>>>);

impl CpuTimes {
    /// With room for so many pictures.
    fn of(pictures: u64) -> Self {
        Self(Arc::new(Mutex::new(Vec::with_capacity(pictures as usize))))
    }

    fn note(&self) {
        let now = cpu_time(ClockId::ThreadCPUTime);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(now);
    }

    fn all(&self) -> Vec<Duration> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What `args` ask to be drawn.
fn scene_of(gl: &Gl, args: &Args, settings: &Settings) -> Result<Box<dyn Renderer>, Error> {
    Ok(match &args.shader {
        Some(path) => Box::new(ShaderScene::new(gl, &Shader::read(path, &Default::default())?)?),
        None => Box::new(TestCard::new(gl, settings.size, "stage times")?),
    })
}

/// A renderer which records the thread's CPU time before each picture.
struct Watched {
    scene: Box<dyn Renderer>,
    cpu: CpuTimes,
}

impl Renderer for Watched {
    fn fills_target(&self) -> bool {
        self.scene.fills_target()
    }

    fn draw(&mut self, frame: &Frame<'_>) -> Result<(), Error> {
        self.cpu.note();
        self.scene.draw(frame)
    }
}

/// Pictures in host memory, as they lie there, which record the CPU time likewise.
struct Lying {
    shape: Shape,
    cpu: CpuTimes,
}

impl Frames for Lying {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn fill(&mut self, _: u64, _: Duration, _: &mut [u8]) -> Result<Drawn, Error> {
        self.cpu.note();
        Ok(Drawn::New)
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
    /// CPU time of the thread that draws or takes pictures, at the beginning of each.
    cpu: Vec<Duration>,
    chosen: Option<Chosen>,
}

/// Streams into a FIFO in `folder` that a thread of this process reads.
fn run(args: &Args, settings: &Settings, folder: &Path) -> anyhow::Result<Run> {
    let path = folder.join("stream.h264");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0)?;
    let reader = std::thread::spawn({
        let path = path.clone();
        move || std::io::copy(&mut File::open(path)?, &mut std::io::sink())
    });
    let pipe = File::options().write(true).open(&path)?;
    // As a worker opens it.
    rustix::fs::fcntl_setfl(&pipe, rustix::fs::OFlags::NONBLOCK)?;
    let output = Output::Pipe { fd: pipe.into(), name: "the FIFO".to_owned() };
    let renderer = OnceLock::new();
    let cpu = CpuTimes::of(settings.pictures.unwrap_or(0));
    let opened = AtomicU32::new(0);
    let make = |gl: &Gl, settings: &Settings| {
        opened.fetch_add(1, Ordering::Relaxed);
        let _ = renderer.set(gl.hardware().to_string());
        GL.set(Some(gl.clone()));
        let scene = scene_of(gl, args, settings)?;
        Ok(Box::new(Watched { scene, cpu: cpu.clone() }) as Box<dyn Renderer>)
    };
    let (vitals, control) = (Vitals::default(), Control::new()?);
    if args.host {
        let shape = Shape::new(settings.size.width(), settings.size.height(), PixelFormat::Yuv420p);
        stream::run_frames(settings, &output, Lying { shape, cpu: cpu.clone() }, &control, None)?;
    } else {
        stream::run_with(settings, &output, make, &control, None, &vitals)?;
        // After a loss, the times are those of opening everything again.
        let opened = opened.into_inner();
        anyhow::ensure!(opened == 1, "the encoder failed in mid-stream, and was opened {opened} times");
    }
    drop(output);
    reader.join().map_err(|_| anyhow::anyhow!("the reader of the FIFO panicked"))??;
    std::fs::remove_file(path)?;
    let renderer = renderer.into_inner().unwrap_or_else(|| "nobody".to_owned());
    Ok(Run { renderer, cpu: cpu.all(), chosen: vitals.chosen() })
}

/// CPU time of a picture by who spent it, in microseconds. The reader of the stream, which is no more than a copy of what is
/// encoded, is with the driver's threads.
#[derive(Clone, Copy, Debug)]
struct Shares {
    all: f64,
    /// The GL driver: on threads of its own, and on ours while they draw and read.
    driver: f64,
    coder: f64,
    own: f64,
}

impl Shares {
    /// What was spent on no thread that had stages was spent on the driver's.
    fn of(ledger: &Ledger, pictures: Option<u64>) -> Self {
        let each = |time: Duration| time.as_secs_f64() * 1e6 / pictures.unwrap_or(1).max(1) as f64;
        let sum = |of: fn(&clock::Spent) -> Duration| each(ledger.threads.iter().map(of).sum());
        let (threads, driver, coder) = (sum(|it| it.all), sum(|it| it.driver), sum(|it| it.coder));
        let all = each(ledger.whole());
        Self { all, driver: driver + (all - threads).max(0.0), coder, own: threads - driver - coder }
    }

    fn json(self) -> serde_json::Value {
        let Self { all, driver, coder, own } = self;
        serde_json::json!({ "all_us": all, "driver_us": driver, "coder_us": coder, "own_us": own })
    }
}

/// One line of the table: values in microseconds.
struct Row {
    name: &'static str,
    p50: f64,
    p95: f64,
    p99: f64,
}

impl Row {
    fn of(name: &'static str, mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        let at = |share: f64| {
            let rank = (times.len() as f64 * share).ceil() as usize;
            times.get(rank.saturating_sub(1)).map(|time| time.as_secs_f64() * 1e6)
        };
        Some(Self { name, p50: at(0.50)?, p95: at(0.95)?, p99: at(0.99)? })
    }
}

fn main() -> ExitCode {
    match measure(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            complain(&format!("error: {why:#}"));
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &Args) -> anyhow::Result<()> {
    let mut settings = Settings {
        size: Size::new(args.width, args.height)?,
        frame_rate: args.fps,
        bitrate: args.bitrate,
        encoder: args.encoder,
        preset: args.preset,
        tuning: args.tuning.unwrap_or_default(),
        device: args.device,
        paced: args.paced,
        ..Settings::default()
    };
    // A second's worth, which is a GOP; no more than are measured.
    let first = u64::from(settings.gop_length().min(args.pictures));
    settings.pictures = Some(first + u64::from(args.pictures));
    if args.alone {
        say(&alone::measure(args, &settings)?);
        return Ok(());
    }
    let folder = tempfile::tempdir()?;

    // First without a listener, whose own time would count.
    let Run { renderer, cpu, chosen, .. } = run(args, &settings, folder.path())?;
    let steady = |times: Vec<Duration>| times.into_iter().skip(first as usize).collect::<Vec<_>>();
    let cpu = steady(cpu).windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();

    let times = Arc::new(Mutex::new(Times::default()));
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let clock = Clock { times: Arc::clone(&times), ledger: Arc::clone(&ledger), sync: args.sync };
    tracing::subscriber::set_global_default(clock)?;
    run(args, &settings, folder.path())?;
    let shares = Shares::of(&ledger.lock().unwrap_or_else(PoisonError::into_inner), settings.pictures);
    let times = std::mem::take(&mut *times.lock().unwrap_or_else(PoisonError::into_inner));

    let rows: Vec<_> = STAGES
        .into_iter()
        .zip(times)
        .filter_map(|(stage, times)| Row::of(stage, steady(times)))
        .chain(Row::of("cpu", cpu))
        .collect();
    let by_nvenc =
        rows.iter().any(|row| row.name == "upload") || chosen.is_some_and(|chosen| chosen.encoder == "NVENC");
    let coded_by = if by_nvenc { "nvenc" } else { "openh264" };
    if let Some(file) = &args.save {
        std::fs::write(file, format!("{}\n", json(args, &renderer, coded_by, &rows, shares)))?;
    }
    print(args, &renderer, coded_by, &rows, shares);
    Ok(())
}

fn json(args: &Args, renderer: &str, coded_by: &str, rows: &[Row], shares: Shares) -> serde_json::Value {
    let Args { width, height, pictures, sync, .. } = *args;
    let stages: serde_json::Map<_, _> = rows
        .iter()
        .map(|&Row { name, p50, p95, p99 }| {
            (name.to_owned(), serde_json::json!({ "p50_us": p50, "p95_us": p95, "p99_us": p99 }))
        })
        .collect();
    serde_json::json!({
        "encoder": coded_by, "renderer": renderer, "width": width, "height": height, "pictures": pictures,
        "sync": sync, "stages": stages, "shares": shares.json(),
    })
}

#[allow(clippy::print_stderr)] // It has no log.
fn complain(line: &str) {
    eprintln!("{line}");
}

#[allow(clippy::print_stdout)] // No video goes there.
fn say(line: &str) {
    println!("{line}");
}

#[allow(clippy::print_stdout)] // No video goes there.
fn print(args: &Args, renderer: &str, coded_by: &str, rows: &[Row], shares: Shares) {
    let Args { width, height, pictures, sync, .. } = *args;
    if args.json {
        println!("{}", json(args, renderer, coded_by, rows, shares));
        return;
    }
    let each =
        if sync { "each stage with the GPU's work in it" } else { "time of the calls; a GPU works on after them" };
    println!("{width}x{height}, {coded_by}, {pictures} pictures, drawn by {renderer}");
    println!("{:<10} {:>10} {:>10} {:>10}    microseconds, {each}", "stage", "p50", "p95", "p99");
    for Row { name, p50, p95, p99 } in rows {
        println!("{name:<10} {p50:>10.1} {p95:>10.1} {p99:>10.1}");
    }
}
