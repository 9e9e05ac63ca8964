//! However a stream ends, nothing of the GPU is left behind: the drivers count at their exit.

use crate::annex_b::pictures;
use crate::fifo::Viewer;
use crate::run::Run;
use crate::scenes_process as process;
use crate::support::children;
use crate::support::decode;
use crate::support::process::{DEADLINE, Process, ready};
use mb_encode::gl::{Gl, Target};
use mb_encode::parts::{AccessUnit, Nvenc};
use mb_encode::settings::{Settings, Size};
use process::scenes;
use rustix::event::PollFlags;
use rustix::fd::AsFd as _;
use rustix::process::Signal;
use std::fs::File;
use std::time::{Duration, Instant};

const SMALL: [&str; 4] = ["--width", "320", "--height", "180"];

fn run(options: &[&str]) -> Run {
    Run::new(&[&SMALL[..], options].concat())
}

#[test]
fn on_a_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        for pace in [&["--stdout", "--fps", "60"][..], &["--stdout", "--no-pace"], &["--stdout", "--fps", "1"]] {
            let mut run = run(pace);
            let mut process = Process::start(&mut run.command);
            let mut viewer = Viewer::new(process.stdout());
            viewer.bytes(20_000);
            process.signal(signal);
            viewer.rest();
            let ended = process.wait();
            assert_eq!(ended.code(), 0, "{}", ended.stderr);
            run.report().assert_clean();
        }
    }
}

#[test]
fn on_a_signal_while_a_reader_stalls() {
    for pace in ["60", "240"] {
        let mut run = run(&["--stdout", "--fps", pace]);
        let mut process = Process::start(&mut run.command);
        let viewer = Viewer::new(process.stdout());
        viewer.wait();
        assert!(process.is_running_after(Duration::from_millis(400)), "the pipe fills up");
        process.signal(Signal::TERM);
        let ended = process.wait();
        assert_eq!(ended.code(), 0, "{}", ended.stderr);
        run.report().assert_clean();
        drop(viewer);
    }
}

#[test]
fn when_the_reader_leaves_a_pipe() {
    for pace in [&["--stdout", "--fps", "60"][..], &["--stdout", "--no-pace"], &["--stdout", "--fps", "1"]] {
        for bytes in [1, 5_000, 70_000] {
            let mut run = run(pace);
            let mut process = Process::start(&mut run.command);
            let mut viewer = Viewer::new(process.stdout());
            viewer.bytes(bytes);
            drop(viewer);
            let ended = process.wait();
            assert_eq!((ended.code(), ended.stderr.as_str()), (0, ""), "{pace:?}, {bytes}");
            run.report().assert_clean();
        }
    }
}

#[test]
fn when_all_pictures_are_written_to_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("clip.h264");
    let mut run = run(&["--frames", "9", "--no-pace", "--out"]);
    run.command.arg(&file);
    run.finish().assert_well();
    assert_eq!(pictures(&std::fs::read(&file).expect("the clip")), 9);
}

#[test]
fn on_errors_before_and_behind_the_first_byte() {
    // A disk that is full, and a file that may not be made.
    for out in ["/dev/full", "/nonexistent/clip.h264"] {
        let ended = run(&["--frames", "3", "--no-pace", "--out", out]).finish();
        assert_ne!(ended.code, 0, "{}", ended.stderr);
        ended.report.assert_clean();
    }
    let mut full = run(&["--stdout", "--frames", "3", "--no-pace"]);
    full.command.stdout(File::options().write(true).open("/dev/full").expect("it is there"));
    let ended = Process::start(&mut full.command).wait();
    assert_eq!(ended.code(), 1, "{}", ended.stderr);
    full.report().assert_clean();
}

#[test]
fn where_a_driver_takes_something_back_with_an_error() {
    let releases = [
        ("unregister:20", "NvEncUnregisterResource"),
        ("nvenc:NvEncDestroyBitstreamBuffer:9", "NvEncDestroyBitstreamBuffer"),
        ("destroy:5", "NvEncDestroyEncoder"),
        ("cuda:cuGraphicsUnregisterResource:999", "cuGraphicsUnregisterResource"),
        ("cuda:cuMemFree_v2:999", "cuMemFree_v2"),
        ("cuda:cuDevicePrimaryCtxRelease_v2:4", "cuDevicePrimaryCtxRelease_v2"),
    ];
    let all = releases.map(|(order, _)| order).join(",");
    for (order, functions) in releases
        .iter()
        .map(|&(order, function)| (order, vec![function]))
        .chain([(all.as_str(), releases.map(|(_, function)| function).to_vec())])
    {
        let ended = run(&["--stdout", "--no-pace", "--frames", "5"]).env(&[("MB_SIM_FAULT", order)]).finish();
        assert_eq!((ended.assert_well().stderr.as_str(), pictures(&ended.stream)), ("", 5), "{order}");
        for function in functions {
            assert!(ended.report.count(&format!("fault.{function}")) > 0, "{function} was not called");
        }
    }
}

#[test]
fn of_a_fifos_reader_gives_its_session_back_while_the_worker_waits() {
    let sessions = tempfile::tempdir().expect("a folder");
    let limit =
        [("MB_SIM_SESSION_LIMIT", "1"), ("MB_SIM_SESSION_DIR", sessions.path().to_str().expect("a plain path"))];
    // Whether another program gets the one session that the system has.
    let is_free = || {
        let ended = run(&["--stdout", "--frames", "1", "--no-pace"]).env(&limit).finish();
        assert!(ended.code == 0 || ended.stderr.contains("no NVENC session is free"), "{}", ended.stderr);
        ended.code == 0
    };
    let mut worker = run(&["--log-level", "info", "--fps", "60", "--fifo"]).env(&limit);
    let path = worker.folder.path().join("demo.h264");
    worker.command.arg(&path);
    let process = Process::start(&mut worker.command);
    process.wait_for_line("waiting for a reader");
    assert!(is_free(), "a worker that nobody reads holds a session");
    for reader in 1..=3 {
        let mut viewer = crate::fifo::connect(&path);
        viewer.units(3);
        assert!(!is_free(), "reader {reader} is served without a session");
        drop(viewer);
        process.wait_for_nth_line(reader, "reader disconnected");
        // Its process says so in its last line, and then ends.
        for child in children::watch(process.id()) {
            assert!(ready(child.as_fd(), PollFlags::IN, DEADLINE), "reader {reader}'s process goes on");
        }
        assert!(process.is_running());
        assert!(is_free(), "reader {reader} has left, and its session is not given back");
        worker.report().assert_clean();
    }
    process.signal(Signal::TERM);
    assert_eq!(process.wait().code(), 0);
    worker.report().assert_clean();
}

#[test]
fn of_another_programs_session_gives_the_next_reader_nvenc_again() {
    let sessions = tempfile::tempdir().expect("a folder");
    let limit =
        [("MB_SIM_SESSION_LIMIT", "1"), ("MB_SIM_SESSION_DIR", sessions.path().to_str().expect("a plain path"))];
    let mut worker = run(&["--encoder", "auto", "--log-level", "info", "--fps", "60", "--fifo"]).env(&limit);
    let path = worker.folder.path().join("demo.h264");
    worker.command.arg(&path);
    let process = Process::start(&mut worker.command);
    process.wait_for_line("waiting for a reader");
    let read = || {
        let stream = crate::fifo::connect(&path).units(5);
        decode::assert_frames_rise_by_one(&decode::all_marks(&stream, (320, 180)));
    };
    let fallbacks = || process.lines().iter().filter(|line| line.contains("falling back to OpenH264")).count();

    let mut other = run(&["--stdout", "--fps", "60"]).env(&limit);
    let mut other = Process::start(&mut other.command);
    let mut viewer = Viewer::new(other.stdout());
    viewer.units(1);
    read();
    process.wait_for_line("reader disconnected");
    let said = process.wait_for_line("falling back to OpenH264");
    assert!(said.contains("no NVENC session is free") && said.contains("KEY (21)"), "{said}");

    drop(viewer);
    assert_eq!(other.wait().code(), 0);
    read();
    process.wait_for_nth_line(2, "reader disconnected");
    assert_eq!(fallbacks(), 1, "{:?}", process.lines());
    process.signal(Signal::TERM);
    assert_eq!(process.wait().code(), 0);
    worker.report().assert_clean();
}

#[test]
fn of_a_session_is_waited_for_a_moment() {
    // Refused three times, as while somebody else's process ends.
    let streaming = ["--stdout", "--frames", "3", "--no-pace", "--encoder", "auto"];
    let ended = run(&streaming).env(&[("MB_SIM_FAULT", "open:21x3")]).finish();
    ended.assert_well();
    assert_eq!((ended.report.count("fault.NvEncOpenEncodeSessionEx"), ended.report.count("pictures")), (3, 3));
    // Nobody gives one back, and who waits for a picture is not kept waiting for long.
    let begun = Instant::now();
    let ended = run(&streaming).env(&[("MB_SIM_FAULT", "open:21")]).finish();
    ended.assert_well();
    assert!(ended.stderr.contains("falling back to OpenH264"), "{}", ended.stderr);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

const LIVES: u64 = 1000;

/// Opens an encoder again and again in one process, as a program does that uses the library.
fn a_thousand_lives() {
    let settings = Settings { size: Size::new(160, 64).expect("a legal size"), ..Settings::default() };
    let gl = Gl::open(None).expect("a context");
    let target = Target::new(&gl, settings.size).expect("a target");
    let mut unit = AccessUnit::default();
    let in_use = || {
        let count = |name: &str| std::fs::read_dir(format!("/proc/self/{name}")).expect("/proc").count();
        (count("fd"), count("task"))
    };
    let resident_kib = || -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("it is there");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
    };
    let mut early = None;
    for life in 0..LIVES {
        let mut encoder = Nvenc::open(&gl, &settings).unwrap_or_else(|error| panic!("life {life}: {error}"));
        encoder
            .encode(&target, Duration::ZERO, false, &mut unit)
            .unwrap_or_else(|error| panic!("life {life}: {error}"));
        assert!(unit.is_idr(), "life {life}");
        if life == LIVES / 10 {
            early = Some((in_use(), resident_kib()));
        }
    }
    let (early_use, early_kib) = early.expect("it was taken");
    assert_eq!(in_use(), early_use, "descriptors and threads");
    let grown = resident_kib().saturating_sub(early_kib);
    assert!(grown < 4 * 1024, "{grown} KiB more after {LIVES} lives than after a tenth of them ({early_kib} KiB)");
}

#[test]
fn of_a_thousand_encoders_in_one_process() {
    scenes!(a_thousand_lives);
    // With one session for all: each is given back before the next one is opened.
    let ended = process::run("a_thousand_lives", "lives", &[("MB_SIM_SESSION_LIMIT", "1")]);
    let report = &ended.assert_passed().report;
    report.assert_clean();
    assert_eq!((report.count("pictures"), report.count("idr_pictures")), (LIVES, LIVES));
    for (made, released) in [
        ("call.NvEncOpenEncodeSessionEx", "call.NvEncDestroyEncoder"),
        ("call.NvEncRegisterResource", "call.NvEncUnregisterResource"),
        ("call.NvEncCreateBitstreamBuffer", "call.NvEncDestroyBitstreamBuffer"),
        ("call.cuMemAllocPitch_v2", "call.cuMemFree_v2"),
        ("call.cuDevicePrimaryCtxRetain", "call.cuDevicePrimaryCtxRelease_v2"),
    ] {
        assert_eq!((report.count(made), report.count(released)), (LIVES, LIVES), "{made}, {released}");
    }
}
