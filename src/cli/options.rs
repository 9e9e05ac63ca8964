//! The grammar: options, subcommands, help. Values check themselves as they are parsed.

use super::commands::doctor::DoctorArgs;
use super::commands::explain::{self, ExplainArgs};
use super::commands::mpegts::MpegTsArgs;
use super::usage_error;
use crate::os::process::TiedArgs;
use crate::service::door::FifoPlace;
use crate::service::go2rtc::config::ConfigArgs;
use crate::service::supervisor::{StatusArgs, SuperviseArgs};
use crate::settings::{Bitrate, EncoderChoice, FifoMode, FrameRate, Gop, MpegTs, PipeSize, Preset, Size, Tuning};
use crate::{Error, Settings};
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  In go2rtc.yaml, a stream that runs while somebody watches:
      demo: exec:mb-encode --stdout#video=h264#raw
  A FIFO for  exec:cat …/demo.h264#video=h264#raw :
      mb-encode --fifo temp/streams/demo.h264
  Four seconds in a file:
      mb-encode --out clip.h264 --frames 240
  Your own shader, on the screen:
      mb-encode --stdout --shader examples/shaders/waves.glsl | ffplay -f h264 -
  What works on this machine, and what to do about the rest:
      mb-encode doctor

Signals:
  SIGTERM, SIGINT   finish the access unit at hand and end; a second one ends at once
  SIGUSR1           make the next picture an IDR (a keyframe)

Exit codes:
  0   done, stopped, or the reader left
  1   failed while running: the cause is on standard error
  2   wrong use or input";

/// Renders headless through EGL, encodes H.264 and writes it where go2rtc reads it.
///
/// Standard output carries the video and nothing else; everything for people goes to standard error.
#[derive(Debug, Parser)]
#[command(name = "mb-encode", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
#[command(override_usage = "mb-encode --stdout | --fifo <PATH> | --out <PATH> [OPTIONS]\n       mb-encode <COMMAND>")]
#[command(max_term_width = 110, disable_help_flag = true, allow_negative_numbers = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Write to standard output, for go2rtc's exec: or a pipe
    #[arg(long, help_heading = "Output (exactly one)")]
    stdout: bool,

    /// Write to a FIFO, made if missing; encodes only while a reader is connected
    #[arg(long, value_name = "PATH", help_heading = "Output (exactly one)")]
    fifo: Option<PathBuf>,

    /// Write to a file
    #[arg(long, value_name = "PATH", help_heading = "Output (exactly one)")]
    out: Option<PathBuf>,

    /// Permissions of a FIFO that is made, in octal
    #[arg(
        long,
        env = "MB_ENCODE_FIFO_MODE",
        hide_env_values = true,
        value_name = "MODE",
        default_value_t,
        help_heading = "Output (exactly one)"
    )]
    pub fifo_mode: FifoMode,

    /// Capacity of the FIFO's pipe, 4k to 1M bytes [default: the system's, 64k]
    #[arg(
        long,
        env = "MB_ENCODE_PIPE_SIZE",
        hide_env_values = true,
        value_name = "BYTES",
        help_heading = "Output (exactly one)"
    )]
    pipe_size: Option<PipeSize>,

    /// Picture width in pixels: even, 64 to 4096 (OpenH264: 3840x2160 at most)
    #[arg(long, env = "MB_ENCODE_WIDTH", hide_env_values = true, value_name = "PIXELS", default_value = "1280", value_parser = parse_side)]
    #[arg(help_heading = "Picture")]
    width: u32,

    /// Picture height in pixels: even, 64 to 4096
    #[arg(long, env = "MB_ENCODE_HEIGHT", hide_env_values = true, value_name = "PIXELS", default_value = "720", value_parser = parse_side)]
    #[arg(help_heading = "Picture")]
    height: u32,

    /// Pictures per second: 1 to 240, also 30000/1001
    #[arg(
        long,
        env = "MB_ENCODE_FPS",
        hide_env_values = true,
        value_name = "RATE",
        default_value = "60",
        help_heading = "Picture"
    )]
    fps: FrameRate,

    /// Pictures until the end; 0 is endless
    #[arg(
        long,
        env = "MB_ENCODE_FRAMES",
        hide_env_values = true,
        value_name = "N",
        default_value_t = 0,
        value_parser = parse_frames,
        help_heading = "Picture"
    )]
    frames: u64,

    /// What to show
    #[arg(
        long,
        env = "MB_ENCODE_SCENE",
        hide_env_values = true,
        value_enum,
        default_value_t,
        help_heading = "Picture"
    )]
    pub scene: Scene,

    /// Show what a fragment shader draws (Shadertoy's mainImage)
    #[arg(long, env = "MB_ENCODE_SHADER", hide_env_values = true, value_name = "FILE", help_heading = "Picture")]
    shader: Option<PathBuf>,

    /// Text in the test card's first line
    #[arg(
        long,
        env = "MB_ENCODE_LABEL",
        hide_env_values = true,
        value_name = "TEXT",
        default_value = "mb-encode",
        help_heading = "Picture"
    )]
    pub label: String,

    /// Draw on this GPU, counted as CUDA counts them [default: the first, else in software]
    #[arg(long, env = "MB_ENCODE_DEVICE", hide_env_values = true, value_name = "N", value_parser = parse_device, help_heading = "Picture")]
    device: Option<u32>,

    /// Which encoder; auto takes NVENC where it works
    #[arg(
        long,
        env = "MB_ENCODE_ENCODER",
        hide_env_values = true,
        value_enum,
        default_value_t,
        help_heading = "Encoding"
    )]
    encoder: EncoderArg,

    /// NVENC's speed against quality: p1 is the fastest, p7 the best
    #[arg(
        long,
        env = "MB_ENCODE_PRESET",
        hide_env_values = true,
        value_enum,
        default_value_t,
        help_heading = "Encoding"
    )]
    preset: PresetArg,

    /// NVENC's tuning: low latency or ultra low latency
    #[arg(
        long,
        env = "MB_ENCODE_TUNING",
        hide_env_values = true,
        value_enum,
        default_value_t,
        help_heading = "Encoding"
    )]
    tuning: TuningArg,

    /// Bits per second: 64k to 400M (OpenH264: 288M at most)
    #[arg(
        long,
        env = "MB_ENCODE_BITRATE",
        hide_env_values = true,
        value_name = "RATE",
        default_value = "6M",
        help_heading = "Encoding"
    )]
    bitrate: Bitrate,

    /// Pictures from one IDR (keyframe) to the next: 1 to 3600 [default: one second]
    #[arg(long, env = "MB_ENCODE_GOP", hide_env_values = true, value_name = "N", help_heading = "Encoding")]
    gop: Option<Gop>,

    /// Wrap the stream in MPEG-TS, through ffmpeg or, with =native, in this process
    #[arg(
        long,
        env = "MB_ENCODE_MPEGTS",
        hide_env_values = true,
        value_enum,
        value_name = "HOW",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "ffmpeg",
        help_heading = "Encoding"
    )]
    mpegts: Option<MpegTsArg>,

    /// As fast as it goes, without holding pictures to --fps
    #[arg(long, env = "MB_ENCODE_NO_PACE", hide_env_values = true, help_heading = "Encoding")]
    #[arg(value_parser = parse_switch)]
    no_pace: bool,

    /// Least severe level to log [default: warn with --stdout, else info]
    #[arg(
        long,
        env = "MB_ENCODE_LOG_LEVEL",
        hide_env_values = true,
        value_enum,
        value_name = "LEVEL",
        help_heading = "Logging"
    )]
    pub log_level: Option<LogLevel>,

    /// How to log
    #[arg(
        long,
        env = "MB_ENCODE_LOG_FORMAT",
        hide_env_values = true,
        value_enum,
        value_name = "FORMAT",
        default_value_t,
        help_heading = "Logging"
    )]
    pub log_format: LogFormat,

    /// Log rate, bitrate, skipped pictures and encode times every so many seconds
    #[arg(long, env = "MB_ENCODE_STATS", hide_env_values = true, value_name = "SECONDS", value_parser = parse_seconds)]
    #[arg(help_heading = "Logging")]
    stats: Option<u32>,

    /// Print this help
    #[arg(short, long, action = clap::ArgAction::HelpShort, global = true)]
    help: Option<bool>,
}

#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    Doctor(DoctorArgs),
    Explain(ExplainArgs),
    Go2rtcConfig(Box<ConfigArgs>),
    Mpegts(MpegTsArgs),
    Supervise(Box<SuperviseArgs>),
    Status(StatusArgs),
    #[command(hide = true)]
    Tied(TiedArgs),
    /// Print shell completions
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the man page
    Man,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Scene {
    /// Colour patches, motion, label, frame number, clock, and a strip that a program can read
    #[default]
    Testcard,
    /// A red bar that moves 7 pixels a picture
    Bar,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum EncoderArg {
    #[default]
    Auto,
    Nvenc,
    Openh264,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum PresetArg {
    P1,
    P2,
    P3,
    #[default]
    P4,
    P5,
    P6,
    P7,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum TuningArg {
    Ll,
    #[default]
    Ull,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum MpegTsArg {
    /// An ffmpeg child
    Ffmpeg,
    /// This process: keeps each picture's own time, needs no ffmpeg
    Native,
}

impl From<MpegTsArg> for MpegTs {
    fn from(how: MpegTsArg) -> Self {
        match how {
            MpegTsArg::Ffmpeg => Self::Ffmpeg,
            MpegTsArg::Native => Self::Native,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// More than any shader that a person or a program would write.
const MAX_SHADER: u64 = 1 << 20;

fn parse_side(text: &str) -> Result<u32, String> {
    let side = text.parse().unwrap_or(0);
    Size::check_side(side)
}

/// A switch from the environment.
fn parse_switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "" | "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("must be true or false, yes or no, on or off, 1 or 0".to_owned()),
    }
}

fn parse_frames(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "must be a number of pictures from 0, which is endless".to_owned())
}

pub fn parse_device(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "must be the number of a GPU, from 0, as CUDA counts them".to_owned())
}

fn parse_seconds(text: &str) -> Result<u32, String> {
    let seconds = text.parse().ok().filter(|seconds| (1..=86_400).contains(seconds));
    seconds.ok_or_else(|| "must be from 1 to 86400 whole seconds".to_owned())
}

/// The one output that was asked for.
#[derive(Debug)]
pub enum Destination {
    Stdout,
    File(PathBuf),
    Fifo(FifoPlace),
}

impl Args {
    /// The settings of the stream.
    pub fn settings(&self) -> Settings {
        Settings {
            size: Size::new(self.width, self.height).expect("each side was checked as it was parsed"),
            frame_rate: self.fps,
            bitrate: self.bitrate,
            gop: self.gop,
            pictures: (self.frames > 0).then_some(self.frames),
            paced: !self.no_pace,
            encoder: match self.encoder {
                EncoderArg::Auto => EncoderChoice::Auto,
                EncoderArg::Nvenc => EncoderChoice::Nvenc,
                EncoderArg::Openh264 => EncoderChoice::Openh264,
            },
            preset: match self.preset {
                PresetArg::P1 => Preset::P1,
                PresetArg::P2 => Preset::P2,
                PresetArg::P3 => Preset::P3,
                PresetArg::P4 => Preset::P4,
                PresetArg::P5 => Preset::P5,
                PresetArg::P6 => Preset::P6,
                PresetArg::P7 => Preset::P7,
            },
            tuning: match self.tuning {
                TuningArg::Ll => Tuning::LowLatency,
                TuningArg::Ull => Tuning::UltraLowLatency,
            },
            mpegts: self.mpegts.map(MpegTs::from),
            device: self.device,
        }
    }

    /// The one output that was asked for.
    pub fn output(&self) -> Result<Destination, clap::Error> {
        match (self.stdout, &self.fifo, &self.out) {
            (true, None, None) => Ok(Destination::Stdout),
            (false, Some(path), None) => {
                Ok(Destination::Fifo(FifoPlace { path: path.clone(), mode: self.fifo_mode, pipe_size: self.pipe_size }))
            }
            (false, None, Some(path)) => Ok(Destination::File(path.clone())),
            (stdout, fifo, out) => {
                let given: Vec<_> = [(stdout, "--stdout"), (fifo.is_some(), "--fifo"), (out.is_some(), "--out")]
                    .into_iter()
                    .filter_map(|(given, name)| given.then_some(name))
                    .collect();
                let seen = match given.len() {
                    0 => "none of --stdout, --fifo and --out was given".to_owned(),
                    _ => format!("{} were given", given.join(" and ")),
                };
                Err(usage_error(format!(
                    "{seen}; give exactly one, for example: mb-encode --out clip.h264 --frames 240"
                )))
            }
        }
    }

    /// Whether the video goes to standard output.
    pub fn writes_to_stdout(&self) -> bool {
        self.stdout
    }

    /// Shows the scene, whatever shader there was.
    pub fn show_scene(&mut self) {
        self.shader = None;
    }

    /// The shader's path, if there is one.
    pub fn shader_path(&self) -> Option<&Path> {
        self.shader.as_deref()
    }

    /// The shader's name and source, if there is one.
    pub fn shader_source(&self) -> Result<Option<(String, String)>, Error> {
        let Some(path) = &self.shader else {
            return Ok(None);
        };
        let name = path.display().to_string();
        let mut source = String::new();
        // Not only files end: a path may lead to a device.
        let read = std::fs::File::open(path).and_then(|file| file.take(MAX_SHADER + 1).read_to_string(&mut source));
        match read {
            Ok(bytes) if bytes as u64 > MAX_SHADER => Err(Error::input(
                format!("the shader {name} is longer than {} MiB", MAX_SHADER >> 20),
                "name a text file in GLSL with a mainImage, like examples/shaders/waves.glsl",
            )),
            Ok(_) => Ok(Some((name, source))),
            Err(error) => Err(Error::input(
                format!("cannot read the shader {name}"),
                "name a text file in GLSL with a mainImage, like examples/shaders/waves.glsl",
            )
            .caused_by(error)),
        }
    }

    pub fn stats_interval(&self) -> Option<Duration> {
        self.stats.map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// The level to log from. go2rtc shows a viewer the first 512 bytes of standard error, and these are for the
    /// cause of a failure: on standard output only warnings and errors are logged unless asked for.
    pub fn log_level(&self) -> LogLevel {
        self.log_level.unwrap_or(if self.stdout { LogLevel::Warn } else { LogLevel::Info })
    }
}

pub fn print_completions(shell: clap_complete::Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut shown(&Args::command()), "mb-encode", &mut script);
    print(&script)
}

/// What of a command's grammar is for people: completions would tell of hidden options and subcommands, too.
fn shown(command: &clap::Command) -> clap::Command {
    clap::Command::new(command.get_name().to_owned())
        .version(env!("CARGO_PKG_VERSION"))
        .disable_version_flag(command.get_version().is_none())
        .about(command.get_about().cloned().unwrap_or_default())
        .disable_help_flag(true)
        .args(command.get_arguments().filter(|argument| !argument.is_hide_set()).cloned())
        .subcommands(command.get_subcommands().filter(|command| !command.is_hide_set()).map(shown))
}

pub fn print_man_page() -> anyhow::Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Args::command()).render(&mut page)?;
    page.extend_from_slice(explain::man_section().as_bytes());
    print(&page)
}

/// A reader that has seen enough, `| head` say, is no error.
pub fn print(text: &[u8]) -> anyhow::Result<()> {
    use std::io::Write as _;
    match std::io::stdout().write_all(text) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("cannot write to standard output"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_consistent() {
        Args::command().debug_assert();
    }
}
