//! How a stream ends: on signals, when its reader leaves, when its disk is full.

use crate::annex_b::{go2rtc_packets, pictures};
use crate::fifo::{Viewer, Worker};
use crate::support::children;
use crate::support::decode;
use crate::support::process::{DEADLINE, Ended, Process, mb_encode, pass_environment, ready};
use rustix::event::PollFlags;
use rustix::fd::AsFd as _;
use rustix::process::Signal;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SIZE: (u32, u32) = (320, 180);
const SIGNALS: [Signal; 2] = [Signal::TERM, Signal::INT];

fn command(options: &[&str]) -> Command {
    let mut command = mb_encode();
    command.args(["--stdout", "--width", "320", "--height", "180", "--log-level", "debug"]).args(options);
    command.stdout(Stdio::piped());
    command
}

fn start(options: &[&str]) -> (Process, Viewer<std::process::ChildStdout>) {
    let mut process = Process::start(&mut command(options));
    let viewer = Viewer::new(process.stdout());
    (process, viewer)
}

/// Waits for the end, which takes 200 ms at most on a quiet machine. What it took is shown with `--nocapture`.
#[expect(clippy::print_stderr, reason = "the test harness keeps it for who wants to see it")]
fn ends_soon(process: Process, since: Instant, what: &str) -> Ended {
    let ended = process.wait();
    let took = since.elapsed();
    eprintln!("{what}: ended after {took:?}");
    assert!(took < Duration::from_secs(2), "{what}: ended after {took:?}");
    ended
}

/// Checks that `stream` is all that was written, and ends with a whole access unit.
fn assert_whole(stream: &[u8], ended: &Ended, what: &str) {
    assert_eq!(ended.code(), 0, "{what}: {}", ended.stderr);
    let said = ended.stderr.lines().find(|line| line.contains("stream ended")).unwrap_or_default();
    let totals = format!("{} frames, {} bytes", pictures(stream), stream.len());
    assert!(said.contains(&totals), "{what}: {totals} came, and it says {said:?}");
    let marks = decode::all_marks(stream, SIZE);
    assert_eq!(marks.len(), go2rtc_packets(stream).len(), "{what}");
    decode::assert_frames_rise_by_one(&marks);
}

#[test]
fn a_signal_while_streaming_ends_behind_a_whole_access_unit() {
    for signal in SIGNALS {
        for pace in [&["--fps", "60"][..], &["--fps", "1"], &["--no-pace"], &["--fps", "240", "--bitrate", "50M"]] {
            let what = format!("{signal:?} {pace:?}");
            let (process, mut viewer) = start(pace);
            let mut stream = if pace.contains(&"1") { Vec::new() } else { viewer.units(7) };
            viewer.wait();
            let begun = Instant::now();
            process.signal(signal);
            stream.extend(viewer.rest());
            assert_whole(&stream, &ends_soon(process, begun, &what), &what);
        }
    }
}

#[test]
fn a_signal_while_writing_a_file_ends_behind_a_whole_access_unit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.h264");
    let mut command = mb_encode();
    command.args(["--width", "320", "--height", "180", "--log-level", "trace", "--out"]).arg(&path);
    let process = Process::start(command.stdout(Stdio::null()));
    process.wait_for_nth_line(5, "written");
    process.signal(Signal::TERM);
    let ended = process.wait();
    assert_whole(&std::fs::read(&path).unwrap(), &ended, "--out");
}

#[test]
fn a_signal_right_at_the_start_ends_well() {
    // From the moment at which the handler is there on, at ever later moments until the stream runs.
    for delay in (0..120).step_by(3) {
        for no_pace in [false, true] {
            let signal = SIGNALS[delay / 3 % 2];
            let (process, viewer) = start(if no_pace { &["--no-pace"] } else { &[] });
            if !wait_for_handler(process.id(), signal) {
                panic!("ended by itself: {}", process.wait().stderr);
            }
            assert!(process.is_running_after(Duration::from_millis(delay as u64)));
            let begun = Instant::now();
            process.signal(signal);
            let stream = viewer.rest();
            let what = format!("{signal:?} {delay} ms after the handler was there");
            let ended = ends_soon(process, begun, &what);
            assert_eq!(ended.code(), 0, "{what}: {}", ended.stderr);
            if !stream.is_empty() {
                assert_whole(&stream, &ended, &what);
            }
        }
    }
}

#[test]
fn a_signal_right_at_the_start_of_a_worker_ends_well() {
    at_the_start_of_a_worker(|process, signal| process.signal(signal));
}

#[test]
fn a_signal_to_the_whole_group_right_at_the_start_of_a_worker_ends_well() {
    // As Ctrl-C in a terminal does.
    at_the_start_of_a_worker(|process, signal| {
        let group = rustix::process::Pid::from_raw(process.id() as i32).unwrap();
        rustix::process::kill_process_group(group, signal).unwrap();
    });
}

/// As in a driver that hangs: a picture that takes for ever.
#[test]
fn a_worker_ends_though_a_picture_takes_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let shader = folder.path().join("endless.glsl");
    let text = "void mainImage(out vec4 colour, in vec2 at) {
        float x = at.x;
        for (int i = 0; i < 2000000000; i++) x = fract(sin(x + iTime) * 43758.5);
        colour = vec4(x);
    }";
    std::fs::write(&shader, text).unwrap();
    let mut command = mb_encode();
    command.arg("--fifo").arg(folder.path().join("demo.h264")).arg("--shader").arg(&shader);
    let process = Process::start(command.args(["--encoder", "openh264"]).stdout(Stdio::null()));
    // It tries one picture before it serves anybody.
    let rehearsal = loop {
        if let Some(child) = children::watch(process.id()).pop() {
            break child;
        }
    };
    assert!(wait_for_handler(process.id(), Signal::TERM));
    assert!(process.is_running_after(Duration::from_millis(500)), "the picture takes its time");
    process.signal(Signal::TERM);
    let ended = process.wait();
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    assert!(ready(rehearsal.as_fd(), PollFlags::IN, DEADLINE), "its child is gone, too");
}

fn at_the_start_of_a_worker(send: impl Fn(&Process, Signal)) {
    let folder = tempfile::tempdir().unwrap();
    for delay in (0..160).step_by(8) {
        let mut command = mb_encode();
        command.arg("--fifo").arg(folder.path().join("demo.h264")).stdout(Stdio::null()).process_group(0);
        let process = Process::start(&mut command);
        assert!(wait_for_handler(process.id(), Signal::INT));
        assert!(process.is_running_after(Duration::from_millis(delay)));
        let begun = Instant::now();
        send(&process, Signal::INT);
        let what = format!("{delay} ms after the handler was there");
        let ended = ends_soon(process, begun, &what);
        assert_eq!(ended.code(), 0, "{what}: {}", ended.stderr);
        assert!(!ended.stderr.contains("ERROR"), "{what}: {}", ended.stderr);
    }
}

/// Waits until the process catches `signal`. Gives whether it does before it ends.
fn wait_for_handler(id: u32, signal: Signal) -> bool {
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < DEADLINE);
        let Ok(status) = std::fs::read_to_string(format!("/proc/{id}/status")) else {
            return false;
        };
        let Some(caught) = status.lines().find_map(|line| line.strip_prefix("SigCgt:")) else {
            return false;
        };
        let caught = u64::from_str_radix(caught.trim(), 16).unwrap();
        if caught >> (signal.as_raw() - 1) & 1 == 1 {
            return true;
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_signal_while_waiting_for_a_reader_ends_well_and_lets_go_of_who_waits() {
    for signal in SIGNALS {
        for served in [0, 1] {
            let worker = Worker::start(&[]);
            for n in 1..=served {
                worker.connect().units(2);
                worker.wait_until_gone(n);
            }
            let Worker { process, path, folder } = worker;
            let begun = Instant::now();
            process.signal(signal);
            let ended = ends_soon(process, begun, "waiting for a reader");
            assert_eq!(ended.code(), 0, "{}", ended.stderr);
            let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
            assert_eq!(names, [path]);
        }
    }
}

#[test]
fn a_signal_while_a_reader_is_served_ends_its_stream_behind_a_whole_access_unit() {
    for signal in SIGNALS {
        let Worker { process, path, folder } = Worker::start(&["--log-format", "text", "--log-level", "debug"]);
        let mut viewer = crate::fifo::connect(&path);
        let mut stream = viewer.units(5);
        // Somebody else stands in line, and must not stand there for ever.
        let mut cat = crate::fifo::stand_in_line(&path);
        let mut next = cat.stdout();
        let begun = Instant::now();
        process.signal(signal);
        stream.extend(viewer.rest());
        assert_whole(&stream, &ends_soon(process, begun, "while a reader is served"), "FIFO");
        assert!(next.all().is_empty());
        assert_eq!(cat.wait().code(), 0);
        drop(folder);
    }
}

#[test]
fn a_signal_while_stalled_on_a_reader_ends_all_the_same() {
    for signal in SIGNALS {
        for pace in [&["--fps", "60"][..], &["--no-pace"]] {
            let (process, mut viewer) = start(pace);
            viewer.units(3);
            // Nothing says that it is stalled; by then it is.
            assert!(process.is_running_after(Duration::from_millis(500)));
            let begun = Instant::now();
            process.signal(signal);
            let ended = ends_soon(process, begun, &format!("stalled, {pace:?}"));
            assert_eq!(ended.code(), 0, "{}", ended.stderr);
        }
        let Worker { process, path, folder } = Worker::start(&["--fps", "60"]);
        let viewer = crate::fifo::connect(&path);
        viewer.wait();
        assert!(process.is_running_after(Duration::from_millis(500)));
        let begun = Instant::now();
        process.signal(signal);
        let ended = ends_soon(process, begun, "FIFO, stalled");
        assert_eq!(ended.code(), 0, "{}", ended.stderr);
        drop((viewer, folder));
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    // A worker is held up by the process that it started for its reader, for as long as that one is stopped.
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let Worker { process, path, folder } = Worker::start(&[]);
        let mut viewer = crate::fifo::connect(&path);
        viewer.units(1);
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", process.id())).unwrap();
        let child = children.split_whitespace().next().expect("a process serves the reader");
        let child = rustix::process::Pid::from_raw(child.parse().unwrap()).unwrap();
        rustix::process::kill_process(child, Signal::STOP).unwrap();
        process.signal(signal);
        assert!(process.is_running_after(Duration::from_millis(300)), "it waits for its child");
        process.signal(signal);
        let ended = process.wait();
        rustix::process::kill_process(child, Signal::CONT).unwrap();
        assert_eq!(ended.code(), code, "{}", ended.stderr);
        drop((viewer, folder));
    }
}

#[test]
fn sigusr1_makes_the_next_picture_an_idr() {
    let (process, mut viewer) = start(&["--gop", "3600"]);
    let mut stream = viewer.units(5);
    for _ in 0..3 {
        process.signal(Signal::USR1);
        let idr = (0..60).find(|_| {
            let unit = viewer.units(1);
            let is_idr = unit.starts_with(&[0, 0, 0, 1, 0x67]);
            stream.extend(unit);
            is_idr
        });
        assert!(idr.is_some(), "no IDR in a second");
        stream.extend(viewer.units(3));
    }
    process.signal(Signal::TERM);
    stream.extend(viewer.rest());
    let idrs = crate::annex_b::nals(&stream).iter().filter(|nal| nal.unit_type() == 5).count();
    assert_eq!(idrs, 4, "the first one and one for each signal");
    assert_whole(&stream, &process.wait(), "SIGUSR1");
}

#[test]
fn sigusr1_reaches_a_readers_stream_and_never_ends_it() {
    let Worker { process, path, folder } = Worker::start(&["--gop", "3600"]);
    process.signal(Signal::USR1);
    for _ in 0..8 {
        let mut viewer = crate::fifo::connect(&path);
        // From the moment at which the reader comes.
        while !viewer.has_something() {
            process.signal(Signal::USR1);
            std::thread::yield_now();
        }
        viewer.units(3);
        process.signal(Signal::USR1);
        assert!((0..60).any(|_| viewer.units(1).starts_with(&[0, 0, 0, 1, 0x67])), "no IDR in a second");
    }
    drop((process, folder));
}

#[test]
fn a_reader_that_leaves_standard_output_is_a_clean_and_silent_end() {
    for pace in [&["--fps", "60"][..], &["--fps", "1"], &["--no-pace"]] {
        for units in [0, 1, 20] {
            let mut command = mb_encode();
            command.args(["--stdout", "--width", "320", "--height", "180"]).args(pace).stdout(Stdio::piped());
            let mut process = Process::start(&mut command);
            let mut viewer = Viewer::new(process.stdout());
            if pace.contains(&"1") {
                viewer.wait();
            } else if units > 0 {
                viewer.units(units);
            }
            drop(viewer);
            let ended = process.wait();
            assert_eq!((ended.code(), ended.stderr.as_str()), (0, ""), "{pace:?}, after {units}");
        }
    }
}

#[test]
fn a_full_disk_is_an_error_that_names_the_file() {
    let mut command = mb_encode();
    command.args(["--out", "/dev/full", "--frames", "3", "--no-pace"]).stdout(Stdio::piped());
    let mut process = Process::start(&mut command);
    assert!(process.stdout().all().is_empty());
    let ended = process.wait();
    assert_eq!(ended.code(), 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("cannot write to /dev/full"), "{}", ended.stderr);

    let full = File::options().write(true).open("/dev/full").unwrap();
    let ended = Process::start(mb_encode().args(["--stdout", "--frames", "3"]).stdout(full)).wait();
    assert_eq!(ended.code(), 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("cannot write to standard output"), "{}", ended.stderr);
}

#[test]
fn a_file_that_may_not_grow_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.h264");
    let program = mb_encode();
    let mut shell = Command::new("sh");
    // In blocks of 512 bytes.
    shell.args(["-c", "ulimit -f 20 && exec \"$@\"", "sh"]).arg(program.get_program());
    pass_environment(&program, &mut shell);
    shell.args(["--frames", "600", "--no-pace", "--out"]).arg(&path).stdout(Stdio::null());
    let ended = Process::start(&mut shell).wait();
    assert_eq!(ended.code(), 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("clip.h264"), "{}", ended.stderr);
}
