//! `mb-encode supervise`: what is asked of a supervisor, checked before anything runs.

use crate::cli::logging::LogLevel;
use crate::cli::options::StreamOptions;
use crate::cli::streams::StreamsArgs;
use crate::service::exit::Exit;
use crate::service::streams::{Mode, Streams};
use crate::service::supervisor::{self, Supervise};
use std::path::{Path, PathBuf};

/// Run workers and go2rtc, keep them running, and end them all with this process
///
/// This is what scripts/start does once everything is installed and built.
#[derive(Clone, Debug, clap::Args)]
pub struct SuperviseArgs {
    #[command(flatten)]
    streams: StreamsArgs,

    /// The folder for the config, the FIFOs and the logs; one supervisor at a time
    #[arg(long, env = "MB_ENCODE_TEMP", hide_env_values = true, value_name = "FOLDER", default_value = "temp")]
    #[arg(help_heading = "Files")]
    temp: PathBuf,

    /// Run this go2rtc, too
    #[arg(long, value_name = "PROGRAM", help_heading = "go2rtc")]
    go2rtc: Option<PathBuf>,

    /// Or the one in this compose file
    #[arg(long, value_name = "FILE", help_heading = "go2rtc", conflicts_with = "go2rtc")]
    compose: Option<PathBuf>,
}

pub fn run(args: &SuperviseArgs) -> anyhow::Result<()> {
    let streams = args.streams.check()?;
    if streams.out(&args.temp) == Path::new("-") {
        let message = "--out names the file that go2rtc reads here; go2rtc-config prints with --out -";
        return Err(Exit::Usage(message.to_owned()).into());
    }
    if streams.mode == Mode::Fifo {
        check_logging(&streams)?;
    }
    supervisor::run(&Supervise {
        streams,
        temp: args.temp.clone(),
        go2rtc: args.go2rtc.clone(),
        compose: args.compose.clone(),
    })
}

/// Workers tell how they are by what they log.
fn check_logging(streams: &Streams) -> anyhow::Result<()> {
    let given = |option: &str| streams.options.iter().any(|word| word.starts_with(option));
    if given("--log-format") {
        let message = "--log-format is not for workers that are looked after: their logs are text";
        return Err(Exit::Usage(message.to_owned()).into());
    }
    let words = std::iter::once("--stdout".to_owned()).chain(streams.worker_options("omega-0"));
    // A level from the environment is replaced for them.
    let level = StreamOptions::of(words)?.logging.level().filter(|_| given("--log-level"));
    if matches!(level, Some(LogLevel::Off | LogLevel::Error | LogLevel::Warn)) {
        let message =
            "--log-level is info, debug or trace for workers that are looked after: they tell how they are by it";
        return Err(Exit::Usage(message.to_owned()).into());
    }
    Ok(())
}
