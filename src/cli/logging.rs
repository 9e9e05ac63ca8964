//! Logging to standard error, which is the only place that people read, and the options for it.

use super::named::{self, named};
use crate::os::poll;
use crate::settings::Named;
use rustix::event::PollFlags;
use std::io::{self, IsTerminal, Write, stderr};
use std::time::Duration;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// go2rtc tells a viewer what it has read of standard error at the moment when standard output ends. So there is this
/// much time between the two.
pub const TO_BE_READ: Duration = Duration::from_millis(50);

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Logging")]
pub struct LoggingArgs {
    /// Least severe level to log [default: warn with --stdout, else info]
    #[arg(long, env = "MB_ENCODE_LOG_LEVEL", hide_env_values = true, value_name = "LEVEL")]
    #[arg(value_parser = named::<LogLevel>())]
    log_level: Option<LogLevel>,

    /// How to log
    #[arg(long, env = "MB_ENCODE_LOG_FORMAT", hide_env_values = true, value_name = "FORMAT")]
    #[arg(default_value = named::default::<LogFormat>(), value_parser = named::<LogFormat>())]
    log_format: LogFormat,

    /// Log rate, bitrate, skipped frames and encode times every so many seconds
    #[arg(long, env = "MB_ENCODE_STATS", hide_env_values = true, value_name = "SECONDS", value_parser = parse_seconds)]
    stats: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Named for LogLevel {
    const ALL: &'static [(Self, &'static str, &'static str)] = &[
        (Self::Off, "off", ""),
        (Self::Error, "error", ""),
        (Self::Warn, "warn", ""),
        (Self::Info, "info", ""),
        (Self::Debug, "debug", ""),
        (Self::Trace, "trace", ""),
    ];
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum LogFormat {
    #[default]
    Text,
    Json,
}

impl Named for LogFormat {
    const ALL: &'static [(Self, &'static str, &'static str)] = &[(Self::Text, "text", ""), (Self::Json, "json", "")];
}

fn parse_seconds(text: &str) -> Result<u32, String> {
    let seconds = text.parse().ok().filter(|seconds| (1..=86_400).contains(seconds));
    seconds.ok_or_else(|| "must be from 1 to 86400 whole seconds".to_owned())
}

impl LoggingArgs {
    pub fn stats_interval(&self) -> Option<Duration> {
        self.stats.map(|seconds| Duration::from_secs(seconds.into()))
    }
}

/// Starts logging as `args` say.
///
/// go2rtc shows a viewer the first 512 bytes of standard error, and these are for the cause of a failure: with the
/// video on standard output only warnings and errors are logged unless asked for.
pub fn start(args: &LoggingArgs, video_on_stdout: bool) {
    let usual = if video_on_stdout { LogLevel::Warn } else { LogLevel::Info };
    let level = match args.log_level.unwrap_or(usual) {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    // Statistics that were asked for are logged at any level but off.
    let stats = if level == LevelFilter::OFF { level } else { level.max(LevelFilter::INFO) };
    let filter = Targets::new().with_default(level).with_target("crate::stats", stats);
    let format =
        tracing_subscriber::fmt::layer().with_target(false).with_writer(|| Unblocked).with_ansi(stderr().is_terminal());
    let layer = match args.log_format {
        LogFormat::Text => format.boxed(),
        LogFormat::Json => format.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(filter)).init();
}

/// Standard error, except that a line is lost rather than waited with where nobody reads it: video goes first.
struct Unblocked;

impl Write for Unblocked {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let stderr = stderr();
        // A pipe that polls writable takes a line whole.
        if !poll::look(&stderr, PollFlags::OUT).is_empty() {
            let _ = stderr.lock().write_all(line);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
