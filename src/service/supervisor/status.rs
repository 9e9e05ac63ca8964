//! What `mb-encode status` prints, and the socket that it asks.

use super::child::State;
use crate::Error;
use anyhow::Context as _;
use rustix::fd::{AsFd, AsRawFd as _};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const NAME: &str = "status.sock";
const LIMIT: Duration = Duration::from_secs(5);

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

/// Answers everybody who has asked.
pub fn answer(socket: &UnixListener, answer: impl Fn() -> Value) {
    while let Ok((mut asker, _)) = socket.accept() {
        // The answer fits into the socket; an asker who has gone is no trouble.
        let _ = asker.set_nonblocking(true);
        let _ = asker.write_all(answer().to_string().as_bytes());
    }
}

/// A member's line as it is sent.
pub fn describe(name: &str, state: &State, restarts: u64, due: Option<Duration>) -> Value {
    let (state, detail) = match state {
        State::Starting => ("starting", None),
        State::Waiting => ("waiting", None),
        State::Streaming(figures) => ("streaming", figures.clone()),
        State::Failing(why) => ("failing", Some(why.clone())),
        State::Running => ("running", None),
        State::Down(why) => {
            let again = due.map(|due| format!(" (starting again in {} s)", due.as_secs_f32().ceil()));
            ("down", Some(format!("{why}{}", again.unwrap_or_default())))
        }
    };
    json!({ "name": name, "state": state, "detail": detail, "restarts": restarts })
}

/// Prints how everything is that the supervisor in `temp` keeps running, as a table or as JSON.
///
/// # Errors
/// One of them is down, or no supervisor is running.
pub fn run(temp: &Path, json: bool) -> anyhow::Result<()> {
    let none = |error: io::Error| {
        Error::machine(format!("nothing runs in {}", temp.display()), "start it: scripts/start --workers 10 --go2rtc")
            .caused_by(error)
    };
    let folder = File::open(temp).map_err(none)?;
    let mut socket = UnixStream::connect(path(&folder)).map_err(none)?;
    socket.set_read_timeout(Some(LIMIT))?;
    let mut text = String::new();
    socket.read_to_string(&mut text).map_err(|error| {
        Error::machine(
            "the supervisor does not answer",
            "try again; if it stays so, end it where it runs and start it anew: scripts/start",
        )
        .caused_by(error)
    })?;
    let mut status: Value = serde_json::from_str(&text).context("the supervisor's answer makes no sense")?;
    if let Some(api) = status["streams_at"].as_str().map(str::to_owned) {
        ask_go2rtc(&api, &mut status)?;
    }
    let (lines, bad) = table(&status);
    let lines = if json { format!("{status:#}\n") } else { lines };
    std::io::stdout().write_all(lines.as_bytes()).context("cannot print the status")?;
    if bad { Err(Error::machine("not everything is running", "temp/logs says more").into()) } else { Ok(()) }
}

/// One line a member, and whether any of them is in trouble.
fn table(status: &Value) -> (String, bool) {
    let members: Vec<_> = status["members"].as_array().into_iter().flatten().collect();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let width = members.iter().map(|member| text(&member["name"]).len()).max().unwrap_or(0);
    let mut lines = String::new();
    let mut bad = false;
    for member in members {
        let (name, state, detail) = (text(&member["name"]), text(&member["state"]), text(&member["detail"]));
        bad |= matches!(state.as_str(), "down" | "failing");
        let colon = if detail.is_empty() { "" } else { ": " };
        let restarts = match member["restarts"].as_u64() {
            None | Some(0) => String::new(),
            Some(1) => " [started again once]".to_owned(),
            Some(times) => format!(" [started again {times} times]"),
        };
        lines += &format!("{name:width$}  {state}{colon}{detail}{restarts}\n");
    }
    for trouble in status["trouble"].as_array().into_iter().flatten() {
        lines += &format!("cannot be written: {}\n", text(trouble));
    }
    (lines, bad)
}

/// In exec mode only go2rtc knows what streams: its counts, taken twice, make the figures.
fn ask_go2rtc(api: &str, status: &mut Value) -> anyhow::Result<()> {
    let ids: Vec<String> =
        status["ids"].as_array().into_iter().flatten().filter_map(|id| id.as_str().map(String::from)).collect();
    let first = Instant::now();
    let before = get_streams(api);
    std::thread::sleep(Duration::from_secs(1));
    let after = get_streams(api);
    let seconds = first.elapsed().as_secs_f64();
    let members = status["members"].as_array_mut().context("the supervisor's answer makes no sense")?;
    for id in ids {
        let (state, detail) = match (&before, &after) {
            (Ok(before), Ok(after)) => match (counts(&before[&id]), counts(&after[&id])) {
                (_, None) => ("waiting", String::new()),
                (Some((pictures, bytes)), Some((more_pictures, more_bytes))) if more_pictures >= pictures => {
                    let rate = (more_pictures - pictures) as f64 / seconds;
                    let megabits = more_bytes.saturating_sub(bytes) as f64 * 8e-6 / seconds;
                    ("streaming", format!("{rate:.1} pictures/s, {megabits:.2} Mb/s"))
                }
                _ => ("streaming", String::new()),
            },
            (Err(error), _) | (_, Err(error)) => ("down", format!("go2rtc does not answer: {error}")),
        };
        members.push(json!({ "name": id, "state": state, "detail": detail }));
    }
    Ok(())
}

/// Access units and bytes that go2rtc has taken from a stream's source, if that runs.
fn counts(stream: &Value) -> Option<(u64, u64)> {
    let producers = stream["producers"].as_array()?;
    let producer = producers.iter().find(|producer| producer["receivers"].is_array())?;
    let receiver = &producer["receivers"].as_array()?[0];
    Some((receiver["packets"].as_u64()?, receiver["bytes"].as_u64()?))
}

fn get_streams(api: &str) -> io::Result<Value> {
    let address = api.parse().map_err(io::Error::other)?;
    let mut socket = TcpStream::connect_timeout(&address, LIMIT)?;
    socket.set_read_timeout(Some(LIMIT))?;
    // Of version 1.0, whose answer ends with the connection.
    write!(socket, "GET /api/streams HTTP/1.0\r\nHost: {api}\r\n\r\n")?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    serde_json::from_str(body).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_member() {
        let members = [
            describe("go2rtc", &State::Running, 1, None),
            describe("omega-0", &State::Waiting, 0, None),
            describe("omega-1", &State::Streaming(Some("15.00 pictures/s, 0.99 Mb/s".into())), 0, None),
        ];
        let (lines, bad) = table(&json!({ "members": members }));
        assert_eq!(
            lines,
            "go2rtc   running [started again once]\nomega-0  waiting\nomega-1  streaming: 15.00 pictures/s, 0.99 Mb/s\n"
        );
        assert!(!bad);
        let down =
            describe("omega-2", &State::Down("signal: 9 (SIGKILL)".into()), 3, Some(Duration::from_millis(1500)));
        let (lines, bad) = table(&json!({ "members": [down], "trouble": ["temp/logs/omega-2.log: full"] }));
        assert_eq!(
            lines,
            "omega-2  down: signal: 9 (SIGKILL) (starting again in 2 s) [started again 3 times]\n\
             cannot be written: temp/logs/omega-2.log: full\n"
        );
        assert!(bad);
    }
}
