//! A reader that never reads is told of, with its name, for as long as it does not; one that pauses is no fault.

use crate::rig::{SMALL, connect, program, until};
use crate::support::process::Process;
use rustix::process::Signal;
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// What `status --json` says of the only stream.
fn stream(temp: &Path) -> Option<Value> {
    let output = program(temp).args(["status", "--json", "--temp"]).arg(temp).output().unwrap();
    let status: Value = serde_json::from_slice(&output.stdout).ok()?;
    status["members"][0].get("stream").cloned().filter(|stream| !stream.is_null())
}

#[test]
fn a_reader_that_never_reads_is_told_of_until_it_does() {
    let folder = tempfile::tempdir().unwrap();
    let temp = folder.path().join("temp");
    let mut command = program(folder.path());
    command.args(["supervise", "--workers", "1", "--temp"]).arg(&temp).arg("--").args(SMALL);
    let supervisor = Process::start(command.stdout(Stdio::null()));
    let fifo = temp.join("streams/omega-0.h264");
    until("no worker", || fifo.with_file_name(".omega-0.h264.mb-encode").exists().then_some(()));
    let mut reader = connect(&fifo);
    let stalled = until("nothing is told", || {
        std::thread::sleep(Duration::from_millis(100));
        stream(&temp)?.get("stalled").cloned()
    });
    assert!(stalled["seconds"].as_f64() >= Some(5.0), "{stalled}");
    assert_eq!(stalled["by"]["pid"].as_u64(), Some(std::process::id().into()), "{stalled}");
    reader.take_bytes(2000);
    until("it is told though it reads", || {
        std::thread::sleep(Duration::from_millis(50));
        stream(&temp)?.get("stalled").is_none().then_some(())
    });
    // A pause is seen as well, and is nothing to warn of.
    until("a pause is not seen", || {
        std::thread::sleep(Duration::from_millis(100));
        stream(&temp)?.get("stalled").cloned()
    });
    let log = std::fs::read_to_string(temp.join("logs/omega-0.log")).unwrap();
    assert_eq!(log.lines().filter(|line| line.contains(" WARN ")).count(), 1, "{log}");
    drop(reader);
    supervisor.signal(Signal::TERM);
    assert_eq!(supervisor.wait().code(), 0);
}
