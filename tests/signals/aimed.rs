//! Signals at the very moments at which one could be lost: right behind each call that has to do with catching them,
//! before whoever waits for them is there.

use crate::modes::{End, LIMIT, MODES, Mode, end, kill_the_rest};
use crate::sim;
use rustix::process::Signal;
use std::path::Path;
use std::time::{Duration, Instant};

/// The calls behind which the signal comes, and up to which number. No program makes all of them.
const CALLS: [(&str, u32); 5] =
    [("sigaction", 3), ("pthread_sigmask", 4), ("sigprocmask", 4), ("signalfd", 2), ("pthread_create", 4)];

/// How long a program is watched for a call that it may not make.
const LONGEST_START: Duration = Duration::from_millis(1500);

/// What came of a signal behind one call.
#[derive(Clone, PartialEq)]
enum Aim {
    /// The program did not come there.
    Missed,
    Caught,
    Lost(String),
}

/// Sends the signal behind one call.
fn aim(mode: Mode, signal: Signal, point: &str, folder: &Path) -> Aim {
    let own = folder.join(format!("{mode:?}-{}-{point}", signal.as_raw()));
    std::fs::create_dir(&own).expect("a folder in the folder");
    let sent = own.join("sent");
    let mut command = mode.command(&own);
    command
        .env("LD_PRELOAD", sim::signal_preload())
        .env("MB_SIM_SIGNAL", format!("{}:{point}", signal.as_raw()))
        .env("MB_SIM_SIGNAL_SENT", &sent);
    let mut child = command.spawn().expect("the program can be started");
    // Who came there first may be a child of it.
    let by = || std::fs::read_to_string(&sent).ok().filter(|by| !by.is_empty());
    let begun = Instant::now();
    while by().is_none() && begun.elapsed() < LONGEST_START {
        if child.try_wait().expect("it is a child").is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    if by() != Some(child.id().to_string()) {
        let _ = child.kill();
        let _ = child.wait();
        return Aim::Missed;
    }
    match end(child) {
        (End::Code(code), _) if code == 0 || code == 128 + signal.as_raw() => Aim::Caught,
        (end, said) => {
            Aim::Lost(format!("{mode:?}: {signal:?} right behind {point}: {end:?} within {LIMIT:?}: {said}"))
        }
    }
}

fn assert_none_is_lost(signal: Signal) {
    let folder = tempfile::tempdir().expect("a folder");
    // Most of them only wait, for a call that the program does not make.
    let all = std::thread::scope(|scope| {
        let modes = MODES.map(|mode| {
            CALLS.map(|(call, last)| {
                let folder = folder.path();
                scope.spawn(move || {
                    let points = (1..=last).map(|at| format!("{call}@{at}"));
                    points.map(|point| aim(mode, signal, &point, folder)).collect::<Vec<_>>()
                })
            })
        });
        modes.map(|calls| calls.map(|aims| aims.join().expect("no panic in it")).concat())
    });
    kill_the_rest(folder.path());
    for (mode, aims) in MODES.into_iter().zip(&all) {
        let reached = aims.iter().any(|aim| *aim != Aim::Missed);
        assert!(reached, "{mode:?} makes none of the calls: what does it catch signals with?");
    }
    let lost = all.iter().flatten().filter_map(|aim| if let Aim::Lost(how) = aim { Some(how.as_str()) } else { None });
    let lost: Vec<_> = lost.collect();
    assert!(lost.is_empty(), "{}", lost.join("\n"));
}

#[test]
fn a_request_to_end_is_not_lost_right_behind_any_call() {
    assert_none_is_lost(Signal::TERM);
}

#[test]
fn an_interrupt_is_not_lost_right_behind_any_call() {
    assert_none_is_lost(Signal::INT);
}
