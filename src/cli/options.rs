//! The options of one stream: what it shows and how it is encoded. Values check themselves as they are parsed.

use super::environment;
use super::input::{Input, InputArgs};
use super::logging::LoggingArgs;
use super::named::{self, named};
use super::output::OutputArgs;
use crate::service::streams::Format;
use crate::service::terms::Terms;
use crate::settings::{
    Bitrate, EncoderChoice, FrameRate, Gop, IdrScale, Limits, MpegTs, Named, Preset, Size, Tuning, Vbv,
};
use crate::source::input::Wanted;
use crate::source::{CHANNELS, Shader};
use crate::{Error, Settings};
use clap::{CommandFactory as _, FromArgMatches as _, Parser};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything that decides what a stream is and where it goes.
#[derive(Clone, Debug, Parser)]
#[command(name = "mb-encode", disable_help_flag = true, allow_negative_numbers = true)]
pub struct StreamOptions {
    #[command(flatten)]
    pub output: OutputArgs,

    #[command(flatten)]
    input: InputArgs,

    /// Frame width in pixels: even, 64 to 4096 (OpenH264: 3840x2160 at most) [default: 1280, or the input's]
    #[arg(long, env = "MB_ENCODE_WIDTH", hide_env_values = true, value_name = "PIXELS", value_parser = parse_side)]
    #[arg(help_heading = "Picture")]
    width: Option<u32>,

    /// Frame height in pixels: even, 64 to 4096 [default: 720, or the input's]
    #[arg(long, env = "MB_ENCODE_HEIGHT", hide_env_values = true, value_name = "PIXELS", value_parser = parse_side)]
    #[arg(help_heading = "Picture")]
    height: Option<u32>,

    /// Frames per second: 1 to 240, also 30000/1001; with an input, the most [default: 60, or the input's]
    #[arg(long, env = "MB_ENCODE_FPS", hide_env_values = true, value_name = "RATE", help_heading = "Picture")]
    fps: Option<FrameRate>,

    /// Stop after N frames (0: never)
    #[arg(long, env = "MB_ENCODE_FRAMES", hide_env_values = true, value_name = "N", default_value_t = 0)]
    #[arg(value_parser = parse_frames, help_heading = "Picture")]
    frames: u64,

    /// What to show
    #[arg(long, env = "MB_ENCODE_SCENE", hide_env_values = true, value_name = "SCENE", help_heading = "Picture")]
    #[arg(default_value = named::default::<Scene>(), value_parser = named::<Scene>())]
    pub scene: Scene,

    /// Show what a fragment shader draws (as on Shadertoy)
    #[arg(long, env = "MB_ENCODE_SHADER", hide_env_values = true, value_name = "FILE", help_heading = "Picture")]
    shader: Option<PathBuf>,

    /// Picture that the shader reads as iChannel0: PNG or JPEG
    #[arg(long, env = "MB_ENCODE_CHANNEL0", hide_env_values = true, value_name = "FILE", help_heading = "Picture")]
    channel0: Option<PathBuf>,

    /// Picture that the shader reads as iChannel1
    #[arg(long, env = "MB_ENCODE_CHANNEL1", hide_env_values = true, value_name = "FILE", help_heading = "Picture")]
    channel1: Option<PathBuf>,

    /// Picture that the shader reads as iChannel2
    #[arg(long, env = "MB_ENCODE_CHANNEL2", hide_env_values = true, value_name = "FILE", help_heading = "Picture")]
    channel2: Option<PathBuf>,

    /// Picture that the shader reads as iChannel3
    #[arg(long, env = "MB_ENCODE_CHANNEL3", hide_env_values = true, value_name = "FILE", help_heading = "Picture")]
    channel3: Option<PathBuf>,

    /// Text in the test card's first line
    #[arg(long, env = "MB_ENCODE_LABEL", hide_env_values = true, value_name = "TEXT", default_value = "mb-encode")]
    #[arg(help_heading = "Picture")]
    pub label: String,

    /// Draw and encode on this GPU, counted as CUDA counts them [default: the first that encodes]
    #[arg(long, env = "MB_ENCODE_DEVICE", hide_env_values = true, value_name = "N", value_parser = parse_device)]
    #[arg(help_heading = "Picture")]
    device: Option<u32>,

    /// Which encoder; auto takes NVENC where it works
    #[arg(long, env = "MB_ENCODE_ENCODER", hide_env_values = true, value_name = "ENCODER", help_heading = "Encoding")]
    #[arg(default_value = named::default::<EncoderChoice>(), value_parser = named::<EncoderChoice>())]
    encoder: EncoderChoice,

    /// NVENC's speed against quality: p1 is the fastest, p7 the best
    #[arg(long, env = "MB_ENCODE_PRESET", hide_env_values = true, value_name = "PRESET", help_heading = "Encoding")]
    #[arg(default_value = named::default::<Preset>(), value_parser = named::<Preset>())]
    preset: Preset,

    /// NVENC's tuning: low latency, for streams that are joined, or ultra low latency
    #[arg(long, env = "MB_ENCODE_TUNING", hide_env_values = true, value_name = "TUNING", help_heading = "Encoding")]
    #[arg(default_value = named::default::<Tuning>(), value_parser = named::<Tuning>())]
    tuning: Tuning,

    /// Bits per second: 64k to 400M (OpenH264: 288M at most)
    #[arg(long, env = "MB_ENCODE_BITRATE", hide_env_values = true, value_name = "RATE", default_value_t)]
    #[arg(help_heading = "Encoding")]
    bitrate: Bitrate,

    /// From one IDR (keyframe) to the next: 1 to 3600 frames, or a time: 10s, 500ms [default: 1s; 4s where viewers get one on joining]
    #[arg(long, env = "MB_ENCODE_GOP", hide_env_values = true, value_name = "LENGTH", help_heading = "Encoding")]
    gop: Option<Gop>,

    /// NVENC's rate buffer in frames of average size, 1 to 240; OpenH264 has none [default: 1.5; 1 with a GOP of 2s or more]
    #[arg(long, env = "MB_ENCODE_VBV", hide_env_values = true, value_name = "FRAMES", help_heading = "Encoding")]
    vbv: Option<Vbv>,

    /// How many times the bits of another frame NVENC may give an IDR, where its rate buffer holds one frame: 1 to 10
    #[arg(long, env = "MB_ENCODE_IDR_SCALE", hide_env_values = true, value_name = "TIMES", default_value_t)]
    #[arg(help_heading = "Encoding")]
    idr_scale: IdrScale,

    /// Wrap the stream in MPEG-TS, in this process or, with =ffmpeg, through ffmpeg
    #[arg(long, env = "MB_ENCODE_MPEGTS", hide_env_values = true, value_name = "HOW", help_heading = "Encoding")]
    #[arg(num_args = 0..=1, require_equals = true, value_parser = named::<MpegTs>())]
    #[arg(default_missing_value = named::default::<MpegTs>())]
    mpegts: Option<MpegTs>,

    /// Do not pace: encode as fast as possible
    #[arg(long, env = "MB_ENCODE_NO_PACE", hide_env_values = true, help_heading = "Encoding")]
    #[arg(value_parser = environment::parse_switch)]
    no_pace: bool,

    /// Longest that a stream may take to open until it counts as hung: 1 to 3600
    #[arg(long, env = "MB_ENCODE_START_TIMEOUT", hide_env_values = true, value_name = "SECONDS")]
    #[arg(default_value_t = Limits::default().opening.as_secs(), value_parser = parse_timeout)]
    #[arg(help_heading = "Timeouts")]
    start_timeout: u64,

    /// Longest that one frame may take in the renderer, in reading back or in the encoder, likewise
    #[arg(long, env = "MB_ENCODE_HANG_TIMEOUT", hide_env_values = true, value_name = "SECONDS")]
    #[arg(default_value_t = Limits::default().picture.as_secs(), value_parser = parse_timeout)]
    #[arg(help_heading = "Timeouts")]
    hang_timeout: u64,

    #[command(flatten)]
    pub logging: LoggingArgs,
}

/// What is drawn where no shader is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scene {
    #[default]
    Testcard,
    Bar,
}

impl Named for Scene {
    const ALL: &'static [(Self, &'static str, &'static str)] = &[
        (
            Self::Testcard,
            "testcard",
            "Colour patches, motion, label, frame number, clock, and a strip that a program can read",
        ),
        (Self::Bar, "bar", "A red bar that moves 7 pixels a frame"),
    ];
}

/// Which file there is, and since when it is as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    id: (u64, u64),
    size: i64,
    changed: (i64, u64),
}

impl Stamp {
    fn of(stat: rustix::fs::Stat) -> Self {
        Self { id: (stat.st_dev, stat.st_ino), size: stat.st_size, changed: (stat.st_ctime, stat.st_ctime_nsec) }
    }
}

fn parse_side(text: &str) -> Result<u32, String> {
    let side = text.parse().unwrap_or(0);
    Size::check_side(side)
}

fn parse_frames(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "must be a number of frames from 0, where 0 is no limit".to_owned())
}

fn parse_timeout(text: &str) -> Result<u64, String> {
    let seconds = text.parse().ok().filter(|seconds| (1..=3600).contains(seconds));
    seconds.ok_or_else(|| "must be from 1 to 3600 whole seconds".to_owned())
}

pub fn parse_device(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "must be the number of a GPU, from 0, as CUDA counts them".to_owned())
}

impl StreamOptions {
    /// What a stream makes of `words`, and of the environment.
    ///
    /// # Errors
    /// What the grammar says about them.
    pub fn of(words: impl IntoIterator<Item = String>) -> Result<Self, clap::Error> {
        let words: Vec<_> = std::iter::once("mb-encode".into()).chain(words.into_iter().map(OsString::from)).collect();
        let matches = environment::matches(Self::command, &words)?;
        Self::from_arg_matches(&matches)
    }

    /// The settings of the stream.
    pub fn settings(&self) -> Settings {
        Settings {
            size: self.size(),
            frame_rate: self.fps.unwrap_or_default(),
            bitrate: self.bitrate,
            gop: self.gop,
            vbv: self.vbv,
            idr_scale: self.idr_scale,
            pictures: (self.frames > 0).then_some(self.frames),
            paced: !self.no_pace,
            encoder: self.encoder,
            preset: self.preset,
            tuning: self.tuning,
            mpegts: self.mpegts,
            device: self.device,
        }
    }

    fn size(&self) -> Size {
        let usual = Size::default();
        Size::new(self.width.unwrap_or(usual.width()), self.height.unwrap_or(usual.height()))
            .expect("each side was checked as it was parsed")
    }

    /// The pictures of another program, if they are shown. See [`InputArgs::input`].
    ///
    /// # Errors
    /// The options do not go together.
    pub fn input(&self) -> Result<Option<Input>, Error> {
        let input = self.input.input((self.width, self.height), self.output.is_for_many())?;
        if input.is_some() && self.mpegts == Some(MpegTs::Ffmpeg) {
            return Err(Error::input(
                "input-ffmpeg",
                "--mpegts=ffmpeg gives frames even times, and those of an input come as they come",
                "",
            ));
        }
        Ok(input)
    }

    /// What the stream is to be whatever its input is.
    pub fn wanted(&self) -> Wanted {
        Wanted { width: self.width, height: self.height, frame_rate: self.fps }
    }

    /// How long the stream may take for a step until it counts as hung.
    pub fn limits(&self) -> Limits {
        Limits { opening: Duration::from_secs(self.start_timeout), picture: Duration::from_secs(self.hang_timeout) }
    }

    /// What a worker of this stream is held to.
    pub fn terms(&self) -> Terms {
        let OutputArgs { spare, spare_idle, .. } = self.output;
        Terms { limits: self.limits(), encoder: self.encoder, spare, spare_idle }
    }

    /// The same stream in a format that its reader has chosen.
    pub fn in_format(&self, format: Format) -> Self {
        let mpegts = match format {
            Format::H264 => None,
            Format::Mpegts => Some(self.mpegts.unwrap_or_default()),
        };
        Self { mpegts, ..self.clone() }
    }

    /// Shows the scene, whatever shader there was.
    pub fn show_scene(&mut self) {
        self.shader = None;
    }

    /// The shader's path, if there is one.
    pub fn shader_path(&self) -> Option<&Path> {
        self.shader.as_deref()
    }

    /// The files of the shader's channels.
    pub fn channel_paths(&self) -> [Option<PathBuf>; CHANNELS] {
        [&self.channel0, &self.channel1, &self.channel2, &self.channel3].map(Clone::clone)
    }

    /// What the files that the shader is made of look like from outside: another one where any of them has changed.
    pub fn stamp(&self) -> Vec<Option<Stamp>> {
        let channels = self.channel_paths();
        let paths = self.shader_path().into_iter().chain(channels.iter().flatten().map(PathBuf::as_path));
        paths.map(|path| rustix::fs::stat(path).ok().map(Stamp::of)).collect()
    }

    /// The shader with its pictures, if there is one.
    ///
    /// # Errors
    /// One of the files cannot be read, or is not what it has to be.
    pub fn shader(&self) -> Result<Option<Shader>, Error> {
        self.shader.as_deref().map(|path| Shader::read(path, &self.channel_paths())).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &str) -> StreamOptions {
        StreamOptions::of(words.split(' ').map(str::to_owned)).unwrap()
    }

    #[test]
    fn what_is_not_said_is_as_the_library_has_it() {
        let options = of("--stdout");
        assert_eq!(options.settings(), Settings::default());
        assert_eq!(options.limits(), Limits::default());
    }

    #[test]
    fn what_supervised_streams_get_as_their_gop_is_what_this_option_reads() {
        let (name, length) = crate::service::go2rtc::keyframes::GOP;
        let command = StreamOptions::command();
        let gop = command.get_arguments().find(|option| option.get_long() == Some("gop")).unwrap();
        assert_eq!(gop.get_env().unwrap(), name);
        assert_eq!(length.parse::<Gop>().unwrap().to_string(), length);
    }

    #[test]
    fn a_stream_is_held_to_the_limits_that_are_given() {
        let limits = of("--stdout --start-timeout 3600 --hang-timeout 1").limits();
        assert_eq!((limits.opening.as_secs(), limits.picture.as_secs()), (3600, 1));
        for words in ["--hang-timeout=0", "--hang-timeout=3601", "--start-timeout=0", "--start-timeout=2.5"] {
            assert!(StreamOptions::of([words.to_owned()]).is_err(), "{words}");
        }
    }

    #[test]
    fn mpegts_is_made_in_this_process_unless_ffmpeg_is_asked_for() {
        assert_eq!(of("--stdout --mpegts").settings().mpegts, Some(MpegTs::Native));
        assert_eq!(of("--stdout --mpegts=ffmpeg").settings().mpegts, Some(MpegTs::Ffmpeg));
        assert_eq!(of("--stdout").settings().mpegts, None);
    }
}
