//! Logging to standard error, which is the only place that people read.

use super::options::{Args, LogFormat, LogLevel};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, IsTerminal, Write, stderr};
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
        let mut fds = [PollFd::new(&stderr, PollFlags::OUT)];
        // A pipe that polls writable takes a line whole.
        if poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0) {
            let _ = stderr.lock().write_all(line);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
