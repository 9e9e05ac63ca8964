//! A signal ends the program in every mode while a driver hangs, in its first call or in mid-stream, and leaves
//! nothing behind.

use crate::rig::{DEADLINE, LAST_WORK, Machine, SLACK, Viewer, at_once};
use crate::support::process::Process;
use rustix::process::Signal;
use std::time::Instant;

/// The limits are the ones by default, which are longer than what the signal has.
fn assert_ends(machine: &Machine, process: Process, signal: Signal, what: &str) {
    assert!(process.is_running(), "{what}: {:?}", process.lines());
    let begun = Instant::now();
    process.signal(signal);
    let ended = process.wait_for(DEADLINE);
    let took = begun.elapsed();
    assert!(took < LAST_WORK + SLACK, "{what}: ended {took:?} after {signal:?}");
    // Stopped, or ended by what it was told of; never by a crash.
    assert!([0, 1, 128 + signal.as_raw()].contains(&ended.code()), "{what}: {}: {}", ended.code(), ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{what}: {}", ended.stderr);
    machine.assert_all_gone(SLACK);
}

const CALLS: [&str; 6] = [
    "eglGetPlatformDisplay@1",
    "eglInitialize@1",
    "cuInit@1",
    "nvEncOpenEncodeSessionEx@1",
    "glReadPixels@40",
    "nvEncLockBitstream@20",
];

fn with_both_signals(calls: &[&'static str]) -> Vec<(&'static str, Signal)> {
    calls.iter().flat_map(|&call| [(call, Signal::TERM), (call, Signal::INT)]).collect()
}

#[test]
fn standard_output() {
    at_once(&with_both_signals(&CALLS), |&(call, signal)| {
        let machine = Machine::new(call);
        let process = machine.stream(&["--stdout"], &[]);
        machine.wait_until_hung(1, &process);
        assert_ends(&machine, process, signal, call);
    });
}

#[test]
fn a_file() {
    at_once(&with_both_signals(&CALLS), |&(call, signal)| {
        let machine = Machine::new(call);
        let out = machine.path("clip.h264");
        let process = machine.stream(&["--out", out.to_str().expect("a plain path")], &[]);
        machine.wait_until_hung(1, &process);
        assert_ends(&machine, process, signal, call);
    });
}

#[test]
fn a_worker_with_a_reader() {
    at_once(&with_both_signals(&CALLS), |&(call, signal)| {
        let machine = Machine::new(call).role("reader");
        let worker = machine.worker(&[]);
        worker.wait_for_line("waiting for a reader");
        let viewer = Viewer::start(&machine.fifo());
        machine.wait_until_hung(1, &worker);
        assert_ends(&machine, worker, signal, call);
        viewer.wait_for_end(SLACK);
    });
}

#[test]
fn a_worker_that_rehearses() {
    let calls = ["eglInitialize@1", "cuInit@1", "glReadPixels@1", "nvEncLockBitstream@1"];
    at_once(&with_both_signals(&calls), |&(call, signal)| {
        let machine = Machine::new(call).role("rehearsal");
        let worker = machine.worker(&[]);
        machine.wait_until_hung(1, &worker);
        assert_ends(&machine, worker, signal, call);
    });
}

#[test]
fn a_supervisor_that_rehearses() {
    at_once(&with_both_signals(&["eglInitialize@1", "nvEncLockBitstream@1"]), |&(call, signal)| {
        let machine = Machine::new(call).role("rehearsal");
        let supervisor = machine.supervisor(&[]);
        machine.wait_until_hung(1, &supervisor);
        assert_ends(&machine, supervisor, signal, call);
    });
}

#[test]
fn a_supervisor_whose_worker_rehearses() {
    at_once(&[Signal::TERM, Signal::INT], |&signal| {
        let machine = Machine::new("eglInitialize@1").role("rehearsal");
        let supervisor = machine.supervisor(&["--start-timeout", "2"]);
        machine.wait_until_hung(2, &supervisor);
        assert_ends(&machine, supervisor, signal, "the worker's rehearsal hangs");
    });
}

#[test]
fn a_supervisor_whose_worker_has_a_reader() {
    at_once(&with_both_signals(&["glReadPixels@40", "eglInitialize@1"]), |&(call, signal)| {
        let machine = Machine::new(call).role("reader");
        let supervisor = machine.supervisor(&[]);
        machine.wait_until_waiting(&supervisor);
        let viewer = Viewer::start(&machine.supervised_fifo());
        machine.wait_until_hung(1, &supervisor);
        assert_ends(&machine, supervisor, signal, call);
        viewer.wait_for_end(SLACK);
    });
}

/// Who asks what works, while a driver hangs.
#[test]
fn the_doctor() {
    at_once(&with_both_signals(&["eglInitialize@1", "cuInit@1"]), |&(call, signal)| {
        let machine = Machine::new(call);
        let doctor = Process::start(machine.bare().arg("doctor"));
        machine.wait_until_hung(1, &doctor);
        assert_ends(&machine, doctor, signal, call);
    });
}
