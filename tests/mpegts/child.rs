//! Programs as these tests start them, and the processes that those start.

use crate::support::children;
use crate::support::process::{self, DEADLINE, Process};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// `mb-encode` with small pictures, which a debug build draws in real time.
pub fn mb_encode(options: &[&str]) -> Command {
    let mut command = process::mb_encode();
    command.args(["--width", "320", "--height", "240", "--encoder", "openh264"]).args(options);
    command
}

/// Starts `command` with its standard output in a pipe.
pub fn start(command: &mut Command) -> Process {
    Process::start(command.stdin(Stdio::null()).stdout(Stdio::piped()))
}

/// Waits for the end. Gives the exit code and what was said on standard error.
pub fn end(process: Process) -> (i32, String) {
    let ended = process.wait();
    (ended.code(), ended.stderr)
}

/// Asks until there is an answer.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < until, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The children of a process by id and name, dead ones left out.
pub fn children_of(parent: u32) -> Vec<(u32, String)> {
    children::of(parent)
        .into_iter()
        .map(|pid| pid.as_raw_pid() as u32)
        .filter(|&id| runs(id))
        .filter_map(|id| Some((id, std::fs::read_to_string(format!("/proc/{id}/comm")).ok()?.trim().to_owned())))
        .collect()
}

/// Waits until a process has a child of that name.
pub fn child_named(parent: u32, name: &str) -> u32 {
    eventually(name, || children_of(parent).into_iter().find(|(_, its)| its == name).map(|(id, _)| id))
}

/// Whether a process runs: one that has ended and that nobody has waited for does not.
pub fn runs(id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // "1234 (name) S …"
    stat.rsplit_once(')').is_some_and(|(_, rest)| !matches!(rest.trim_start().chars().next(), None | Some('Z' | 'X')))
}

/// Puts a shell script into `folder`, and gives a PATH with the folder in front.
pub fn with_program(folder: &Path, name: &str, script: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let program = folder.join(name);
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("the folder can be written");
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("the file is ours");
    format!("{}:{}", folder.display(), std::env::var("PATH").expect("a PATH"))
}

/// A folder that goes with the test.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder for temporary files")
}
