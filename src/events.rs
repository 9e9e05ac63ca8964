//! What processes tell each other, one line of JSON each: a stream its worker, a worker its supervisor, a stream that
//! go2rtc has started the gate, and back.
//!
//! The log is for people alone. Whatever a process has to know of another one stands here.

use crate::error::{Error, Fault};
use crate::pulse::Stage;
use crate::stats::{Chosen, Snapshot};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// What happens in a worker or in its stream, as it is told upwards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Readers are let in at this address.
    Listening { address: SocketAddr },
    /// To the gate: a process streams that was started with these words, its name left out.
    Streams { words: Vec<String> },
    /// A rehearsal went well. Opening everything took so long; whether a GPU draws or encodes; and whether there is no
    /// NVENC, which stays so until something is installed or changed.
    Rehearsed { seconds: f64, on_gpu: bool, without_nvenc: bool },
    /// A process has opened everything that needs no reader, and waits for one.
    Ready,
    /// It has a reader.
    Taken,
    /// Whether a process is ready for the next reader, where that has changed.
    Spare { ready: bool },
    /// To the gate: this draws and encodes that stream.
    Chosen(Chosen),
    /// Readers are let in, and nobody reads.
    Waiting,
    /// The FIFO was removed or replaced; the one that is at its path now is served.
    Reopened,
    /// A reader has come. Readers are counted from 1.
    Connected { reader: u64 },
    /// A stream is doing this.
    Progress(Progress),
    /// To whoever keeps its reader's pipe: from here on another process can go on with the stream, which has come to its end
    /// in this one. What it has to know, in words of its own, and why that is, where it is no hang.
    Checkpoint { checkpoint: String, failure: Option<Failure> },
    /// The stream of a reader goes on in another process, since the one before failed so.
    Restarted { reader: u64, failure: Failure },
    /// The reader has taken nothing for so long of what is there for it. Which process that is, where it can be told.
    Stalled { reader: u64, seconds: f64, by: Option<Holder> },
    /// It takes something again.
    Resumed { reader: u64 },
    /// The reader has left, or its stream has ended well.
    Disconnected { reader: u64, last: Option<Progress> },
    /// A stream or a rehearsal failed. Whose stream it was, where there was a reader.
    Failed {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reader: Option<u64>,
        #[serde(flatten)]
        failure: Failure,
    },
}

/// What is asked for downwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// End behind the access unit at hand.
    Stop,
    /// Make the next picture an IDR.
    Idr,
    /// Stream in this role to the pipe that comes along.
    Serve { role: String },
}

/// How a stream is doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Since the stream began.
    pub seconds: f64,
    /// Everything counted since then.
    pub counts: Snapshot,
    /// What draws and encodes, once it is open.
    pub chosen: Option<Chosen>,
    /// What its threads are at, and for how long.
    pub stage: Stage,
    pub stage_seconds: f64,
    /// What its reader takes, where that can be told.
    #[serde(default)]
    pub intake: Option<Intake>,
    /// Which reader it has; told by whoever counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader: Option<u64>,
}

impl Progress {
    /// Whether it is at NVENC, or what brings pictures there.
    pub fn is_in_nvenc(&self) -> bool {
        self.stage == Stage::Encoding && self.chosen.as_ref().is_some_and(|chosen| chosen.encoder == "NVENC")
    }
}

/// What a reader takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intake {
    /// In bytes, since it came.
    pub taken: u64,
    /// For how long it has taken nothing although something was there.
    pub idle_seconds: f64,
}

/// A process that has something open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub pid: i32,
    pub name: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid)
    }
}

impl Progress {
    /// For how long its threads have been at their stage.
    pub fn in_stage(&self) -> Duration {
        Duration::try_from_secs_f64(self.stage_seconds).unwrap_or_default()
    }
}

/// An error in its parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The kind of error, as [`Error::code`]; "" where it has none.
    pub code: String,
    /// What was seen and why, on one line.
    pub cause: String,
    /// What to do about it.
    pub remedy: String,
    /// Whether the request is at fault, and not the machine.
    pub input: bool,
}

/// What was seen and why, with its code.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = if self.code.is_empty() { String::new() } else { format!(" [{}]", self.code) };
        write!(f, "{}{code}", self.cause)
    }
}

impl Event {
    /// A failure that is no reader's.
    pub fn failed(failure: impl Into<Failure>) -> Self {
        Self::Failed { reader: None, failure: failure.into() }
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Self {
            code: error.code().to_owned(),
            cause: error.cause().replace('\n', " "),
            remedy: error.remedy().into_owned(),
            input: error.fault() == Fault::Input,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is on the wire is what another version may have to read.
    #[test]
    fn one_line_of_json_each() {
        let text = |event: &Event| serde_json::to_string(event).unwrap();
        assert_eq!(text(&Event::Waiting), r#"{"event":"waiting"}"#);
        assert_eq!(text(&Event::Connected { reader: 3 }), r#"{"event":"connected","reader":3}"#);
        let error = Error::input("no-such", "no such\nfile", "name another one");
        let failed = Event::failed(&error);
        let line =
            r#"{"event":"failed","code":"no-such","cause":"no such file","remedy":"name another one","input":true}"#;
        assert_eq!(text(&failed), line);
        assert_eq!(serde_json::from_str::<Event>(line).unwrap(), failed);
        let failed = Event::Failed { reader: Some(2), failure: Failure::from(&error) };
        assert!(text(&failed).starts_with(r#"{"event":"failed","reader":2,"code":"no-such""#));
        assert_eq!(serde_json::from_str::<Event>(&text(&failed)).unwrap(), failed);
        let serve = Request::Serve { role: "7 12 mpegts".to_owned() };
        assert_eq!(serde_json::to_string(&serve).unwrap(), r#"{"request":"serve","role":"7 12 mpegts"}"#);
        assert_eq!(text(&Event::Ready), r#"{"event":"ready"}"#);
        let listening = Event::Listening { address: ([127, 0, 0, 1], 9000).into() };
        assert_eq!(text(&listening), r#"{"event":"listening","address":"127.0.0.1:9000"}"#);
        assert_eq!(serde_json::to_string(&Request::Idr).unwrap(), r#"{"request":"idr"}"#);
    }
}
