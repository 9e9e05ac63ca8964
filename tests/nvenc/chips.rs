//! GPUs of which it is known that they have no encoder, and what a process keeps of CUDA that does nothing else with it.

use crate::run::{Ended, Run, size};
use crate::support::sim;

const SMALL: [&str; 10] =
    ["--stdout", "--no-pace", "--frames", "3", "--width", "320", "--height", "180", "--log-level", "debug"];

fn run(variables: &[(&str, &str)], options: &[&str]) -> Ended {
    let mut run = Run::new(&[&SMALL[..], options].concat());
    run.command.env("__EGL_VENDOR_LIBRARY_FILENAMES", sim::egl_vendor());
    run.env(variables).finish()
}

/// How many contexts were made, and how often a session was asked for.
fn asked(ended: &Ended) -> [u64; 2] {
    ["call.cuDevicePrimaryCtxRetain", "call.NvEncOpenEncodeSessionEx"].map(|call| ended.report.count(call))
}

#[test]
fn a_gpu_that_is_known_to_have_none_is_not_asked() {
    let devices = [("MB_SIM_EGL_DEVICES", "0"), ("MB_SIM_CAPABILITY", "9.0")];
    for options in [&["--encoder", "auto"][..], &["--encoder", "auto", "--device", "0"]] {
        let ended = run(&devices, options);
        ended.assert_well();
        let said = &ended.stderr;
        assert!(said.contains("no GPU of compute capability 9.0 has one [no-nvenc]"), "{options:?}: {said}");
        assert_eq!(ended.pictures(size(320, 180)).len(), 3, "{options:?}: {said}");
        assert_eq!(asked(&ended), [0, 0], "{options:?}: {said}");
    }
    // Who asks for it by name has the driver asked, and another GPU may have one.
    let ended = run(&devices, &["--encoder", "nvenc"]);
    ended.assert_well();
    assert_eq!((ended.report.count("pictures"), asked(&ended)[1]), (3, 1), "{}", ended.stderr);
    let ended = run(&[("MB_SIM_EGL_DEVICES", "0"), ("MB_SIM_CAPABILITY", "8.9")], &["--encoder", "auto"]);
    assert_eq!(ended.report.count("pictures"), 3, "{}", ended.stderr);
}

#[test]
fn of_several_those_without_one_are_passed_over_at_once() {
    // Eight of them, as in a server made to compute, and seven beside one that encodes.
    for (capabilities, by) in [("9.0", None), ("8.0,8.0,8.0,8.0,8.0,8.9,8.0,8.0", Some(5))] {
        let variables =
            [("MB_SIM_DEVICES", "8"), ("MB_SIM_EGL_DEVICES", "0,1,2,3,4,5,6,7"), ("MB_SIM_CAPABILITY", capabilities)];
        let ended = run(&variables, &["--encoder", "auto"]);
        ended.assert_well();
        assert_eq!(ended.report.count("pictures"), by.map_or(0, |_| 3), "{}", ended.stderr);
        for gpu in 0..8 {
            let made = ended.report.count(&format!("device.{gpu}"));
            assert_eq!(made > 0, by == Some(gpu), "{capabilities}, GPU {gpu}: {}", ended.stderr);
        }
    }
}

#[test]
fn pictures_from_host_memory_do_without_it_as_well() {
    let mut run = Run::with_drivers(&sim::drivers_without_gl(), &["--stdout", "--no-pace", "--encoder", "auto"]);
    let file = run.folder.path().join("pictures.y4m");
    let picture = [&b"FRAME\n"[..], &[128; 320 * 180 * 3 / 2]].concat();
    let head = b"YUV4MPEG2 W320 H180 F25:1 Ip A1:1 C420jpeg\n".to_vec();
    std::fs::write(&file, [head, picture.clone(), picture].concat()).expect("room for pictures");
    run.command.arg("--input").arg(file);
    let ended = run.env(&[("MB_SIM_CAPABILITY", "8.0")]).finish();
    ended.assert_well();
    assert_eq!(asked(&ended), [0, 0], "{}", ended.stderr);
    assert_eq!(ended.pictures(size(320, 180)).len(), 2, "{}", ended.stderr);
}

#[test]
fn a_process_of_one_stream_takes_little_of_cuda_for_itself_alone() {
    let queues = |value: Option<&str>| {
        let folder = tempfile::tempdir().expect("a folder");
        let seen = folder.path().join("seen");
        let command = format!(
            "echo \"${{CUDA_DEVICE_MAX_CONNECTIONS-unset}}\" >{}; printf 'YUV4MPEG2 W160 H64 F25:1 Ip\\nFRAME\\n'; head -c 15360 /dev/zero",
            seen.display()
        );
        let mut run = Run::new(&["--stdout", "--no-pace", "--encoder", "nvenc", "--input-command", &command]);
        run.command.env_remove("CUDA_DEVICE_MAX_CONNECTIONS");
        run.command.envs(value.map(|value| ("CUDA_DEVICE_MAX_CONNECTIONS", value)));
        let ended = run.finish();
        ended.assert_well();
        assert!(ended.report.count("limit.0.256") > 0, "the stack of kernels: {}", ended.stderr);
        let by_driver = ["1", "4", "unset"].map(|number| ended.report.count(&format!("connections.{number}")));
        (by_driver, std::fs::read_to_string(seen).expect("the command ran"))
    };
    let ([one, _, _], seen) = queues(None);
    assert!(one > 0 && seen == "unset\n", "one for itself, and the other program knows nothing of it: {one}, {seen}");
    let ([one, four, _], seen) = queues(Some("4"));
    assert!(one == 0 && four > 0 && seen == "4\n", "who sets it knows better: {four}, {seen}");
}
