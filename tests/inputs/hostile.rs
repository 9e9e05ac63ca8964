//! What a producer can do wrong, one at a time: the stream goes on for its viewer, the next producer is shown, and nothing
//! is left behind.

use crate::producer::{COLOURS, Colour, Producer, framed, header, open, open_now, plain, show, size, write_until};
use crate::rig::{Viewer, Worker, colours, describe_descriptors, descriptors, resident_kib, settled};
use crate::support::children;
use mb_encode::settings::Size;
use rustix::fs::{CWD, FileType, Mode};
use std::io::Write as _;
use std::time::{Duration, Instant};

pub fn small() -> Size {
    size(320, 180)
}

/// A worker with a viewer, whose stream runs.
pub struct Shown {
    pub worker: Worker,
    pub viewer: Viewer,
    pub encoder: u32,
    descriptors: [usize; 2],
}

impl Shown {
    /// Has a first producer show the first colour, and leave.
    pub fn start(options: &[&str]) -> Self {
        let worker = Worker::start(options);
        let viewer = worker.watch();
        drop(show(&worker.frames, small(), COLOURS[0], 2));
        viewer.wait_for_colour(small(), COLOURS[0]);
        let encoder = worker.encoder().expect("it streams");
        settled("it waits for the next producer", || open_now(&worker.frames).is_ok());
        // That was one that opens and closes at once.
        std::thread::sleep(Duration::from_millis(100));
        let descriptors = [worker.process.id(), encoder].map(descriptors);
        Self { worker, viewer, encoder, descriptors }
    }

    /// Shows that a good producer is still shown, that the stream has never broken off, and that nothing is left. Returns
    /// the colours that were seen.
    pub fn finish(self, last: Colour) -> Vec<usize> {
        let Self { worker, viewer, encoder, descriptors: before } = self;
        drop(show(&worker.frames, small(), last, 2));
        viewer.wait_for_colour(small(), last);
        viewer.wait_for_more(3);
        assert!(!viewer.has_ended());
        assert_eq!(worker.encoder(), Some(encoder), "the same process from the first picture to the last");
        for (pid, before) in [worker.process.id(), encoder].into_iter().zip(before) {
            // Between two producers there may be one more for a moment.
            settled(&format!("{before} descriptors: {:?}", describe_descriptors(pid)), || {
                descriptors(pid) <= before + 1
            });
        }
        assert!(children::of(encoder).is_empty(), "it has started something");
        let lines = worker.process.lines().join("\n");
        assert!(!lines.contains("ERROR") && !lines.contains("panicked"), "{lines}");
        let seen = colours(&viewer.leave(), small(), &COLOURS);
        worker.wait_until_idle();
        seen
    }

    /// Writes these bytes, as far as they are taken, and leaves. It waits until it is known, by a line of the log.
    fn offend(&self, bytes: &[u8], says: &str) {
        let nth = self.worker.process.lines().iter().filter(|line| line.contains(says)).count() + 1;
        let mut file = open(&self.worker.frames);
        // It may be turned away before all of them were written.
        let _ = write_until(&mut file, bytes, Duration::from_secs(5));
        drop(file);
        self.worker.process.wait_for_nth_line(nth, says);
    }
}

fn good(colour: Colour) -> Vec<u8> {
    [header(small()), framed(&plain(small(), colour))].concat()
}

#[test]
fn headers_that_are_none_are_turned_away_with_a_word() {
    let shown = Shown::start(&[]);
    let overflows = "YUV4MPEG2 W16384 H99999999999999999999 F30:1\nFRAME\n";
    for (bytes, says) in [
        (&b"GET / HTTP/1.1\r\n"[..], "[input-not-y4m]"),
        (b"YUV4MPEG2 W320\n", "[y4m-header]"),
        (overflows.as_bytes(), "[y4m-header]"),
        (b"YUV4MPEG2 W4294967616 H180\n", "[y4m-header]"),
        (b"YUV4MPEG2 W-320 H180\n", "[y4m-header]"),
        (b"YUV4MPEG2 W320 H180 Ib\n", "[input-interlaced]"),
        (b"YUV4MPEG2 W320 H180 C420p12\n", "[input-format]"),
        (b"\0\0\0\x01\x67", "[input-not-y4m]"),
    ] {
        shown.offend(bytes, says);
    }
    assert_eq!(shown.finish(COLOURS[5]).last(), Some(&5));
}

#[test]
fn a_header_of_a_megabyte_is_given_up_at_its_first_kilobyte() {
    let shown = Shown::start(&[]);
    let before = resident_kib(shown.encoder);
    shown.offend(&[b"YUV4MPEG2 W320 H180 X".to_vec(), vec![b'A'; 1 << 20]].concat(), "[input-not-y4m]");
    shown.offend(&[good(COLOURS[1]), b"FRAME X".to_vec(), vec![b'A'; 1 << 20]].concat(), "[input-out-of-step]");
    let grown = resident_kib(shown.encoder).saturating_sub(before);
    assert!(grown < 4096, "{grown} KiB more");
    shown.finish(COLOURS[5]);
}

#[test]
fn sizes_that_no_stream_has_take_no_memory_and_do_not_end_the_one_that_runs() {
    let shown = Shown::start(&[]);
    let before = resident_kib(shown.encoder);
    for head in ["W16384 H16384 C444", "W1 H1", "W2 H16384", "W16384 H2 XPIXFMT=rgba"] {
        let head = format!("YUV4MPEG2 {head}\nFRAME\n");
        shown.offend(&[head.into_bytes(), vec![7; 3 << 20]].concat(), "[input-scale]");
    }
    let grown = resident_kib(shown.encoder).saturating_sub(before);
    assert!(grown < 8192, "{grown} KiB more");
    shown.finish(COLOURS[5]);
}

#[test]
fn a_size_that_no_stream_has_keeps_no_viewer_from_the_next_producer() {
    let worker = Worker::start(&[]);
    let viewer = worker.watch();
    let mut file = open(&worker.frames);
    let _ = write_until(
        &mut file,
        &[b"YUV4MPEG2 W2 H2\n".to_vec(), b"FRAME\n123456".repeat(9)].concat(),
        Duration::from_secs(1),
    );
    drop(file);
    worker.process.wait_for_line("[input-scale]");
    let _file = show(&worker.frames, small(), COLOURS[3], 3);
    viewer.wait_for_colour(small(), COLOURS[3]);
}

#[test]
fn a_picture_that_is_cut_short_anywhere_is_not_shown() {
    let shown = Shown::start(&[]);
    let head = header(small()).len();
    let picture = framed(&plain(small(), COLOURS[3]));
    for cut in [head + 3, head + 6, head + 7, head + 60_000, head + picture.len() - 1] {
        shown.offend(&good(COLOURS[3])[..cut], "in the middle of a frame, after 0 whole frames");
    }
    for cut in [1, 5, 6, 40_000, picture.len() - 1] {
        let bytes = [&good(COLOURS[2])[..], &picture[..cut]].concat();
        shown.offend(&bytes, "in the middle of a frame, after 1 whole frame");
    }
    let seen = shown.finish(COLOURS[5]);
    assert!(!seen.contains(&3) && seen.contains(&2), "{seen:?}");
}

#[test]
fn ten_megabytes_of_junk_a_second_neither_stop_nor_slow_the_stream() {
    let _alone = crate::alone();
    let shown = Shown::start(&[]);
    let (before, from) = (resident_kib(shown.encoder), shown.viewer.len());
    let begun = Instant::now();
    let mut state = 88_172_645_463_325_252u64;
    let mut noise = vec![0; 100_000];
    let mut file = None;
    let mut taken = 0;
    while begun.elapsed() < Duration::from_secs(3) {
        noise.iter_mut().for_each(|value| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *value = state as u8;
        });
        // Now behind a header, now at once, now behind a picture.
        let bytes = match taken % 3 {
            0 => noise.clone(),
            1 => [header(small()), noise.clone()].concat(),
            _ => [good(COLOURS[2]), noise.clone()].concat(),
        };
        if file.is_none() {
            file = open_now(&shown.worker.frames).ok();
        }
        if let Some(open) = &mut file {
            match write_until(open, &bytes, Duration::from_millis(10)) {
                Ok(_) => taken += 1,
                Err(_) => file = None,
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(file);
    let grown = resident_kib(shown.encoder).saturating_sub(before);
    assert!(grown < 8192, "{grown} KiB more");
    assert!(shown.viewer.len() > from, "the stream stopped");
    // A log that junk fills is a fault of its own.
    let lines = shown.worker.process.lines().len();
    assert!(lines < 200, "{lines} lines in 3 s");
    shown.finish(COLOURS[5]);
}

#[test]
fn a_stall_within_a_picture_is_a_standing_picture_and_the_rest_makes_it_whole() {
    let shown = Shown::start(&[]);
    let mut file = open(&shown.worker.frames);
    let bytes = good(COLOURS[4]);
    for part in bytes.chunks(bytes.len() / 3 + 1) {
        file.write_all(part).unwrap();
        shown.viewer.wait_for_more(6);
    }
    shown.viewer.wait_for_colour(small(), COLOURS[4]);
    // And one that never comes to its end.
    file.write_all(&framed(&plain(small(), COLOURS[3]))[..20_000]).unwrap();
    shown.viewer.wait_for_more(6);
    drop(file);
    let seen = shown.finish(COLOURS[5]);
    assert!(!seen.contains(&3), "{seen:?}");
}

#[test]
fn one_that_writes_faster_than_anybody_can_encode_takes_no_more_memory_for_it() {
    let _alone = crate::alone();
    let picture = size(640, 360);
    let worker = Worker::start(&[]);
    let viewer = worker.watch();
    let producer = Producer::endless(&worker.frames, picture, COLOURS[1]);
    let other = framed(&plain(picture, COLOURS[2]));
    viewer.wait_for_pictures(10);
    let encoder = worker.encoder().expect("it streams");
    let (early, written, begun) = (resident_kib(encoder), producer.written(), Instant::now());
    std::thread::sleep(Duration::from_secs(3));
    let late = resident_kib(encoder);
    let rate = (producer.written() - written) as f64 / other.len() as f64 / begun.elapsed().as_secs_f64();
    eprintln!("{rate:.0} pictures of 640x360 a second were read, in {late} KiB");
    assert!(rate > 70.0, "it was made to wait: {rate:.0} pictures a second");
    assert!(late < early + 4096, "{early} KiB at first and {late} KiB after 3 s");
    viewer.wait_for_more(3);
    drop(viewer);
    assert_eq!(producer.wait(), 128 + 13);
}

#[test]
fn a_fifo_that_is_removed_or_replaced_is_found_again() {
    let shown = Shown::start(&[]);
    let frames = &shown.worker.frames;
    // Watched, and nobody writes.
    std::fs::remove_file(frames).unwrap();
    drop(show(frames, small(), COLOURS[1], 2));
    shown.viewer.wait_for_colour(small(), COLOURS[1]);
    let other = shown.worker.folder.path().join("other");
    let make = || rustix::fs::mknodat(CWD, &other, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    make();
    std::fs::rename(&other, frames).unwrap();
    drop(show(frames, small(), COLOURS[2], 2));
    shown.viewer.wait_for_colour(small(), COLOURS[2]);
    // Somebody writes meanwhile, who is not disturbed.
    let mut file = show(frames, small(), COLOURS[3], 2);
    shown.viewer.wait_for_colour(small(), COLOURS[3]);
    std::fs::remove_file(frames).unwrap();
    file.write_all(&framed(&plain(small(), COLOURS[4]))).unwrap();
    shown.viewer.wait_for_colour(small(), COLOURS[4]);
    drop(file);
    let seen = shown.finish(COLOURS[5]);
    assert!(seen.is_sorted() && (0..6).all(|at| seen.contains(&at)), "{seen:?}");
}

#[test]
fn a_fifo_that_is_removed_or_replaced_while_nobody_watches_is_served_to_the_next_viewer() {
    let worker = Worker::start(&[]);
    let replace = |round| {
        let other = worker.folder.path().join("other");
        match round {
            0 => {}
            1 => std::fs::remove_file(&worker.frames).unwrap(),
            _ => {
                rustix::fs::mknodat(CWD, &other, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
                std::fs::rename(&other, &worker.frames).unwrap();
            }
        }
    };
    for (round, colour) in COLOURS.into_iter().enumerate().take(3) {
        replace(round);
        let viewer = worker.watch();
        let _file = show(&worker.frames, small(), colour, 2);
        viewer.wait_for_colour(small(), colour);
        viewer.leave();
        worker.wait_until_idle();
    }
}

#[test]
fn a_viewer_who_comes_while_a_producer_is_in_the_middle_of_a_picture_sees_whole_ones() {
    let worker = Worker::start(&[]);
    for round in 0..4 {
        let viewer = worker.watch();
        let mut file = show(&worker.frames, small(), COLOURS[1], 2);
        viewer.wait_for_pictures(2);
        file.write_all(&framed(&plain(small(), COLOURS[2]))[..30_000 + round]).unwrap();
        drop(viewer);
        // The next one comes at once, or when the stream before has ended.
        if round % 2 == 0 {
            worker.wait_until_idle();
        }
        let viewer = Viewer::of(&worker.stream);
        settled("the pipe is closed", || file.write_all(&plain(small(), COLOURS[2])).is_err());
        let _file = show(&worker.frames, small(), COLOURS[3], 3);
        viewer.wait_for_pictures(4);
        let seen = colours(&viewer.leave(), small(), &COLOURS);
        assert!(seen.iter().all(|&at| at == 3), "round {round}: {seen:?}");
        worker.wait_until_idle();
    }
}
