//! A GPU that is lost while somebody watches: it is opened again, and the stream goes on as one that decodes. What is lost
//! for as long as the process lasts is `moves`' matter.

use crate::annex_b::{Nal, nals, pictures};
use crate::demux::demux;
use crate::fifo::Viewer;
use crate::run::{Ended, Run, at_once, size};
use crate::support::decode;
use crate::support::process::Process;
use rustix::process::Signal;

const SIZE: (u32, u32) = (320, 180);
const OPTIONS: [&str; 8] = ["--stdout", "--no-pace", "--gop", "3600", "--width", "320", "--height", "180"];

pub fn run(order: &str, options: &[&str]) -> Run {
    Run::new(&[&OPTIONS[..], options].concat()).env(&[("MB_SIM_FAULT", order)])
}

/// Which of the stream's pictures are IDR pictures.
pub fn idrs(stream: &[u8]) -> Vec<usize> {
    let slices = nals(stream);
    let slices = slices.iter().filter(|nal| nal.is_slice()).enumerate();
    slices.filter(|(_, nal)| nal.unit_type() == 5).map(|(at, _)| at).collect()
}

/// Checks that the stream holds pictures 0 to `count`, each once, of one size and one profile, with an IDR picture at
/// each of `at`.
pub fn assert_one_stream(ended: &Ended, count: usize, at: &[usize], what: &str) {
    let stream = &ended.stream;
    assert_eq!(pictures(stream), count, "{what}: {}", ended.stderr);
    assert_eq!(idrs(stream), at, "{what}: IDR pictures; {}", ended.stderr);
    let marks = decode::all_marks(stream, SIZE);
    assert_eq!(marks.len(), count, "{what}");
    decode::assert_frames_rise_by_one(&marks);
    let nals = nals(stream);
    // profile_idc, the constraint flags, level_idc; the first is what a browser was told to expect.
    let profiles: Vec<u8> = nals.iter().filter(|nal| nal.unit_type() == 7).map(|nal: &Nal<'_>| nal.bytes[1]).collect();
    assert_eq!(profiles, vec![100; at.len()], "{what}: profiles");
}

/// How many different parameter sets of each type a stream has: one, for as long as one encoder goes on.
pub fn parameter_sets(stream: &[u8]) -> [usize; 2] {
    let nals = nals(stream);
    [7, 8].map(|kind| {
        let mut sets: Vec<_> = nals.iter().filter(|nal| nal.unit_type() == kind).map(|nal| nal.bytes).collect();
        sets.sort_unstable();
        sets.dedup();
        sets.len()
    })
}

/// What it said of its attempts, in order.
pub fn attempts(ended: &Ended) -> Vec<&str> {
    let lines = ended.stderr.lines().filter_map(|line| line.split_once("; starting over in "));
    lines.map(|(_, attempt)| attempt).collect()
}

pub const WAITS: [&str; 3] = ["100 ms (1 of 3)", "300 ms (2 of 3)", "900 ms (3 of 3)"];

#[test]
fn one_loss_costs_an_idr_and_no_picture_wherever_it_is_seen() {
    let orders = [
        ("encode:3@4", "NvEncEncodePicture failed with NV_ENC_ERR_INVALID_ENCODERDEVICE (3)"),
        ("encode:4@4", "NV_ENC_ERR_INVALID_DEVICE (4)"),
        ("encode:5@4", "NV_ENC_ERR_DEVICE_NOT_EXIST (5)"),
        ("encode:20@4", "NV_ENC_ERR_GENERIC (20)"),
        ("lock:5@4", "NvEncLockBitstream failed with NV_ENC_ERR_DEVICE_NOT_EXIST (5)"),
        ("lock:20@4", "NvEncLockBitstream failed with NV_ENC_ERR_GENERIC (20)"),
        ("map:4@4", "NvEncMapInputResource failed with NV_ENC_ERR_INVALID_DEVICE (4)"),
        ("map:16@4", "NvEncMapInputResource failed with NV_ENC_ERR_MAP_FAILED (16)"),
        ("encode:10@4", "NvEncEncodePicture failed with NV_ENC_ERR_OUT_OF_MEMORY (10)"),
        ("encode:8@4", "NvEncEncodePicture failed with NV_ENC_ERR_INVALID_PARAM (8)"),
        ("encode:777@4", "does not know (777)"),
        // The picture is there, and what held it is not given back.
        ("unlock:5@4", "NvEncUnlockBitstream failed with NV_ENC_ERR_DEVICE_NOT_EXIST (5)"),
        ("unlock:9@4", "NvEncUnlockBitstream failed with NV_ENC_ERR_INVALID_CALL (9)"),
        ("unmap:20@4", "NvEncUnmapInputResource failed with NV_ENC_ERR_GENERIC (20)"),
        ("unmap:25@4", "NvEncUnmapInputResource failed with NV_ENC_ERR_RESOURCE_NOT_MAPPED (25)"),
        ("cuda:cuGraphicsUnmapResources:999@4", "cuGraphicsUnmapResources failed with CUDA_ERROR_UNKNOWN (999)"),
        // Each plane of a picture is one call.
        (
            "cuda:cuGraphicsSubResourceGetMappedArray:999@8",
            "cuGraphicsSubResourceGetMappedArray failed with CUDA_ERROR_UNKNOWN (999)",
        ),
        ("cuda:cuGraphicsSubResourceGetMappedArray:205@9", "CUDA_ERROR_MAP_FAILED (205)"),
        ("cuda:cuGraphicsMapResources:999@4", "cuGraphicsMapResources failed with CUDA_ERROR_UNKNOWN (999)"),
        ("cuda:cuGraphicsMapResources:219@4", "CUDA_ERROR_INVALID_GRAPHICS_CONTEXT (219)"),
        // The simulated encoder fetches both planes by the same call, so a picture makes four of them.
        ("cuda:cuMemcpy2D_v2:999@16", "cuMemcpy2D failed with CUDA_ERROR_UNKNOWN (999)"),
        ("cuda:cuMemcpy2D_v2:4@17", "CUDA_ERROR_DEINITIALIZED (4)"),
        // Newer than cudarc.
        ("cuda:cuGraphicsMapResources:7777@4", "cuGraphicsMapResources failed with CUDA status 7777"),
        ("cuda:cuGraphicsSubResourceGetMappedArray:7777@8", "MappedArray failed with CUDA status 7777"),
    ];
    for (order, seen) in orders {
        at_once(&["nvenc", "auto"], |encoder| {
            let what = format!("{order}, {encoder}");
            let ended = run(order, &["--frames", "9", "--encoder", encoder]).finish();
            ended.assert_well();
            assert_one_stream(&ended, 9, &[0, 4], &what);
            assert_eq!(parameter_sets(&ended.stream), [1; 2], "{what}");
            assert_eq!(attempts(&ended), WAITS[..1], "{what}");
            assert!(ended.stderr.contains(seen), "{what}: {}", ended.stderr);
            assert_eq!(ended.stderr.lines().count(), 1, "{what}: {}", ended.stderr);
            assert_eq!(ended.report.count("peak.sessions"), 1, "{what}: the old session is gone before the new one");
        });
    }
}

#[test]
fn a_session_that_fails_at_the_end_of_the_stream_ends_as_well() {
    // The call behind the last picture is the one that ends the stream.
    at_once(&["encode:5@9", "encode:8@9", "encode:18@9x99"], |order| {
        let ended = run(order, &["--frames", "9"]).finish();
        ended.assert_well();
        assert_one_stream(&ended, 9, &[0], order);
        assert_eq!((ended.stderr.as_str(), ended.report.count("fault.NvEncEncodePicture")), ("", 1), "{order}");
    });
}

#[test]
fn a_lost_gpu_that_takes_nothing_back_is_left_all_the_same() {
    let releases = "unlock:5,unmap:5,unregister:5,nvenc:NvEncDestroyBitstreamBuffer:5,destroy:5,\
                    cuda:cuGraphicsUnmapResources:999,cuda:cuGraphicsUnregisterResource:999,cuda:cuMemFree_v2:999,\
                    cuda:cuDevicePrimaryCtxRelease_v2:999";
    at_once(&["nvenc", "auto"], |encoder| {
        let ended = run(releases, &["--frames", "9", "--encoder", encoder]).finish();
        // The first session does not get beyond its first picture, and no other one either.
        assert!(!ended.stderr.contains("panicked"), "{encoder}: {}", ended.stderr);
        ended.report.assert_clean();
        let well = *encoder == "auto";
        assert_eq!((ended.code, pictures(&ended.stream)), if well { (0, 9) } else { (1, 0) }, "{}", ended.stderr);
    });
}

#[test]
fn a_picture_that_would_break_the_stream_is_not_written_and_the_encoder_is_opened_again() {
    const BROKEN: &str = "an access unit that go2rtc would split wrongly: it has more than one slice";
    let run = |options: &[&str], order| Run::new(&[&OPTIONS[..], options].concat()).env(&[("MB_SIM_SLICES", order)]);
    at_once(&["nvenc", "auto"], |encoder| {
        let ended = run(&["--frames", "9", "--encoder", encoder], "2@4").finish();
        assert_one_stream(ended.assert_well(), 9, &[0, 4, 8], encoder);
        assert_eq!(attempts(&ended), WAITS[..2], "{encoder}");
        assert_eq!(ended.stderr.matches(BROKEN).count(), 2, "{encoder}: {}", ended.stderr);
    });
    // An encoder that never does better is given up.
    at_once(&[("2@0", 0), ("2@4", 4)], |&(order, lives)| {
        let ended = run(&["--frames", "30"], order).finish();
        assert_eq!(ended.code, 1, "{order}: {}", ended.stderr);
        ended.report.assert_clean();
        let (_, last) = ended.stderr.split_once(" ERROR ").unwrap_or_else(|| panic!("{order}: {}", ended.stderr));
        assert!(last.contains("did not come back in 3 attempts") && last.contains(BROKEN), "{order}: {last}");
        let ended = run(&["--frames", "30", "--encoder", "auto"], order).finish();
        let idrs = if lives == 0 { vec![0] } else { vec![0, 4, 8, 12, 16] };
        assert_one_stream(ended.assert_well(), 30, &idrs, order);
        assert!(ended.stderr.contains("falling back to OpenH264"), "{order}: {}", ended.stderr);
    });
    // A worker sees it before it makes a FIFO.
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("demo.h264");
    let mut run = Run::new(&["--width", "320", "--height", "180", "--fifo"]);
    run.command.arg(&path);
    let ended = run.env(&[("MB_SIM_SLICES", "2@0")]).finish();
    assert!(ended.code == 1 && ended.stderr.contains(BROKEN) && !path.exists(), "{}", ended.stderr);
}

#[test]
fn a_busy_encoder_is_asked_again_and_nothing_is_lost() {
    let ended = run("encode:18@4x20", &["--frames", "9"]).finish();
    ended.assert_well();
    assert_one_stream(&ended, 9, &[0], "busy");
    assert_eq!(ended.stderr, "");
}

#[test]
fn a_loss_at_the_very_first_picture_is_no_loss_to_the_reader() {
    let ended = run("encode:5@0", &["--frames", "5"]).finish();
    ended.assert_well();
    assert_one_stream(&ended, 5, &[0], "the first picture");
}

#[test]
fn attempts_are_further_apart_each_time_and_a_failed_one_says_why() {
    // The open behind the first one fails; each order counts the calls that no order before it takes.
    let ended = run("encode:5@3,open:21@1,open:10@1", &["--frames", "6"]).finish();
    ended.assert_well();
    assert_one_stream(&ended, 6, &[0, 3], "opens that fail");
    assert_eq!(attempts(&ended), WAITS);
    let causes = ["NV_ENC_ERR_DEVICE_NOT_EXIST (5)", "KEY (21)", "OUT_OF_MEMORY (10)"];
    for (line, cause) in ended.stderr.lines().zip(causes) {
        assert!(line.contains(cause), "{cause} is not in {line}");
    }

    let ended = run("encode:5@3x3", &["--frames", "12"]).finish();
    ended.assert_well();
    assert_one_stream(&ended, 12, &[0, 3, 6, 9], "three losses in a row");
    assert_eq!(attempts(&ended), WAITS);
}

#[test]
fn one_loss_too_many_ends_nvenc_with_the_reason() {
    at_once(&["encode:5@3x4", "encode:5@3,open:2@1,open:2@1,open:2@1"], |order| {
        let ended = run(order, &["--frames", "30"]).finish();
        assert_eq!(ended.code, 1, "{order}: {}", ended.stderr);
        ended.report.assert_clean();
        assert_eq!(attempts(&ended), WAITS, "{order}");
        let (_, last) = ended.stderr.split_once(" ERROR ").unwrap_or_else(|| panic!("{order}: {}", ended.stderr));
        let cause = if order.contains("open") { "NV_ENC_ERR_UNSUPPORTED_DEVICE (2)" } else { "DEVICE_NOT_EXIST (5)" };
        for words in ["NVENC failed and did not come back in 3 attempts", cause, "dmesg", "--encoder auto"] {
            assert!(last.contains(words), "{order}: {words:?} is not in {last}");
        }
        // What was written until then is a whole stream.
        let lives = if order.contains("open") { 1 } else { 4 };
        assert_one_stream(&ended, 3 * lives, &[0, 3, 6, 9][..lives], order);
    });
}

#[test]
fn one_loss_too_many_makes_auto_go_on_with_openh264() {
    // A picture that was coded and cannot be fetched was coded all the same.
    let orders = [
        ("encode:5@3x4", 12, 12),
        ("lock:20@3x4", 12, 16),
        ("encode:5@3,open:2@1,open:2@1,open:2@1", 3, 3),
        ("cuda:cuGraphicsMapResources:999@3x4", 12, 12),
    ];
    at_once(&orders, |&(order, then, coded)| {
        let ended = run(order, &["--frames", "30", "--encoder", "auto"]).finish();
        ended.assert_well();
        assert_eq!(attempts(&ended), WAITS, "{order}");
        let said = ended.stderr.lines().filter(|line| line.contains("falling back to OpenH264")).count();
        assert_eq!((said, ended.stderr.lines().count()), (1, 4), "{order}: {}", ended.stderr);
        assert_eq!(ended.report.count("pictures"), coded, "{order}: from NVENC");
        let idrs: Vec<usize> = (0..=then).step_by(3).collect();
        // OpenH264 is lossy: the strip is read, and every picture is there.
        assert_one_stream(&ended, 30, &idrs, order);
    });
}

#[test]
fn an_encoder_that_opens_and_codes_nothing_is_like_none() {
    let orders = ["encode:8", "encode:5", "cuda:cuGraphicsMapResources:205"];
    at_once(&orders, |order| {
        let ended = run(order, &["--frames", "5"]).finish();
        assert_eq!((ended.code, ended.stream.len()), (1, 0), "{order}: {}", ended.stderr);
        ended.report.assert_clean();
        assert_eq!(ended.stderr.matches(" ERROR ").count(), 1, "{order}: {}", ended.stderr);
    });
    at_once(&orders, |order| {
        let ended = run(order, &["--frames", "5", "--encoder", "auto"]).finish();
        ended.assert_well();
        assert_one_stream(&ended, 5, &[0], order);
    });
}

#[test]
fn a_stream_that_waits_for_a_lost_gpu_ends_when_it_is_to() {
    for by_signal in [true, false] {
        let mut run = run("encode:5@3x9", &["--fps", "60"]);
        let mut process = Process::start(&mut run.command);
        let mut viewer = Viewer::new(process.stdout());
        viewer.units(8);
        process.wait_for_line(WAITS[2]);
        let stream = if by_signal {
            process.signal(Signal::TERM);
            viewer.rest()
        } else {
            drop(viewer);
            Vec::new()
        };
        let ended = process.wait();
        assert_eq!(ended.code(), 0, "{}", ended.stderr);
        assert!(!ended.stderr.contains("ERROR"), "{}", ended.stderr);
        run.report().assert_clean();
        assert_eq!(pictures(&stream), usize::from(by_signal), "the ninth picture stood in the pipe");
    }
}

#[test]
fn a_fifos_reader_is_carried_over_a_loss_and_a_worker_with_auto_starts_without_a_working_encoder() {
    for (order, encoder) in [("encode:5@20", "nvenc"), ("encode:8", "auto")] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("demo.h264");
        let mut run = Run::new(&["--width", "320", "--height", "180", "--encoder", encoder, "--fps", "60", "--fifo"]);
        run.command.arg(&path);
        let mut run = run.env(&[("MB_SIM_FAULT", order)]);
        let process = Process::start(&mut run.command);
        process.wait_for_line("waiting for a reader");
        let mut viewer = crate::fifo::connect(&path);
        let stream = viewer.units(40);
        decode::assert_frames_rise_by_one(&decode::all_marks(&stream, SIZE));
        drop(viewer);
        process.wait_for_line("reader disconnected");
        process.signal(Signal::TERM);
        assert_eq!(process.wait().code(), 0);
        run.report().assert_clean();
    }
}

#[test]
fn a_stream_in_mpeg_ts_keeps_its_grid_and_every_picture_through_a_loss() {
    for how in ["--mpegts=ffmpeg", "--mpegts=native"] {
        // So small that a picture as it is fits into one packet whose length can be stated.
        let options = ["--stdout", "--no-pace", "--gop", "3600", "--width", "160", "--height", "64", "--frames", "20"];
        let run = Run::new(&[&options[..], &["--fps", "30", how]].concat());
        let ended = run.env(&[("MB_SIM_FAULT", "encode:5@7")]).finish();
        let pictures = demux(&ended.assert_well().stream);
        assert_eq!(pictures.len(), 20, "{how}: {}", ended.stderr);
        for (at, picture) in pictures.iter().enumerate() {
            assert_eq!(picture.is_idr, at == 0 || at == 7, "{how}: picture {at}");
            // ffmpeg counts pictures, in a clock that is no multiple of 90 kHz, and rounds.
            let expected = pictures[0].pts + at as u64 * 3000;
            assert!(picture.pts.abs_diff(expected) <= 3, "{how}: picture {at} at {}, not {expected}", picture.pts);
        }
    }
}

#[test]
fn a_stream_decodes_through_changes_of_every_kind_as_one() {
    // Two losses, an open that fails, an IDR at the boundary of a group, and OpenH264 in the end.
    let options = ["--frames", "40", "--encoder", "auto", "--gop", "5"];
    let options = [&["--stdout", "--no-pace", "--width", "320", "--height", "180"], &options[..]].concat();
    let ended = Run::new(&options).env(&[("MB_SIM_FAULT", "encode:5@7,encode:20@10,open:21@2,lock:4@3x9")]).finish();
    ended.assert_well();
    let pictures = ended.pictures(size(SIZE.0, SIZE.1));
    let frames: Vec<_> = pictures.iter().map(|picture| picture.mark().map(|mark| mark.frame)).collect();
    assert_eq!(frames, (0..40).map(Some).collect::<Vec<_>>(), "{}", ended.stderr);
}
