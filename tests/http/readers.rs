//! Readers one beside the other: each has a stream of its own, there are no more of them than allowed, and one that is slow
//! holds up nobody.

use crate::door::{Door, program};
use crate::support::http::{Answer, Stream, connect, request};
use crate::support::process::{DEADLINE, ready, until};
use rustix::event::PollFlags;
use rustix::process::{PidfdFlags, Signal, kill_process, pidfd_open};
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

/// What a raw stream begins with: parameter sets, of an IDR picture.
const SPS: [u8; 5] = [0, 0, 0, 1, 0x67];

#[test]
fn each_reader_has_a_stream_of_its_own_from_its_first_picture_on() {
    let door = Door::start(&[]);
    let mut streams: Vec<_> = (0..4).map(|_| door.stream("/stream.h264")).collect();
    for stream in &mut streams {
        stream.head.assert_exact();
        assert_eq!((stream.head.status, stream.head.header("content-type")), (200, Some("video/h264")));
        assert_eq!(stream.take(5), SPS);
    }
    assert_eq!(door.children().len(), 4);
    let mut mpegts = {
        drop(streams.pop());
        door.stream("/stream.ts")
    };
    mpegts.head.assert_exact();
    assert_eq!(mpegts.head.header("content-type"), Some("video/mp2t"));
    let packets = mpegts.take(188 * 10);
    assert!(packets.chunks(188).all(|packet| packet[0] == 0x47), "whole packets");
    door.end();
    assert!(streams.into_iter().all(|stream| stream.rest().len() < 10_000_000), "a stream ends with its worker");
}

#[test]
fn there_are_no_more_readers_than_allowed_and_a_place_that_is_left_is_taken_at_once() {
    let door = Door::start(&["--max-readers", "2"]);
    let mut first = door.stream("/stream.h264");
    let mut second = door.stream("/stream.h264");
    let refused = door.stream("/stream.h264");
    assert_eq!((refused.head.status, refused.head.header("retry-after")), (503, Some("2")));
    refused.head.assert_exact();
    let words = String::from_utf8(refused.rest()).expect("text");
    assert!(words.contains("--max-readers 2"), "{words}");
    assert_eq!(crate::support::http::ask(door.address, "HEAD", "/stream.ts", &[]).status, 503);
    assert_eq!(crate::support::http::get(door.address, "/healthz").status, 200, "nothing is wrong");
    // As go2rtc does it: the old viewer leaves in the instant in which the new one comes.
    for _ in 0..10 {
        drop(second);
        second = door.stream("/stream.h264");
        assert_eq!(second.head.status, 200);
        assert_eq!(second.take(5), SPS);
    }
    first.take(1000);
    door.end();
}

#[test]
fn a_stream_that_ends_by_itself_is_whole() {
    let door = Door::start(&["--frames", "30", "--no-pace"]);
    let whole = door.stream("/stream.h264").rest();
    for _ in 0..3 {
        let again = door.stream("/stream.h264").rest();
        assert_eq!(again.len(), whole.len(), "every byte arrives");
    }
    // Also where it is taken slowly.
    let mut slow = door.stream("/stream.h264");
    // Otherwise seconds of the stream lie there before it is noticed.
    rustix::net::sockopt::set_socket_recv_buffer_size(&slow.socket, 16 << 10).expect("a smaller buffer");
    let mut bytes = 0;
    let mut chunk = [0; 512];
    while let Ok(read @ 1..) = slow.socket.read(&mut chunk) {
        bytes += read;
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(bytes, whole.len());
    assert_eq!(door.metric("mb_encode_ends_total{cause=\"done\"}"), 5.0);
    door.end();
}

#[test]
fn a_slow_reader_costs_skipped_frames_and_nothing_else() {
    // Noise, of which there is much in every frame.
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("noise");
    let mut seed = 1u32;
    let mut sample = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        128 + (seed >> 25) as u8
    };
    let frames: Vec<_> = (0..320 * 240 * 10).map(|_| sample()).collect();
    std::fs::write(&file, frames).expect("room for frames");
    let command = format!("while cat {}; do :; done", file.display());
    let noise = ["--input-command", &command, "--input-format", "gray8", "--width", "320", "--height", "240"];
    // Several of them have room in a pipe: none is skipped while one is being written.
    let stream = ["--fps", "30", "--encoder", "openh264", "--bitrate", "4M"];
    let door = Door::start_as(program().args(noise), &stream);
    let mut slow = door.stream("/stream.h264");
    // The kernel would hold megabytes for it, which take long to come on a machine with other work to do.
    rustix::net::sockopt::set_socket_recv_buffer_size(&slow.socket, 64 << 10).expect("a small buffer");
    let mut quick = door.stream("/stream.h264");
    quick.take(100_000);
    let before = door.holds();
    let skipped = || door.metric("mb_encode_pictures_skipped_total{cause=\"held_back\"}");
    // It takes far less than there is, however busy the machine is.
    let begun = Instant::now();
    while skipped() < 30.0 {
        assert!(begun.elapsed() < crate::support::process::DEADLINE, "none is skipped");
        slow.take(2000);
        quick.take(20_000);
    }
    // Who asked for figures may not have left yet.
    let is_as_before = |(descriptors, threads, _)| (descriptors <= before.0 && threads <= before.1).then_some(());
    until(DEADLINE, "descriptors and threads are as before", || is_as_before(door.holds()));
    let after = door.holds();
    assert!(after.2 < before.2 + 2048, "{} KiB became {}", before.2, after.2);
    // It is still a stream.
    slow.take(1_000_000);
    door.end();
}

#[test]
fn no_process_outlives_its_connection() {
    let door = Door::start(&[]);
    let mut times = Vec::new();
    for round in 0..40u64 {
        let mut socket = connect(door.address);
        request(&mut socket, door.address, if round % 2 == 0 { "/stream.ts" } else { "/stream.h264" });
        let child = until(DEADLINE, "it has a process", || door.children().first().copied());
        let Ok(child) = pidfd_open(child, PidfdFlags::empty()) else { continue };
        // Anywhere from before its first instruction to the middle of its stream.
        std::thread::sleep(Duration::from_millis(round * 7 % 200));
        let left = Instant::now();
        drop(socket);
        assert!(ready(child.as_fd(), PollFlags::IN, crate::support::process::DEADLINE), "it stays");
        times.push(left.elapsed());
        door.wait_until_alone();
    }
    times.sort();
    eprintln!("from the end of a connection to that of its process: median {:?}, longest {:?}", times[20], times[39]);
    assert!(times[39] <= Duration::from_millis(300), "{times:?}");
    assert_eq!(door.metric("mb_encode_ends_total{cause=\"left\"}"), 40.0);
    door.end();
}

#[test]
fn a_killed_process_ends_its_connection_alone() {
    let door = Door::start(&[]);
    let (mut first, mut second) = (door.stream("/stream.h264"), door.stream("/stream.h264"));
    first.take(5);
    second.take(5);
    let mut children = door.children();
    children.sort_by_key(|pid| pid.as_raw_nonzero());
    kill_process(children[0], Signal::KILL).expect("it runs");
    first.rest();
    second.take(1000);
    door.stream("/stream.h264").take(5);
    assert_eq!(door.metric("mb_encode_ends_total{cause=\"killed\"}"), 1.0);
    door.end();
}

#[test]
fn an_input_for_one_is_for_one_reader_at_a_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let fifo = folder.path().join("frames.y4m");
    let path = fifo.to_str().expect("a plain path");
    let door = Door::start_as(&mut crate::door::program(), &["--encoder", "openh264", "--input", path]);
    let producer = std::thread::spawn({
        let fifo = fifo.clone();
        move || {
            use std::io::Write as _;
            let mut to = std::fs::File::create(fifo).expect("the FIFO is there");
            let frame = [b"FRAME\n".as_slice(), &[128; 64 * 64 * 3 / 2]].concat();
            let _ = to.write_all(b"YUV4MPEG2 W64 H64 F30:1 C420\n");
            while to.write_all(&frame).is_ok() {
                std::thread::sleep(Duration::from_millis(33));
            }
        }
    });
    let mut first = door.stream("/stream.h264");
    assert_eq!(first.take(5), SPS);
    let refused = door.stream("/stream.ts");
    assert_eq!((refused.head.status, refused.head.header("retry-after")), (503, Some("2")));
    let words = String::from_utf8(refused.rest()).expect("text");
    assert!(words.contains("one reader at a time"), "{words}");
    drop(first);
    producer.join().expect("it ends with its reader");
    door.end();
}

#[test]
fn who_waits_for_frames_that_never_come_is_told_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let fifo = folder.path().join("frames.y4m");
    let options = ["--encoder", "openh264", "--start-timeout", "1", "--input", fifo.to_str().expect("a plain path")];
    let door = Door::start_as(&mut crate::door::program(), &options);
    let asked = Instant::now();
    let refused: Stream = door.stream("/stream.ts");
    assert!(asked.elapsed() >= Duration::from_secs(1), "{:?}", asked.elapsed());
    let head: &Answer = &refused.head;
    assert_eq!((head.status, head.header("retry-after")), (503, Some("2")), "{head:?}");
    let words = String::from_utf8(refused.rest()).expect("text");
    assert!(words.contains("no frame has come within 1 s") && words.contains("[no-first-frame]"), "{words}");
    assert_eq!(door.metric("mb_encode_ends_total{cause=\"late\"}"), 1.0);
    assert_eq!(crate::support::http::get(door.address, "/healthz").status, 200);
    door.end();
}
