//! Every way in which NVENC is unavailable: its own message with `--encoder nvenc`, one line and a stream from OpenH264
//! with `--encoder auto`.

use crate::annex_b::pictures;
use crate::run::{Ended, Run, decoded, size};
use crate::support::sim;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Which libraries the machine has.
#[derive(Clone, Copy)]
enum Machine {
    Whole,
    NoLibraries,
    CudaAlone,
    NvencAlone,
    Without(&'static str),
}

impl Machine {
    fn drivers(self) -> PathBuf {
        match self {
            Self::Whole => sim::drivers().to_owned(),
            // A folder in which none of them is.
            Self::NoLibraries => PathBuf::from("/nonexistent"),
            Self::CudaAlone => sim::cuda_alone(),
            Self::NvencAlone => sim::nvenc_alone(),
            Self::Without(symbol) => sim::drivers_without(symbol),
        }
    }
}

/// A failure: the machine, its settings, what was seen, what that means, what to do about it.
struct Row {
    machine: Machine,
    env: &'static [(&'static str, &'static str)],
    options: &'static [&'static str],
    seen: &'static str,
    means: &'static str,
    remedy: &'static str,
}

const fn row(
    env: &'static [(&'static str, &'static str)],
    seen: &'static str,
    means: &'static str,
    remedy: &'static str,
) -> Row {
    Row { machine: Machine::Whole, env, options: &[], seen, means, remedy }
}

const fn on(machine: Machine, seen: &'static str, means: &'static str, remedy: &'static str) -> Row {
    Row { machine, env: &[], options: &[], seen, means, remedy }
}

const fn with(mut row: Row, options: &'static [&'static str]) -> Row {
    row.options = options;
    row
}

const DRIVER: &str = "driver 530.41.03 or newer";
const CONTAINER: &str = "NVIDIA_DRIVER_CAPABILITIES=compute,video,graphics,utility";
const NO_CHIP: &str = "this GPU has no NVENC encoder, or it is out of reach";
const NO_SESSION: &str = "no NVENC session is free";
const STUB: &str = "the libnvidia-encode.so.1 that was found is a stub for building, not a driver";
const LOST: &str = "the GPU was lost";
const REFUSED: &str = "this GPU or driver refuses the settings";
const UNKNOWN: &str = "NVENC failed";
const BAD_CUDA: &str = "the NVIDIA driver failed";
const NOT_TAKEN: &str = "NVENC does not take the picture from CUDA";

macro_rules! ordered {
    ($order:literal) => {
        &[("MB_SIM_FAULT", $order)]
    };
}

const ROWS: &[Row] = &[
    // The libraries.
    on(Machine::NoLibraries, "libcuda.so.1", "there is no NVIDIA driver", CONTAINER),
    on(Machine::NvencAlone, "libcuda.so.1", "there is no NVIDIA driver", DRIVER),
    on(Machine::CudaAlone, "libnvidia-encode.so.1", "the NVIDIA driver has no NVENC library", CONTAINER),
    on(Machine::Without("cuGraphicsGLRegisterImage"), "cuGraphicsGLRegisterImage", "libcuda.so.1 lacks", DRIVER),
    on(Machine::Without("cuGLGetDevices_v2"), "cuGLGetDevices_v2", "libcuda.so.1 lacks", DRIVER),
    on(Machine::Without("cuDevicePrimaryCtxRetain"), "cuDevicePrimaryCtxRetain", "libcuda.so.1 lacks", DRIVER),
    on(Machine::Without("cuInit"), "cuInit", "libcuda.so.1 lacks", DRIVER),
    on(Machine::Without("NvEncodeAPICreateInstance"), "NvEncodeAPICreateInstance", "encode.so.1 lacks", DRIVER),
    on(
        Machine::Without("NvEncodeAPIGetMaxSupportedVersion"),
        "NvEncodeAPIGetMaxSupportedVersion",
        "libnvidia-encode.so.1 lacks",
        DRIVER,
    ),
    row(&[("MB_SIM_MISSING_SLOT", "nvEncLockBitstream")], "nvEncLockBitstream", "encode.so.1 lacks", DRIVER),
    // The versions.
    row(&[("MB_SIM_DRIVER_VERSION", "12000")], "CUDA 12.0", "too old", DRIVER),
    row(&[("MB_SIM_DRIVER_VERSION", "11040")], "CUDA 11.4", "too old", DRIVER),
    row(&[("MB_SIM_NVENC_VERSION", "12.0")], "NVENC 12.0", "too old", DRIVER),
    row(&[("MB_SIM_NVENC_VERSION", "11.1")], "NVENC 11.1", "too old", DRIVER),
    row(
        ordered!("instance:15"),
        "NvEncodeAPICreateInstance failed with NV_ENC_ERR_INVALID_VERSION (15)",
        "older NVENC API than 12.1",
        DRIVER,
    ),
    // A stub library of the SDK answers with what was on the stack.
    row(
        ordered!("max-version:3978510378"),
        "NvEncodeAPIGetMaxSupportedVersion failed with an NVENC status that this version does not know (3978510378)",
        STUB,
        "LD_LIBRARY_PATH",
    ),
    row(ordered!("instance:32767"), "NvEncodeAPICreateInstance failed with", STUB, "the stubs out of"),
    row(&[("MB_SIM_NVENC_VERSION", "0.0")], "MaxSupportedVersion names no version", STUB, "LD_LIBRARY_PATH"),
    // What is known of is no stub's.
    row(ordered!("max-version:20"), "NvEncodeAPIGetMaxSupportedVersion failed with", "without saying why", "dmesg"),
    // The GPUs. Where GL and CUDA do not share, NVENC is available all the same: see `apart`.
    row(&[("CUDA_VISIBLE_DEVICES", "")], "CUDA_ERROR_NO_DEVICE (100)", "CUDA shows no GPU", "--gpus all"),
    row(ordered!("cuda:cuInit:999"), "cuInit failed with CUDA_ERROR_UNKNOWN (999)", "GPU was lost", "modprobe"),
    row(
        ordered!("cuda:cuInit:803"),
        "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803)",
        "kernel module and its libraries are of different versions",
        "restart",
    ),
    row(ordered!("cuda:cuInit:802"), "CUDA_ERROR_SYSTEM_NOT_READY (802)", "not ready", "nvidia-fabricmanager"),
    row(ordered!("cuda:cuInit:34"), "CUDA_ERROR_STUB_LIBRARY (34)", "stub", "LD_LIBRARY_PATH"),
    row(ordered!("cuda:cuDriverGetVersion:801"), "cuDriverGetVersion failed", "driver failed", "nvidia-smi"),
    row(
        ordered!("cuda:cuDevicePrimaryCtxRetain:46"),
        "CUDA_ERROR_DEVICE_UNAVAILABLE (46)",
        "another process has the GPU for itself",
        "nvidia-smi -c DEFAULT",
    ),
    row(
        ordered!("cuda:cuDevicePrimaryCtxRetain:2"),
        "cuDevicePrimaryCtxRetain failed with CUDA_ERROR_OUT_OF_MEMORY (2)",
        "out of memory",
        "close other programs",
    ),
    row(
        ordered!("cuda:cuMemAllocPitch_v2:2"),
        "cuMemAllocPitch failed with CUDA_ERROR_OUT_OF_MEMORY (2)",
        "out of memory",
        "smaller picture",
    ),
    row(ordered!("cuda:cuCtxSetCurrent:700"), "CUDA_ERROR_ILLEGAL_ADDRESS (700)", "does not get over", "dmesg"),
    row(ordered!("cuda:cuMemAllocPitch_v2:719"), "CUDA_ERROR_LAUNCH_FAILED (719)", "does not get over", "xid"),
    // What newer drivers answer, and cudarc does not know.
    row(ordered!("cuda:cuDriverGetVersion:7777"), "cuDriverGetVersion failed with CUDA status 7777", BAD_CUDA, "dmesg"),
    row(ordered!("cuda:cuInit:7777"), "cuInit failed with CUDA status 7777", BAD_CUDA, "nvidia-smi"),
    row(ordered!("cuda:cuDeviceGetCount:7777"), "cuDeviceGetCount failed with CUDA status 7777", BAD_CUDA, "dmesg"),
    row(ordered!("cuda:cuDevicePrimaryCtxRetain:7777"), "Retain failed with CUDA status 7777", BAD_CUDA, "dmesg"),
    row(ordered!("cuda:cuCtxSetCurrent:7777x1"), "cuCtxSetCurrent failed with CUDA status 7777", BAD_CUDA, "dmesg"),
    row(ordered!("cuda:cuMemAllocPitch_v2:7777"), "cuMemAllocPitch failed with CUDA status 7777", BAD_CUDA, "openh264"),
    row(ordered!("cuda:cuGraphicsGLRegisterImage:7777"), "Image failed with CUDA status 7777", BAD_CUDA, "dmesg"),
    // The session.
    row(ordered!("open:1"), "NvEncOpenEncodeSessionEx failed with NV_ENC_ERR_NO_ENCODE_DEVICE (1)", NO_CHIP, "H200"),
    row(ordered!("open:2"), "NV_ENC_ERR_UNSUPPORTED_DEVICE (2)", NO_CHIP, "--gpus all"),
    row(ordered!("open:3"), "NV_ENC_ERR_INVALID_ENCODERDEVICE (3)", LOST, "dmesg"),
    row(ordered!("open:4"), "NV_ENC_ERR_INVALID_DEVICE (4)", LOST, "NVRM"),
    row(ordered!("open:5"), "NV_ENC_ERR_DEVICE_NOT_EXIST (5)", LOST, "reloaded"),
    row(ordered!("open:6"), "NV_ENC_ERR_INVALID_PTR (6)", UNKNOWN, "--encoder openh264"),
    row(ordered!("open:8"), "NV_ENC_ERR_INVALID_PARAM (8)", REFUSED, "--encoder openh264"),
    row(ordered!("open:10"), "NV_ENC_ERR_OUT_OF_MEMORY (10)", NO_SESSION, "nvidia-smi encodersessions"),
    row(ordered!("open:15"), "NV_ENC_ERR_INVALID_VERSION (15)", "older NVENC API", DRIVER),
    row(ordered!("open:18"), "NV_ENC_ERR_ENCODER_BUSY (18)", UNKNOWN, "nvidia-smi"),
    row(ordered!("open:20"), "NV_ENC_ERR_GENERIC (20)", "failed without saying why", "of one version"),
    row(ordered!("open:21"), "NV_ENC_ERR_INCOMPATIBLE_CLIENT_KEY (21)", NO_SESSION, "GeForce"),
    row(ordered!("open:777"), "does not know (777)", UNKNOWN, "nvidia-smi"),
    row(&[("MB_SIM_SESSION_LIMIT", "0")], "NV_ENC_ERR_INCOMPATIBLE_CLIENT_KEY (21)", NO_SESSION, "end another one"),
    row(
        &[("MB_SIM_SESSION_LIMIT", "0"), ("MB_SIM_SESSION_STATUS", "10")],
        "NV_ENC_ERR_OUT_OF_MEMORY (10)",
        NO_SESSION,
        "3 to 12 sessions on the whole system",
    ),
    row(
        &[("MB_SIM_FAULT", "open:2"), ("MB_SIM_FAILED_OPEN_HANDLE", "1")],
        "NV_ENC_ERR_UNSUPPORTED_DEVICE (2)",
        NO_CHIP,
        "GT 1030",
    ),
    // What it can do.
    row(&[("MB_SIM_CODEC", "hevc")], "no H.264", "this GPU's encoder has no H.264", "another GPU with --device"),
    with(
        row(
            &[("MB_SIM_CAPS", "WIDTH_MAX=640,HEIGHT_MAX=480")],
            "it takes 145x49 to 640x480",
            "this GPU's NVENC does not support 800x320",
            "--encoder openh264",
        ),
        &["--width", "800"],
    ),
    with(
        row(
            &[],
            "it takes 145x49 to 4096x4096",
            "this GPU's NVENC does not support 128x320",
            "choose a size that it takes",
        ),
        &["--width", "128"],
    ),
    row(
        ordered!("initialize:12"),
        "NvEncInitializeEncoder failed with NV_ENC_ERR_UNSUPPORTED_PARAM (12)",
        REFUSED,
        "--encoder openh264",
    ),
    row(ordered!("guids:20"), "NvEncGetEncodeGUIDs failed with NV_ENC_ERR_GENERIC", "without saying why", "dmesg"),
    row(ordered!("caps:8"), "NvEncGetEncodeCaps failed with NV_ENC_ERR_INVALID_PARAM (8)", REFUSED, "openh264"),
    row(ordered!("preset:12"), "NvEncGetEncodePresetConfigEx failed with", REFUSED, "--preset p1"),
    row(
        ordered!("initialize:8"),
        "NvEncInitializeEncoder failed with NV_ENC_ERR_INVALID_PARAM",
        REFUSED,
        "lower --bitrate or --fps, a smaller picture",
    ),
    row(ordered!("initialize:10"), "NV_ENC_ERR_OUT_OF_MEMORY (10)", "the GPU is out of memory", "close other"),
    row(ordered!("bitstream:10"), "NvEncCreateBitstreamBuffer failed with", "the GPU is out of memory", "smaller"),
    row(ordered!("register:23"), "NV_ENC_ERR_RESOURCE_REGISTER_FAILED (23)", NOT_TAKEN, "dmesg"),
];

const OPTIONS: [&str; 7] = ["--no-pace", "--frames", "3", "--height", "320", "--log-level", "info"];

fn run(row: &Row, encoder: &str) -> Ended {
    let mut run = Run::with_drivers(&row.machine.drivers(), &["--stdout", "--encoder", encoder]);
    run.command.args(OPTIONS);
    run.command.args(if row.options.is_empty() { &["--width", "320"] } else { row.options });
    run.env(row.env).finish()
}

/// Runs `check` on every row, a few at a time, and fails with all faults at once.
fn each_row(check: impl Fn(&Row) -> Result<String, String> + Sync) -> Vec<(usize, String)> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(row) = ROWS.get(at) else { break };
                    let result = check(row).map_err(|why| format!("{:?}, {:?}: {why}", row.env, row.seen));
                    results.lock().expect("no panic while pushing").push((at, result));
                }
            });
        }
    });
    let results = results.into_inner().expect("no panic while pushing");
    let faults: Vec<_> = results.iter().filter_map(|(_, result)| result.as_ref().err()).cloned().collect();
    assert!(faults.is_empty(), "{} faults:\n\n{}", faults.len(), faults.join("\n\n"));
    assert_eq!(results.len(), ROWS.len());
    results.into_iter().map(|(at, result)| (at, result.expect("no faults"))).collect()
}

/// Nothing was left behind, as far as the libraries were there to count.
fn left(ended: &Ended) -> Result<(), String> {
    for kind in ["live.", "leak.", "violation."] {
        let found = ended.report.all(kind);
        if !found.is_empty() {
            return Err(format!("the drivers' report says {found:?}"));
        }
    }
    Ok(())
}

#[test]
fn each_has_its_own_message_with_encoder_nvenc_and_nothing_is_written() {
    let messages = each_row(|row| {
        let ended = run(row, "nvenc");
        let said = &ended.stderr;
        if ended.code != 1 || !ended.stream.is_empty() {
            return Err(format!("exit code {}, {} bytes written\n{said}", ended.code, ended.stream.len()));
        }
        if said.matches(" ERROR ").count() != 1 || !said.lines().next().is_some_and(|line| line.contains(" ERROR ")) {
            return Err(format!("not one message\n{said}"));
        }
        // What go2rtc shows to a viewer.
        let head = String::from_utf8_lossy(&said.as_bytes()[..said.len().min(512)]);
        for words in [row.seen, row.means, row.remedy] {
            if !head.contains(words) {
                return Err(format!("{words:?} is not in the first 512 bytes of\n{said}"));
            }
        }
        if said.contains("panicked") {
            return Err(said.clone());
        }
        left(&ended)?;
        let (_, message) = said.split_once(" ERROR ").expect("it is there");
        Ok(message.to_owned())
    });
    // The same words stand for the same failure alone.
    let mut rows_of = BTreeMap::<_, Vec<usize>>::new();
    for (at, message) in messages {
        rows_of.entry(message).or_default().push(at);
    }
    for (message, rows) in rows_of {
        let first = &ROWS[rows[0]];
        for row in rows.iter().map(|&at| &ROWS[at]) {
            assert_eq!((row.seen, row.means), (first.seen, first.means), "two failures have one message:\n{message}");
        }
    }
}

#[test]
fn each_makes_encoder_auto_take_openh264_and_say_why_in_one_line() {
    let streams = Mutex::new(BTreeMap::<u32, (usize, Vec<u8>)>::new());
    each_row(|row| {
        let ended = run(row, "auto");
        let said = &ended.stderr;
        if ended.code != 0 {
            return Err(format!("exit code {}\n{said}", ended.code));
        }
        // A chip whose driver refuses the settings may have been told of before it refuses them.
        if said.lines().count() != 1 || !said.contains("NVENC unavailable, falling back to OpenH264") {
            return Err(format!("not one line\n{said}"));
        }
        for words in [row.seen, row.means] {
            if !said.contains(words) {
                return Err(format!("does not say {words:?}\n{said}"));
            }
        }
        left(&ended)?;
        let width = row.options.last().map_or(320, |width| width.parse().expect("a number"));
        if pictures(&ended.stream) != 3 {
            return Err(format!("{} pictures", pictures(&ended.stream)));
        }
        let mut streams = streams.lock().expect("no panic while it is held");
        let (count, bytes) = streams.entry(width).or_default();
        *count += 1;
        bytes.extend(ended.stream);
        Ok(String::new())
    });
    // Each begins with an IDR picture, so those of one size are one stream to a decoder.
    for (width, (count, bytes)) in streams.into_inner().expect("no panic while it was held") {
        let frames: Vec<_> = decoded(&bytes, size(width, 320)).iter().map(|it| it.mark().map(|it| it.frame)).collect();
        assert_eq!(frames, [Some(0), Some(1), Some(2)].repeat(count), "{width} wide");
    }
}

#[test]
fn a_whole_machine_makes_encoder_auto_take_nvenc_without_a_word() {
    let ended = Run::new(&[&["--stdout", "--encoder", "auto", "--width", "320"], &OPTIONS[..]].concat()).finish();
    assert_eq!(ended.assert_well().stderr, "");
    assert_eq!(ended.report.count("pictures"), 3);
}

#[test]
fn a_machine_without_a_driver_is_told_of_as_information_and_one_with_a_broken_driver_as_a_warning() {
    let missing = run(&ROWS[0], "auto");
    assert!(missing.stderr.contains(" INFO "), "{}", missing.stderr);
    let broken = ROWS.iter().find(|row| row.means == NO_SESSION).expect("such a row");
    let broken = run(broken, "auto");
    assert!(broken.stderr.contains(" WARN "), "{}", broken.stderr);
}

#[test]
fn a_driver_that_crashes_is_outlived_by_a_worker_and_told_of() {
    for function in ["cuInit", "cuGraphicsGLRegisterImage", "NvEncOpenEncodeSessionEx"] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("demo.h264");
        let mut run = Run::new(&["--width", "320", "--height", "180", "--fifo"]);
        run.command.arg(&path);
        let ended = run.env(&[("MB_SIM_CRASH", function)]).finish();
        assert_eq!(ended.code, 1, "{function}: {}", ended.stderr);
        for words in ["the graphics driver crashed", "--device", "--encoder openh264"] {
            assert!(ended.stderr.contains(words), "{function}: {words:?} is not in {}", ended.stderr);
        }
        assert_eq!(ended.stderr.matches(" ERROR ").count(), 1, "{function}: {}", ended.stderr);
        assert!(!path.exists(), "{function}: a FIFO that nobody serves");
    }
}

#[test]
fn a_worker_that_cannot_code_says_so_when_it_is_started_and_makes_no_fifo() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("demo.h264");
    let mut run = Run::new(&["--width", "320", "--height", "180", "--fifo"]);
    run.command.arg(&path);
    let ended = run.env(&[("MB_SIM_FAULT", "open:2")]).finish();
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    for words in ["NV_ENC_ERR_UNSUPPORTED_DEVICE (2)", NO_CHIP, "--gpus all"] {
        assert!(ended.stderr.contains(words), "{words:?} is not in {}", ended.stderr);
    }
    assert_eq!(ended.stderr.matches(" ERROR ").count(), 1, "{}", ended.stderr);
    assert!(!path.exists());
}
