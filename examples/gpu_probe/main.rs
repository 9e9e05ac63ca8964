//! Asks and measures one thing about the GPU of this machine, for `scripts/gpu-check`, which bounds it and judges it.
//!
//! ```text
//! cargo run --release --example gpu_probe -- strings
//! cargo run --release --example gpu_probe -- starts --times 10
//! ```
//!
//! What it finds goes to standard output for people, and with `--json FILE` to a file for programs. It fails where what it
//! asks for does not work, and never where that is slow.

mod choice;
mod coded;
mod first_byte;
mod key_frames;
mod libraries;
mod sessions;
mod starts;
mod strings;
mod times;
#[path = "../check_clip/units.rs"]
mod units;

use clap::{Parser, Subcommand};
use mb_encode::Settings;
use mb_encode::settings::EncoderChoice;
use serde_json::Value;
use std::path::PathBuf;
use std::process::ExitCode;

/// Ask and measure one thing about this machine's GPU
#[derive(Parser)]
struct Args {
    /// Which GPU, as CUDA counts them
    #[arg(long, global = true)]
    device: Option<u32>,
    /// Write what was found to this file as well, as JSON
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Which of these libraries cannot be loaded, one a line
    Missing { libraries: Vec<String> },
    /// What EGL and CUDA say of themselves, and which libraries were loaded for it
    Strings,
    /// Whether each GPU that CUDA shows can be drawn with
    Choice,
    /// How long EGL, CUDA and a session take to start, each in processes of its own
    Starts {
        /// How often each is started
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
        times: u32,
        /// No more than three starts of each after so many seconds
        #[arg(long, default_value_t = 12)]
        within: u32,
    },
    /// One start, for `starts`: prints how long it took, in microseconds
    #[command(hide = true)]
    Start { what: starts::What },
    /// How long a command takes to its first byte, from its start
    FirstByte(first_byte::Args),
    /// How many sessions can be open at once
    Sessions {
        /// Stop at so many
        #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1000))]
        most: u32,
    },
    /// Sizes and QPs of the pictures of a stream on standard input
    Coded(coded::Args),
    /// Sizes and QPs of IDR pictures, by how many more bits than others the rate control may give them
    KeyFrames {
        /// Pictures at each scale
        #[arg(long, default_value_t = 240, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        pictures: u32,
        /// `lowDelayKeyFrameScale`
        #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 4])]
        scales: Vec<u8>,
    },
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            complain(&format!("error: {why:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> anyhow::Result<()> {
    let settings = Settings { device: args.device, encoder: EncoderChoice::Nvenc, paced: false, ..Settings::default() };
    let found = match args.what {
        What::Missing { libraries } => libraries::missing(&libraries),
        What::Strings => strings::run(&settings)?,
        What::Choice => choice::run()?,
        What::Starts { times, within } => starts::run(args.device, times, within)?,
        What::Start { what } => return starts::once(what, &settings),
        What::FirstByte(args) => first_byte::run(&args)?,
        What::Sessions { most } => sessions::run(&settings, most)?,
        What::Coded(args) => coded::run(&args)?,
        What::KeyFrames { pictures, scales } => key_frames::run(&settings, pictures, &scales)?,
    };
    if let Some(file) = args.json {
        std::fs::write(file, format!("{found}\n"))?;
    }
    Ok(())
}

#[allow(clippy::print_stdout)] // No video goes there.
fn say(line: &str) {
    println!("{line}");
}

#[allow(clippy::print_stderr)] // It has no log.
fn complain(line: &str) {
    eprintln!("{line}");
}

/// What a measurement found, for programs.
type Found = Value;
