//! How everything is that a supervisor keeps running, as it is told through a socket and shown to people.

use super::server::{self, Server};
use super::worker::Worker;
use crate::events::{Holder, Progress};
use crate::service::account::{Account, LastEnd, Running, State};
use crate::service::go2rtc::api;
use crate::stats::Chosen;
use crate::{Error, Totals};
use rustix::fd::{AsFd, AsRawFd as _};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const NAME: &str = "status.sock";
const LIMIT: Duration = Duration::from_secs(5);

/// Everything. Later versions only add to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub members: Vec<Member>,
    /// Logs that lack lines, and why.
    pub trouble: Vec<String>,
    /// In exec mode only go2rtc knows what streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<Elsewhere>,
}

/// Where to ask for the streams.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Elsewhere {
    pub api: String,
    pub ids: Vec<String>,
}

/// A worker, or go2rtc.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Member {
    pub name: String,
    /// `starting`, `waiting`, `streaming`, `failing`, `running` or `down`.
    pub state: String,
    /// Why it fails or is down.
    pub why: Option<String>,
    /// What to do about that, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    pub restarts: u64,
    /// When it is started again, if it is down.
    pub starts_in_seconds: Option<f64>,
    /// Its stream, while it has one; of several the one that began first.
    pub stream: Option<Stream>,
    /// The others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_streams: Vec<Stream>,
    /// How the one before ended.
    pub last_end: Option<Ended>,
}

/// A stream that runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stream {
    /// Readers are counted from 1.
    pub reader: Option<u64>,
    /// What draws and encodes it.
    pub chosen: Option<Chosen>,
    /// Since it began.
    pub totals: Totals,
    /// Of the last seconds.
    pub figures: Option<Figures>,
    /// That its reader takes nothing of it, while that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stalled: Option<Stalled>,
}

/// A reader that takes nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stalled {
    /// For how long.
    pub seconds: f64,
    /// Which process that is, where it can be told.
    pub by: Option<Holder>,
}

/// What a stream has done lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    pub frames_per_second: f64,
    pub megabits_per_second: f64,
    pub skipped: Option<u64>,
    pub encode_p50_ms: Option<f64>,
    pub encode_p99_ms: Option<f64>,
}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    pub seconds_ago: f64,
    /// Why, unless it was its reader who left.
    pub failure: Option<crate::events::Failure>,
}

/// A worker's part of it.
pub fn of_worker(worker: &Worker, now: Instant) -> Member {
    let member = of_account(&worker.kept.name, &worker.account, now);
    let starts_in_seconds = seconds_until(worker.kept.due(), now);
    Member { restarts: worker.kept.restarts, starts_in_seconds, ..member }
}

/// What is known of a worker by what it has told.
pub fn of_account(name: &str, account: &Account, now: Instant) -> Member {
    let state = match account.state {
        State::Starting => "starting",
        State::Waiting => "waiting",
        State::Streaming => "streaming",
        State::Failing => "failing",
        State::Down => "down",
    };
    let mut streams = account.running.iter().map(|(&reader, running)| of_stream(reader, running, now));
    let last_end = account.last_end.as_ref().map(|(end, at)| Ended {
        seconds_ago: now.saturating_duration_since(*at).as_secs_f64(),
        failure: match end {
            LastEnd::Well => None,
            LastEnd::Failed(failure) => Some(failure.clone()),
        },
    });
    Member {
        name: name.to_owned(),
        state: state.to_owned(),
        why: account.why.clone(),
        remedy: account.remedy.clone().filter(|remedy| !remedy.is_empty()),
        stream: streams.next(),
        more_streams: streams.collect(),
        last_end,
        ..Member::default()
    }
}

fn of_stream(reader: u64, running: &Running, now: Instant) -> Stream {
    let latest = running.latest.as_ref().map(|(progress, _)| progress);
    let both = running.earlier.as_ref().zip(running.latest.as_ref());
    Stream {
        reader: Some(reader),
        chosen: latest.and_then(|latest| latest.chosen.clone()),
        totals: latest.map(|latest| latest.counts.totals).unwrap_or_default(),
        figures: both.and_then(|((earlier, _), (latest, _))| figures(earlier, latest)),
        stalled: running.stalled.as_ref().map(|(since, by)| Stalled {
            seconds: now.saturating_duration_since(*since).as_secs_f64(),
            by: by.clone(),
        }),
    }
}

/// go2rtc's.
pub fn of_server(server: &Server, now: Instant) -> Member {
    let state = match server.state {
        server::State::Starting => "starting",
        server::State::Running => "running",
        server::State::Down => "down",
    };
    Member {
        name: server.kept.name.clone(),
        state: state.to_owned(),
        why: server.why.clone(),
        restarts: server.kept.restarts,
        starts_in_seconds: seconds_until(server.kept.due(), now),
        ..Member::default()
    }
}

fn seconds_until(due: Option<Instant>, now: Instant) -> Option<f64> {
    due.map(|due| due.saturating_duration_since(now).as_secs_f64())
}

/// What was done between two looks at one stream.
fn figures(earlier: &Progress, latest: &Progress) -> Option<Figures> {
    let seconds = latest.seconds - earlier.seconds;
    let counts = latest.counts.since(&earlier.counts);
    (seconds > 0.0).then(|| Figures {
        frames_per_second: counts.totals.pictures as f64 / seconds,
        megabits_per_second: counts.totals.bytes as f64 * 8e-6 / seconds,
        skipped: Some(counts.totals.skipped()),
        encode_p50_ms: Some(counts.encode_time(0.50).as_secs_f64() * 1e3),
        encode_p99_ms: Some(counts.encode_time(0.99).as_secs_f64() * 1e3),
    })
}

/// A socket's path holds 107 bytes; the way through the open folder is short, wherever that is.
fn path(folder: &impl AsFd) -> PathBuf {
    format!("/proc/self/fd/{}/{NAME}", folder.as_fd().as_raw_fd()).into()
}

/// The socket in `folder`, in the place of one that an earlier run left.
pub fn listen(folder: &File) -> io::Result<UnixListener> {
    let path = path(folder);
    let _ = std::fs::remove_file(&path);
    let socket = UnixListener::bind(path)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

pub fn remove(folder: &File) {
    let _ = std::fs::remove_file(path(folder));
}

/// Answers all requests that have come.
pub fn answer(socket: &UnixListener, answer: impl Fn() -> Status) {
    while let Ok((mut asker, _)) = socket.accept() {
        // The answer fits into the socket; a client that has gone is no error.
        let _ = asker.set_nonblocking(true);
        let _ = asker.write_all(&serde_json::to_vec(&answer()).unwrap_or_default());
    }
}

/// Asks the supervisor in `temp`, and in exec mode go2rtc for its streams.
///
/// # Errors
/// Nobody answers, or with something else.
pub fn ask(temp: &Path) -> anyhow::Result<Status> {
    let none = |error: io::Error| {
        Error::machine(
            "not-running",
            format!("nothing runs in {}", temp.display()),
            "start it: scripts/start --workers 10 --go2rtc",
        )
        .caused_by(error)
    };
    let folder = File::open(temp).map_err(none)?;
    let mut status = ask_in(&folder).map_err(|error| match error {
        Unanswered::Nobody(error) => none(error),
        Unanswered::Silent(error) => Error::machine(
            "supervisor-silent",
            "the supervisor does not answer",
            "try again; if it stays so, end it where it runs and start it anew: scripts/start",
        )
        .caused_by(error),
        Unanswered::Unclear(error) => {
            Error::machine("supervisor-silent", "unexpected reply from the supervisor (different version?)", "")
                .caused_by(error)
        }
    })?;
    if let Some(elsewhere) = status.elsewhere.take() {
        status.members.extend(ask_go2rtc(&elsewhere));
    }
    Ok(status)
}

/// Why there is no status.
#[derive(Debug)]
pub enum Unanswered {
    Nobody(io::Error),
    Silent(io::Error),
    Unclear(serde_json::Error),
}

/// What the supervisor says whose folder this is, without what only go2rtc knows.
///
/// # Errors
/// Nobody answers, or with something else.
pub fn ask_in(folder: &File) -> Result<Status, Unanswered> {
    let mut socket = UnixStream::connect(path(folder)).map_err(Unanswered::Nobody)?;
    socket.set_read_timeout(Some(LIMIT)).map_err(Unanswered::Silent)?;
    let mut text = String::new();
    socket.read_to_string(&mut text).map_err(Unanswered::Silent)?;
    serde_json::from_str(&text).map_err(Unanswered::Unclear)
}

/// go2rtc's counts, taken twice, make the figures.
fn ask_go2rtc(Elsewhere { api, ids }: &Elsewhere) -> Vec<Member> {
    let first = Instant::now();
    let before = api::Streams::ask(api);
    std::thread::sleep(Duration::from_secs(1));
    let after = api::Streams::ask(api);
    let seconds = first.elapsed().as_secs_f64();
    let describe = |id: &String| {
        let (state, why, figures) = match (&before, &after) {
            (Ok(before), Ok(after)) => match (before.counts(id), after.counts(id)) {
                (_, None) => ("waiting", None, None),
                (Some((frames, bytes)), Some((more_frames, more_bytes))) if more_frames >= frames => {
                    let figures = Figures {
                        frames_per_second: (more_frames - frames) as f64 / seconds,
                        megabits_per_second: more_bytes.saturating_sub(bytes) as f64 * 8e-6 / seconds,
                        ..Figures::default()
                    };
                    ("streaming", None, Some(figures))
                }
                _ => ("streaming", None, None),
            },
            (Err(error), _) | (_, Err(error)) => ("down", Some(format!("go2rtc does not answer: {error}")), None),
        };
        let stream = (state == "streaming").then(|| Stream { figures, ..Stream::default() });
        Member { name: id.clone(), state: state.to_owned(), why, stream, ..Member::default() }
    };
    ids.iter().map(describe).collect()
}

impl Status {
    /// Whether any of them is in trouble.
    pub fn is_bad(&self) -> bool {
        self.members.iter().any(|member| matches!(member.state.as_str(), "down" | "failing"))
    }

    /// One line a member.
    pub fn table(&self) -> String {
        let width = self.members.iter().map(|member| member.name.len()).max().unwrap_or(0);
        let mut lines = String::new();
        for member in &self.members {
            let Member { name, state, .. } = member;
            let detail = member.detail();
            let colon = if detail.is_empty() { "" } else { ": " };
            let restarts = match member.restarts {
                0 => String::new(),
                1 => " [started again once]".to_owned(),
                times => format!(" [started again {times} times]"),
            };
            lines += &format!("{name:width$}  {state}{colon}{detail}{restarts}\n");
        }
        for trouble in &self.trouble {
            lines += &format!("cannot be written: {trouble}\n");
        }
        lines
    }
}

impl Member {
    fn detail(&self) -> String {
        if let Some(why) = &self.why {
            let again = self.starts_in_seconds.map(|seconds| format!(" (starting again in {} s)", seconds.ceil()));
            return format!("{why}{}", again.unwrap_or_default());
        }
        if let Some(stream) = &self.stream {
            let stalled = stream.stalled.as_ref().map(|Stalled { seconds, by }| {
                let by = by.as_ref().map(|by| format!(": {by}")).unwrap_or_default();
                format!("its reader has read nothing for {seconds:.0} s{by}")
            });
            let Some(figures) = &stream.figures else { return stalled.unwrap_or_default() };
            let mut text = format!("{:.2} fps, {:.2} Mb/s", figures.frames_per_second, figures.megabits_per_second);
            if let Some(skipped) = figures.skipped {
                text += &format!(", {skipped} skipped");
            }
            if let (Some(p50), Some(p99)) = (figures.encode_p50_ms, figures.encode_p99_ms) {
                text += &format!(", encode p50 {p50:.2} ms p99 {p99:.2} ms");
            }
            if let Some(chosen) = &stream.chosen {
                text += &format!(", {}", chosen.encoder);
            }
            stalled.iter().for_each(|stalled| text += &format!("; {stalled}"));
            return text;
        }
        match self.last_end.as_ref().and_then(|end| Some((end, end.failure.as_ref()?))) {
            Some((end, failure)) => format!("last stream failed {:.0} s ago: {failure}", end.seconds_ago),
            None => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Failure;

    fn member(name: &str, state: &str) -> Member {
        Member { name: name.to_owned(), state: state.to_owned(), ..Member::default() }
    }

    #[test]
    fn a_line_a_member() {
        let figures =
            Figures { frames_per_second: 15.0, megabits_per_second: 0.99, skipped: Some(2), ..Figures::default() };
        let chosen = Chosen { encoder: "OpenH264".to_owned(), gpu: None, renderer: "llvmpipe".to_owned() };
        let stream = Stream { figures: Some(figures), chosen: Some(chosen), ..Stream::default() };
        let stalled = |by| Stream { stalled: Some(Stalled { seconds: 7.4, by }), ..stream.clone() };
        let known = stalled(Some(Holder { pid: 12, name: "cat".to_owned() }));
        let unknown = Stream { figures: None, ..stalled(None) };
        let failure = Failure {
            code: "hang".to_owned(),
            cause: "the stream hung".to_owned(),
            remedy: String::new(),
            input: false,
        };
        let last_end = Some(Ended { seconds_ago: 12.3, failure: Some(failure) });
        let members = vec![
            Member { restarts: 1, ..member("go2rtc", "running") },
            member("omega-0", "waiting"),
            Member { stream: Some(stream), ..member("omega-1", "streaming") },
            Member { stream: Some(known), ..member("omega-1", "streaming") },
            Member { stream: Some(unknown), ..member("omega-1", "streaming") },
            Member { last_end, ..member("omega-2", "waiting") },
        ];
        let status = Status { members, trouble: Vec::new(), elsewhere: None };
        assert_eq!(
            status.table(),
            "go2rtc   running [started again once]\n\
             omega-0  waiting\n\
             omega-1  streaming: 15.00 fps, 0.99 Mb/s, 2 skipped, OpenH264\n\
             omega-1  streaming: 15.00 fps, 0.99 Mb/s, 2 skipped, OpenH264; its reader has read nothing for 7 s: cat (pid 12)\n\
             omega-1  streaming: its reader has read nothing for 7 s\n\
             omega-2  waiting: last stream failed 12 s ago: the stream hung [hang]\n"
        );
        assert!(!status.is_bad());
        let down = Member {
            why: Some("signal: 9 (SIGKILL)".to_owned()),
            starts_in_seconds: Some(1.5),
            restarts: 3,
            ..member("omega-2", "down")
        };
        let status =
            Status { members: vec![down], trouble: vec!["temp/logs/omega-2.log: full".into()], elsewhere: None };
        assert_eq!(
            status.table(),
            "omega-2  down: signal: 9 (SIGKILL) (starting again in 2 s) [started again 3 times]\n\
             cannot be written: temp/logs/omega-2.log: full\n"
        );
        assert!(status.is_bad());
    }
}
