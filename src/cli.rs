//! What happens between `main` and the library, in order.

mod args;
mod command_line;
mod doctor;
mod go2rtc_config;
mod logging;
mod mpegts;
mod signals;
mod supervise;
mod tied;
mod worker;

use args::{Args, Command, Scene};
use clap::CommandFactory;
use mb_encode::error::Fault;
use mb_encode::gl::Gl;
use mb_encode::render::{Bar, Renderer, ShaderScene, TestCard};
use mb_encode::{Control, Error, Output, Settings, stream};
use signals::Child;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use worker::Role;

/// A failure while running.
const FAILED: u8 = 1;
/// go2rtc tells a viewer what it has read of standard error at the moment when standard output ends. So there is this
/// much time between the two.
const TO_BE_READ: Duration = Duration::from_millis(50);
/// Wrong use or input.
const WRONG_USE: u8 = 2;

pub fn run() -> ExitCode {
    let args = command_line::read();
    logging::start(&args);
    let done = match &args.command {
        Some(Command::Doctor(args)) => match doctor::run(args) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Some(Command::Go2rtcConfig(config)) => go2rtc_config::run(config),
        Some(Command::Mpegts(args)) => mpegts::run(args),
        Some(Command::Supervise(args)) => supervise::run(args),
        Some(Command::Status(args)) => supervise::run_status(args),
        Some(Command::Tied(command)) => tied::run(command),
        Some(Command::Completions { shell }) => args::print_completions(*shell),
        Some(Command::Man) => args::print_man_page(),
        None => stream(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A usage error that was found after the parsing prints itself, too.
            let error = match error.downcast::<clap::Error>() {
                Ok(usage) => usage.exit(),
                Err(error) => error,
            };
            tracing::error!("{error:#}");
            if args.writes_to_stdout() {
                std::thread::sleep(TO_BE_READ);
            }
            let wrong_use = error.downcast_ref::<Error>().is_some_and(|error| error.fault() == Fault::Input);
            ExitCode::from(if wrong_use { WRONG_USE } else { FAILED })
        }
    }
}

fn stream(args: &Args) -> anyhow::Result<()> {
    let settings = args.settings();
    let output = args.output().unwrap_or_else(|error| error.exit());
    let shader = args.shader_source()?;
    let make_renderer = |gl: &Gl, settings: &Settings| make_renderer(args, shader.as_ref(), gl, settings);
    if let (Output::File(out), Some(shader)) = (&output, args.shader_path()) {
        keep_shader(out, shader)?;
    }
    let role = Role::of_this_process();
    if role != Role::Program {
        worker::end_with_worker();
    }
    if role == Role::Rehearsal {
        return Ok(stream::rehearse(&settings, make_renderer)?);
    }
    let control = Arc::new(Control::new()?);
    let child = Child::default();
    signals::start(&control, &child)?;
    let stats_every = args.stats_interval();
    match (&output, role) {
        (Output::Fifo { path, mode, pipe_size }, Role::Program) => {
            worker::serve(path, *mode, *pipe_size, &control, &child)
        }
        (Output::Fifo { .. }, Role::Reader(reader)) => {
            let connected = Instant::now();
            let totals = stream::run(&settings, &Output::Stdout, make_renderer, &control, stats_every)?;
            stream::log_disconnected(reader, &totals, connected.elapsed());
            Ok(())
        }
        _ => {
            stream::run(&settings, &output, make_renderer, &control, stats_every)?;
            Ok(())
        }
    }
}

/// Refuses to write the video over the shader that it shows, by whatever name.
fn keep_shader(out: &Path, shader: &Path) -> Result<(), Error> {
    use std::os::unix::fs::MetadataExt;
    let id = |path: &Path| std::fs::metadata(path).map(|file| (file.dev(), file.ino()));
    match (id(out), id(shader)) {
        (Ok(out_id), Ok(shader_id)) if out_id == shader_id => Err(Error::input(
            format!("--out {} is the file of --shader, which the video would replace", out.display()),
            "name another file: mb-encode --out clip.h264 --frames 240",
        )),
        _ => Ok(()),
    }
}

fn make_renderer(
    args: &Args,
    shader: Option<&(String, String)>,
    gl: &Gl,
    settings: &Settings,
) -> Result<Box<dyn Renderer>, Error> {
    Ok(match (shader, args.scene) {
        (Some((name, source)), _) => Box::new(ShaderScene::new(gl, name, source)?),
        (None, Scene::Testcard) => Box::new(TestCard::new(gl, settings.size, &args.label)?),
        (None, Scene::Bar) => Box::new(Bar::new(gl, settings.size)?),
    })
}

/// An error in how the options go together, shown as clap shows its own.
fn usage_error(message: String) -> clap::Error {
    Args::command().error(clap::error::ErrorKind::ArgumentConflict, message)
}
