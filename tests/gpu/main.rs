//! `scripts/gpu-check`: what it says of a machine without a GPU, and its whole way with the simulated drivers.
//!
//! Needs Mesa's EGL: `apt install libegl1 libgl1-mesa-dri`.

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/sim.rs"]
mod sim;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use support::process::{Process, mb_encode};
use tempfile::TempDir;

/// A program among the examples, built as this test was.
fn example(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let programs = Path::new(env!("CARGO_BIN_EXE_mb-encode")).parent().expect("it lies in a folder");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        cargo.args(["build", "--quiet", "--locked", "--example", "stage_times", "--example", "check_clip"]);
        cargo.arg("--target-dir").arg(programs.parent().expect("the target folder"));
        if programs.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().expect("cargo runs: it runs this test").success(), "the examples do not build");
        programs.join("examples")
    });
    folder.join(name)
}

/// A folder as `--pack` fills it.
fn parts() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let link = |to: PathBuf, name: &str| {
        std::os::unix::fs::symlink(to, folder.path().join(name)).expect("a link in a folder of our own");
    };
    link(env!("CARGO_BIN_EXE_mb-encode").into(), "mb-encode");
    link(example("stage_times"), "stage_times");
    link(example("check_clip"), "check_clip");
    link(sim::nvenc_alone(), "encoder");
    link(sim::drivers().to_owned(), "drivers");
    folder
}

struct Said {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Said {
    fn verdict(&self) -> &str {
        self.stdout.lines().last().unwrap_or_default()
    }

    fn assert_verdict(&self, code: i32, words: &[&str]) {
        let Self { stdout, stderr, .. } = self;
        assert_eq!(self.code, code, "{stdout}{stderr}");
        for words in [&["verdict: "], words].concat() {
            assert!(self.verdict().contains(words), "{words:?} is not in the last line:\n{stdout}{stderr}");
        }
    }
}

fn gpu_check() -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/gpu-check"));
    for variable in ["CUDA_VISIBLE_DEVICES", "MB_ENCODE_DEVICE", "MB_ENCODE_LOG_LEVEL"] {
        command.env_remove(variable);
    }
    command
}

fn run(command: &mut Command) -> Said {
    let mut process = Process::start(command.stdin(Stdio::null()).stdout(Stdio::piped()));
    let stdout = String::from_utf8(process.stdout().all()).expect("the script writes UTF-8");
    let ended = process.wait();
    Said { code: ended.code(), stdout, stderr: ended.stderr }
}

/// The check with simulated drivers, two pictures of each kind, and what the drivers saw.
fn simulated(settings: &[(&str, &str)]) -> (Said, sim::Report) {
    let (parts, folder) = (parts(), tempfile::tempdir().expect("a folder"));
    let report = folder.path().join("drivers.json");
    let mut command = gpu_check();
    command.args(["--simulated", "--pictures", "2", "--prebuilt"]).arg(parts.path());
    let said = run(command.env("MB_SIM_REPORT", &report).envs(settings.iter().copied()));
    (said, sim::Report::read(&report))
}

#[test]
fn without_a_gpu_it_says_so_and_what_to_do() {
    // A library that is none hides the machine's own driver, if it has one.
    let (parts, folder) = (parts(), tempfile::tempdir().unwrap());
    for name in ["libcuda.so.1", "libcuda.so", "libnvidia-encode.so.1"] {
        std::fs::write(folder.path().join(name), "this is no library").unwrap();
    }
    let mut command = gpu_check();
    command.arg("--prebuilt").arg(parts.path()).env("LD_LIBRARY_PATH", sim::library_path(folder.path()));
    let said = run(&mut command);
    said.assert_verdict(1, &["no NVIDIA GPU to check", "no NVIDIA driver"]);
    assert!(said.stderr.contains("What to do: ") && said.stderr.contains("530.41.03"), "{}", said.stderr);
    assert!(!said.stdout.contains("p99") && !said.stdout.contains("simulated"), "{}", said.stdout);
}

#[test]
fn with_both_drivers_it_goes_the_whole_way() {
    let (said, report) = simulated(&[]);
    said.assert_verdict(0, &["everything works, NVENC too", "Simulated GPU 0", "this says nothing of a GPU"]);
    assert!(said.stdout.contains("2 pictures, each the right one"), "{}", said.stdout);
    for size in ["1280x720", "1920x1080", "3840x2160"] {
        let tables = said.stdout.split("\n\n").filter(|part| part.starts_with(size)).collect::<Vec<_>>();
        assert_eq!(tables.len(), 2, "{size}: with and without --sync:\n{}", said.stdout);
        for table in tables {
            let rows: Vec<_> = table.lines().skip(2).map(|row| row.split_whitespace().collect::<Vec<_>>()).collect();
            let stages: Vec<_> = rows.iter().map(|row| row[0]).collect();
            assert_eq!(stages, ["draw", "convert", "map", "copy", "unmap", "encode", "write", "cpu"], "{table}");
            for row in rows {
                let (p50, p99): (f64, f64) = (row[1].parse().expect("a number"), row[2].parse().expect("a number"));
                assert!(0.0 <= p50 && p50 <= p99, "{table}");
            }
        }
    }
    report.assert_clean();
    assert!(report.count("call.cuStreamSynchronize") > 0, "--sync waits for CUDA: {report:?}");
}

#[test]
fn a_gpu_without_an_encoder_is_checked_up_to_it() {
    let (said, report) = simulated(&[("MB_SIM_FAULT", "open:2")]);
    said.assert_verdict(0, &["up to the encoder, which this GPU does not have", "NV_ENC_ERR_UNSUPPORTED_DEVICE (2)"]);
    assert!(said.stdout.contains("The encoder is simulated"), "{}", said.stdout);
    assert!(said.stdout.contains("2 pictures, each the right one"), "{}", said.stdout);
    report.assert_clean();
}

#[test]
fn an_encoder_that_fails_is_no_success() {
    let (said, _) = simulated(&[("MB_SIM_FAULT", "open:21")]);
    said.assert_verdict(1, &["up to the encoder, and that does not", "NV_ENC_ERR_INCOMPATIBLE_CLIENT_KEY (21)"]);
}

#[test]
fn a_gpu_that_does_not_draw_ends_it() {
    let (said, _) = simulated(&[("MB_SIM_GL_DEVICE", "none")]);
    said.assert_verdict(1, &["the way from GL to CUDA does not work", "is not drawn by an NVIDIA GPU"]);
    assert!(said.stderr.contains("What to do: ") && said.stderr.contains("10_nvidia.json"), "{}", said.stderr);
}

#[test]
fn a_failure_in_mid_stream_is_told() {
    // The doctor codes four pictures, the clip more. The encoder comes back from one failure, and not from nine.
    for (fault, words) in [
        ("nvenc:NvEncEncodePicture:8@5", "the encoder failed in mid-stream"),
        ("nvenc:NvEncEncodePicture:8@5x9", "coding a clip failed"),
    ] {
        let (parts, folder) = (parts(), tempfile::tempdir().unwrap());
        let mut command = gpu_check();
        command.args(["--simulated", "--pictures", "24", "--prebuilt"]).arg(parts.path());
        let said = run(command.env("MB_SIM_FAULT", fault).env("TMPDIR", folder.path()));
        said.assert_verdict(1, &[words]);
        assert!(said.stderr.contains("NV_ENC_ERR_INVALID_PARAM (8)"), "{}", said.stderr);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "it leaves no files");
    }
}

#[test]
fn a_clip_with_other_pictures_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let clip = |name: &str, size: [&str; 2]| {
        let path = folder.path().join(name);
        let mut command = mb_encode();
        command.args(["--encoder", "openh264", "--frames", "3", "--no-pace", "--width", size[0], "--height", size[1]]);
        let ended = Process::start(command.arg("--out").arg(&path)).wait();
        assert_eq!(ended.code(), 0, "{}", ended.stderr);
        std::fs::read(path).expect("a clip")
    };
    let good = clip("good.h264", ["640", "360"]);
    let judge = |stream: &[u8], pictures: &str| {
        let path = folder.path().join("judged.h264");
        std::fs::write(&path, stream).unwrap();
        let output = Command::new(example("check_clip")).arg(path).arg(pictures).output().expect("it was just built");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(judge(&good, "3"), (true, String::new()));
    for (stream, pictures, words) in [
        (good.clone(), "4", "3 pictures are there instead of 4"),
        (good.repeat(2), "6", "picture 3 shows frame 0"),
        (good[..good.len() - 5000].to_vec(), "3", ""),
    ] {
        let (right, said) = judge(&stream, pictures);
        assert!(!right && said.contains(words), "{words:?}: {said}");
    }
}

#[test]
fn wrong_use_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    for (arguments, words) in [
        (vec!["--pictures", "0"], "--pictures is at least 1"),
        (vec!["--device", "-1"], "--device is a whole number"),
        (vec!["--prebuilt"], "--prebuilt needs a value"),
        (vec!["--prebuilt", missing.to_str().unwrap()], "--prebuilt names no folder"),
        (vec!["--pack", "x", "--simulated"], "--pack only builds"),
        (vec!["--frames"], "unknown argument: --frames"),
    ] {
        let said = run(gpu_check().args(&arguments));
        assert_eq!(said.code, 2, "{arguments:?}: {}", said.stderr);
        assert!(said.stderr.contains(words) && said.stderr.contains("--help"), "{arguments:?}: {}", said.stderr);
    }
    // A folder without the parts is the caller's to fill, too, but there is more to say about it.
    let said = run(gpu_check().arg("--prebuilt").arg(folder.path()));
    assert!(said.code == 1 && said.stderr.contains("lacks mb-encode"), "{}", said.stderr);
    assert!(said.stderr.contains("scripts/gpu-check --pack DIR"), "{}", said.stderr);
}
