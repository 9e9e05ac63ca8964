//! Readers that are slow: pictures are skipped before they are drawn, and what is drawn arrives whole.

use crate::annex_b::pictures;
use crate::fifo::{Viewer, Worker, event};
use crate::support::decode;
use crate::support::process::{Process, Reader, mb_encode, ready};
use mb_encode::parts::Mark;
use rustix::event::PollFlags;
use rustix::fd::AsFd as _;
use rustix::fs::OFlags;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Signal;
use std::fs::File;
use std::io::Read as _;
use std::process::Command;
use std::time::Duration;

const SIZE: (u32, u32) = (320, 180);

fn command(options: &[&str]) -> Command {
    let mut command = mb_encode();
    command.args(["--stdout", "--width", "320", "--height", "180", "--log-level", "debug"]).args(options);
    command
}

/// The longest time between two pictures that follow each other in the stream, by the clock that is drawn in them.
fn longest_gap_ms(marks: &[Mark]) -> u64 {
    marks.windows(2).map(|pair| pair[1].wall_clock_ms - pair[0].wall_clock_ms).max().unwrap_or(0)
}

#[test]
fn a_reader_that_stalls_for_ten_seconds_and_goes_on_gets_a_whole_stream() {
    let (reading, writing) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    // A second descriptor of the same open file description, as the parent of an inherited one has.
    let shared = writing.try_clone().unwrap();
    let blocks = || !rustix::fs::fcntl_getfl(&shared).unwrap().contains(OFlags::NONBLOCK);
    let process = Process::start(command(&["--fps", "60"]).stdout(writing));
    let mut viewer = Viewer::new(Reader::new(File::from(reading)));
    let mut stream = viewer.units(30);
    assert!(blocks(), "while it streams");
    assert!(process.is_running_after(Duration::from_secs(10)), "{:?}", process.lines());
    assert!(blocks(), "while it is stalled");
    stream.extend(viewer.units(60));
    process.signal(Signal::TERM);
    // The end of the file comes when nobody has the writing end any more.
    let ended = process.wait();
    assert!(blocks(), "when it has ended");
    drop(shared);
    stream.extend(viewer.rest());
    assert_eq!(ended.code(), 0, "{}", ended.stderr);

    let marks = decode::all_marks(&stream, SIZE);
    assert_eq!(marks.len(), pictures(&stream));
    decode::assert_frames_rise_by_one(&marks);
    assert!(longest_gap_ms(&marks) > 8_000, "the stall is not to be seen: {} ms", longest_gap_ms(&marks));
    let said = ended.stderr.lines().find(|line| line.contains("stream ended")).unwrap_or_default();
    let skipped = said.split(", ").last().and_then(|last| last.split(' ').next()).and_then(|n| n.parse().ok());
    assert!(skipped > Some(8 * 60), "{said:?}");
    assert!(said.contains(&format!("{} frames, {} bytes", marks.len(), stream.len())), "{said:?}");
}

#[test]
fn a_fifos_reader_that_stalls_and_goes_on_gets_a_whole_stream() {
    let worker = Worker::start(&["--fps", "60", "--pipe-size", "4k"]);
    let mut viewer = worker.connect();
    let mut stream = viewer.units(10);
    for _ in 0..3 {
        assert!(worker.process.is_running_after(Duration::from_millis(700)));
        stream.extend(viewer.units(15));
    }
    let marks = decode::all_marks(&stream, SIZE);
    decode::assert_frames_rise_by_one(&marks);
    assert_eq!(marks.len(), 55);
    assert!(longest_gap_ms(&marks) > 500, "{} ms", longest_gap_ms(&marks));
    drop(viewer);
    let gone = event(&worker.process.wait_for_line("reader disconnected"));
    assert!(gone["skipped"].as_u64() >= Some(60), "{gone}");
}

#[test]
fn a_reader_that_takes_a_trickle_gets_whole_access_units() {
    for (pace, take) in
        [(&["--fps", "60"][..], 1000), (&["--fps", "240", "--bitrate", "30M"], 4097), (&["--no-pace"], 3000)]
    {
        let (reading, writing) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        rustix::pipe::fcntl_setpipe_size(&writing, 4096).unwrap();
        let process = Process::start(command(pace).stdout(writing));
        let mut reader = Reader::new(File::from(reading));
        let mut stream = Vec::new();
        let mut buffer = vec![0; take];
        for _ in 0..400 {
            let bytes = reader.read(&mut buffer).unwrap();
            stream.extend_from_slice(&buffer[..bytes]);
            // The pace of this reader; the process does not end in between.
            assert!(process.is_running_after(Duration::from_millis(4)), "{:?}", process.lines());
        }
        process.signal(Signal::TERM);
        stream.extend(reader.all());
        let ended = process.wait();
        assert_eq!(ended.code(), 0, "{}", ended.stderr);
        let marks = decode::all_marks(&stream, SIZE);
        assert_eq!(marks.len(), pictures(&stream), "{pace:?}");
        decode::assert_frames_rise_by_one(&marks);
    }
}

#[test]
fn a_socket_for_standard_output_is_served_like_a_pipe() {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let process = Process::start(command(&["--fps", "60"]).stdout(rustix::fd::OwnedFd::from(theirs)));
    let mut viewer = Viewer::new(Reader::new(ours));
    let mut stream = viewer.units(20);
    assert!(process.is_running_after(Duration::from_secs(1)));
    process.signal(Signal::TERM);
    stream.extend(viewer.rest());
    assert_eq!(process.wait().code(), 0);
    let marks = decode::all_marks(&stream, SIZE);
    assert_eq!(marks.len(), pictures(&stream));
    decode::assert_frames_rise_by_one(&marks);
}

#[test]
fn a_stalled_reader_holds_no_more_than_a_few_pictures() {
    // What waits in the pipe is delay for as long as the reader lives.
    let (reading, writing) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    rustix::pipe::fcntl_setpipe_size(&writing, 1 << 20).unwrap();
    let process = Process::start(command(&["--fps", "60"]).stdout(writing));
    assert!(ready(reading.as_fd(), PollFlags::IN, crate::support::process::DEADLINE));
    assert!(process.is_running_after(Duration::from_secs(2)));
    let mut viewer = Viewer::new(Reader::new(File::from(reading)));
    let stream = viewer.units(20);
    let marks = decode::all_marks(&stream, SIZE);
    let stalled = marks.windows(2).position(|pair| pair[1].wall_clock_ms - pair[0].wall_clock_ms > 1000);
    // Three units in the pipe, two in flight.
    assert!(stalled.is_some_and(|at| at < 8), "the stall comes after picture {stalled:?}");
}
