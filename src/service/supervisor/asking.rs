//! Asks a supervisor how everything is that it keeps running, as another process does.

use super::socket::path;
use super::status::{Device, Elsewhere, Figures, Member, Status, Stream};
use crate::Error;
use crate::service::go2rtc::api;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(5);

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
fn ask_go2rtc(Elsewhere { api, ids, gpus, chosen }: &Elsewhere) -> Vec<Member> {
    let first = Instant::now();
    let before = api::Streams::ask(api);
    std::thread::sleep(Duration::from_secs(1));
    let after = api::Streams::ask(api);
    let seconds = first.elapsed().as_secs_f64();
    let describe = |(at, id): (usize, &String)| {
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
        let chosen = chosen.get(at).cloned().flatten();
        let gpu = chosen.as_ref().and_then(Device::of).or_else(|| gpus.get(at).cloned().flatten());
        let stream = (state == "streaming").then(|| Stream { figures, chosen, ..Stream::default() });
        Member { name: id.clone(), state: state.to_owned(), why, gpu, stream, ..Member::default() }
    };
    ids.iter().enumerate().map(describe).collect()
}
