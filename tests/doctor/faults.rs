//! Each fault of the simulated drivers is found where it is, with what to do about it, and the rest goes on.

use crate::{Report, doctor_with, run, sim};
use std::path::Path;

/// What is ordered of the drivers, the check that fails, and words that it says.
type Case = (&'static [(&'static str, &'static str)], &'static str, &'static [&'static str]);

/// What is to be found with `env`: `check` fails with `words` in what it found or in its remedy, what needs it is
/// skipped, and OpenH264 works all the same.
fn assert_found(libraries: &Path, env: &[(&str, &str)], check: &str, words: &[&str]) {
    assert_found_with(libraries, env, &[], check, words);
}

/// What is to be found where GL and CUDA do not share: NVENC works all the same, through host memory.
fn assert_apart(libraries: &Path, env: &[(&str, &str)], check: &str, words: &[&str]) {
    let report = assert_failed(libraries, env, &[], check, words);
    let verdict = report.json["verdict"].as_str().unwrap();
    assert_eq!((report.state("nvenc-picture"), report.state("nvenc-upload")), ("SKIP", "OK"), "{:#}", report.json);
    assert_eq!((report.json["encoder"].as_str(), report.code), (Some("nvenc"), 0), "{:#}", report.json);
    assert!(verdict.starts_with("NVENC works") && verdict.contains("through host memory"), "{verdict}");
}

fn assert_found_with(libraries: &Path, env: &[(&str, &str)], args: &[&str], check: &str, words: &[&str]) {
    let report = assert_failed(libraries, env, args, check, words);
    let what = format!("{env:?}: {:#}", report.json);
    assert_eq!(report.state("nvenc-picture"), if check == "nvenc-picture" { "FAIL" } else { "SKIP" }, "{what}");
    assert_eq!((report.json["encoder"].as_str(), report.code), (Some("openh264"), 0), "{what}");
}

/// That `check` alone fails, with `words` in what it found or in its remedy, and OpenH264 works.
fn assert_failed(libraries: &Path, env: &[(&str, &str)], args: &[&str], check: &str, words: &[&str]) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let drivers = folder.path().join("drivers.json");
    let mut command = doctor_with(libraries);
    let report = Report::of(command.envs(env.iter().copied()).env("MB_SIM_REPORT", &drivers).args(args));
    let what = format!("{env:?}: {:#}", report.json);
    assert_eq!(report.all("FAIL"), [check], "{what}");
    let said = report.check(check);
    let said = format!("{} {}", said["found"].as_str().unwrap(), said["remedy"].as_str().unwrap());
    for words in words {
        assert!(said.contains(words), "{words:?} is not in {said:?}, {what}");
    }
    assert_eq!(report.state("openh264"), "OK", "{what}");
    if !env.iter().any(|(name, _)| *name == "MB_SIM_CRASH") {
        sim::Report::read(&drivers).assert_nothing_left();
    }
    report
}

#[test]
fn of_cuda() {
    let drivers = sim::drivers();
    let cases: [Case; 9] = [
        (&[("MB_SIM_DRIVER_VERSION", "11080")], "nvidia-driver", &["too old", "CUDA 11.8", "530.41.03"]),
        (&[("MB_SIM_FAULT", "cuda:cuInit:34")], "nvidia-driver", &["STUB_LIBRARY (34)", "LD_LIBRARY_PATH"]),
        (&[("MB_SIM_FAULT", "cuda:cuInit:100")], "nvidia-driver", &["NO_DEVICE (100)", "nvidia-smi -L", "--gpus all"]),
        (&[("MB_SIM_FAULT", "cuda:cuInit:802")], "nvidia-driver", &["not ready", "nvidia-fabricmanager"]),
        (&[("MB_SIM_FAULT", "cuda:cuInit:803")], "nvidia-driver", &["different versions", "restart"]),
        (&[("MB_SIM_FAULT", "cuda:cuInit:999")], "nvidia-driver", &["UNKNOWN (999)", "dmesg"]),
        (&[("MB_SIM_FAULT", "cuda:cuDeviceGetCount:3")], "cuda-devices", &["NOT_INITIALIZED (3)", "nvidia-smi"]),
        (&[("MB_SIM_FAULT", "cuda:cuDevicePrimaryCtxRetain:46")], "gl-on-cuda", &["nvidia-smi -c DEFAULT"]),
        (&[("MB_SIM_FAULT", "cuda:cuMemAllocPitch_v2:2")], "interop", &["out of memory", "close other programs"]),
    ];
    for (env, check, words) in cases {
        assert_found(drivers, env, check, words);
    }
}

#[test]
fn a_driver_that_is_slow_to_come_up_is_told_of_with_what_keeps_it_loaded() {
    let slow = [("MB_SIM_START", "cuInit=1100,nvEncOpenEncodeSessionEx=1100,cuDevicePrimaryCtxRetain=1100")];
    let report = Report::of(doctor_with(sim::drivers()).envs(slow));
    for check in ["nvidia-driver", "gl-on-cuda", "nvenc-session"] {
        let seen = report.check(check);
        let (found, remedy) = (seen["found"].as_str().unwrap(), seen["remedy"].as_str().unwrap());
        assert_eq!(report.state(check), "WARN", "{check}: {found}");
        assert!(found.contains("up in 1.") && remedy.contains("nvidia-persistenced"), "{check}: {found}: {remedy}");
    }
    assert_eq!((report.json["encoder"].as_str(), report.code), (Some("nvenc"), 0), "{:#}", report.json);
}

#[test]
fn of_gl_and_cuda_that_do_not_share() {
    let drivers = sim::drivers();
    let cases: [Case; 5] = [
        (&[("MB_SIM_GL_DEVICE", "none")], "gl-on-cuda", &["not drawn by an NVIDIA GPU", "10_nvidia.json", "graphics"]),
        (&[("MB_SIM_FAULT", "cuda:cuGraphicsGLRegisterImage:219")], "interop", &["__GL_THREADED_OPTIMIZATIONS"]),
        (&[("MB_SIM_FAULT", "cuda:cuGraphicsGLRegisterImage:304")], "interop", &["OPERATING_SYSTEM (304)", "WSL2"]),
        (&[("MB_SIM_FAULT", "cuda:cuGraphicsGLRegisterImage:801")], "interop", &["SUPPORTED (801)", "cuda-compat"]),
        (&[("MB_SIM_FAULT", "cuda:cuGraphicsGLRegisterImage:999")], "interop", &["UNKNOWN (999)", "WSL2"]),
    ];
    for (env, check, words) in cases {
        assert_apart(drivers, env, check, words);
    }
}

#[test]
fn of_a_libcuda_that_gl_cannot_share_with() {
    let vendor = sim::egl_vendor();
    let nvidia = [("MB_SIM_EGL_DEVICES", "0"), ("__EGL_VENDOR_LIBRARY_FILENAMES", vendor.to_str().unwrap())];
    for (place, whose, status) in [
        ("usr/lib/wsl/lib", "WSL2's", "OPERATING_SYSTEM (304)"),
        ("cuda/compat", "cuda-compat's", "NOT_SUPPORTED (801)"),
    ] {
        let libraries = sim::drivers_from(place);
        assert_apart(&libraries, &nvidia, "gl-on-cuda", &[whose, place, status, "do not work together"]);
        let report = Report::of(&mut doctor_with(&libraries));
        let driver = report.check("nvidia-driver");
        let found = driver["found"].as_str().unwrap();
        let file = libraries.join(place).join("libcuda.so.1.1").canonicalize().unwrap();
        assert!(found.contains(file.to_str().unwrap()) && found.ends_with(&format!("which is {whose}")), "{found}");
        assert_eq!(driver["state"], "WARN", "{driver}");
        assert!(driver["remedy"].as_str().unwrap().contains("through host memory"), "{driver}");
    }
    // Of any other it is told where it lies, behind its links.
    let report = Report::of(&mut doctor_with(sim::drivers()));
    let found = report.check("nvidia-driver")["found"].as_str().unwrap();
    let file = sim::drivers().join("libcuda.so.1").canonicalize().unwrap();
    assert!(found.ends_with(&format!("from {}", file.display())), "{found}");
}

#[test]
fn of_devices() {
    let drivers = sim::drivers();
    assert_apart(
        drivers,
        &[("MB_SIM_DEVICES", "2"), ("MB_SIM_GL_DEVICE", "1"), ("CUDA_VISIBLE_DEVICES", "0")],
        "gl-on-cuda",
        &["NO_DEVICE (100)"],
    );
    // Found before GL is asked for that GPU.
    let report = Report::of(doctor_with(drivers).env("MB_SIM_DEVICES", "2").args(["--device", "5"]));
    let said = report.check("cuda-devices")["found"].as_str().unwrap();
    assert!(said.contains("no device 5") && said.contains("1: Simulated GPU 1"), "{said}");
    assert_eq!(report.state("cuda-devices"), "FAIL");
    // GL has no such GPU to draw with either, and a stream would end with that.
    assert_eq!((report.state("gl-renderer"), report.code), ("FAIL", 1), "{:#}", report.json);

    let mut command = doctor_with(drivers);
    command.envs([("MB_SIM_DEVICES", "3"), ("MB_SIM_GL_DEVICE", "2"), ("CUDA_VISIBLE_DEVICES", "2,0")]);
    let report = Report::of(&mut command);
    let found = |id| report.check(id)["found"].as_str().unwrap();
    assert!(found("cuda-devices").contains("0: Simulated GPU 2, 1: Simulated GPU 0"), "{:#}", report.json);
    assert!(found("cuda-devices").contains("CUDA_VISIBLE_DEVICES=2,0"), "{:#}", report.json);
    assert!(found("gl-on-cuda").contains("CUDA device 0, Simulated GPU 2"), "{:#}", report.json);
    assert_eq!(report.json["encoder"], "nvenc");
}

#[test]
fn of_nvenc() {
    let drivers = sim::drivers();
    let cases: [Case; 12] = [
        (&[("MB_SIM_NVENC_VERSION", "11.1")], "nvenc-library", &["too old", "11.1", "12.1", "530.41.03"]),
        (&[("MB_SIM_FAULT", "instance:15")], "nvenc-library", &["INVALID_VERSION (15)", "530.41.03"]),
        (&[("MB_SIM_FAULT", "open:1")], "nvenc-session", &["NO_ENCODE_DEVICE (1)", "--gpus all", "H200"]),
        (&[("MB_SIM_FAULT", "open:2")], "nvenc-session", &["UNSUPPORTED_DEVICE (2)", "--device"]),
        (&[("MB_SIM_FAULT", "open:10")], "nvenc-session", &["OUT_OF_MEMORY (10)", "GeForce", "encodersessions"]),
        (&[("MB_SIM_SESSION_LIMIT", "0")], "nvenc-session", &["INCOMPATIBLE_CLIENT_KEY (21)", "encodersessions"]),
        (&[("MB_SIM_FAULT", "open:20")], "nvenc-session", &["GENERIC (20)", "dmesg"]),
        (&[("MB_SIM_FAULT", "caps:6")], "nvenc-h264", &["INVALID_PTR (6)"]),
        (&[("MB_SIM_CAPS", "WIDTH_MAX=320")], "nvenc-picture", &["does not support 640x360", "320x"]),
        (&[("MB_SIM_FAULT", "initialize:8")], "nvenc-picture", &["refuses the settings", "INVALID_PARAM (8)"]),
        (&[("MB_SIM_FAULT", "register:23")], "nvenc-picture", &["RESOURCE_REGISTER_FAILED (23)"]),
        (&[("MB_SIM_FAULT", "encode:5@2")], "nvenc-picture", &["DEVICE_NOT_EXIST (5)", "dmesg"]),
    ];
    for (env, check, words) in cases {
        assert_found(drivers, env, check, words);
    }
}

#[test]
fn of_capabilities_that_are_less_is_a_warning() {
    // A mode of rate control is a bit: 1 is a variable rate alone.
    for (lacking, word) in
        [("SUPPORT_CUSTOM_VBV_BUF_SIZE=0", "no rate buffer"), ("SUPPORTED_RATECONTROL_MODES=1", "no constant bitrate")]
    {
        let report = Report::of(doctor_with(sim::drivers()).env("MB_SIM_CAPS", lacking));
        let check = report.check("nvenc-h264");
        assert_eq!(check["state"], "WARN", "{:#}", report.json);
        assert!(check["found"].as_str().unwrap().contains(word), "{check}");
        assert!(check["remedy"].as_str().unwrap().contains("nothing to do"), "{check}");
        assert_eq!((report.state("nvenc-picture"), report.json["encoder"].as_str()), ("OK", Some("nvenc")));
    }
}

#[test]
fn a_symbol_that_is_missing_is_named() {
    let without = sim::drivers_without("cuGraphicsGLRegisterImage");
    assert_found(&without, &[], "nvidia-driver", &["lacks cuGraphicsGLRegisterImage", "530.41.03"]);
    let without = sim::drivers_without("NvEncodeAPICreateInstance");
    assert_found(&without, &[], "nvenc-library", &["lacks NvEncodeAPICreateInstance", "530.41.03"]);
}

#[test]
fn half_a_driver_in_a_container() {
    let words = &["no NVENC library", "libnvidia-encode.so.1", "NVIDIA_DRIVER_CAPABILITIES=compute,video,graphics"];
    assert_found(&sim::cuda_alone(), &[], "nvenc-library", words);
}

#[test]
fn a_crash_is_survived_and_named() {
    for (function, check, words) in [
        ("cuInit", "nvidia-driver", "cuInit"),
        ("cuDeviceGetName", "cuda-devices", "libcuda.so.1"),
        ("cuGLGetDevices_v2", "gl-on-cuda", "cuGLGetDevices"),
        ("cuGraphicsMapResources", "interop", "libcuda.so.1"),
        ("NvEncodeAPIGetMaxSupportedVersion", "nvenc-library", "libnvidia-encode.so.1"),
        ("NvEncOpenEncodeSessionEx", "nvenc-session", "NvEncOpenEncodeSessionEx"),
        ("NvEncGetEncodeCaps", "nvenc-h264", "NvEncGetEncodeCaps"),
        ("NvEncEncodePicture", "nvenc-picture", "libnvidia-encode.so.1"),
    ] {
        let env = [("MB_SIM_CRASH", function)];
        let crashed = format!("crashed (SIGABRT) in {}", if words.starts_with("lib") { words } else { "lib" });
        assert_found(sim::drivers(), &env, check, &[&crashed, words, "dmesg", "--encoder openh264"]);
        let report = Report::of(doctor_with(sim::drivers()).envs(env));
        let verdict = report.json["verdict"].as_str().unwrap();
        assert!(verdict.starts_with("OpenH264 works with --encoder openh264"), "{verdict}");
    }
}

/// What a stream says, when it ends without a picture or goes on without NVENC.
fn said_by_stream(encoder: &str, fault: &str) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = crate::support::process::mb_encode();
    command.env("LD_LIBRARY_PATH", sim::library_path(sim::drivers())).env("MB_SIM_FAULT", fault);
    command.args(["--encoder", encoder, "--width", "160", "--height", "64", "--frames", "2", "--no-pace", "--out"]);
    let ended = crate::support::process::Process::start(command.arg(folder.path().join("clip.h264"))).wait();
    (ended.code(), ended.stderr)
}

#[test]
fn a_message_sends_to_the_doctor_where_it_cannot_name_the_fault() {
    for (fault, unclear) in [
        ("open:20", true),
        ("open:6", true),
        ("register:23", true),
        ("cuda:cuGraphicsGLRegisterImage:721", true),
        ("open:2", false),
        ("open:10", false),
        ("cuda:cuInit:803", false),
    ] {
        let (code, said) = said_by_stream("nvenc", fault);
        assert_eq!((code, said.contains("\n  mb-encode doctor ")), (1, unclear), "{fault}: {said}");
        // go2rtc shows so much to a viewer.
        assert!(said.find("mb-encode doctor").is_none_or(|at| at < 512), "{fault}: {said}");
        // The doctor itself sends nobody to the doctor.
        let report = run(doctor_with(sim::drivers()).env("MB_SIM_FAULT", fault)).text;
        assert!(report.contains("FAIL") && !report.contains("mb-encode doctor"), "{fault}: {report}");
    }
    let (code, said) = said_by_stream("auto", "open:2");
    let warning = said.lines().find(|line| line.contains(" WARN ")).unwrap_or_default();
    assert_eq!((code, warning.ends_with("[no-nvenc]")), (0, true), "{said}");
}

#[test]
fn what_the_verdict_recommends_works_beside_a_driver_that_crashes() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = crate::support::process::mb_encode();
    command.env("LD_LIBRARY_PATH", sim::library_path(sim::drivers())).env("MB_SIM_CRASH", "cuInit");
    command.args(["--encoder", "openh264", "--width", "64", "--height", "64", "--frames", "2", "--no-pace", "--out"]);
    let ended = crate::support::process::Process::start(command.arg(folder.path().join("clip.h264"))).wait();
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
}

/// Who opens a FIFO that nobody writes waits for ever.
fn hanging_library(path: &Path) {
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

#[test]
fn an_egl_that_hangs_is_given_up_on() {
    let folder = tempfile::tempdir().unwrap();
    hanging_library(&folder.path().join("libEGL.so.1"));
    let report = Report::of(doctor_with(folder.path()).args(["--timeout", "3"]));
    let check = report.check("egl-loader").to_string();
    assert_eq!((report.state("egl-loader"), report.code), ("FAIL", 1), "{:#}", report.json);
    assert!(check.contains("no answer within 3 s in libEGL.so.1"), "{check}");
    for moot in ["egl-devices", "gl-renderer"] {
        assert_eq!(report.check(moot)["found"], "needs \"EGL loader\", which failed", "{:#}", report.json);
    }
    assert_eq!(report.state("openh264"), "OK", "it lacks only something to draw with");
    assert_eq!(report.json["verdict"], "no encoder works (EGL loader failed)");
}

#[test]
fn a_hang_is_given_up_on() {
    let folder = tempfile::tempdir().unwrap();
    hanging_library(&folder.path().join("libcuda.so.1"));
    let words = &["no answer within 3 s", "libcuda.so.1", "dmesg"];
    assert_found_with(folder.path(), &[], &["--timeout", "3"], "nvidia-driver", words);
}
