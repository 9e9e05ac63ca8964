//! Many readers, one after another and at the same time: each gets a stream from its beginning, or nothing at all.

use crate::rig::{SPS, Worker, number, random, seed};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Readers at a time.
const AT_ONCE: usize = 4;

/// What came of one reader.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Got {
    /// Its own stream, from the start.
    Beginning,
    /// The end of file, and nothing before it.
    Nothing,
    /// Something else.
    Middle([u8; 5]),
}

/// A process of its own, as go2rtc's readers are, that takes so many bytes.
fn read(worker: &Worker, bytes: usize) -> Got {
    let head = Command::new("head").args(["-c", &bytes.to_string()]).arg(&worker.path).stdin(Stdio::null()).output();
    let got = head.expect("coreutils").stdout;
    match got.first_chunk() {
        None if SPS.starts_with(&got) => Got::Nothing,
        Some(&SPS) => Got::Beginning,
        start => Got::Middle(*start.unwrap_or(&[0; 5])),
    }
}

#[test]
fn no_reader_begins_in_the_middle_of_anothers_stream() {
    let (readers, next, seed, begun) = (number("MB_READERS", 300), AtomicUsize::new(0), seed(), Instant::now());
    let worker = Worker::start();
    let all = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..AT_ONCE {
            let (worker, all, next) = (&worker, &all, &next);
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= readers {
                        break;
                    }
                    // In turn at some times, all at once at others.
                    if thread > 0 && number / 50 % 2 == 0 {
                        std::thread::sleep(Duration::from_millis(40).mul_f64(random(seed, number)));
                    }
                    let got = read(worker, 8 + (random(seed, number + readers) * 400.0) as usize);
                    all.lock().unwrap().push(got);
                }
            });
        }
    });
    let all = all.into_inner().unwrap();
    let middle: Vec<_> = all.iter().filter(|got| matches!(got, Got::Middle(_))).collect();
    let count = |what| all.iter().filter(|&&got| got == what).count();
    let (beginning, nothing) = (count(Got::Beginning), count(Got::Nothing));
    eprintln!("{readers} readers in {:?}: {beginning} streams, {nothing} turned away", begun.elapsed());
    assert!(middle.is_empty(), "{} of {readers} began in the middle: {middle:02x?}", middle.len());
    assert!(beginning > readers / 3, "{beginning} of {readers} got a stream");
    assert!(!worker.process.lines().iter().any(|line| line.contains("ERROR")), "{:?}", worker.process.lines());
    worker.end();
}
