//! `--fifo`: the worker kills the process that hangs, says why, and has another one go on, or serves the next reader.

use crate::rig::{
    CALLS, DEADLINE, LIMITS, Machine, SLACK, Viewer, assert_carried_over, assert_told, at_once, limit, until,
    up_to_last_frame, watch,
};
use crate::support::process::{Process, ready};
use rustix::event::PollFlags;
use rustix::fd::AsFd as _;
use std::time::{Duration, Instant};

/// So many bytes that they are no leftovers: a stream of its own.
const A_STREAM: u64 = 20_000;

/// A worker that waits for readers, of which the first one's driver is going to hang.
fn start(machine: &Machine, options: &[&str]) -> Process {
    let worker = machine.worker(options);
    worker.wait_for_line("waiting for a reader");
    worker
}

/// The one line that tells of the hang.
fn message(worker: &Process) -> String {
    let lines = worker.lines();
    let told: Vec<_> = lines.iter().filter(|line| line.contains("no progress for")).collect();
    assert_eq!(told.len(), 1, "it is told once: {lines:?}");
    told[0].clone()
}

#[test]
fn a_hang_before_the_first_frame_ends_its_readers_stream_and_the_next_reader_is_served() {
    at_once(&CALLS[..2], |(call, stage)| {
        let machine = Machine::new(call).role("reader").once();
        let worker = start(&machine, &LIMITS);
        let first = Viewer::start(&machine.fifo());
        let hung = watch(machine.wait_until_hung(1, &worker));
        let limit = limit(stage);
        assert!(
            ready(hung.as_fd(), PollFlags::IN, Duration::from_secs(limit.into()) + SLACK),
            "{call}: it is not killed"
        );
        assert_eq!(first.wait_for_end(SLACK), 0, "{call}");
        let next = Viewer::start(&machine.fifo());
        next.wait_for_bytes(A_STREAM, DEADLINE, call);
        assert_told(&message(&worker), limit, stage);
        assert_eq!(machine.hung().len(), 1, "{call}");
        assert!(worker.is_running(), "{call}");
    });
}

#[test]
fn a_reader_is_carried_over_a_hang() {
    at_once(&CALLS[2..], |(call, stage)| {
        let machine = Machine::new(call).role("reader").once();
        let worker = start(&machine, &["--hang-timeout", "1", "--gop", "3600"]);
        let path = machine.path("seen.h264");
        let seen = std::fs::File::create(&path).expect("a file");
        let mut cat = std::process::Command::new("cat");
        let cat = Process::start(cat.arg(machine.fifo()).stdout(seen));
        let hung = watch(machine.wait_until_hung(1, &worker));
        assert!(ready(hung.as_fd(), PollFlags::IN, Duration::from_secs(1) + SLACK), "{call}: it is not killed");
        let stream = until(DEADLINE, "the stream goes on", || {
            let seen = std::fs::read(&path).expect("the file");
            up_to_last_frame(&seen, 80).map(<[u8]>::to_vec)
        });
        assert_told(&message(&worker), 1, stage);
        drop(cat);
        worker.wait_for_line("reader disconnected");
        assert_carried_over(&stream, 80, call);
        Viewer::start(&machine.fifo()).wait_for_bytes(A_STREAM, DEADLINE, "the next one");
        assert_eq!(machine.hung().len(), 1, "{call}");
    });
}

/// A second hang in a row ends the stream, and the next reader is served behind it.
#[test]
fn a_driver_that_hangs_twice_in_a_row_ends_its_readers_stream() {
    let machine = Machine::new("nvEncLockBitstream@20").role("reader");
    let worker = start(&machine, &["--hang-timeout", "1"]);
    assert!(Viewer::start(&machine.fifo()).wait_for_end(DEADLINE) > 0);
    assert_eq!(machine.hung().len(), 2, "{:?}", worker.lines());
    let lines = worker.lines();
    let told: Vec<_> = lines.iter().filter(|line| line.contains("no progress for 1 s")).collect();
    assert!(told.len() == 2 && told[0].contains("starting over") && told[1].contains(" ERROR "), "{lines:?}");
    assert!(worker.is_running());
}

#[test]
fn a_picture_has_five_seconds_unless_told() {
    let machine = Machine::new("glReadPixels@40").role("reader").once();
    let worker = start(&machine, &[]);
    let _first = Viewer::start(&machine.fifo());
    let hung = watch(machine.wait_until_hung(1, &worker));
    assert!(!ready(hung.as_fd(), PollFlags::IN, Duration::from_secs(4)), "ended early: {:?}", worker.lines());
    assert!(ready(hung.as_fd(), PollFlags::IN, Duration::from_secs(1) + SLACK), "it is not killed");
    let killed = Instant::now();
    assert_told(&worker.wait_for_line("no progress for"), 5, "reading back");
    assert!(killed.elapsed() < SLACK, "told {:?} after it was killed: {:?}", killed.elapsed(), worker.lines());
}

#[test]
fn a_reader_that_leaves_a_hanging_driver_leaves_the_fifo_to_the_next() {
    let machine = Machine::new("glReadPixels@40").role("reader").once();
    let worker = start(&machine, &["--hang-timeout", "1"]);
    let first = Viewer::start(&machine.fifo());
    machine.wait_until_hung(1, &worker);
    drop(first);
    Viewer::start(&machine.fifo()).wait_for_bytes(A_STREAM, DEADLINE, "after one that left");
    assert!(worker.is_running());
}

#[test]
fn a_reader_that_stands_in_line_behind_a_hanging_driver_is_served() {
    let machine = Machine::new("glReadPixels@40").role("reader").once();
    let worker = start(&machine, &["--hang-timeout", "1"]);
    let first = Viewer::start(&machine.fifo());
    machine.wait_until_hung(1, &worker);
    let next = Viewer::start(&machine.fifo());
    let so_far = first.bytes();
    first.wait_for_bytes(so_far + A_STREAM, DEADLINE, "who was there first");
    assert_eq!(next.bytes(), 0);
    drop(first);
    next.wait_for_bytes(A_STREAM, DEADLINE, "who stood in line");
}

/// A reader waits no longer than for a stream that hangs twice, or for the worker's pause behind one: then it has its end of
/// file, and may come again.
#[test]
fn a_driver_that_hangs_for_every_reader_never_locks_the_fifo() {
    let machine = Machine::new("glReadPixels@20").role("reader");
    let worker = start(&machine, &["--hang-timeout", "1"]);
    let begun = Instant::now();
    while machine.hung().len() < 3 {
        Viewer::start(&machine.fifo()).wait_for_end(Duration::from_secs(4) + 3 * SLACK);
        assert!(worker.is_running(), "{:?}", worker.lines());
        assert!(begun.elapsed() < DEADLINE, "readers are not served any more: {:?}", worker.lines());
        std::thread::sleep(Duration::from_millis(50));
    }
}
