//! go2rtc's config: rendered from a template, which is there for the sake of its comments.
//!
//! What goes into it comes from [`lock`](super::lock) and [`safe`](super::safe) alone, whose alphabets hold nothing that
//! YAML reads; the tests parse it back.

use super::lock::{MODULES, PATHS, lock};
use super::safe::{SafePath, Word};
use crate::service::exit::Exit;
use crate::service::streams::Streams;
use crate::settings::Named as _;

const TEMPLATE: &str = include_str!("go2rtc.yaml");
/// What reads a FIFO for go2rtc.
pub const CAT: &str = "cat";

/// Where go2rtc gets the streams from.
pub enum Source {
    Fifo { folder: SafePath },
    Exec { program: SafePath, options: Vec<Vec<Word>> },
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
        let words = |id: String| {
            let options = streams.worker_options(&id);
            let word = |text: &String| {
                text.parse().map_err(|legal| Exit::Usage(format!("invalid option '{text}' for the streams: {legal}")))
            };
            options.iter().map(word).collect::<Result<Vec<Word>, _>>()
        };
        Ok(Self::Exec { program, options: streams.ids().map(words).collect::<Result<_, _>>()? })
    }

    /// The one program that go2rtc may start.
    fn program(&self) -> &str {
        match self {
            Self::Fifo { .. } => CAT,
            Self::Exec { program, .. } => program.as_str(),
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
        let streams = self.streams;
        let mut parts = TEMPLATE.split("{{");
        let mut yaml = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, text) = part.split_once("}}").expect("the template closes what it opens");
            yaml += &match name {
                "opening" => self.opening(),
                "modules" => MODULES.join(", "),
                "paths" => PATHS.join(", "),
                "api" => self.listen(streams.api_port),
                "rtsp" => self.listen(streams.rtsp_port),
                "webrtc" => self.listen(streams.webrtc_port),
                "filters" => self.filters(),
                "program" => self.source.program().to_owned(),
                "preload" => self.preload(),
                "streams" => self.lines(),
                name => unreachable!("the template asks for {name}"),
            };
            yaml += text;
        }
        yaml
    }

    /// The same without the streams; see [`lock`].
    pub fn lock(&self) -> String {
        lock(self.streams, self.source.program())
    }

    /// Who can watch, and how to change it.
    fn opening(&self) -> String {
        let Streams { mode, workers, prefix, listen, .. } = self.streams;
        let how = format!("mb-encode go2rtc-config --mode {} --workers {workers} --prefix {prefix}", mode.name());
        if listen.is_loopback() {
            format!(
                "# Only this machine can watch. The one line that opens it to a network is this, with the address to\n\
                 # open, or 0.0.0.0 for all of them:\n\
                 #     {how} --listen 0.0.0.0\n\
                 # go2rtc asks nobody for a password then: whoever reaches the ports below can watch.\n"
            )
        } else {
            format!(
                "# Anyone who reaches {listen} can watch: go2rtc asks nobody for a password. The line that closes it again:\n\
                 #     {how} --listen 127.0.0.1\n"
            )
        }
    }

    /// Without an address go2rtc listens on all of them, IPv6 as well.
    fn listen(&self, port: u16) -> String {
        match self.streams.listen.is_unspecified() {
            true => format!(":{port}"),
            false => self.streams.address(port).to_string(),
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
        let line = |(at, id): (usize, String)| {
            let command = match &self.source {
                Source::Fifo { folder } => format!("{CAT} {folder}/{}", self.streams.fifo_name(&id)),
                Source::Exec { program, options } => {
                    let words = ["--stdout"].into_iter().chain(options[at].iter().map(Word::as_str));
                    format!("{program} {}", words.collect::<Vec<_>>().join(" "))
                }
            };
            format!("  {id}: exec:{command}#video=h264#raw#killsignal=15#killtimeout=5")
        };
        self.streams.ids().enumerate().map(line).collect::<Vec<_>>().join("\n")
    }
}
