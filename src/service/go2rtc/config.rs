//! go2rtc's config: rendered from a template, which is there for the sake of its comments.
//!
//! What goes into it comes from [`lock`](super::lock) and [`safe`](super::safe) alone, whose alphabets hold nothing that
//! YAML reads; the tests parse it back.

use super::lock::{PATHS, lock, modules, webrtc_listen};
use super::safe::{SafePath, SecretName, Url, Word};
use crate::service::exit::Exit;
use crate::service::streams::{Mode, Streams};
use crate::settings::Named as _;
use serde_json::{Map, Value, json};
use std::fmt;

const TEMPLATE: &str = include_str!("go2rtc.yaml");
/// What reads a FIFO for go2rtc.
pub const CAT: &str = "cat";

/// Where go2rtc gets the streams from.
pub enum Source {
    Fifo {
        folder: SafePath,
    },
    Exec {
        program: SafePath,
        options: Vec<Vec<Word>>,
    },
    /// Of each stream its own. Whoever serves them may want to be shown a token.
    Http {
        urls: Vec<Url>,
        token: Option<Token>,
    },
}

/// What whoever serves a stream wants to be shown.
pub enum Token {
    Itself(Word),
    /// go2rtc looks where it runs: for a file of this name in the folder that `CREDENTIALS_DIRECTORY` names, else for a
    /// variable. Its log hides what it finds. It does so for a config that is a file, and not for one on its command line.
    Named(SecretName),
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Itself(token) => write!(f, "{token}"),
            Self::Named(name) => write!(f, "${{{name}}}"),
        }
    }
}

impl Source {
    /// go2rtc starts `program`, or else this very one.
    pub fn exec(program: Option<SafePath>, streams: &Streams) -> anyhow::Result<Self> {
        let program = match program {
            Some(program) => program,
            None => {
                let path = std::env::current_exe()?;
                SafePath::of(&path).map_err(|legal| {
                    Exit::Usage(format!("go2rtc cannot start {}: a program's path {legal}", path.display()))
                })?
            }
        };
        let words = |number: u16| {
            let options = streams.worker_options(number);
            let word = |text: &String| {
                text.parse().map_err(|legal| Exit::Usage(format!("invalid option '{text}' for the streams: {legal}")))
            };
            options.iter().map(word).collect::<Result<Vec<Word>, _>>()
        };
        Ok(Self::Exec { program, options: (0..streams.workers).map(words).collect::<Result<_, _>>()? })
    }

    /// go2rtc asks the workers on this machine.
    pub fn workers(streams: &Streams, token: Option<Word>) -> Self {
        let urls = (0..streams.workers).map(|number| streams.worker_url(number)).collect();
        Self::Http { urls, token: token.map(Token::Itself) }
    }

    /// The one program that go2rtc may start, if there is one.
    fn program(&self) -> Option<&str> {
        match self {
            Self::Fifo { .. } => Some(CAT),
            Self::Exec { program, .. } => Some(program.as_str()),
            Self::Http { .. } => None,
        }
    }
}

/// Everything that the file says.
pub struct Config<'a> {
    pub streams: &'a Streams,
    pub source: Source,
}

impl Config<'_> {
    /// The whole file.
    pub fn to_yaml(&self) -> String {
        let mut parts = TEMPLATE.split("{{");
        let mut yaml = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, text) = part.split_once("}}").expect("the template closes what it opens");
            yaml += &match name {
                "opening" => self.opening(),
                "modules" => self.modules(),
                "paths" => PATHS.join(", "),
                "webrtc" => webrtc_listen(self.streams),
                "filters" => self.filters(),
                "exec" => self.exec(),
                "ends" => self.ends().to_owned(),
                "preload" => self.preload(),
                "streams" => self.lines(),
                name => unreachable!("the template asks for {name}"),
            };
            yaml += text;
        }
        yaml
    }

    /// The same in two parts, for go2rtc's command line: what it may do, and the streams.
    pub fn to_json(&self) -> [String; 2] {
        let streams: Map<String, Value> = self.sources().map(|(id, source)| (id, source.into())).collect();
        let preload = streams.keys().filter(|_| self.streams.preload).map(|id| (id.clone(), "video".into()));
        let preload: Map<String, Value> = preload.collect();
        [
            lock(self.streams, self.source.program().as_slice()),
            json!({ "streams": streams, "preload": preload }).to_string(),
        ]
    }

    /// Who can watch, and how to change it.
    fn opening(&self) -> String {
        let Streams { mode, workers, prefix, listen, .. } = self.streams;
        let how = format!("mb-encode go2rtc-config --mode {} --workers {workers} --prefix {prefix}", mode.name());
        let gate = "mb-encode gate --go2rtc go2rtc --config THIS_FILE";
        if listen.is_loopback() {
            format!(
                "# It opens no door of its own. Only this machine can watch, through the gate:\n\
                 #     {gate}\n\
                 # These two open it to a network, with the address to open, or 0.0.0.0 for all of them:\n\
                 #     {how} --listen 0.0.0.0\n\
                 #     {gate} --listen 0.0.0.0\n\
                 # Nobody is asked for a password then: whoever reaches the gate can watch.\n"
            )
        } else {
            format!(
                "# It opens no door of its own. Through the gate anyone who reaches {listen} can watch, without a password:\n\
                 #     {gate} --listen {listen}\n\
                 # These two close it again:\n\
                 #     {how} --listen 127.0.0.1\n\
                 #     {gate}\n"
            )
        }
    }

    fn modules(&self) -> String {
        let comment = match self.streams.mode {
            Mode::Fifo | Mode::Exec => "No module that opens files, devices or other hosts as a source.",
            Mode::Http => "No module that starts programs, or opens files or devices as a source.",
        };
        let modules = modules(self.streams.mode).collect::<Vec<_>>().join(", ");
        format!("  # {comment}\n  modules: [{modules}]")
    }

    fn exec(&self) -> String {
        match self.source.program() {
            Some(program) => {
                let comment = "Compared to the letter with the first word of the lines below.";
                format!("  # {comment}\n  allow_paths: [{program}]")
            }
            None => "  # No program at all, should the module ever come back.\n  allow_paths: []".to_owned(),
        }
    }

    /// How what was started is ended.
    fn ends(&self) -> &'static str {
        match self.source.program() {
            Some(_) => "# killsignal and killtimeout: ended with SIGTERM, and killed only after five more seconds.\n",
            None => "",
        }
    }

    fn filters(&self) -> String {
        let listen = self.streams.listen;
        match listen.is_loopback() {
            true => format!(
                "  # Without this a browser would be told of no address, as loopback ones are left out.\n  \
                   filters: {{loopback: true, ips: [\"{listen}\"]}}\n"
            ),
            false => String::new(),
        }
    }

    fn preload(&self) -> String {
        if !self.streams.preload {
            return String::new();
        }
        let ids: String = self.streams.ids().map(|id| format!("  {id}: video\n")).collect();
        format!("# Started with go2rtc and kept running, watched or not.\npreload:\n{ids}\n")
    }

    fn lines(&self) -> String {
        self.sources().map(|(id, source)| format!("  {id}: {source}")).collect::<Vec<_>>().join("\n")
    }

    /// Each stream's id, and what go2rtc does for it.
    fn sources(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let exec = |command| format!("exec:{command}#video=h264#raw#killsignal=15#killtimeout=5");
        let source = move |(at, id): (usize, String)| {
            let source = match &self.source {
                Source::Fifo { folder } => exec(format!("{CAT} {folder}/{}", self.streams.fifo_name(&id))),
                Source::Exec { program, options } => {
                    let words = ["--stdout"].into_iter().chain(options[at].iter().map(Word::as_str));
                    exec(format!("{program} {}", words.collect::<Vec<_>>().join(" ")))
                }
                Source::Http { urls, token: None } => urls[at].to_string(),
                // go2rtc repeats the address where it may be seen, and this part nowhere but in its log.
                Source::Http { urls, token: Some(token) } => {
                    format!("{}#header=Authorization:Bearer {token}", urls[at])
                }
            };
            (id, source)
        };
        self.streams.ids().enumerate().map(source)
    }
}
