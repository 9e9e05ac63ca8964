//! The program on the way of pictures that other programs make: no EGL, no GL, NVENC alone, and what it does when it is
//! lost.

use crate::annex_b::pictures;
use crate::fifo::Viewer;
use crate::host::planes;
use crate::losses::{WAITS, attempts, idrs};
use crate::moves::once;
use crate::run::{Ended, Run, at_once, decoded, size};
use crate::support::process::Process;
use crate::support::sim;
use mb_encode::settings::Size;
use std::io::Write as _;
use std::process::Stdio;

/// YUV4MPEG2 of so many pictures.
fn y4m(size: Size, count: u32) -> Vec<u8> {
    let mut file = format!("YUV4MPEG2 W{} H{} F25:1 Ip A1:1 C420jpeg\n", size.width(), size.height()).into_bytes();
    for number in 0..count {
        file.extend_from_slice(b"FRAME\n");
        file.extend(planes(size, number));
    }
    file
}

/// A run on a machine with the drivers and without GL, which shows so many pictures of a file at once.
fn run(size: Size, count: u32, options: &[&str]) -> Run {
    let mut run = Run::with_drivers(&sim::drivers_without_gl(), &["--stdout", "--no-pace", "--gop", "3600"]);
    let file = run.folder.path().join("pictures.y4m");
    std::fs::write(&file, y4m(size, count)).expect("room for pictures");
    run.command.args(options).arg("--input").arg(file);
    run
}

/// Checks that the stream holds all of the file's pictures, each once and sample for sample, with IDR pictures at `at`.
fn assert_shown(ended: &Ended, size: Size, count: u32, at: &[usize], what: &str) {
    ended.assert_well();
    let shown = decoded(&ended.stream, size);
    assert_eq!(shown.len() as u32, count, "{what}: {}", ended.stderr);
    for (number, picture) in shown.iter().enumerate() {
        assert!(picture.bytes == planes(size, number as u32), "{what}: picture {number} is another one");
    }
    assert_eq!(idrs(&ended.stream), at, "{what}: IDR pictures");
}

#[test]
fn a_file_is_shown_sample_for_sample_without_gl() {
    let sizes = [(160, 64), (146, 130), (640, 362), (1278, 718)];
    at_once(&sizes, |&(width, height)| {
        let size = size(width, height);
        for encoder in ["nvenc", "auto"] {
            let ended = run(size, 4, &["--encoder", encoder]).finish();
            assert_shown(&ended, size, 4, &[0], encoder);
            assert_eq!(ended.report.count("pictures"), 4, "{size}: by NVENC");
            assert_eq!(ended.report.count("call.cuGLGetDevices_v2"), 0, "{size}");
        }
    });
}

#[test]
fn device_counts_as_cuda_does() {
    let variables = [("MB_SIM_DEVICES", "3"), ("CUDA_VISIBLE_DEVICES", "2,0")];
    for (device, name) in [("0", "Simulated GPU 2"), ("1", "Simulated GPU 0")] {
        let ended = run(size(160, 64), 2, &["--device", device, "--log-level", "debug"]).env(&variables).finish();
        assert_shown(&ended, size(160, 64), 2, &[0], device);
        assert!(ended.stderr.contains(name), "{name}: {}", ended.stderr);
    }
    for encoder in ["nvenc", "auto"] {
        let ended = run(size(160, 64), 2, &["--device", "2", "--encoder", encoder]).env(&variables).finish();
        ended.report.assert_clean();
        let why = "there is no GPU 2: CUDA shows 2 [no-such-gpu]";
        assert!(ended.stderr.contains(why), "{encoder}: {}", ended.stderr);
        // OpenH264 needs no GPU for pictures that are there already.
        let shown = if encoder == "auto" { (0, 2) } else { (1, 0) };
        assert_eq!((ended.code, pictures(&ended.stream)), shown, "{encoder}: {}", ended.stderr);
    }
}

#[test]
fn one_loss_costs_an_idr_and_no_picture_wherever_it_is_seen() {
    // Rows of the first size adjoin on the GPU, those of the second do not.
    let (packed, padded) = (size(320, 180), size(322, 180));
    let orders = [
        (packed, "encode:5@4", "NvEncEncodePicture failed with NV_ENC_ERR_DEVICE_NOT_EXIST (5)"),
        (packed, "lock:20@4", "NvEncLockBitstream failed with NV_ENC_ERR_GENERIC (20)"),
        (packed, "map:16@4", "NvEncMapInputResource failed with NV_ENC_ERR_MAP_FAILED (16)"),
        (packed, "unlock:5@4", "NvEncUnlockBitstream failed with NV_ENC_ERR_DEVICE_NOT_EXIST (5)"),
        (packed, "unmap:20@4", "NvEncUnmapInputResource failed with NV_ENC_ERR_GENERIC (20)"),
        (packed, "cuda:cuMemcpyHtoD_v2:999@4", "cuMemcpyHtoD failed with CUDA_ERROR_UNKNOWN (999)"),
        (packed, "cuda:cuMemcpyHtoD_v2:7777@4", "cuMemcpyHtoD failed with CUDA status 7777"),
        // A picture is two of ours and three of the simulated encoder's.
        (padded, "cuda:cuMemcpy2D_v2:999@20", "cuMemcpy2D failed with CUDA_ERROR_UNKNOWN (999)"),
        (padded, "cuda:cuMemcpy2D_v2:4@21", "CUDA_ERROR_DEINITIALIZED (4)"),
    ];
    for (size, order, seen) in orders {
        at_once(&["nvenc", "auto"], |encoder| {
            let what = format!("{order}, {encoder}");
            let ended = run(size, 9, &["--encoder", encoder]).env(&[("MB_SIM_FAULT", order)]).finish();
            assert_shown(&ended, size, 9, &[0, 4], &what);
            assert_eq!(attempts(&ended), WAITS[..1], "{what}");
            assert!(ended.stderr.contains(seen), "{what}: {}", ended.stderr);
            assert_eq!(ended.report.count("peak.sessions"), 1, "{what}: the old session is gone before the new one");
        });
    }
}

#[test]
fn one_loss_too_many_ends_nvenc_and_makes_auto_go_on_with_openh264() {
    let fault = [("MB_SIM_FAULT", "encode:5@3x4")];
    let ended = run(size(320, 180), 30, &[]).env(&fault).finish();
    assert_eq!((ended.code, attempts(&ended)), (1, WAITS.to_vec()), "{}", ended.stderr);
    ended.report.assert_clean();
    assert!(ended.stderr.contains("NVENC failed and did not come back in 3 attempts"), "{}", ended.stderr);
    assert_eq!(pictures(&ended.stream), 12, "{}", ended.stderr);

    let ended = run(size(320, 180), 30, &["--encoder", "auto"]).env(&fault).finish();
    ended.assert_well();
    assert!(ended.stderr.contains("falling back to OpenH264"), "{}", ended.stderr);
    assert_eq!((pictures(&ended.stream), idrs(&ended.stream)), (30, vec![0, 3, 6, 9, 12]), "{}", ended.stderr);
}

#[test]
fn a_picture_that_stands_still_is_there_again_after_a_loss() {
    assert_stands(&[], &y4m(size(160, 64), 1), planes(size(160, 64), 0)[0]);
}

#[test]
fn one_that_is_converted_stands_still_after_a_loss_as_well() {
    // Grey: 16 + 219 * 128 / 255.
    assert_stands(&["--input-format", "rgb24", "--width", "160", "--height", "64"], &vec![128; 160 * 64 * 3], 126);
}

/// Hands one picture over and no other one, has the encoder be lost with it, and looks whether it stays; its first sample
/// is to be `luma`.
fn assert_stands(options: &[&str], bytes: &[u8], luma: u8) {
    // The drivers see the picture, and the picture as it stands. A third one is never made: what repeats it needs no encoder.
    at_once(&["encode:5@0", "encode:5@1", "encode:5@2"], |order| {
        let mut run = Run::with_drivers(&sim::drivers_without_gl(), &["--stdout", "--input", "-"]);
        run.command.args(options).stdin(Stdio::piped());
        let mut run = run.env(&[("MB_SIM_FAULT", order)]);
        let mut process = Process::start(&mut run.command);
        let mut producer = process.stdin();
        producer.write_all(bytes).expect("it reads");
        let mut viewer = Viewer::new(process.stdout());
        let mut stream = viewer.units(8);
        drop(producer);
        stream.extend(viewer.rest());
        let ended = process.wait();
        assert_eq!(ended.code(), 0, "{order}: {}", ended.stderr);
        let is_lost = ended.stderr.contains("starting over in 100 ms");
        assert_eq!(is_lost, *order != "encode:5@2", "{order}: {}", ended.stderr);
        run.report().assert_clean();
        let shown = decoded(&stream, size(160, 64));
        assert!(shown.len() >= 8, "{order}: {}", shown.len());
        for (number, picture) in shown.iter().enumerate() {
            assert!(picture.bytes == shown[0].bytes, "{order}: picture {number} is another one");
        }
        assert_eq!(shown[0].bytes[0], luma, "{order}");
    });
}

/// Where another process goes on, each picture of a file is there once and sample for sample all the same.
#[test]
fn a_file_goes_on_at_the_picture_that_was_lost_with_its_process() {
    let (packed, padded) = (size(320, 180), size(322, 180));
    let orders = [(packed, "cuda:cuMemcpyHtoD_v2:719@4", 4), (padded, "cuda:cuMemcpy2D_v2:700@20", 4)];
    at_once(&orders, |&(size, order, at)| {
        let ended = once(run(size, 9, &[]).env(&[("MB_SIM_FAULT", order)])).finish();
        assert_shown(&ended, size, 9, &[0, at], order);
        assert_eq!(attempts(&ended), ["100 ms (1 of 3), in a new process"], "{}", ended.stderr);
    });
    // Three processes, and then OpenH264.
    let ended = run(packed, 20, &["--encoder", "auto"]).env(&[("MB_SIM_FAULT", "cuda:cuMemcpyHtoD_v2:719@4")]).finish();
    ended.assert_well();
    assert_eq!((pictures(&ended.stream), idrs(&ended.stream)), (20, vec![0, 4, 8, 12, 16]), "{}", ended.stderr);
}

/// What a process has read of a pipe is handed on, down to the last byte, and whoever writes into it does not notice.
#[test]
fn standard_input_goes_on_behind_what_was_read_of_it() {
    let size = size(320, 180);
    let raw = ["--input-format", "yuv420p", "--width", "320", "--height", "180"];
    at_once(&[&[][..], &raw], |options| {
        let mut bytes = y4m(size, 24);
        if !options.is_empty() {
            bytes = (0..24).flat_map(|number| planes(size, number)).collect();
        }
        let mut run = Run::with_drivers(&sim::drivers_without_gl(), &["--stdout", "--no-pace", "--gop", "3600"]);
        run.command.args(*options).args(["--encoder", "auto", "--input", "-"]).stdin(Stdio::piped());
        let mut run = run.env(&[("MB_SIM_FAULT", "cuda:cuMemcpyHtoD_v2:719@6")]);
        let mut process = Process::start(&mut run.command);
        let mut producer = process.stdin();
        let writing = std::thread::spawn(move || producer.write_all(&bytes));
        let stream = process.stdout().all();
        let ended = process.wait();
        assert!(writing.join().expect("no panic in it").is_ok(), "{options:?}: it has noticed: {}", ended.stderr);
        assert_eq!((ended.code(), attempts_in(&ended.stderr)), (0, 3), "{options:?}: {}", ended.stderr);
        run.report().assert_clean();
        // OpenH264, which goes on behind three processes, is lossy.
        let shown = decoded(&stream, size);
        assert_eq!((shown.len(), idrs(&stream)), (24, vec![0, 6, 12, 18]), "{options:?}: {}", ended.stderr);
        for (number, picture) in shown.iter().enumerate().take(18) {
            assert!(picture.bytes == planes(size, number as u32), "{options:?}: picture {number} is another one");
        }
    });
}

fn attempts_in(stderr: &str) -> usize {
    stderr.matches("in a new process").count()
}

/// Nobody hands over another picture, and the one that stands stays.
#[test]
fn a_picture_that_stands_still_is_there_in_the_next_process() {
    at_once(&["cuda:cuMemcpyHtoD_v2:719@0", "cuda:cuMemcpyHtoD_v2:719@1"], |order| {
        let mut run = Run::with_drivers(&sim::drivers_without_gl(), &["--stdout", "--input", "-"]);
        run.command.stdin(Stdio::piped());
        let mut run = once(run.env(&[("MB_SIM_FAULT", order)]));
        let mut process = Process::start(&mut run.command);
        let mut producer = process.stdin();
        producer.write_all(&y4m(size(160, 64), 1)).expect("it reads");
        let mut viewer = Viewer::new(process.stdout());
        let mut stream = viewer.units(8);
        drop(producer);
        stream.extend(viewer.rest());
        let ended = process.wait();
        assert_eq!((ended.code(), attempts_in(&ended.stderr)), (0, 1), "{order}: {}", ended.stderr);
        run.report().assert_clean();
        let shown = decoded(&stream, size(160, 64));
        assert!(shown.len() >= 8, "{order}: {}", shown.len());
        for (number, picture) in shown.iter().enumerate() {
            assert!(picture.bytes == planes(size(160, 64), 0), "{order}: picture {number} is another one");
        }
    });
}

/// A file goes on behind a hang, too. Of standard input nobody knows then how much was read, so that the stream ends.
#[test]
fn a_hang_is_got_over_where_the_input_can_be() {
    let hang = [("MB_SIM_HANG", "nvEncLockBitstream@6")];
    let mut file = run(size(320, 180), 9, &["--hang-timeout", "1"]).env(&hang);
    let once = file.folder.path().join("once");
    file.command.env("MB_SIM_HANG_ONCE", once);
    let ended = file.finish();
    assert_shown(&ended, size(320, 180), 9, &[0, 5], "a file");
    assert!(ended.stderr.contains("starting over in a new process"), "{}", ended.stderr);

    let options = ["--stdout", "--no-pace", "--input", "-", "--hang-timeout", "1"];
    let mut run = Run::with_drivers(&sim::drivers_without_gl(), &options).env(&hang);
    run.command.stdin(Stdio::piped());
    let mut process = Process::start(&mut run.command);
    let mut producer = process.stdin();
    let bytes = y4m(size(160, 64), 99);
    std::thread::spawn(move || producer.write_all(&bytes));
    let stream = process.stdout().all();
    let ended = process.wait();
    assert!(ended.code() == 1 && ended.stderr.contains("no progress for 1 s"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("starting over"), "{}", ended.stderr);
    assert_eq!(pictures(&stream), 5);
}
