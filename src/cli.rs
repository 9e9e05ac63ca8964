//! What happens between `main` and the library, in order.

mod args;
mod logging;
mod signals;

use args::{Args, Command, Scene};
use clap::{CommandFactory, Parser};
use mb_encode::error::Fault;
use mb_encode::gl::Gl;
use mb_encode::render::{Bar, Renderer, ShaderScene, TestCard};
use mb_encode::{Control, Error, Output, Settings, stream};
use std::process::ExitCode;
use std::sync::Arc;

/// A failure while running.
const FAILED: u8 = 1;
/// Wrong use or input.
const WRONG_USE: u8 = 2;

pub fn run() -> ExitCode {
    // A usage error prints itself and exits with 2.
    let args = Args::parse();
    logging::start(&args);
    let done = match &args.command {
        Some(Command::Completions { shell }) => args::print_completions(*shell),
        Some(Command::Man) => args::print_man_page(),
        None => stream(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
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
    if args.rehearse {
        return Ok(stream::rehearse(&settings, make_renderer)?);
    }
    let control = Arc::new(Control::new()?);
    signals::start(&control)?;
    if matches!(output, Output::Fifo { .. }) {
        rehearse_in_child()?;
    }
    stream::run(&settings, &output, make_renderer, &control, args.stats_interval())?;
    Ok(())
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
        (None, Scene::Bar) => Box::new(Bar),
    })
}

/// Draws and codes one picture in a process of its own, so that a FIFO worker that cannot work says so when it is
/// started and not hours later to its first reader, and yet waits without a graphics driver in its memory.
fn rehearse_in_child() -> anyhow::Result<()> {
    use anyhow::Context as _;
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let status = std::process::Command::new(program)
        .args(std::env::args_os().skip(1))
        .arg("--rehearse")
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .status()
        .context("cannot start this program a second time")?;
    if !status.success() {
        // It has printed its reason.
        std::process::exit(status.code().unwrap_or(FAILED.into()));
    }
    Ok(())
}

/// An error in how the options go together, shown as clap shows its own.
fn usage_error(message: String) -> clap::Error {
    Args::command().error(clap::error::ErrorKind::ArgumentConflict, message)
}
