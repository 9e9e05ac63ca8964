//! The options that say which streams there are, checked into [`Streams`].

use super::addresses::AddressArgs;
use super::commands::stream::suspect;
use super::environment::parse_switch;
use super::input::Input;
use super::named::{self, named};
use super::number::within;
use super::options::StreamOptions;
use crate::error::Error;
use crate::service::exit::Exit;
use crate::service::go2rtc::safe::Prefix;
use crate::service::gpus::Devices;
use crate::service::streams::{Format, Mode, Streams};
use std::path::PathBuf;

/// How many workers one machine runs at most.
const MOST: u16 = 64;

/// Which streams there are, and where they can be watched.
#[derive(Clone, Debug, clap::Args)]
pub struct StreamsArgs {
    /// How many streams: 1 to 64, or to 1000 with go2rtc-config --source
    #[arg(long, env = "MB_ENCODE_WORKERS", hide_env_values = true, value_name = "N", default_value_t = Streams::default().workers)]
    #[arg(value_parser = within(1..=1000u16), help_heading = "Streams")]
    workers: u16,

    /// What their ids begin with: omega makes omega-0, omega-1 and so on
    #[arg(long, env = "MB_ENCODE_PREFIX", hide_env_values = true, value_name = "NAME", default_value_t)]
    #[arg(help_heading = "Streams")]
    prefix: Prefix,

    /// How go2rtc gets them
    #[arg(long, env = "MB_ENCODE_GO2RTC_MODE", hide_env_values = true, value_name = "MODE")]
    #[arg(default_value = named::default::<Mode>(), value_parser = named::<Mode>(), help_heading = "Streams")]
    mode: Mode,

    /// What the streams are made of [default: h264, and with --mode http mpegts]
    #[arg(long, env = "MB_ENCODE_FORMAT", hide_env_values = true, value_name = "FORMAT")]
    #[arg(value_parser = named::<Format>(), help_heading = "Streams")]
    format: Option<Format>,

    /// Keep every stream running, watched or not, so that a viewer's first frame comes at once
    #[arg(long, env = "MB_ENCODE_PRELOAD", hide_env_values = true, help_heading = "Streams")]
    #[arg(value_parser = parse_switch)]
    preload: bool,

    /// Spread the streams over these GPUs, in turn: all, or numbers as mb-encode gpus lists them, as in 0,1
    #[arg(long, env = "MB_ENCODE_DEVICES", hide_env_values = true, value_name = "LIST", help_heading = "Streams")]
    pub devices: Option<Devices>,

    #[command(flatten)]
    addresses: AddressArgs,

    /// With --mode http: the first worker's port on this machine; each of the others has the next one
    #[arg(long, env = "MB_ENCODE_WORKER_PORT", hide_env_values = true, value_name = "PORT")]
    #[arg(default_value_t = Streams::default().worker_port)]
    #[arg(value_parser = within(1..=u16::MAX), help_heading = "Addresses")]
    worker_port: u16,

    /// The folder of the FIFOs, which are made where they are missing [default: temp/streams]
    #[arg(long, env = "METABONK_STREAM_FIFO_DIR", hide_env_values = true, value_name = "FOLDER")]
    #[arg(help_heading = "Files")]
    fifo_dir: Option<PathBuf>,

    /// The config to write, whole or not at all; go2rtc-config prints it with - [default: temp/go2rtc.yaml]
    #[arg(long, env = "METABONK_GO2RTC_CONFIG", hide_env_values = true, value_name = "FILE", help_heading = "Files")]
    out: Option<PathBuf>,

    /// Options of mb-encode for every stream, such as --width 640 --fps 15; {id} in them is the stream's id
    #[arg(last = true, value_name = "OPTIONS")]
    options: Vec<String>,
}

impl StreamsArgs {
    /// Checks what no option can tell by itself. The options of a stream are checked by mb-encode's own grammar here,
    /// rather than by every worker when it starts.
    ///
    /// # Errors
    /// [`Exit`], or what the grammar says about the options of a stream.
    pub fn check(&self) -> anyhow::Result<Streams> {
        let streams = self.check_elsewhere()?;
        if streams.workers > MOST {
            let message = format!("--workers {}: one machine runs 1 to {MOST} of them", streams.workers);
            return Err(Exit::Usage(message).into());
        }
        check_worker_ports(&streams)?;
        Ok(streams)
    }

    /// The same for streams that workers elsewhere make, of which there may be more.
    ///
    /// # Errors
    /// As [`StreamsArgs::check`].
    pub fn check_elsewhere(&self) -> anyhow::Result<Streams> {
        self.addresses.check()?;
        let mut streams = self.values();
        if let (Some(_), Some(device)) = (&self.devices, device_of_all(&streams)) {
            let message =
                format!("--devices says which GPU each stream has, and {device} the same for all: leave one out");
            return Err(Exit::Usage(message).into());
        }
        let words = std::iter::once("--stdout".to_owned()).chain(streams.worker_options(0));
        let options = StreamOptions::of(words)?;
        options.output.destination()?;
        suspect(&options);
        let input = options.input()?;
        input.as_ref().map_or(Ok(()), Input::check_again)?;
        if let (Some(input), true) = (input, streams.workers > 1) {
            let other = std::iter::once("--stdout".to_owned()).chain(streams.worker_options(1));
            let is_same = StreamOptions::of(other)?.input()?.is_some_and(|other| other.place == input.place);
            if is_same && input.place.is_for_one() {
                return Err(Error::input(
                    "input-of-all",
                    format!("all {} streams would show the frames of one {}", streams.workers, input.place),
                    "",
                )
                .into());
            }
        }
        streams.fifo_mode = options.output.fifo_mode;
        streams.limits = options.limits();
        streams.encoder = options.settings().encoder;
        Ok(streams)
    }

    /// The values by themselves, which have not been held against each other yet.
    pub fn values(&self) -> Streams {
        Streams {
            workers: self.workers,
            prefix: self.prefix.clone(),
            mode: self.mode,
            format: self.format.unwrap_or(self.mode.usual_format()),
            preload: self.preload,
            fifo_dir: self.fifo_dir.clone(),
            worker_port: self.worker_port,
            out: self.out.clone(),
            devices: match &self.devices {
                Some(Devices::These(numbers)) => numbers.clone(),
                // Nobody has looked yet.
                Some(Devices::All) | None => Vec::new(),
            },
            options: self.options.clone(),
            ..self.addresses.values()
        }
    }
}

/// The GPU that the options of every stream name.
fn device_of_all(streams: &Streams) -> Option<String> {
    let mut words = streams.options.iter();
    let word = words.find(|word| *word == "--device" || word.starts_with("--device="))?;
    Some(if word.contains('=') { word.clone() } else { format!("{word} {}", words.next()?) })
}

/// Every worker by HTTP has a port, which is none of go2rtc's.
fn check_worker_ports(streams: &Streams) -> Result<(), Exit> {
    if streams.mode != Mode::Http {
        return Ok(());
    }
    let (first, workers) = (streams.worker_port, streams.workers);
    let Some(last) = first.checked_add(workers - 1) else {
        let highest = u16::MAX - (workers - 1);
        let message = format!("--worker-port {first} leaves no room for {workers} ports: {highest} is the highest");
        return Err(Exit::Usage(message));
    };
    let others =
        [("--api-port", streams.api_port), ("--rtsp-port", streams.rtsp_port), ("--webrtc-port", streams.webrtc_port)];
    for (name, port) in others {
        if (first..=last).contains(&port) {
            let message = format!(
                "{name} {port} is among the ports {first} to {last} of the workers: choose another {name} or --worker-port"
            );
            return Err(Exit::Usage(message));
        }
    }
    Ok(())
}

/// Says what changes nothing.
pub fn note_unused(streams: &Streams) {
    let has_fifo_mode = streams.options.iter().any(|word| word.starts_with("--fifo-mode"));
    if streams.mode == Mode::Http && (streams.fifo_dir.is_some() || has_fifo_mode) {
        tracing::warn!("--fifo-dir and --fifo-mode change nothing: there are no FIFOs with --mode http");
    }
}
