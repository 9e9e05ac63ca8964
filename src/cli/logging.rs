//! Logging to standard error, which is the only place that people read.

use super::args::{Args, LogFormat, LogLevel};
use std::io::{IsTerminal, stderr};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging as `args` say.
pub fn start(args: &Args) {
    let level = match args.log_level() {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    // Who asks for statistics gets them at any level but off.
    let stats = if level == LevelFilter::OFF { level } else { level.max(LevelFilter::INFO) };
    let filter = Targets::new().with_default(level).with_target("mb_encode::stats", stats);
    let format =
        tracing_subscriber::fmt::layer().with_target(false).with_writer(stderr).with_ansi(stderr().is_terminal());
    let layer = match args.log_format {
        LogFormat::Text => format.boxed(),
        LogFormat::Json => format.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(filter)).init();
}
