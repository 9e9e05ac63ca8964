//! `--stdout` and `--out`: the process takes its own place once, and ends itself where that hangs as well, and says why.

use crate::rig::{
    CALLS, DEADLINE, LIMITS, Machine, SLACK, assert_carried_over, assert_failed_in_time, assert_told, at_once, limit,
};
use crate::support::process::Process;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Waits until it hangs, and then for the end by a limit of so many seconds. A stream that is under way is started over
/// first, in the same process.
fn assert_ends_itself(machine: &Machine, process: Process, seconds: u32, stage: &str) {
    machine.wait_until_hung(1, &process);
    let mut hung = Instant::now();
    let limit = Duration::from_secs(seconds.into());
    // What opens may have taken its time before.
    if stage != "opening" {
        let early = limit - Duration::from_millis(300);
        assert!(process.is_running_after(early) && machine.hangs() == 1, "{stage}: {:?}", process.lines());
        let told = process.wait_for_line("starting over in a new process");
        assert!(hung.elapsed() < limit + SLACK, "{stage}: {:?}", hung.elapsed());
        assert_told(&told, seconds, stage);
        machine.wait_until_hung_again(&process);
        hung = Instant::now();
        assert!(process.is_running_after(early), "{stage}: ended within {early:?}: {:?}", process.lines());
    }
    let ended = process.wait_for(limit + DEADLINE);
    assert_failed_in_time(&ended, hung, seconds, stage);
    machine.assert_all_gone(Duration::from_secs(1));
}

#[test]
fn a_hang_on_the_way_to_standard_output_is_an_error_that_names_the_stage() {
    at_once(&CALLS, |(call, stage)| {
        let machine = Machine::new(call);
        let process = machine.stream(&["--stdout"], &LIMITS);
        assert_ends_itself(&machine, process, limit(stage), stage);
    });
}

#[test]
fn a_hang_on_the_way_to_a_file_is_one_too() {
    at_once(&CALLS, |(call, stage)| {
        let machine = Machine::new(call);
        let out = machine.path("clip.h264");
        let process = machine.stream(&["--out", out.to_str().expect("a plain path")], &LIMITS);
        assert_ends_itself(&machine, process, limit(stage), stage);
        let written = std::fs::metadata(&out).map_or(0, |file| file.len());
        assert_eq!(written > 0, *stage != "opening", "{call}: {written} bytes");
    });
}

/// Every kind of call, wherever in the driver it is: it is noticed and told with some stage.
#[test]
fn whatever_hangs_is_noticed() {
    let calls = [
        "eglGetPlatformDisplay@1",
        "eglCreateContext@1",
        "eglMakeCurrent@1",
        "glGenFramebuffers@1",
        "cuInit@1",
        "cuDevicePrimaryCtxRetain@1",
        "NvEncodeAPICreateInstance@1",
        "nvEncInitializeEncoder@1",
        "cuGraphicsMapResources@20",
        "cuMemcpy2D_v2@20",
        "nvEncMapInputResource@20",
        "nvEncEncodePicture@20",
        "nvEncUnlockBitstream@20",
    ];
    at_once(&calls, |call| {
        // A driver has more than one call for a copy; the program uses one of them.
        let call = if call.starts_with("cuMemcpy") { "cuMemcpy2D_v2@20;cuMemcpy2DAsync_v2@20" } else { call };
        let machine = Machine::new(call);
        let process = machine.stream(&["--stdout"], &LIMITS);
        machine.wait_until_hung(1, &process);
        let ended = process.wait_for(DEADLINE);
        assert_eq!(ended.code(), 1, "{call}: {}", ended.stderr);
        assert_told(&ended.stderr, limit(if call.ends_with("@1") { "opening" } else { "a picture" }), "while");
    });
}

#[test]
fn a_reader_gets_what_was_encoded_before_and_then_the_end() {
    let machine = Machine::new("glReadPixels@40");
    let mut command = machine.bare();
    command.arg("--stdout").args(machine.small(&LIMITS)).stdout(Stdio::piped());
    let mut process = Process::start(&mut command);
    let stream = process.stdout().all();
    let ended = process.wait_for(DEADLINE);
    assert_eq!(ended.code(), 1, "{}", ended.stderr);
    assert_told(&ended.stderr, 1, "reading back");
    assert!(stream.starts_with(&[0, 0, 0, 1]), "{} bytes", stream.len());
}

#[test]
fn a_picture_has_five_seconds_unless_told() {
    let machine = Machine::new("glReadPixels@40");
    let process = machine.stream(&["--stdout"], &[]);
    assert_ends_itself(&machine, process, 5, "reading back");
}

#[test]
fn the_limits_can_be_variables() {
    at_once(
        &[
            ("glReadPixels@40", "MB_ENCODE_HANG_TIMEOUT", "reading back"),
            ("eglInitialize@1", "MB_ENCODE_START_TIMEOUT", "opening"),
        ],
        |(call, variable, stage)| {
            let machine = Machine::new(call);
            let process = Process::start(machine.bare().arg("--stdout").args(machine.small(&[])).env(variable, "2"));
            assert_ends_itself(&machine, process, 2, stage);
        },
    );
}

#[test]
fn opening_has_a_limit_of_its_own_which_is_longer_unless_told() {
    for options in [&["--hang-timeout", "1"][..], &["--hang-timeout", "1", "--start-timeout", "30"]] {
        let machine = Machine::new("eglInitialize@1");
        let process = machine.stream(&["--stdout"], options);
        machine.wait_until_hung(1, &process);
        assert!(process.is_running_after(Duration::from_secs(4)), "{options:?}: {:?}", process.lines());
    }
}

#[test]
fn a_picture_that_takes_less_than_the_limit_is_no_hang() {
    // A shader that takes half a second or so a picture, on a processor that others use as well.
    let machine = Machine::new("glFinish@1000000");
    let shader = machine.path("slow.glsl");
    let text = "void mainImage(out vec4 colour, in vec2 at) {
        float x = at.x;
        for (int i = 0; i < 20000; i++) x = fract(sin(x + iTime) * 43758.5);
        colour = vec4(x);
    }";
    std::fs::write(&shader, text).expect("the folder can be written");
    let shader: &Path = &shader;
    let options =
        ["--shader", shader.to_str().expect("a plain path"), "--frames", "3", "--no-pace", "--hang-timeout", "15"];
    let ended = machine.stream(&["--stdout"], &options).wait_for(Duration::from_secs(20));
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
}

/// Its reader sees one IDR picture more, and nothing else of it.
#[test]
fn a_stream_goes_on_behind_a_hang() {
    at_once(&CALLS[2..], |(call, stage)| {
        let machine = Machine::new(call).once();
        let mut command = machine.bare();
        let frames = ["--frames", "100", "--gop", "3600"];
        command.arg("--stdout").args(machine.small(&[&LIMITS[..2], &frames].concat())).stdout(Stdio::piped());
        let mut process = Process::start(&mut command);
        let pid = process.id();
        let stream = process.stdout().all();
        let ended = process.wait_for(DEADLINE);
        assert_eq!(ended.code(), 0, "{call}: {}", ended.stderr);
        assert_told(&ended.stderr, 1, stage);
        assert_eq!(ended.stderr.lines().count(), 1, "{call}: {}", ended.stderr);
        assert_eq!(machine.hung().into_iter().collect::<Vec<_>>(), [pid as i32], "{call}: by the same process");
        assert_carried_over(&stream, 100, call);
        machine.assert_all_gone(Duration::from_secs(1));
    });
}

#[test]
fn a_file_goes_on_behind_a_hang() {
    let machine = Machine::new("glReadPixels@40").once();
    let out = machine.path("clip.h264");
    let options = [&LIMITS[..2], &["--frames", "100", "--gop", "3600", "--no-pace"]].concat();
    let ended = machine.stream(&["--out", out.to_str().expect("a plain path")], &options).wait_for(DEADLINE);
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    assert_carried_over(&std::fs::read(&out).expect("the file"), 100, "a file");
}
