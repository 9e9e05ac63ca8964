//! `mb-encode go2rtc-config`: writes go2rtc's config, locked down, and makes the FIFOs that it reads.
//!
//! The file is a template, for the sake of its comments. What goes into it comes from [`words`] alone, whose alphabets
//! hold nothing that YAML reads; the tests parse it back.

use super::safe::{Prefix, SafePath, Word};
use crate::os::atomic_file::replace;

use super::safe::{parse_absolute, parse_program};
use crate::cli::options::Args;
use crate::cli::usage_error;
use crate::service::door::Fifo;
use clap::{Parser as _, ValueEnum};
use serde_json::json;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// What a viewer needs, and no module that opens files, devices or other hosts as a source.
const MODULES: [&str; 6] = ["api", "ws", "rtsp", "webrtc", "mp4", "exec"];
/// What a viewer asks for.
const PATHS: [&str; 4] = ["/", "/api/ws", "/api/webrtc", "/api/streams"];

/// Which streams there are, and where they can be watched.
#[derive(Clone, Debug, clap::Args)]
pub struct StreamsArgs {
    /// How many streams: 1 to 64
    #[arg(long, env = "MB_ENCODE_WORKERS", hide_env_values = true, value_name = "N", default_value_t = 6)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=64), help_heading = "Streams")]
    pub workers: u16,

    /// What their ids begin with: omega makes omega-0, omega-1 and so on
    #[arg(long, env = "MB_ENCODE_PREFIX", hide_env_values = true, value_name = "NAME", default_value = "omega")]
    #[arg(help_heading = "Streams")]
    pub prefix: Prefix,

    /// How go2rtc gets them
    #[arg(long, env = "MB_ENCODE_GO2RTC_MODE", hide_env_values = true, value_enum, default_value_t)]
    #[arg(help_heading = "Streams")]
    pub mode: Mode,

    /// What is in the pipes
    #[arg(long, env = "MB_ENCODE_FORMAT", hide_env_values = true, value_enum, default_value_t)]
    #[arg(help_heading = "Streams")]
    pub format: Format,

    /// Keep every stream running, watched or not, so that a viewer's first picture comes at once
    #[arg(long, env = "MB_ENCODE_PRELOAD", hide_env_values = true, help_heading = "Streams")]
    pub preload: bool,

    /// The address of this machine to be watched at; 0.0.0.0 is all of them, and then anybody who reaches it can watch
    #[arg(long, env = "MB_ENCODE_LISTEN", hide_env_values = true, value_name = "ADDRESS")]
    #[arg(default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), help_heading = "Addresses")]
    pub listen: IpAddr,

    /// Port of go2rtc's pages
    #[arg(long, env = "MB_ENCODE_API_PORT", hide_env_values = true, value_name = "PORT", default_value_t = 1984)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..), help_heading = "Addresses")]
    pub api_port: u16,

    /// Port for RTSP players
    #[arg(long, env = "MB_ENCODE_RTSP_PORT", hide_env_values = true, value_name = "PORT", default_value_t = 8554)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..), help_heading = "Addresses")]
    pub rtsp_port: u16,

    /// Port for WebRTC, TCP and UDP
    #[arg(long, env = "MB_ENCODE_WEBRTC_PORT", hide_env_values = true, value_name = "PORT", default_value_t = 8555)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..), help_heading = "Addresses")]
    pub webrtc_port: u16,

    /// The folder of the FIFOs, which are made where they are missing [default: temp/streams]
    #[arg(
        long,
        env = "METABONK_STREAM_FIFO_DIR",
        hide_env_values = true,
        value_name = "FOLDER",
        help_heading = "Files"
    )]
    pub fifo_dir: Option<PathBuf>,

    /// The config to write, whole or not at all; go2rtc-config prints it with - [default: temp/go2rtc.yaml]
    #[arg(long, env = "METABONK_GO2RTC_CONFIG", hide_env_values = true, value_name = "FILE", help_heading = "Files")]
    pub out: Option<PathBuf>,

    /// Options of mb-encode for every stream, such as --width 640 --fps 15
    #[arg(last = true, value_name = "OPTIONS")]
    pub options: Vec<String>,
}

/// Writes go2rtc's config for a number of streams, locked down, and makes their FIFOs
///
/// go2rtc takes a config that it cannot read for an empty one, which opens it to everybody. Where it may lose the
/// file, start it with the lock in front: see docker/docker-compose.go2rtc.yml, or leave it to scripts/start.
#[derive(Clone, Debug, clap::Args)]
pub struct ConfigArgs {
    #[command(flatten)]
    streams: StreamsArgs,

    /// What the folder of the FIFOs is called where go2rtc runs
    #[arg(long, env = "MB_ENCODE_CONTAINER_FIFO_DIR", hide_env_values = true, value_name = "FOLDER")]
    #[arg(default_value = "/streams", value_parser = parse_absolute, help_heading = "Files")]
    container_fifo_dir: SafePath,

    /// With --mode exec: what mb-encode is called where go2rtc runs [default: the path of this one]
    #[arg(long, env = "MB_ENCODE_PROGRAM", hide_env_values = true, value_name = "PROGRAM", value_parser = parse_program)]
    #[arg(help_heading = "Files")]
    program: Option<SafePath>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// From a FIFO each, which a worker serves (mb-encode --fifo)
    #[default]
    Fifo,
    /// By starting mb-encode itself, where somebody watches
    Exec,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Raw H.264
    #[default]
    H264,
    /// H.264 in MPEG-TS
    Mpegts,
}

pub fn run(args: &ConfigArgs) -> anyhow::Result<()> {
    let (streams, temp) = (&args.streams, Path::new("temp"));
    streams.check()?;
    let others = streams.options.iter().any(|word| !word.starts_with("--fifo-mode"));
    if streams.mode == Mode::Fifo && others {
        return Err(usage_error(
            "options behind -- go into a config with --mode exec only, but for --fifo-mode=MODE; give them to the \
             workers otherwise: mb-encode --fifo temp/streams/omega-0.h264 --width 640"
                .to_owned(),
        )
        .into());
    }
    let source = match streams.mode {
        Mode::Fifo => Source::Fifo { folder: args.container_fifo_dir.clone() },
        Mode::Exec => Source::exec(args.program.clone(), streams)?,
    };
    let config = Config { streams, source };
    if streams.mode == Mode::Fifo {
        streams.make_fifos(&streams.fifo_dir(temp))?;
    }
    let out = streams.out(temp);
    if out == Path::new("-") {
        return crate::cli::options::print(config.to_yaml().as_bytes());
    }
    replace(&out, &config.to_yaml())?;
    tracing::info!("wrote {}", out.display());
    Ok(())
}

impl StreamsArgs {
    /// The ids of the streams.
    pub fn ids(&self) -> impl Iterator<Item = String> + '_ {
        (0..self.workers).map(|number| self.prefix.id(number))
    }

    /// The folder of the FIFOs, where everything goes under `temp` that is not told otherwise.
    pub fn fifo_dir(&self, temp: &Path) -> PathBuf {
        self.fifo_dir.clone().unwrap_or_else(|| temp.join("streams"))
    }

    /// The config's path, likewise.
    pub fn out(&self, temp: &Path) -> PathBuf {
        self.out.clone().unwrap_or_else(|| temp.join("go2rtc.yaml"))
    }

    /// The name of a stream's FIFO.
    pub fn fifo_name(&self, id: &str) -> String {
        match self.format {
            Format::H264 => format!("{id}.h264"),
            Format::Mpegts => format!("{id}.ts"),
        }
    }

    /// The options of mb-encode for stream `id`, but for where it writes to.
    pub fn worker_options(&self, id: &str) -> Vec<String> {
        let given = |name: &str| self.options.iter().any(|word| word == name || word.starts_with(&format!("{name}=")));
        let mut words = Vec::new();
        if !given("--label") {
            words.extend(["--label".to_owned(), id.to_owned()]);
        }
        if self.format == Format::Mpegts && !given("--mpegts") {
            words.push("--mpegts".to_owned());
        }
        words.extend_from_slice(&self.options);
        words
    }

    /// Checks what no option can tell by itself. The options of a stream are checked by mb-encode's own grammar here,
    /// rather than by every worker when it starts.
    pub fn check(&self) -> Result<(), clap::Error> {
        let ports =
            [("--api-port", self.api_port), ("--rtsp-port", self.rtsp_port), ("--webrtc-port", self.webrtc_port)];
        for (one, other) in [(0, 1), (0, 2), (1, 2)] {
            if ports[one].1 == ports[other].1 {
                let ((one, port), (other, _)) = (ports[one], ports[other]);
                return Err(usage_error(format!("{one} and {other} are both {port}: give each a port of its own")));
            }
        }
        let args = self.stream_args()?;
        if args.command.is_some() {
            return Err(usage_error("behind -- belong options of a stream, such as --width 640 --fps 15".to_owned()));
        }
        args.output().map(|_| ())
    }

    /// What mb-encode makes of the options of a stream.
    pub fn stream_args(&self) -> Result<Args, clap::Error> {
        let words = ["mb-encode".to_owned(), "--stdout".to_owned()].into_iter();
        Args::try_parse_from(words.chain(self.worker_options("omega-0")))
    }

    pub fn make_fifos(&self, folder: &Path) -> anyhow::Result<()> {
        let mode = self.stream_args()?.fifo_mode;
        Ok(self.ids().try_for_each(|id| Fifo::make(&folder.join(self.fifo_name(&id)), mode))?)
    }

    /// Where a port is listened on.
    pub fn address(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.listen, port)
    }
}

/// Where go2rtc gets the streams from.
pub enum Source {
    Fifo { folder: SafePath },
    Exec { program: SafePath, options: Vec<Vec<Word>> },
}

impl Source {
    /// go2rtc starts `program`, or else this very one.
    pub fn exec(program: Option<SafePath>, streams: &StreamsArgs) -> anyhow::Result<Self> {
        let program = match program {
            Some(program) => program,
            None => {
                let path = std::env::current_exe()?;
                SafePath::of(&path).map_err(|legal| {
                    usage_error(format!("go2rtc cannot start {}: a program's path {legal}", path.display()))
                })?
            }
        };
        let words = |id: String| {
            let options = streams.worker_options(&id);
            let word = |text: &String| {
                text.parse().map_err(|legal| usage_error(format!("invalid option '{text}' for the streams: {legal}")))
            };
            options.iter().map(word).collect::<Result<Vec<Word>, _>>()
        };
        Ok(Self::Exec { program, options: streams.ids().map(words).collect::<Result<_, _>>()? })
    }

    /// The one program that go2rtc may start.
    fn program(&self) -> &str {
        match self {
            Self::Fifo { .. } => "cat",
            Self::Exec { program, .. } => program.as_str(),
        }
    }
}

/// Everything that the file says.
pub struct Config<'a> {
    pub streams: &'a StreamsArgs,
    pub source: Source,
}

impl Config<'_> {
    /// The whole file.
    pub fn to_yaml(&self) -> String {
        let Self { streams, source } = self;
        let mut yaml = String::from(
            "# go2rtc's config, made by mb-encode. Change how it is made, not the file: see mb-encode go2rtc-config.\n",
        );
        let mode = match streams.mode {
            Mode::Fifo => "fifo",
            Mode::Exec => "exec",
        };
        let how =
            format!("mb-encode go2rtc-config --mode {mode} --workers {} --prefix {}", streams.workers, streams.prefix);
        let opening = if streams.listen.is_loopback() {
            format!(
                "# Only this machine can watch. The one line that opens it to a network is this, with the address to\n\
                 # open, or 0.0.0.0 for all of them:\n\
                 #     {how} --listen 0.0.0.0\n\
                 # go2rtc asks nobody for a password then: whoever reaches the ports below can watch.\n"
            )
        } else {
            format!(
                "# Whoever reaches {} can watch: go2rtc asks nobody for a password. The line that closes it again:\n\
                 #     {how} --listen 127.0.0.1\n",
                streams.listen
            )
        };
        let every = match streams.listen.is_unspecified() {
            true => String::new(),
            false => streams.address(0).to_string().trim_end_matches(":0").to_owned(),
        };
        let StreamsArgs { api_port, rtsp_port, webrtc_port, .. } = streams;
        // Writing into a `String` cannot fail.
        let _ = write!(
            yaml,
            "{opening}\n\
             app:\n  \
               # No module that opens files, devices or other hosts as a source.\n  \
               modules: [{}]\n\n\
             api:\n  \
               listen: \"{every}:{api_port}\"\n  \
               # Without /api/config, /api/restart, /api/exit and /api/log, nobody can rewrite this file or stop the\n  \
               # server through HTTP. Sources of the kind exec: cannot be added through HTTP in any case.\n  \
               allow_paths: [{}]\n\n\
             rtsp:\n  \
               listen: \"{every}:{rtsp_port}\"\n\n\
             webrtc:\n  \
               listen: \"{every}:{webrtc_port}\"\n",
            MODULES.join(", "),
            PATHS.join(", "),
        );
        if streams.listen.is_loopback() {
            let _ = writeln!(
                yaml,
                "  # Without this a browser would be told of no address, as loopback ones are left out.\n  \
                   filters: {{loopback: true, ips: [\"{}\"]}}",
                streams.listen
            );
        }
        let _ = write!(
            yaml,
            "  # No server outside is asked for addresses, and no viewer waits for its answer.\n  \
               ice_servers: []\n\n\
             exec:\n  \
               # Compared to the letter with the first word of the lines below.\n  \
               allow_paths: [{}]\n\n",
            source.program()
        );
        if streams.preload {
            yaml.push_str("# Started with go2rtc and kept running, watched or not.\npreload:\n");
            for id in streams.ids() {
                let _ = writeln!(yaml, "  {id}: video");
            }
            yaml.push('\n');
        }
        yaml.push_str(
            "# killsignal and killtimeout: ended with SIGTERM, and killed only after five more seconds.\nstreams:\n",
        );
        for (at, id) in streams.ids().enumerate() {
            let command = match source {
                Source::Fifo { folder } => format!("cat {folder}/{}", streams.fifo_name(&id)),
                Source::Exec { program, options } => {
                    let options: Vec<_> = options[at].iter().map(Word::as_str).collect();
                    format!("{program} --stdout {}", options.join(" "))
                }
            };
            let _ = writeln!(yaml, "  {id}: exec:{command}#video=h264#raw#killsignal=15#killtimeout=5");
        }
        yaml
    }

    /// The same without the streams, for go2rtc's command line in front of the file: go2rtc takes a file that it cannot
    /// read for an empty one, and without this it would then listen everywhere with every module.
    pub fn lock(&self) -> String {
        let address = |port| self.streams.address(port).to_string();
        json!({
            "app": { "modules": MODULES },
            "api": { "listen": address(self.streams.api_port), "allow_paths": PATHS },
            "rtsp": { "listen": address(self.streams.rtsp_port) },
            "webrtc": { "listen": address(self.streams.webrtc_port), "ice_servers": [] },
            "exec": { "allow_paths": [self.source.program()] },
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use saphyr::{LoadableYamlNode as _, Yaml};

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: ConfigArgs,
    }

    fn parse(words: &[&str]) -> Result<ConfigArgs, clap::Error> {
        Line::try_parse_from(std::iter::once("go2rtc-config").chain(words.iter().copied())).map(|line| line.args)
    }

    fn yaml_of(args: &ConfigArgs) -> anyhow::Result<String> {
        let streams = &args.streams;
        let source = match streams.mode {
            Mode::Fifo => Source::Fifo { folder: args.container_fifo_dir.clone() },
            Mode::Exec => Source::exec(args.program.clone(), streams)?,
        };
        Ok(Config { streams, source }.to_yaml())
    }

    fn texts<'a>(node: &'a Yaml<'a>) -> Vec<&'a str> {
        node.as_sequence().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
    }

    /// Everything of the file that is not a stream is what it has to be, to the letter.
    fn streams_of(yaml: &str, program: &str) -> Vec<(String, String)> {
        let documents = Yaml::load_from_str(yaml).unwrap();
        assert_eq!(documents.len(), 1, "{yaml}");
        let root = &documents[0];
        let mut keys: Vec<_> = root.as_mapping().unwrap().keys().map(|key| key.as_str().unwrap()).collect();
        keys.retain(|&key| key != "preload");
        assert_eq!(keys, ["app", "api", "rtsp", "webrtc", "exec", "streams"]);
        assert_eq!(texts(&root["app"]["modules"]), MODULES);
        assert_eq!(texts(&root["api"]["allow_paths"]), PATHS);
        assert_eq!(root["api"].as_mapping().unwrap().len(), 2);
        assert_eq!(texts(&root["exec"]["allow_paths"]), [program]);
        assert!(root["webrtc"]["ice_servers"].as_sequence().unwrap().is_empty());
        let streams = root["streams"].as_mapping().unwrap();
        streams.iter().map(|(id, source)| (id.as_str().unwrap().into(), source.as_str().unwrap().into())).collect()
    }

    #[test]
    fn the_fifo_line_is_to_the_letter() {
        let yaml = yaml_of(&parse(&["--workers", "2"]).unwrap()).unwrap();
        let line = "\n  omega-0: exec:cat /streams/omega-0.h264#video=h264#raw#killsignal=15#killtimeout=5\n";
        assert!(yaml.contains(line), "{yaml}");
        assert_eq!(streams_of(&yaml, "cat").len(), 2);
        assert!(yaml.lines().all(|line| line.len() <= 125), "{yaml}");
    }

    #[test]
    fn exec_mode_runs_one_program_by_its_path() {
        let words = ["--mode", "exec", "--program", "/usr/bin/mb-encode", "--workers", "1", "--", "--width", "640"];
        let yaml = yaml_of(&parse(&words).unwrap()).unwrap();
        let source =
            "exec:/usr/bin/mb-encode --stdout --label omega-0 --width 640#video=h264#raw#killsignal=15#killtimeout=5";
        assert_eq!(streams_of(&yaml, "/usr/bin/mb-encode"), [("omega-0".to_owned(), source.to_owned())]);
    }

    #[test]
    fn listens_where_it_is_told_and_says_so() {
        let yaml = yaml_of(&parse(&["--preload"]).unwrap()).unwrap();
        assert!(yaml.contains("listen: \"127.0.0.1:1984\"") && yaml.contains("ips: [\"127.0.0.1\"]"));
        assert!(yaml.contains("\npreload:\n  omega-0: video\n") && yaml.contains("Only this machine"));
        let yaml = yaml_of(&parse(&["--listen", "0.0.0.0", "--api-port", "80"]).unwrap()).unwrap();
        assert!(yaml.contains("listen: \":80\"") && !yaml.contains("filters"), "{yaml}");
        assert!(yaml.contains("Whoever reaches 0.0.0.0"), "{yaml}");
        let yaml = yaml_of(&parse(&["--listen", "::1"]).unwrap()).unwrap();
        assert!(yaml.contains("listen: \"[::1]:1984\""), "{yaml}");
    }

    #[test]
    fn options_are_checked_by_mb_encodes_own_grammar() {
        let check = |words: &[&str]| {
            let mut line = vec!["--"];
            line.extend(words);
            parse(&line).unwrap().streams.check()
        };
        assert!(check(&["--width", "640", "--label", "one"]).is_ok());
        for words in [&["--width", "641"][..], &["--fps"], &["--out", "x"], &["man"], &["--no-such"], &["--stdout"]] {
            assert!(check(words).is_err(), "{words:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever the values are, the file holds the streams that were asked for and nothing else.
        #[test]
        fn no_value_gets_out_of_its_place(
            prefix in "[a-z0-9_./: #-]{1,10}|[a-zA-Z][a-zA-Z0-9_-]{0,31}|\\PC{1,8}",
            folder in "/[a-z0-9./_ #:-]{0,12}|(/[a-zA-Z0-9._+][a-zA-Z0-9._+-]{0,8}){1,4}|\\PC{1,12}",
            option in "[a-z0-9./,=+-]{1,12}|\\PC{1,12}",
            exec in any::<bool>(),
        ) {
            let (prefix, folder) = (format!("--prefix={prefix}"), format!("--container-fifo-dir={folder}"));
            let program = "/usr/bin/mb-encode";
            let mode = if exec { "--mode=exec" } else { "--mode=fifo" };
            let words = ["--workers=3", "--program", program, mode, &prefix, &folder, "--", &option];
            let Ok(args) = parse(&words) else { return Ok(()) };
            let Ok(yaml) = yaml_of(&args) else { return Ok(()) };
            let prefix = &prefix["--prefix=".len()..];
            let folder = folder["--container-fifo-dir=".len()..].trim_end_matches('/');
            prop_assert!(!yaml.contains(".."), "{}", yaml);
            let streams = streams_of(&yaml, if exec { program } else { "cat" });
            prop_assert_eq!(streams.len(), 3);
            for (at, (id, source)) in streams.into_iter().enumerate() {
                let command = match exec {
                    true if option == "--label" || option.starts_with("--label=") => format!("{program} --stdout {option}"),
                    true => format!("{program} --stdout --label {id} {option}"),
                    false => format!("cat {folder}/{id}.h264"),
                };
                prop_assert_eq!(&id, &format!("{prefix}-{at}"));
                prop_assert_eq!(source, format!("exec:{command}#video=h264#raw#killsignal=15#killtimeout=5"));
                let harmful = "'\"`$&|;<>(){}[]*?!#~^\\%@\n\t";
                prop_assert!(!command.contains(|c| harmful.contains(c)), "{}", command);
            }
        }
    }
}
