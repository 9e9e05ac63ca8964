//! A GPU that is reset under GL, which draws black from then on: the picture is drawn again in a new context.
//!
//! What is robust about a context is the simulated vendor's; Mesa draws. When a real driver tells of a reset cannot be
//! shown here.

use crate::annex_b::{Nal, nals, pictures};
use crate::demux::demux;
use crate::losses::{WAITS, attempts, idrs};
use crate::run::{Ended, Run, at_once, size};
use crate::support::decode;
use crate::support::sim;

const SIZE: (u32, u32) = (320, 180);
const OPTIONS: [&str; 9] = ["--stdout", "--no-pace", "--gop", "3600", "--width", "320", "--height", "180", "--frames"];

/// Where a reset is told of, and how GL's pictures get to the encoder.
#[derive(Clone, Copy, Debug)]
enum Machine {
    /// Mesa draws, and there is no driver of NVIDIA's.
    Software,
    /// A GPU draws, and OpenH264 was asked for.
    GpuAndOpenh264,
    /// A GPU draws and codes.
    Nvenc,
}

use Machine::{GpuAndOpenh264, Nvenc, Software};

fn run(machine: Machine, frames: u32, variables: &[(&str, &str)]) -> Ended {
    let frames = frames.to_string();
    let options = [&OPTIONS[..], &[frames.as_str()]].concat();
    let nothing = tempfile::tempdir().expect("an empty folder");
    let mut run = match machine {
        Software => Run::with_drivers(nothing.path(), &[&options[..], &["--encoder", "auto"]].concat()),
        GpuAndOpenh264 => Run::new(&[&options[..], &["--encoder", "openh264"]].concat()),
        Nvenc => Run::new(&options),
    };
    run.command.env("__EGL_VENDOR_LIBRARY_FILENAMES", sim::egl_vendor());
    if !matches!(machine, Software) {
        run.command.envs([("MB_SIM_EGL_DEVICES", "0"), ("MB_SIM_EGL_CLAIMS", "devices")]);
    }
    run.env(variables).finish()
}

/// The order for a reset of this kind at a picture, the first being 0, in so many contexts' lives.
fn reset(machine: Machine, kind: u32, picture: u32, lives: u32) -> String {
    match machine {
        Software | GpuAndOpenh264 => format!("egl:glReadPixels:{kind}@{picture}x{lives}"),
        // The simulated driver reads each of the two planes.
        Nvenc => format!("egl:glGetTexImage:{kind}@{}x{lives}", picture * 2),
    }
}

const GUILTY: u32 = 0x8253;
const INNOCENT: u32 = 0x8254;
const UNKNOWN: u32 = 0x8255;

/// Checks that the stream holds pictures 0 to `count`, each once and none black, with the same parameter sets in front of
/// an IDR picture at each of `at`.
fn assert_one_stream(ended: &Ended, count: usize, at: &[usize], what: &str) {
    assert_eq!(ended.code, 0, "{what}: {}", ended.stderr);
    ended.report.assert_clean();
    let stream = &ended.stream;
    assert_eq!(pictures(stream), count, "{what}: {}", ended.stderr);
    assert_eq!(idrs(stream), at, "{what}: IDR pictures; {}", ended.stderr);
    let marks = decode::all_marks(stream, SIZE);
    assert_eq!(marks.len(), count, "{what}: {}", ended.stderr);
    decode::assert_frames_rise_by_one(&marks);
    let nals = nals(stream);
    for kind in [7, 8] {
        let sets: Vec<_> = nals.iter().filter(|nal| nal.unit_type() == kind).map(|nal: &Nal<'_>| nal.bytes).collect();
        assert_eq!(sets.len(), at.len(), "{what}: parameter sets");
        assert!(sets.windows(2).all(|pair| pair[0] == pair[1]), "{what}: other parameter sets");
    }
}

#[test]
fn one_reset_costs_an_idr_and_no_picture_whatever_encodes() {
    for machine in [Software, GpuAndOpenh264, Nvenc] {
        let kinds = [
            (GUILTY, "GUILTY_CONTEXT_RESET"),
            (INNOCENT, "INNOCENT_CONTEXT_RESET"),
            (UNKNOWN, "UNKNOWN_CONTEXT_RESET"),
        ];
        at_once(&kinds, |&(kind, name)| {
            let ended = run(machine, 9, &[("MB_SIM_FAULT", &reset(machine, kind, 4, 1))]);
            let what = format!("{machine:?}, {name}");
            assert_one_stream(&ended, 9, &[0, 4], &what);
            assert_eq!(attempts(&ended), WAITS[..1], "{what}: {}", ended.stderr);
            let said = ended.stderr.lines().find(|line| line.contains("starting over")).unwrap_or_default();
            assert!(said.contains("the GPU was reset") && said.contains(name), "{what}: {}", ended.stderr);
            let contexts = ["resets", "contexts.robust", "contexts.plain"].map(|what| ended.report.count(what));
            assert_eq!(contexts, [1, 2, 0], "{what}");
        });
    }
}

#[test]
fn a_picture_that_was_lost_is_drawn_anew_for_the_time_it_was_due() {
    at_once(&[Software, GpuAndOpenh264], |&machine| {
        let ended = run(machine, 9, &[("MB_ENCODE_MPEGTS", "native"), ("MB_SIM_FAULT", &reset(machine, GUILTY, 4, 1))]);
        let times: Vec<_> = demux(&ended.assert_well().stream).iter().map(|picture| picture.pts).collect();
        assert_eq!(attempts(&ended), WAITS[..1], "{machine:?}: {}", ended.stderr);
        assert!(times.len() == 9 && times.windows(2).all(|pair| pair[1] - pair[0] == 1500), "{machine:?}: {times:?}");
    });
}

#[test]
fn a_reset_before_the_first_picture_and_several_in_a_row_are_no_end_either() {
    at_once(&[Software, GpuAndOpenh264, Nvenc], |&machine| {
        let ended = run(machine, 5, &[("MB_SIM_FAULT", &reset(machine, GUILTY, 0, 1))]);
        assert_one_stream(&ended, 5, &[0], &format!("{machine:?}: the first picture"));
        let ended = run(machine, 12, &[("MB_SIM_FAULT", &reset(machine, GUILTY, 3, 3))]);
        assert_one_stream(&ended, 12, &[0, 3, 6, 9], &format!("{machine:?}: three resets"));
        assert_eq!(attempts(&ended), WAITS, "{machine:?}: {}", ended.stderr);
    });
}

#[test]
fn one_reset_too_many_ends_the_stream_with_the_reason() {
    at_once(&[Software, GpuAndOpenh264], |&machine| {
        let ended = run(machine, 30, &[("MB_SIM_FAULT", &reset(machine, GUILTY, 3, 4))]);
        assert_eq!(ended.code, 1, "{machine:?}: {}", ended.stderr);
        ended.report.assert_clean();
        assert_eq!(attempts(&ended), WAITS, "{machine:?}");
        let (_, last) = ended.stderr.split_once(" ERROR ").unwrap_or_else(|| panic!("{machine:?}: {}", ended.stderr));
        for words in ["did not come back in 3 attempts", "GL_GUILTY_CONTEXT_RESET", "[gl-lost]", "dmesg", "lighter"] {
            assert!(last.contains(words), "{machine:?}: {words:?} is not in {last}");
        }
        assert_eq!((pictures(&ended.stream), idrs(&ended.stream)), (12, vec![0, 3, 6, 9]), "{machine:?}");
    });
}

#[test]
fn a_driver_without_robust_contexts_draws_all_the_same_and_tells_of_no_reset() {
    for robust in ["no", "ignored"] {
        at_once(&[Software, GpuAndOpenh264, Nvenc], |&machine| {
            let ended = run(machine, 3, &[("MB_SIM_EGL_ROBUST", robust)]);
            assert_one_stream(&ended, 3, &[0], &format!("{machine:?}, {robust}"));
            assert_eq!(ended.report.count("contexts.plain"), 1, "{machine:?}, {robust}");

            let fault = reset(machine, GUILTY, 2, 1);
            let ended = run(machine, 5, &[("MB_SIM_EGL_ROBUST", robust), ("MB_SIM_FAULT", &fault)]);
            assert_eq!(ended.code, 0, "{machine:?}, {robust}: {}", ended.stderr);
            let marks: Vec<_> = ended.pictures(size(SIZE.0, SIZE.1)).iter().map(|it| it.mark().is_some()).collect();
            assert_eq!(marks, [true, true, false, false, false], "{machine:?}, {robust}");
        });
    }
}
