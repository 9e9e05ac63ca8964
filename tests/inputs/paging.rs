//! A producer learns whether anybody watches, and a command runs only while somebody does.

use crate::annex_b::go2rtc_packets;
use crate::producer::{COLOURS, Producer, framed, header, open, open_now, plain, show, size, write_until};
use crate::rig::{Viewer, Worker, colours, is_alive, settled};
use crate::support::process::{Process, mb_encode};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

const SMALL: (u32, u32) = (320, 180);

/// How `open` answers a producer that does not wait.
fn answer(path: &Path) -> Option<Errno> {
    open_now(path).err()
}

#[test]
fn while_nobody_watches_an_open_says_so_or_waits() {
    let picture = size(SMALL.0, SMALL.1);
    let worker = Worker::start(&[]);
    assert_eq!(answer(&worker.frames), Some(Errno::NXIO));
    let waits = Producer::endless(&worker.frames, picture, COLOURS[1]);
    // What its pipe holds is all that it gets rid of.
    std::thread::sleep(Duration::from_millis(300));
    assert!(waits.written() <= 1 << 17, "{} bytes", waits.written());
    assert!(waits.process.is_running());

    let viewer = worker.watch();
    viewer.wait_for_pictures(5);
    assert!(waits.wait_until_read());
    // There is room for one.
    settled("the next one is told that there is no room", || answer(&worker.frames) == Some(Errno::NXIO));
    assert!(colours(&viewer.leave(), picture, &COLOURS).iter().all(|&at| at == 1));
    // SIGPIPE ends it, by itself.
    assert_eq!(waits.wait(), 128 + 13);
    worker.wait_until_idle();
    assert_eq!(answer(&worker.frames), Some(Errno::NXIO));
}

#[test]
fn with_the_last_viewer_a_producer_has_nobody_to_write_to_within_a_picture() {
    let picture = size(SMALL.0, SMALL.1);
    let frame = framed(&plain(picture, COLOURS[2]));
    let worker = Worker::start(&[]);
    for round in 0..3 {
        let viewer = worker.watch();
        let mut file = show(&worker.frames, picture, COLOURS[2], 3);
        viewer.wait_for_pictures(2);
        let left = Instant::now();
        viewer.leave();
        // Pictures of 60 a second, until one is refused.
        let refused = loop {
            match file.write_all(&frame) {
                Ok(()) => std::thread::sleep(Duration::from_millis(16)),
                Err(error) => break error,
            }
            assert!(left.elapsed() < Duration::from_secs(10), "it goes on");
        };
        assert_eq!(refused.kind(), ErrorKind::BrokenPipe);
        eprintln!("round {round}: the producer knows it {:?} after the viewer left", left.elapsed());
        worker.wait_until_idle();
    }
}

#[test]
fn a_viewer_that_waits_for_a_producer_is_given_the_first_picture_whenever_it_comes() {
    let worker = Worker::start(&[]);
    let viewer = worker.watch();
    // Longer than any of the limits on a stream that gives no sign of life.
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(viewer.len(), 0);
    let _file = show(&worker.frames, size(SMALL.0, SMALL.1), COLOURS[0], 1);
    viewer.wait_for_pictures(3);
    let lines = worker.process.lines().join("\n");
    assert!(!lines.contains("ERROR") && !lines.contains("WARN"), "{lines}");
}

#[test]
fn a_viewer_that_leaves_before_there_was_a_producer_leaves_nothing_behind() {
    let worker = Worker::start(&[]);
    for _ in 0..3 {
        let viewer = worker.watch();
        settled("it waits for a producer", || open_now(&worker.frames).is_ok());
        drop(viewer);
        worker.wait_until_idle();
        assert_eq!(answer(&worker.frames), Some(Errno::NXIO));
    }
}

/// A command that notes the id of a process and writes pictures for as long as it can.
fn noting(folder: &Path, how: &str) -> String {
    let picture = size(64, 64);
    let mut head = header(picture);
    head.extend(framed(&plain(picture, COLOURS[0])));
    std::fs::write(folder.join("head"), head).unwrap();
    std::fs::write(folder.join("next"), framed(&plain(picture, COLOURS[1]))).unwrap();
    let script = "echo $$ >>\"$1\"; cat head; while sleep 0.05; do cat next; done";
    std::fs::write(folder.join("producer.sh"), script).unwrap();
    how.to_owned()
}

/// The ids that were noted, once there are so many.
fn noted(folder: &Path, name: &str, count: usize) -> Vec<u32> {
    let read = || -> Vec<u32> {
        let text = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    };
    settled(&format!("{count} ids in {name}"), || read().len() >= count);
    read()
}

/// Ways in which a command has processes: alone, in a pipe, in the background, and one that sleeps and never writes.
const PRODUCERS: &[&str] = &[
    "exec sh producer.sh ids",
    "sh producer.sh ids | cat",
    "sh producer.sh ids & wait",
    "sh producer.sh ids; true",
    "(echo $$ >>ids; sh -c 'echo $$ >>ids; exec sleep 1000') & sh producer.sh ids | (trap '' TERM; cat)",
];

#[test]
fn a_command_starts_with_the_first_viewer_and_is_gone_with_all_of_its_own_after_the_last() {
    for how in PRODUCERS {
        let folder = tempfile::tempdir().unwrap();
        let command = noting(folder.path(), how);
        let worker = Worker::start_command_in(folder, &command, &[]);
        std::thread::sleep(Duration::from_millis(100));
        assert!(!worker.folder.path().join("ids").exists(), "{how}: it runs before anybody watches");
        for round in 1..=2 {
            let viewer = worker.watch();
            viewer.wait_for_more(3);
            let ids = noted(worker.folder.path(), "ids", round);
            assert!(is_alive(ids[ids.len() - 1]));
            viewer.leave();
            worker.wait_until_idle();
            settled(&format!("{how}: all of {ids:?} are gone"), || !ids.iter().any(|&id| is_alive(id)));
        }
    }
}

#[test]
fn a_command_is_gone_with_all_of_its_own_however_mb_encode_ends() {
    for how in PRODUCERS {
        for signal in [Signal::KILL, Signal::TERM, Signal::INT] {
            let folder = tempfile::tempdir().unwrap();
            let input = noting(folder.path(), how);
            let mut command = mb_encode();
            command.current_dir(folder.path()).args(["--stdout", "--encoder", "openh264", "--input-command", &input]);
            let mut process = Process::start(command.stdin(Stdio::null()).stdout(Stdio::piped()));
            let viewer = Viewer::of_output(&mut process);
            viewer.wait_for_pictures(3);
            let ids = noted(folder.path(), "ids", 1);
            process.signal(signal);
            drop(process.wait());
            settled(&format!("{how}, {signal:?}: all of {ids:?} are gone"), || !ids.iter().any(|&id| is_alive(id)));
        }
    }
}

#[test]
fn a_command_is_gone_with_all_of_its_own_when_its_stream_or_the_worker_is_killed() {
    for how in [PRODUCERS[1], PRODUCERS[4]] {
        for whole_worker in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let command = noting(folder.path(), how);
            let worker = Worker::start_command_in(folder, &command, &[]);
            let viewer = worker.watch();
            viewer.wait_for_pictures(3);
            let ids = noted(worker.folder.path(), "ids", 1);
            let killed = if whole_worker { worker.process.id() } else { worker.encoder().expect("it streams") };
            kill_process(Pid::from_raw(killed as i32).unwrap(), Signal::KILL).unwrap();
            settled(&format!("{how}: all of {ids:?} are gone"), || !ids.iter().any(|&id| is_alive(id)));
            viewer.rest();
        }
    }
}

#[test]
fn a_command_that_fails_is_started_again_and_the_stream_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let command = noting(folder.path(), "echo $$ >>ids; cat head next next; exit 3");
    let worker = Worker::start_command_in(folder, &command, &[]);
    let viewer = worker.watch();
    noted(worker.folder.path(), "ids", 3);
    viewer.wait_for_more(3);
    let said = worker.process.wait_for_line("starting it again");
    assert!(said.contains("exit status: 3"), "{said}");
    let seen = colours(&viewer.leave(), size(64, 64), &COLOURS);
    assert!(seen.contains(&1), "{seen:?}");
}

#[test]
fn a_command_that_never_shows_anything_is_reported_and_one_that_is_through_ends_the_stream() {
    let folder = tempfile::tempdir().unwrap();
    let command = noting(folder.path(), "cat head next next next");
    let worker = Worker::start_command_in(folder, &command, &["--no-pace"]);
    let stream = worker.watch_to_the_end();
    assert_eq!(go2rtc_packets(&stream).len(), 4);
    drop(worker);

    let worker = Worker::start_command("echo sorry >&2; exit 7", &[]);
    assert!(worker.watch_to_the_end().is_empty());
    assert!(worker.process.wait_for_line("[input-command]").contains("exit status: 7"));
    worker.process.wait_for_line("sorry");
}

#[test]
fn what_stands_in_the_way_of_a_producer_is_the_pipe_and_never_the_stream() {
    let picture = size(SMALL.0, SMALL.1);
    let worker = Worker::start(&[]);
    let viewer = worker.watch();
    let mut file: File = open(&worker.frames);
    file.write_all(&header(picture)).unwrap();
    // Far more than the pipe holds, in far less time than a paced stream would take for it.
    let burst = framed(&plain(picture, COLOURS[3])).repeat(200);
    let begun = Instant::now();
    assert_eq!(write_until(&mut file, &burst, Duration::from_secs(10)).unwrap(), burst.len());
    eprintln!("200 pictures were taken in {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(2));
    viewer.wait_for_pictures(3);
}
