//! Signals at random moments in the first 300 ms.

use crate::modes::{End, LIMIT, Mode, assert_nothing_left, end, kill_the_rest};
use rustix::process::{Pid, Signal, kill_process};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often each mode is started, unless `MB_SIGNAL_TRIES` says so.
const TRIES: usize = 2000;
/// The last moment for a signal.
const LATEST: Duration = Duration::from_millis(300);
/// Most of them wait for their moment, and few work.
const AT_ONCE: usize = 20;

fn tries() -> usize {
    match std::env::var("MB_SIGNAL_TRIES") {
        Ok(number) => number.parse().expect("MB_SIGNAL_TRIES is a number"),
        Err(_) => TRIES,
    }
}

/// A number below 2^32 for each try, by what its number is (splitmix64).
fn random(seed: u64, number: usize) -> u64 {
    let mut x = seed.wrapping_add((number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (x ^ (x >> 31)) >> 32
}

/// When, and which signal: twice as dense at the beginning, where a program is not yet what it is going to be.
fn moment(seed: u64, number: usize) -> (Duration, Signal) {
    let at = random(seed, 2 * number) as f64 / 2f64.powi(32);
    let signal = if random(seed, 2 * number + 1) & 1 == 0 { Signal::TERM } else { Signal::INT };
    (LATEST.mul_f64(at * at), signal)
}

#[expect(clippy::print_stderr, reason = "the test harness keeps it for who wants to see it")]
fn assert_none_is_lost(mode: Mode) {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
    let folder = tempfile::tempdir().expect("a folder");
    let (tries, next) = (tries(), AtomicUsize::new(0));
    let bad = Mutex::new(Vec::new());
    let slowest = Mutex::new(Duration::ZERO);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= tries || bad.lock().expect("no panic with it").len() >= 5 {
                        break;
                    }
                    let (delay, signal) = moment(seed, number);
                    let own = folder.path().join(number.to_string());
                    std::fs::create_dir(&own).expect("a folder in the folder");
                    let child = mode.command(&own).spawn().expect("the program can be started");
                    std::thread::sleep(delay);
                    kill_process(Pid::from_child(&child), signal).expect("it is not reaped yet");
                    let asked = Instant::now();
                    let (end, said) = end(child);
                    let took = asked.elapsed();
                    let mut slowest = slowest.lock().expect("no panic with it");
                    *slowest = took.max(*slowest);
                    drop(slowest);
                    match end {
                        // 0 once it catches signals, and by the signal before.
                        End::Code(code) if code == 0 || code == 128 + signal.as_raw() => {
                            let _ = std::fs::remove_dir_all(&own);
                        }
                        end => bad
                            .lock()
                            .expect("no panic with it")
                            .push(format!("{signal:?} after {delay:?}: {end:?} after {took:?}: {said}")),
                    }
                }
            });
        }
    });
    let bad = bad.into_inner().expect("no panic with it");
    let slowest = slowest.into_inner().expect("no panic with it");
    eprintln!("{mode:?}: {tries} tries in {:?}, the slowest end took {slowest:?} of {LIMIT:?}", begun.elapsed());
    if !bad.is_empty() {
        kill_the_rest(folder.path());
        panic!("{mode:?}, seed {seed}: {}", bad.join("\n"));
    }
    assert_nothing_left(folder.path(), &format!("{mode:?}"));
}

#[test]
fn standard_output() {
    assert_none_is_lost(Mode::Stdout);
}

#[test]
fn a_fifo() {
    assert_none_is_lost(Mode::Fifo);
}

#[test]
fn a_file() {
    assert_none_is_lost(Mode::Out);
}

#[test]
fn a_supervisor() {
    assert_none_is_lost(Mode::Supervise);
}

#[test]
fn a_wrapper() {
    assert_none_is_lost(Mode::Mpegts);
}
