//! `mb-encode supervise`: what is asked of a supervisor, checked before anything runs.

use crate::cli::streams::{StreamsArgs, note_unused};
use crate::control::{Control, signals};
use crate::service::exit::Exit;
use crate::service::gpus::{self, Devices};
use crate::service::streams::{Mode, Streams};
use crate::service::supervisor::{self, Supervise};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Ending a container takes longest.
const LONGEST_END: Duration = Duration::from_secs(30);

/// Run workers and go2rtc, keep them running, and end them all with this process
///
/// This is what scripts/start does once everything is installed and built. The first address that it prints is the wall: a
/// page on which each stream plays while its tile is in sight.
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
    let mut streams = args.streams.check()?;
    if streams.out(&args.temp) == Path::new("-") {
        let message = "--out names the file that go2rtc reads here; go2rtc-config prints with --out -";
        return Err(Exit::Usage(message.to_owned()).into());
    }
    if streams.mode == Mode::Http {
        check_http(args, &streams)?;
    }
    if streams.mode == Mode::Exec && args.go2rtc.is_none() && args.compose.is_none() {
        return Err(Exit::Usage("--mode exec runs nothing without --go2rtc or --compose".to_owned()).into());
    }
    let in_container = streams.mode == Mode::Exec && args.compose.is_some();
    if in_container && args.streams.devices == Some(Devices::All) {
        let message =
            "the streams run in the container, whose GPUs nobody can tell from here: name them, as in --devices 0,1";
        return Err(Exit::Usage(message.to_owned()).into());
    }
    note_unused(&streams);
    let control = Arc::new(Control::new()?);
    // It bounds its own end, and a container may take longer than a worker.
    signals::start(&control, LONGEST_END, || {})?;
    let mut gpus = Vec::new();
    if let Some(devices) = args.streams.devices.as_ref().filter(|_| !in_container) {
        let Some(spread) = gpus::spread(&mut streams, devices, &control)? else { return Ok(()) };
        gpus = spread;
    }
    let (temp, go2rtc, compose) = (args.temp.clone(), args.go2rtc.clone(), args.compose.clone());
    let supervise = Supervise { streams, gpus, temp, go2rtc, compose };
    supervisor::run(&supervise, &control)
}

/// What does not go together with `--mode http`.
fn check_http(args: &SuperviseArgs, streams: &Streams) -> Result<(), Exit> {
    if args.compose.is_some() {
        let message = "--mode http has no container: start go2rtc beside it with --go2rtc, or give your own one what \
                       mb-encode go2rtc-config --mode http writes";
        return Err(Exit::Usage(message.to_owned()));
    }
    if args.go2rtc.is_some() && streams.options.iter().any(|word| word.starts_with("--token-file")) {
        let message = "--token-file goes with a go2rtc of your own: the one of --go2rtc shows a token that is made for it, \
                       which is in the file worker-token of --temp";
        return Err(Exit::Usage(message.to_owned()));
    }
    Ok(())
}
