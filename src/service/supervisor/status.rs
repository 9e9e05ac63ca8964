//! How everything is that a supervisor keeps running, as it is told through a socket and shown to people.

#[cfg(test)]
mod tests;

use super::server::{self, Server};
use super::worker::Worker;
use crate::Totals;
use crate::events::{Holder, Progress};
use crate::service::account::{Account, LastEnd, Running, State};
use crate::stats::{Chosen, Fallback};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::Write as _;
use std::os::unix::net::UnixListener;
use std::time::Instant;

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
    /// The GPU that each of them is given.
    #[serde(default)]
    pub gpus: Vec<Option<Device>>,
    /// What draws and encodes each of them, where that is known.
    #[serde(default)]
    pub chosen: Vec<Option<Chosen>>,
}

/// A GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// As CUDA counts them.
    pub number: u32,
    pub name: Option<String>,
}

impl Device {
    /// The one that encodes, if one does.
    pub(super) fn of(chosen: &Chosen) -> Option<Self> {
        Some(Self { number: chosen.device?, name: chosen.gpu.clone() })
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "GPU {}, {name}", self.number),
            None => write!(f, "GPU {}", self.number),
        }
    }
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
    /// The GPU that it uses, or used last, or that it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Device>,
    /// When it is started again, if it is down.
    pub starts_in_seconds: Option<f64>,
    /// Its stream, while it has one; of several the one that began first.
    pub stream: Option<Stream>,
    /// The others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_streams: Vec<Stream>,
    /// How the one before ended.
    pub last_end: Option<Ended>,
    /// Whether a process is ready for its next reader.
    pub spare: Option<bool>,
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
    /// How often it went on in another process, its driver lost.
    #[serde(default, skip_serializing_if = "is_none")]
    pub restarts: u64,
}

fn is_none(count: &u64) -> bool {
    *count == 0
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

/// The part of a worker that was `given` a GPU, or none.
pub fn of_worker(worker: &Worker, given: Option<Device>, now: Instant) -> Member {
    let member = of_account(&worker.kept.name, &worker.account, now);
    let starts_in_seconds = seconds_until(worker.kept.due(), now);
    let gpu = member.gpu.or(given);
    Member { restarts: worker.kept.restarts, gpu, starts_in_seconds, ..member }
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
        gpu: account.chosen.as_ref().and_then(Device::of),
        stream: streams.next(),
        more_streams: streams.collect(),
        last_end,
        spare: Some(account.has_spare),
        ..Member::default()
    }
}

fn of_stream(reader: u64, running: &Running, now: Instant) -> Stream {
    let latest = running.latest.as_ref().map(|(progress, _)| progress);
    Stream {
        reader: Some(reader),
        chosen: latest.and_then(|latest| latest.chosen.clone()),
        totals: latest.map(|latest| latest.counts.totals).unwrap_or_default(),
        figures: running.earlier.as_ref().zip(latest).and_then(|((earlier, _), latest)| figures(earlier, latest)),
        stalled: running.stalled.as_ref().map(|(since, by)| Stalled {
            seconds: now.saturating_duration_since(*since).as_secs_f64(),
            by: by.clone(),
        }),
        restarts: running.restarts,
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

/// Answers all requests that have come.
pub fn answer(socket: &UnixListener, answer: impl Fn() -> Status) {
    while let Ok((mut asker, _)) = socket.accept() {
        // The answer fits into the socket; a client that has gone is no error.
        let _ = asker.set_nonblocking(true);
        let _ = asker.write_all(&serde_json::to_vec(&answer()).unwrap_or_default());
    }
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
                count => format!(" [started again {}]", times(count)),
            };
            let gpu = member.gpu.as_ref().map(|gpu| format!(" [{gpu}]")).unwrap_or_default();
            lines += &format!("{name:width$}  {state}{colon}{detail}{restarts}{gpu}\n");
        }
        for trouble in &self.trouble {
            lines += &format!("cannot be written: {trouble}\n");
        }
        lines
    }
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
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
                text += &format!(", {chosen}");
                let why = chosen.fallback.as_ref().and_then(Fallback::in_short);
                why.iter().for_each(|why| text += &format!(" ({why})"));
            }
            stalled.iter().for_each(|stalled| text += &format!("; {stalled}"));
            if stream.restarts > 0 {
                text += &format!("; its driver was lost {}", times(stream.restarts));
            }
            return text;
        }
        match self.last_end.as_ref().and_then(|end| Some((end, end.failure.as_ref()?))) {
            Some((end, failure)) => format!("last stream failed {:.0} s ago: {failure}", end.seconds_ago),
            None => String::new(),
        }
    }
}
