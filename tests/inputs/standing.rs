//! A picture that stands still: what is sent meanwhile, and how the stream goes on.

use crate::annex_b::go2rtc_packets;
use crate::producer::{COLOURS, framed, header, marked, open, plain, show, size};
use crate::rig::{Worker, colours, decode, decode_ts, idrs, settled, slices};
use mb_encode::settings::Size;
use std::io::Write as _;
use std::time::{Duration, Instant};

fn small() -> Size {
    size(320, 180)
}

#[test]
fn ten_small_access_units_a_second_are_sent_of_it_idr_and_skipped_by_turns() {
    let _alone = crate::alone();
    let worker = Worker::start(&[]);
    let viewer = worker.watch();
    let _file = show(&worker.frames, small(), COLOURS[0], 1);
    viewer.wait_for_pictures(4);
    let (before, begun) = (viewer.len(), Instant::now());
    std::thread::sleep(Duration::from_secs(3));
    let (stream, seconds) = (viewer.bytes(), begun.elapsed().as_secs_f64());
    drop(viewer);
    let standing = &stream[..];
    let units = go2rtc_packets(standing).len() - go2rtc_packets(&stream[..before]).len();
    let rate = units as f64 / seconds;
    assert!((7.0..12.0).contains(&rate), "{rate} access units a second");
    let idr = idrs(standing);
    assert!(idr[4..].windows(2).all(|pair| pair[0] != pair[1]), "they do not alternate: {idr:?}");
    // The same bytes again and again, and small ones.
    let slices = slices(standing);
    let (last, end) = (&slices[slices.len() - 3..], slices.len() - 1);
    assert_eq!(slices[end - 1], slices[end - 3]);
    assert!(last.iter().map(Vec::len).min() < Some(64), "a picture that was skipped is small");
    let whole = crate::rig::whole(&stream);
    assert!(colours(&whole, small(), &COLOURS).iter().all(|&at| at == 0));
}

/// A picture with detail in it, so that what a decoder has is told apart from what it should have.
fn detailed(frame: u32) -> Vec<u8> {
    let mut samples = marked(small(), COLOURS[1], frame);
    let mut state = 2_463_534_242u32.wrapping_add(frame);
    for value in &mut samples[..320 * 100] {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        *value = 100 + (state >> 26) as u8;
    }
    samples
}

#[test]
fn it_decodes_to_equal_pictures_and_goes_on_at_any_moment_where_it_stopped() {
    let worker = Worker::start(&["--bitrate", "20M"]);
    let viewer = worker.watch();
    let mut file = open(&worker.frames);
    file.write_all(&header(small())).unwrap();
    let mut write = |frame: u32| file.write_all(&framed(&detailed(frame))).unwrap();
    let mut frame = 0;
    let mut behind_idr = 0;
    for pause in 0..8u32 {
        for _ in 0..5 {
            write(frame);
            frame += 1;
            std::thread::sleep(Duration::from_millis(30));
        }
        // It stands until so many were sent again, so that it goes on behind each of the two kinds.
        let stood = go2rtc_packets(&viewer.bytes()).len();
        viewer.wait_for_pictures(stood + 2 + pause as usize);
        behind_idr += usize::from(idrs(&viewer.bytes()).last() == Some(&true));
    }
    write(frame);
    viewer.wait_for_more(2);
    let stream = viewer.leave();
    assert!((1..8).contains(&behind_idr), "{behind_idr} of 8 pauses ended behind an IDR picture");
    // Each decoded picture is the one that was written under its number, and not one that drifted from it.
    let pictures = decode(&stream, small());
    let mut last = 0;
    for (at, picture) in pictures.iter().enumerate() {
        let mark = picture.mark().unwrap_or_else(|| panic!("no strip in picture {at} of {}", pictures.len()));
        assert!(mark.frame >= last, "picture {at} goes back from {last} to {}", mark.frame);
        last = mark.frame;
        let written = detailed(mark.frame);
        let error: f64 = picture.luma()[..320 * 100]
            .iter()
            .zip(&written)
            .map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2))
            .sum::<f64>()
            / (320.0 * 100.0);
        assert!(error < 60.0, "picture {at} (frame {last}) is off by {error:.1} in the mean square");
    }
    assert_eq!(last, frame, "the last one is shown");
}

#[test]
fn copies_of_it_are_equal_to_each_other() {
    let worker = Worker::start(&[]);
    let viewer = worker.watch();
    let mut file = open(&worker.frames);
    file.write_all(&[header(small()), framed(&detailed(0))].concat()).unwrap();
    viewer.wait_for_pictures(14);
    let pictures = decode(&viewer.leave(), small());
    // From the second one on: the first is the one that came.
    for at in 2..pictures.len() {
        assert!(pictures[at].bytes == pictures[1].bytes, "picture {at} of a standing one differs from the one before");
    }
}

#[test]
fn equal_bytes_are_a_standing_picture_too() {
    let _alone = crate::alone();
    let worker = Worker::start(&[]);
    let viewer = worker.watch();
    let mut file = show(&worker.frames, small(), COLOURS[4], 1);
    viewer.wait_for_pictures(2);
    let before = go2rtc_packets(&viewer.bytes()).len();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        file.write_all(&framed(&plain(small(), COLOURS[4]))).unwrap();
        std::thread::sleep(Duration::from_millis(16));
    }
    let units = go2rtc_packets(&viewer.bytes()).len() - before;
    assert!((12..=26).contains(&units), "{units} access units in 2 s of 120 equal pictures");
    // And one that differs is shown.
    file.write_all(&framed(&plain(small(), COLOURS[2]))).unwrap();
    viewer.wait_for_colour(small(), COLOURS[2]);
}

#[test]
fn a_producer_that_comes_back_goes_on_in_the_same_stream() {
    let worker = Worker::start(&[]);
    let viewer = worker.watch();
    for (at, colour) in COLOURS.into_iter().enumerate() {
        drop(show(&worker.frames, small(), colour, 3));
        viewer.wait_for_colour(small(), colour);
        // Without a producer for a while, too.
        viewer.wait_for_more(at % 4);
    }
    let seen = colours(&viewer.leave(), small(), &COLOURS);
    assert!(seen.is_sorted() && seen.last() == Some(&5), "{seen:?}");
}

#[test]
fn a_producer_that_comes_back_with_another_size_ends_the_stream_and_the_next_one_has_it() {
    let worker = Worker::start(&[]);
    let viewer = worker.watch();
    drop(show(&worker.frames, small(), COLOURS[0], 2));
    viewer.wait_for_pictures(5);
    let other = size(192, 108);
    let mut file = show(&worker.frames, other, COLOURS[1], 1);
    let stream = viewer.rest();
    assert!(colours(&stream, small(), &COLOURS).iter().all(|&at| at == 0));
    worker.wait_until_idle();
    settled("its pipe is closed", || file.write_all(&framed(&plain(other, COLOURS[1]))).is_err());

    let viewer = worker.watch();
    let _file = show(&worker.frames, other, COLOURS[1], 3);
    viewer.wait_for_pictures(3);
    assert!(colours(&viewer.leave(), other, &COLOURS).iter().all(|&at| at == 1));
    let lines = worker.process.lines().join("\n");
    assert!(!lines.contains("ERROR") && !lines.contains("WARN"), "{lines}");
}

#[test]
fn mpeg_ts_of_it_has_times_that_rise_and_decodes_to_the_same() {
    let worker = Worker::start(&["--mpegts"]);
    let viewer = worker.watch();
    let mut file = open(&worker.frames);
    file.write_all(&header(small())).unwrap();
    for frame in 0..4 {
        for at in 0..6 {
            file.write_all(&framed(&detailed(frame * 6 + at))).unwrap();
            std::thread::sleep(Duration::from_millis(if at % 2 == 0 { 2 } else { 25 }));
        }
        std::thread::sleep(Duration::from_millis(350 + 120 * u64::from(frame)));
    }
    let stream = viewer.leave_as_it_is();
    let ts = worker.folder.path().join("stream.ts");
    std::fs::write(&ts, &stream).unwrap();
    let times = pts_of(&ts);
    assert!(times.len() > 20, "{times:?}");
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
    let marks: Vec<_> = decode_ts(&ts, small()).iter().map(|picture| picture.mark().expect("a strip").frame).collect();
    assert!(marks.is_sorted() && marks.last() == Some(&23), "{marks:?}");
}

/// The PTS of each packet of a file of MPEG-TS, as ffprobe reads them.
fn pts_of(ts: &std::path::Path) -> Vec<u64> {
    let ffprobe = crate::support::parts::find("FFPROBE", "ffprobe", &[], "apt-get install ffmpeg");
    let output = std::process::Command::new(ffprobe)
        .args(["-v", "error", "-show_entries", "packet=pts", "-of", "csv=p=0"])
        .arg(ts)
        .output()
        .expect("it can be run");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    // A line of its own is empty for each packet with side data.
    let times = text.lines().map(|line| line.trim_end_matches(',')).filter(|line| !line.is_empty());
    times.map(|time| time.parse().unwrap_or_else(|_| panic!("no time: {time:?}"))).collect()
}
