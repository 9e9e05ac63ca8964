//! What happens between `main` and the library, in order.

mod command;
mod commands;
mod logging;
pub mod options;

use crate::error::Fault;
use crate::gl::Gl;
use crate::os::{process as tied, signals};
use crate::service::go2rtc::config as go2rtc_config;
use crate::service::{supervisor as supervise, worker};
use crate::source::{Bar, Renderer, ShaderScene, TestCard};
use crate::{Control, Error, Output, Settings, stream};
use clap::CommandFactory;
use commands::{doctor, explain, mpegts};
use options::{Args, Command, Destination, Scene};
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
pub const WRONG_USE: u8 = 2;

/// Runs the program.
pub fn run() -> ExitCode {
    let args = command::read();
    logging::start(&args);
    let done = match &args.command {
        Some(Command::Doctor(args)) => match doctor::run(args) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Some(Command::Explain(args)) => explain::run(args),
        Some(Command::Go2rtcConfig(config)) => go2rtc_config::run(config),
        Some(Command::Mpegts(args)) => mpegts::run(args),
        Some(Command::Supervise(args)) => supervise::run(args),
        Some(Command::Status(args)) => supervise::run_status(args),
        Some(Command::Tied(command)) => tied::run(command),
        Some(Command::Completions { shell }) => options::print_completions(*shell),
        Some(Command::Man) => options::print_man_page(),
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
    if let (Destination::File(out), Some(shader)) = (&output, args.shader_path()) {
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
        (Destination::Fifo(fifo), Role::Program) => worker::serve(fifo, &control, &child),
        (Destination::Fifo(_), Role::Reader(reader)) => {
            let connected = Instant::now();
            let totals = stream::run(&settings, &Output::Stdout, make_renderer, &control, stats_every)?;
            stream::log_disconnected(reader, &totals, connected.elapsed());
            Ok(())
        }
        (destination, _) => {
            let output = match destination {
                Destination::File(path) => Output::File(path.clone()),
                _ => Output::Stdout,
            };
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
pub fn usage_error(message: String) -> clap::Error {
    Args::command().error(clap::error::ErrorKind::ArgumentConflict, message)
}
