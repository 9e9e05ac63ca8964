//! `mb-encode go2rtc-config`: writes go2rtc's config, locked down, and makes the FIFOs that it reads.

use crate::cli::print::print;
use crate::cli::streams::{StreamsArgs, note_unused};
use crate::control::Control;
use crate::os::atomic_file::replace;
use crate::service::exit::Exit;
use crate::service::go2rtc::config::{Config, Source, Token};
use crate::service::go2rtc::safe::{SafePath, SecretName, Urls, parse_absolute, parse_program};
use crate::service::gpus::{self, Devices};
use crate::service::streams::{Mode, Streams};
use std::path::Path;

/// Write go2rtc's config for a number of streams, locked down, and make their FIFOs
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

    /// With --mode http: where the workers are, if not on this machine; {n} in it is a stream's number and {id} its id
    #[arg(long, env = "MB_ENCODE_SOURCE", hide_env_values = true, value_name = "URL", help_heading = "Files")]
    source: Option<Urls>,

    /// With --source: the token that the workers want to be shown, by the name that go2rtc finds it under where it runs: that
    /// of a file in the folder CREDENTIALS_DIRECTORY, or of a variable
    #[arg(long, env = "MB_ENCODE_SOURCE_TOKEN", hide_env_values = true, value_name = "NAME", requires = "source")]
    #[arg(help_heading = "Files")]
    source_token: Option<SecretName>,
}

pub fn run(args: &ConfigArgs) -> anyhow::Result<()> {
    let mut streams = if args.source.is_some() { args.streams.check_elsewhere()? } else { args.streams.check()? };
    let temp = Path::new("temp");
    if args.source.is_some() && streams.mode != Mode::Http {
        return Err(Exit::Usage("--source is where streams come from with --mode http: add that".to_owned()).into());
    }
    let others = streams.options.iter().any(|word| !word.starts_with("--fifo-mode"));
    if streams.mode != Mode::Exec && others {
        let message = "options behind -- go into a config with --mode exec only, but for --fifo-mode=MODE; give them to \
                       the workers otherwise";
        let worker = match streams.mode {
            Mode::Http => format!("--listen {}", streams.worker_address(0)),
            _ => "--fifo temp/streams/omega-0.h264".to_owned(),
        };
        return Err(Exit::Usage(format!("{message}: mb-encode {worker} --width 640")).into());
    }
    if let Some(devices) = &args.streams.devices {
        if streams.mode != Mode::Exec {
            let message = "--devices goes into a config with --mode exec only: give it to supervise or scripts/start, or \
                           each worker its --device";
            return Err(Exit::Usage(message.to_owned()).into());
        }
        // The config may be for another machine, but for what is to be looked at.
        if *devices == Devices::All {
            gpus::spread(&mut streams, devices, &Control::new()?)?;
        }
    }
    let yaml = args.yaml(&streams)?;
    note_unused(&streams);
    if streams.mode == Mode::Fifo {
        streams.make_fifos(&streams.fifo_dir(temp))?;
    }
    let out = streams.out(temp);
    if out == Path::new("-") {
        return print(yaml.as_bytes());
    }
    replace(&out, &yaml)?;
    tracing::info!("wrote {}", out.display());
    Ok(())
}

impl ConfigArgs {
    fn yaml(&self, streams: &Streams) -> anyhow::Result<String> {
        let source = match streams.mode {
            Mode::Fifo => Source::Fifo { folder: self.container_fifo_dir.clone() },
            Mode::Exec => Source::exec(self.program.clone(), streams)?,
            Mode::Http => match &self.source {
                None => Source::workers(streams, None),
                Some(urls) => {
                    let urls = (0..).zip(streams.ids()).map(|(number, id)| urls.of(number, &id));
                    let urls = urls.collect::<Result<_, _>>();
                    let urls =
                        urls.map_err(|legal| Exit::Usage(format!("invalid --source for a stream: it {legal}")))?;
                    Source::Http { urls, token: self.source_token.clone().map(Token::Named) }
                }
            },
        };
        Ok(Config { streams, source }.to_yaml())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::go2rtc::lock::{PATHS, modules};
    use crate::settings::Named as _;
    use clap::Parser as _;
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
        args.yaml(&args.streams.values())
    }

    fn texts<'a>(node: &'a Yaml<'a>) -> Vec<&'a str> {
        node.as_sequence().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
    }

    /// Everything of the file that is not a stream is what it has to be, to the letter.
    fn streams_of(yaml: &str, mode: Mode, programs: &[&str]) -> Vec<(String, String)> {
        let documents = Yaml::load_from_str(yaml).unwrap();
        assert_eq!(documents.len(), 1, "{yaml}");
        let root = &documents[0];
        let mut keys: Vec<_> = root.as_mapping().unwrap().keys().map(|key| key.as_str().unwrap()).collect();
        keys.retain(|&key| key != "preload");
        assert_eq!(keys, ["app", "api", "rtsp", "webrtc", "exec", "streams"]);
        assert!(texts(&root["app"]["modules"]).into_iter().eq(modules(mode)));
        assert_eq!(texts(&root["api"]["allow_paths"]), PATHS);
        assert_eq!(root["api"].as_mapping().unwrap().len(), 2);
        assert_eq!(texts(&root["exec"]["allow_paths"]), programs);
        assert!(root["webrtc"]["ice_servers"].as_sequence().unwrap().is_empty());
        let streams = root["streams"].as_mapping().unwrap();
        streams.iter().map(|(id, source)| (id.as_str().unwrap().into(), source.as_str().unwrap().into())).collect()
    }

    #[test]
    fn the_fifo_line_is_to_the_letter() {
        let yaml = yaml_of(&parse(&["--workers", "2"]).unwrap()).unwrap();
        let line = "\n  omega-0: exec:cat /streams/omega-0.h264#video=h264#raw#killsignal=15#killtimeout=5\n";
        assert!(yaml.contains(line), "{yaml}");
        assert_eq!(streams_of(&yaml, Mode::Fifo, &["cat"]).len(), 2);
        assert!(yaml.lines().all(|line| line.len() <= 125), "{yaml}");
    }

    #[test]
    fn exec_mode_runs_one_program_by_its_path() {
        let words = ["--mode", "exec", "--program", "/usr/bin/mb-encode", "--workers", "1", "--", "--width", "640"];
        let yaml = yaml_of(&parse(&words).unwrap()).unwrap();
        let source =
            "exec:/usr/bin/mb-encode --stdout --label omega-0 --width 640#video=h264#raw#killsignal=15#killtimeout=5";
        assert_eq!(streams_of(&yaml, Mode::Exec, &["/usr/bin/mb-encode"]), [("omega-0".to_owned(), source.to_owned())]);
    }

    #[test]
    fn exec_mode_starts_each_stream_on_its_gpu() {
        let words = ["--mode", "exec", "--program", "/usr/bin/mb-encode", "--workers", "5", "--devices", "3,0"];
        let yaml = yaml_of(&parse(&words).unwrap()).unwrap();
        let streams = streams_of(&yaml, Mode::Exec, &["/usr/bin/mb-encode"]);
        for (at, (id, source)) in streams.iter().enumerate() {
            let device = [3, 0][at % 2];
            let command = format!("exec:/usr/bin/mb-encode --stdout --label {id} --device {device}#");
            assert!(source.starts_with(&command), "{source}");
        }
        assert_eq!(streams.len(), 5);
        let both = parse(&[&words[..], &["--", "--device=1"]].concat()).unwrap().streams.check().unwrap_err();
        assert!(both.to_string().contains("and --device=1 the same for all"), "{both}");
    }

    #[test]
    fn http_mode_runs_no_program_and_asks_each_worker() {
        let of = |words: &[&str]| {
            let yaml = yaml_of(&parse(&[&["--mode", "http"], words].concat()).unwrap()).unwrap();
            assert!(!yaml.contains("killsignal") && !yaml.contains("other hosts"), "{yaml}");
            streams_of(&yaml, Mode::Http, &[])
        };
        let lines =
            |urls: [&str; 2]| vec![("omega-0".to_owned(), urls[0].to_owned()), ("omega-1".into(), urls[1].into())];
        let two = of(&["--workers", "2"]);
        assert_eq!(two, lines(["http://127.0.0.1:9000/stream.ts", "http://127.0.0.1:9001/stream.ts"]));
        let raw = of(&["--workers", "2", "--format", "h264", "--worker-port", "7"]);
        assert_eq!(raw, lines(["http://127.0.0.1:7/stream.h264", "http://127.0.0.1:8/stream.h264"]));
        let elsewhere = of(&["--workers", "1000", "--source", "http://worker-{n}.worker:9000/{id}.ts"]);
        assert_eq!(elsewhere.len(), 1000);
        assert_eq!(elsewhere[999].1, "http://worker-999.worker:9000/omega-999.ts");
        let token = ["--workers", "1", "--source", "http://a:9000/stream.ts", "--source-token", "worker-token"];
        let shown = "http://a:9000/stream.ts#header=Authorization:Bearer ${worker-token}";
        assert_eq!(of(&token)[0].1, shown);
        assert!(parse(&["--mode", "http", "--source-token", "worker-token"]).is_err(), "of workers on this machine?");
    }

    #[test]
    fn listens_where_it_is_told_and_says_so() {
        let yaml = yaml_of(&parse(&["--preload"]).unwrap()).unwrap();
        assert!(yaml.contains("listen: \"127.0.0.1:8555\"") && yaml.contains("ips: [\"127.0.0.1\"]"));
        assert!(yaml.contains("\npreload:\n  omega-0: video\n") && yaml.contains("Only this machine"));
        let yaml = yaml_of(&parse(&["--listen", "0.0.0.0", "--webrtc-port", "80"]).unwrap()).unwrap();
        assert!(yaml.contains("listen: \":80\"") && !yaml.contains("filters"), "{yaml}");
        assert!(yaml.contains("anyone who reaches 0.0.0.0"), "{yaml}");
        let yaml = yaml_of(&parse(&["--listen", "::1"]).unwrap()).unwrap();
        assert!(yaml.contains("listen: \"[::1]:8555\""), "{yaml}");
        for listen in ["127.0.0.1", "0.0.0.0", "192.0.2.1"] {
            let yaml = yaml_of(&parse(&["--listen", listen]).unwrap()).unwrap();
            assert_eq!(yaml.matches("\n  listen: \"\"\n").count(), 2, "only the gate opens a door: {yaml}");
        }
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
            mode in prop_oneof![Just(Mode::Fifo), Just(Mode::Exec), Just(Mode::Http)],
            source in prop_oneof![
                Just(None),
                "https?://[a-z0-9.:@{}n-]{1,12}/[a-z0-9./_ #?:$'\"&{}-]{0,6}|\\PC{1,12}".prop_map(Some),
            ],
        ) {
            let (prefix, folder) = (format!("--prefix={prefix}"), format!("--container-fifo-dir={folder}"));
            let program = "/usr/bin/mb-encode";
            let mode_option = format!("--mode={}", mode.name());
            let source = source.map(|source| format!("--source={source}"));
            let mut words = vec!["--workers=3", "--program", program, &mode_option, &prefix, &folder];
            words.extend(source.as_deref());
            words.extend(["--", &option]);
            let Ok(args) = parse(&words) else { return Ok(()) };
            let Ok(yaml) = yaml_of(&args) else { return Ok(()) };
            let prefix = &prefix["--prefix=".len()..];
            let folder = folder["--container-fifo-dir=".len()..].trim_end_matches('/');
            prop_assert!(!yaml.contains(".."), "{}", yaml);
            let programs: &[&str] = match mode {
                Mode::Fifo => &["cat"],
                Mode::Exec => &[program],
                Mode::Http => &[],
            };
            let streams = streams_of(&yaml, mode, programs);
            prop_assert_eq!(streams.len(), 3);
            for (at, (id, source)) in streams.into_iter().enumerate() {
                prop_assert_eq!(&id, &format!("{prefix}-{at}"));
                let has_label = option == "--label" || option.starts_with("--label=");
                let command = match mode {
                    Mode::Exec if has_label => format!("{program} --stdout {option}"),
                    Mode::Exec => format!("{program} --stdout --label {id} {option}"),
                    Mode::Fifo => format!("cat {folder}/{id}.h264"),
                    Mode::Http => {
                        let harmful = " '\"`$&|;<>(){}*?!#~^\\%@\n\t";
                        prop_assert!(source.starts_with("http") && !source.contains(|c| harmful.contains(c)), "{}", source);
                        continue;
                    }
                };
                prop_assert_eq!(source, format!("exec:{command}#video=h264#raw#killsignal=15#killtimeout=5"));
                let harmful = "'\"`$&|;<>(){}[]*?!#~^\\%@\n\t";
                prop_assert!(!command.contains(|c| harmful.contains(c)), "{}", command);
            }
        }
    }
}
