//! `mb-encode mpegts`: H.264 in, MPEG-TS out.

use crate::Control;
use crate::cli::named::named;
use crate::os::signals::{self, Child};
use crate::settings::{FrameRate, MpegTs};
use std::ffi::OsString;
use std::sync::Arc;

const AFTER_HELP: &str = "\
A picture ends where the next one begins, or where the source pauses: for 3 ms (20 ms until it
is known), or four times the longest pause that it made within a picture. So a source that writes
picture by picture is passed on without delay; one that writes whenever a buffer is full is a
picture late.

Example:
  ffmpeg -re -i film.mkv -an -c:v libx264 -bf 0 -f h264 - | mb-encode mpegts >film.ts

Exit codes:
  0   the input has ended, a stop was asked for, or the reader left
  1   failed while running: the cause is on standard error
  2   wrong use, or no H.264";

/// Wrap H.264 from standard input in MPEG-TS
///
/// Takes an Annex B byte stream without B pictures, and writes to standard output.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct MpegTsArgs {
    /// Who wraps [default: ffmpeg with --fps, else native]
    // The alias: it is what messages about ffmpeg name.
    #[arg(long, alias = "mpegts", env = "MB_ENCODE_MPEGTS", hide_env_values = true, value_name = "HOW")]
    #[arg(value_parser = named::<MpegTs>())]
    how: Option<MpegTs>,

    /// Pictures per second, 1 to 240, also 30000/1001: each picture is on this grid by its number. Without it each is
    /// stamped when it arrives, which only native can, and which shows every unsteadiness of the source
    #[arg(long, value_name = "RATE")]
    fps: Option<FrameRate>,

    /// Take the H.264 from this command's standard output, rather than from standard input
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub fn run(args: &MpegTsArgs) -> anyhow::Result<()> {
    let control = Arc::new(Control::new()?);
    signals::start(&control, &Child::default())?;
    let how = match args.how {
        Some(how) => how,
        None if args.fps.is_some() => MpegTs::Ffmpeg,
        None => MpegTs::Native,
    };
    Ok(crate::remux::wrap(std::io::stdin(), how, args.fps, &control)?)
}
