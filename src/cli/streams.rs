//! The options that say which streams there are, checked into [`Streams`].

use super::addresses::AddressArgs;
use super::commands::stream::suspect;
use super::environment::parse_switch;
use super::input::Input;
use super::named::{self, named};
use super::options::StreamOptions;
use crate::error::Error;
use crate::service::go2rtc::safe::Prefix;
use crate::service::streams::{Format, Mode, Streams};
use std::path::PathBuf;

/// Which streams there are, and where they can be watched.
#[derive(Clone, Debug, clap::Args)]
pub struct StreamsArgs {
    /// How many streams: 1 to 64
    #[arg(long, env = "MB_ENCODE_WORKERS", hide_env_values = true, value_name = "N", default_value_t = Streams::default().workers)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=64), help_heading = "Streams")]
    workers: u16,

    /// What their ids begin with: omega makes omega-0, omega-1 and so on
    #[arg(long, env = "MB_ENCODE_PREFIX", hide_env_values = true, value_name = "NAME", default_value_t)]
    #[arg(help_heading = "Streams")]
    prefix: Prefix,

    /// How go2rtc gets them
    #[arg(long, env = "MB_ENCODE_GO2RTC_MODE", hide_env_values = true, value_name = "MODE")]
    #[arg(default_value = named::default::<Mode>(), value_parser = named::<Mode>(), help_heading = "Streams")]
    mode: Mode,

    /// What is in the pipes
    #[arg(long, env = "MB_ENCODE_FORMAT", hide_env_values = true, value_name = "FORMAT")]
    #[arg(default_value = named::default::<Format>(), value_parser = named::<Format>(), help_heading = "Streams")]
    format: Format,

    /// Keep every stream running, watched or not, so that a viewer's first frame comes at once
    #[arg(long, env = "MB_ENCODE_PRELOAD", hide_env_values = true, help_heading = "Streams")]
    #[arg(value_parser = parse_switch)]
    preload: bool,

    #[command(flatten)]
    addresses: AddressArgs,

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
        self.addresses.check()?;
        let mut streams = self.values();
        let words = std::iter::once("--stdout".to_owned()).chain(streams.worker_options("omega-0"));
        let options = StreamOptions::of(words)?;
        options.output.destination()?;
        suspect(&options);
        let input = options.input()?;
        input.as_ref().map_or(Ok(()), Input::check_again)?;
        if let (Some(input), true) = (input, streams.workers > 1) {
            let other = std::iter::once("--stdout".to_owned()).chain(streams.worker_options("omega-1"));
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
        Ok(streams)
    }

    /// The values by themselves, which have not been held against each other yet.
    pub fn values(&self) -> Streams {
        Streams {
            workers: self.workers,
            prefix: self.prefix.clone(),
            mode: self.mode,
            format: self.format,
            preload: self.preload,
            fifo_dir: self.fifo_dir.clone(),
            out: self.out.clone(),
            options: self.options.clone(),
            ..self.addresses.values()
        }
    }
}
