//! SIGKILL at random moments: to the process of a reader, to a worker that starts, and to one that makes way for readers.

use crate::rig::{SPS, Worker, assert_nothing_runs, connect, names, number, random, seed, serving, until};
use crate::support::process::Process;
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The last moment for a kill.
const LATEST: Duration = Duration::from_millis(100);
/// Workers at a time.
const AT_ONCE: usize = 3;

/// A moment in the first 100 ms.
fn moment(seed: u64, number: usize) -> Duration {
    LATEST.mul_f64(random(seed, number))
}

/// Each reader whose process is killed gets the end of file, and the one behind it a stream of its own, whatever the
/// moment: it is not turned away, and does not wait for the worker to calm down.
#[test]
fn a_kill_in_the_first_moments_of_a_stream_costs_its_own_reader_alone() {
    let (kills, next, seed, begun) = (number("MB_KILLS", 240), AtomicUsize::new(0), seed(), Instant::now());
    let (unserved, waits) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let worker = Worker::start();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= kills {
                        break;
                    }
                    until("the last one's process stays", || worker.children().is_empty().then_some(()));
                    let mut first = connect(&worker.path);
                    let child = worker.child();
                    std::thread::sleep(moment(seed, number));
                    let process = pidfd_open(child, PidfdFlags::empty()).expect("it runs");
                    pidfd_send_signal(&process, Signal::KILL).expect("it is not reaped");
                    let got = first.all();
                    if got.is_empty() {
                        unserved.fetch_add(1, Ordering::Relaxed);
                    }
                    assert!(got.is_empty() || SPS.starts_with(&got[..got.len().min(5)]), "kill {number}, seed {seed}");
                    let came = Instant::now();
                    let next = connect(&worker.path).take_bytes(5);
                    assert_eq!(next, SPS, "the reader after kill {number}, seed {seed}");
                    waits.lock().unwrap().push(came.elapsed());
                }
                worker.end();
            });
        }
    });
    let (unserved, mut waits) = (unserved.into_inner(), waits.into_inner().unwrap());
    waits.sort();
    let median = waits[waits.len() / 2];
    eprintln!(
        "{kills} kills in {:?}, {unserved} of them before the first byte; the next reader waited {median:?} (median)",
        begun.elapsed()
    );
    assert!(median < Duration::from_millis(900), "the next reader waited {median:?}");
}

/// Checks that a worker which is started after a kill serves the FIFO, and leaves nothing when it ends.
fn assert_usable(folder: tempfile::TempDir) {
    assert_nothing_runs(folder.path());
    let worker = Worker::start_in(folder);
    assert_eq!(connect(&worker.path).take_bytes(5), SPS);
    worker.end();
}

fn kill_at(folder: &Path, delay: Duration) {
    let process = Process::start(&mut serving(&folder.join("demo.h264"), folder));
    std::thread::sleep(delay);
    process.signal(Signal::KILL);
    process.wait();
}

#[test]
fn a_worker_that_is_killed_as_it_starts_leaves_no_process_and_no_lock() {
    let seed = seed();
    for number in 0..number("MB_KILLS", 240) / 8 {
        let folder = tempfile::tempdir().unwrap();
        // Several on end, in what the ones before have left.
        (0..3).for_each(|turn| kill_at(folder.path(), moment(seed, 3 * number + turn)));
        assert_usable(folder);
    }
}

#[test]
fn a_worker_that_is_killed_while_readers_come_and_go_leaves_its_fifo_to_the_next() {
    let seed = seed();
    for number in 0..number("MB_KILLS", 240) / 12 {
        let Worker { process, path, folder } = Worker::start();
        std::thread::scope(|scope| {
            let readers = scope.spawn(|| {
                let begun = Instant::now();
                while begun.elapsed() < LATEST {
                    drop(connect(&path));
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            std::thread::sleep(moment(seed, number));
            process.signal(Signal::KILL);
            readers.join().expect("the FIFO is at its path at every moment");
        });
        process.wait();
        let left = names(folder.path());
        assert!(left.iter().all(|name| ["demo.h264", ".demo.h264.mb-encode"].contains(&name.as_str())), "{left:?}");
        assert_usable(folder);
    }
}
