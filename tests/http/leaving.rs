//! A worker that is asked to stop: with `--linger` it streams on to those who watch, and goes when they have left, when the
//! time is over, or when it is asked again.

use crate::door::Door;
use crate::support::http::Stream;
use crate::support::process::DEADLINE;
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// A stream goes on for longer than this where it does not end with the request.
const MOMENT: Duration = Duration::from_millis(500);

/// Asks it to stop while somebody watches, who is served on. Returns who, and when it was asked.
fn asked_while_watched(door: &Door, target: &str) -> (Stream, Instant) {
    let mut stream = door.stream(target);
    stream.take(1000);
    let asked = Instant::now();
    door.process.signal(Signal::TERM);
    while asked.elapsed() < MOMENT {
        stream.take(100);
    }
    (stream, asked)
}

#[test]
fn who_watches_is_served_until_the_time_is_over() {
    let door = Door::start(&["--linger", "1500ms"]);
    let (stream, asked) = asked_while_watched(&door, "/stream.h264");
    // Whoever has not heard yet that it goes comes and is served.
    let mut another = door.stream("/stream.h264");
    assert_eq!(another.head.status, 200);
    another.take(100);
    stream.rest();
    let streamed = asked.elapsed();
    assert!(streamed >= Duration::from_millis(1400), "only for {streamed:?}");
    another.rest();
    let ended = door.process.wait();
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    assert!(asked.elapsed() < DEADLINE, "it took {:?}", asked.elapsed());
}

#[test]
fn once_nobody_watches_it_goes() {
    let door = Door::start(&["--linger", "60s"]);
    let (stream, _) = asked_while_watched(&door, "/stream.ts");
    assert!(door.process.is_running());
    drop(stream);
    assert_eq!(door.process.wait().code(), 0);
    // And where nobody did, at once.
    Door::start(&["--linger", "60s"]).end();
}

#[test]
fn asked_twice_it_goes_at_once() {
    let door = Door::start(&["--linger", "60s"]);
    let (stream, _) = asked_while_watched(&door, "/stream.ts");
    door.process.signal(Signal::TERM);
    assert_eq!(door.process.wait().code(), 128 + 15);
    stream.rest();
}
