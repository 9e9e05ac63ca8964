//! A driver that hangs each time it is to encode, as NVIDIA's does wherever GL and CUDA meet, once somebody's fault has upset
//! the GPU: who has not asked for NVENC by name sees its pictures by OpenH264.

use crate::rig::{DEADLINE, Machine, Viewer, assert_shows_each_frame, at_once};
use crate::support::go2rtc::{self, free_ports};
use crate::support::process::Process;
use std::process::Stdio;
use std::time::Duration;

const QUICK: [&str; 2] = ["--hang-timeout", "1"];
/// So many bytes that they are no leftovers: a stream of its own.
const A_STREAM: u64 = 20_000;

#[test]
fn a_stream_that_hangs_twice_goes_on_without_it() {
    // Once under way, and once from the first picture on, which nobody has seen yet.
    at_once(&[("nvEncLockBitstream@20", 2), ("cuGraphicsMapResources@1", 1)], |&(call, hangs)| {
        let machine = Machine::new(call).auto();
        let mut command = machine.bare();
        let frames = ["--frames", "100", "--gop", "3600"];
        command.arg("--stdout").args(machine.small(&[&QUICK[..], &frames].concat())).stdout(Stdio::piped());
        let mut process = Process::start(&mut command);
        let stream = process.stdout().all();
        let ended = process.wait_for(DEADLINE);
        assert_eq!(ended.code(), 0, "{call}: {}", ended.stderr);
        assert_eq!(machine.hangs(), hangs, "{call}: {}", ended.stderr);
        let said = ended.stderr.lines().last().unwrap_or_default();
        assert!(said.contains("starting over in a new process, with OpenH264"), "{call}: {}", ended.stderr);
        assert_shows_each_frame(&stream, 100, call);
    });
}

#[test]
fn who_asks_for_it_by_name_is_told() {
    let machine = Machine::new("cuGraphicsMapResources@1");
    let ended = machine.stream(&["--stdout"], &QUICK).wait_for(DEADLINE);
    assert!(ended.code() == 1 && machine.hangs() == 1, "{}", ended.stderr);
}

/// What one reader has seen costs the next one nothing.
#[test]
fn the_next_reader_of_a_worker_does_not_wait_for_another_hang() {
    let machine = Machine::new("cuGraphicsMapResources@1").auto().role("reader");
    let worker = machine.worker(&QUICK);
    worker.wait_for_line("waiting for a reader");
    for _ in 0..3 {
        Viewer::start(&machine.fifo()).wait_for_bytes(A_STREAM, DEADLINE, "by OpenH264");
        assert_eq!(machine.hung().len(), 1, "{:?}", worker.lines());
    }
    assert!(worker.lines().iter().any(|line| line.contains("in a new one, with OpenH264")), "{:?}", worker.lines());
}

#[test]
fn a_worker_whose_rehearsal_hangs_in_it_serves_its_readers_without() {
    let machine = Machine::new("cuGraphicsMapResources@1").auto();
    let worker = machine.worker(&QUICK);
    let told = worker.wait_for_line("falling back to OpenH264");
    assert!(told.contains(" WARN ") && told.contains("no progress for 1 s while encoding"), "{told}");
    worker.wait_for_line("waiting for a reader");
    Viewer::start(&machine.fifo()).wait_for_bytes(A_STREAM, DEADLINE, "by OpenH264");
    assert_eq!(machine.hung().len(), 1, "{:?}", worker.lines());
    // By name, it is down and says why.
    let machine = Machine::new("cuGraphicsMapResources@1");
    let worker = machine.worker(&QUICK);
    assert_eq!(worker.wait_for(DEADLINE).code(), 1);
    assert_eq!(machine.hangs(), 1);
    machine.assert_all_gone(Duration::from_secs(1));
}

/// Where go2rtc starts the streams, each of them finds it out by itself.
#[test]
fn a_supervisor_of_streams_that_go2rtc_starts_goes_on() {
    let machine = Machine::new("cuGraphicsMapResources@1").auto();
    let mut command = machine.bare();
    command.arg("supervise").arg("--temp").arg(machine.path("temp")).args(["--workers", "1", "--mode", "exec"]);
    for (option, port) in ["--api-port", "--rtsp-port", "--webrtc-port"].iter().zip(free_ports::<3>()) {
        command.arg(option).arg(port.to_string());
    }
    command.arg("--go2rtc").arg(go2rtc::find()).arg("--").args(machine.small(&QUICK));
    let supervisor = Process::start(&mut command);
    let told = supervisor.wait_for_line("OpenH264's behind a hang");
    assert!(told.contains(" WARN ") && told.contains("no progress for 1 s while encoding"), "{told}");
    assert!(supervisor.is_running_after(Duration::from_millis(500)), "{:?}", supervisor.lines());
}
