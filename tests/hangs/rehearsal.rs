//! A worker's rehearsal hangs: its FIFO is not locked meanwhile, and the worker ends with the reason.

use crate::rig::{DEADLINE, LIMITS, Machine, SLACK, STAGES, Viewer, assert_failed_in_time, at_once, limit, make_fifo};
use std::time::{Duration, Instant};

#[test]
fn a_rehearsal_that_hangs_ends_the_worker() {
    let calls = ["eglInitialize@1", "nvEncOpenEncodeSessionEx@1", "glReadPixels@1", "nvEncLockBitstream@1"];
    at_once(&calls, |call| {
        let machine = Machine::new(call).role("rehearsal");
        let worker = machine.worker(&LIMITS);
        machine.wait_until_hung(1, &worker);
        let hung = Instant::now();
        let ended = worker.wait_for(DEADLINE);
        let stage = STAGES.into_iter().find(|stage| ended.stderr.contains(stage)).unwrap_or("no stage at all");
        assert_failed_in_time(&ended, hung, limit(stage), stage);
        if call.starts_with("egl") || call.contains("Open") {
            assert_eq!(stage, "opening", "{call}: {}", ended.stderr);
        }
        machine.assert_all_gone(Duration::from_secs(1));
    });
}

#[test]
fn readers_are_turned_away_while_the_rehearsal_hangs() {
    let machine = Machine::new("eglInitialize@1").role("rehearsal");
    make_fifo(&machine.fifo());
    // Somebody is there before the worker is.
    let early = Viewer::start(&machine.fifo());
    let worker = machine.worker(&["--start-timeout", "6"]);
    machine.wait_until_hung(1, &worker);
    let hung = Instant::now();
    assert_eq!(early.wait_for_end(SLACK), 0, "who came first");
    for n in 1..=5 {
        let viewer = Viewer::start(&machine.fifo());
        assert_eq!(viewer.wait_for_end(Duration::from_millis(800)), 0, "reader {n} is turned away at once");
    }
    assert!(worker.is_running(), "the rehearsal hangs still: {:?}", worker.lines());
    assert_failed_in_time(&worker.wait_for(DEADLINE), hung, 6, "opening");
    machine.assert_all_gone(Duration::from_secs(1));
}

#[test]
fn a_rehearsal_that_does_not_hang_is_no_worse_for_one_that_could() {
    let machine = Machine::new("glReadPixels@40").role("rehearsal");
    let worker = machine.worker(&["--hang-timeout", "1"]);
    worker.wait_for_line("waiting for a reader");
    Viewer::start(&machine.fifo()).wait_for_bytes(20_000, DEADLINE, "a reader");
    assert!(machine.hung().is_empty());
}
