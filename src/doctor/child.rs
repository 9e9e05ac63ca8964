//! Processes that may crash or hang: started, listened to, and given up on.

use super::finding::{Finding, State};
use super::group::Group;
use super::part::Part;
use crate::os::process::{Child, Orphaned};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

/// What a process is asked about next, written before the check.
pub(super) fn tell_begin(part: Part, out: &mut dyn Write) -> std::io::Result<()> {
    tell(&json!({ "begin": part.about().id }), out)
}

/// What it found.
pub(super) fn tell_end(finding: &Finding, out: &mut dyn Write) -> std::io::Result<()> {
    let Finding { state, found, remedy, apart, .. } = finding;
    tell(&json!({ "end": finding.id(), "state": state.word(), "found": found, "remedy": remedy, "apart": apart }), out)
}

/// On a line of its own, also where a driver has begun one and not ended it.
fn tell(what: &Value, out: &mut dyn Write) -> std::io::Result<()> {
    write!(out, "\n{what}\n")?;
    out.flush()
}

enum Told {
    Begin(Part),
    End(Finding),
}

/// Drivers write to standard output as well; what is no line of ours is left out.
fn parse(line: &str) -> Option<Told> {
    let value: Value = serde_json::from_str(line).ok()?;
    let text = |key: &str| value.get(key)?.as_str();
    if let Some(id) = text("begin") {
        return Part::from_id(id).map(Told::Begin);
    }
    let part = Part::from_id(text("end")?)?;
    let state = State::from_word(text("state")?)?;
    let apart = value.get("apart")?.as_bool()?;
    Some(Told::End(Finding { apart, ..Finding::new(part, state, text("found")?, text("remedy")?) }))
}

/// Runs a group's process and returns what it found, the check that it was lost over among it.
pub(super) fn run(group: Group, command: Command, limit: Duration) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut at = None;
    let ended = listen(command, limit, |line| match parse(line) {
        Some(Told::Begin(part)) => at = Some(part),
        Some(Told::End(finding)) => {
            at = None;
            findings.push(finding);
        }
        None => {}
    });
    let lost = |part: Part, what: String, said: &str| {
        let said = said.lines().rev().find(|line| !line.trim().is_empty());
        let said = said.map(|line| format!("; its last words: {}", line.trim())).unwrap_or_default();
        Finding { fatal: true, ..Finding::new(part, State::Fail, what + &said, remedy(part)) }
    };
    let first = group.parts()[0];
    match (ended, at) {
        (Ok(End { status: Some(status), .. }), None) if status.success() => {}
        (Ok(End { status: Some(status), said }), at) => {
            // Also after the last answer: some crash when they are let go.
            let part = at.or(findings.last().map(|it| it.part)).unwrap_or(first);
            findings.retain(|it| it.part != part);
            findings.push(lost(part, format!("{} in {}", show(status), part.about().inside), &said));
        }
        (Ok(End { status: None, said }), at) => {
            let part = at.or(findings.last().map(|it| it.part)).unwrap_or(first);
            findings.retain(|it| it.part != part);
            let what = format!("no answer within {} s in {}", limit.as_secs(), part.about().inside);
            findings.push(lost(part, what, &said));
        }
        (Err(error), _) => {
            findings.push(Finding::new(
                first,
                State::Fail,
                format!("cannot start the probe process: {error}"),
                "make /proc visible, and let this user have more processes",
            ));
        }
    }
    findings
}

fn remedy(part: Part) -> &'static str {
    match part {
        Part::EglLoader | Part::EglVendors | Part::EglDevices | Part::GlRenderer => {
            "update the driver that crashes; to draw with Mesa meanwhile, set\n\
             __EGL_VENDOR_LIBRARY_FILENAMES=/usr/share/glvnd/egl_vendor.d/50_mesa.json"
        }
        Part::Openh264 => "build mb-encode for this processor, or on this machine",
        _ => {
            "check dmesg for NVRM messages, and that the driver's libraries and kernel module are of one version:\n\
             restart after a driver update, else install the driver again; use --encoder openh264 meanwhile"
        }
    }
}

fn show(status: ExitStatus) -> String {
    let Some(signal) = status.signal() else {
        return match status.code() {
            Some(code) => format!("gave up with exit code {code}"),
            None => "ended in an unknown way".to_owned(),
        };
    };
    let name = match signal {
        libc::SIGILL => "SIGILL",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGSYS => "SIGSYS",
        _ => return format!("crashed (signal {signal})"),
    };
    format!("crashed ({name})")
}

/// How a process ended.
pub(super) struct End {
    /// `None`: it had to be given up on.
    pub status: Option<ExitStatus>,
    /// Its standard error.
    pub said: String,
}

/// Runs `command` with nothing to read, and hands over each line of its standard output as it comes.
pub(super) fn listen(mut command: Command, limit: Duration, mut hear: impl FnMut(&str)) -> std::io::Result<End> {
    let deadline = Instant::now() + limit;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Child::start(command, Orphaned::Killed, &[])?;
    let (_, stdout, stderr) = process.take_pipes();
    let lines = lines_of(stdout, |to, line| to.send(line).is_ok());
    // Nobody listens to these until its end: of a flood the rest is lost.
    let errors = lines_of(stderr, |to, line| !matches!(to.try_send(line), Err(TrySendError::Disconnected(_))));
    // Until its end or the deadline, also where it never stops talking.
    while Instant::now() < deadline {
        let Ok(line) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) else { break };
        hear(&line);
    }
    // A thread that waits to be heard is not to wait for ever.
    drop(lines);
    let status = process.end_by(deadline);
    // Something that it started may hold its standard error open for longer; that is not waited for.
    let patience = Instant::now() + Duration::from_millis(200);
    let mut said = String::new();
    while Instant::now() < patience {
        let Ok(line) = errors.recv_timeout(patience.saturating_duration_since(Instant::now())) else { break };
        said.push_str(&line);
        said.push('\n');
    }
    Ok(End { status, said })
}

/// Lines as they come, from a thread that ends with the pipe, or when `pass_on` says that nobody listens any more.
fn lines_of(
    pipe: Option<impl Read + Send + 'static>,
    pass_on: impl Fn(&SyncSender<String>, String) -> bool + Send + 'static,
) -> Receiver<String> {
    let (to, lines) = sync_channel(1024);
    if let Some(pipe) = pipe {
        std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
                let text = String::from_utf8_lossy(&line);
                if !pass_on(&to, text.trim_end_matches('\n').to_owned()) {
                    return;
                }
                line.clear();
            }
        });
    }
    lines
}
