//! Each part where it fails or hangs: it is named, with the reason, the others go on, and nothing stays behind.

use crate::folder::{Folder, gpu_check, program};
use crate::support::process::until;
use crate::whole::PARTS;
use crate::{Checked, run};
use std::path::Path;
use std::time::{Duration, Instant};

/// Sessions may be counted across processes in it.
fn sessions() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn an_encoder_that_fails_in_mid_stream() {
    // The doctor codes four pictures, these more. A stream comes back from one failure, and not from nine.
    let parts = ["clip", "threads", "stages", "ten", "load", "key-frames", "presets"];
    let fault = [("MB_SIM_FAULT", "nvenc:NvEncEncodePicture:8@5x9")];
    let folder = Folder::new();
    let checked = Checked::run(&folder, &parts, 8, &fault);
    let why = "NV_ENC_ERR_INVALID_PARAM (8)";
    checked.assert_failed(&[
        ("clip", why),
        ("threads", "with __GL_THREADED_OPTIMIZATIONS=1: the encoder failed"),
        ("stages", "the encoder failed in mid-stream"),
        ("ten", "the encoder failed in mid-stream"),
        ("load", why),
        ("key-frames", why),
        ("presets", "p1 with ull"),
    ]);
    assert!(checked.said.stderr.contains(why), "{}", checked.said.stderr);
    let checked = Checked::run(&folder, &["clip"], 8, &[("MB_SIM_FAULT", "nvenc:NvEncEncodePicture:8@5")]);
    checked.assert_failed(&[("clip", "the encoder failed in mid-stream")]);
}

#[test]
fn gpus_that_are_not_there_and_sessions_that_are_taken() {
    let folder = Folder::new();
    // EGL lists one GPU, CUDA two. The fourth session of a process does not open, and a second is too much.
    let settings = [
        ("MB_SIM_DEVICES", "2"),
        ("MB_SIM_EGL_DEVICES", "0"),
        ("MB_SIM_FAULT", "open:20@3"),
        ("MB_SIM_PICTURE_BYTES", "20000"),
    ];
    let checked = Checked::run(&folder, &["choice", "sessions", "bitrate"], 2, &settings);
    checked.assert_failed(&[
        ("choice", "no GPU 1"),
        ("sessions", "GENERIC (20)"),
        ("bitrate", "6000000 were asked for"),
    ]);
    let taken = sessions();
    let settings = [("MB_SIM_SESSION_LIMIT", "1"), ("MB_SIM_SESSION_DIR", taken.path().to_str().unwrap())];
    let checked = Checked::run(&folder, &["start", "kill", "ten"], 2, &settings);
    // Whoever was killed holds nothing, and of ten streams nine are OpenH264's.
    checked.assert_failed(&[("start", "no stream beside another")]);
    assert!(checked.part("start")["found"].as_str().unwrap().contains("no NVENC session is free"));
    assert!(checked.part("ten")["figures"]["with_openh264"].as_u64().is_some_and(|count| count > 0));
}

#[test]
fn programs_that_do_not_do_what_they_should() {
    let folder = Folder::new();
    folder.wrap(
        "mb-encode",
        "say() { echo \"error: $1\" >&2; exit 1; }\n\
         [[ $LD_LIBRARY_PATH != *without-libgl* ]] || say 'libGL.so.1 is missing'\n\
         ((EUID == 0 || EUID == UID && EUID < 65534)) || say 'not for you'\n\
         [[ ${__GL_THREADED_OPTIMIZATIONS:-} != 1 ]] || say 'threads are in the way'\n\
         [[ $* != *--stats* ]] || say 'no memory'\n\
         [[ $* != *'--gop 3600'* ]] || set -- \"${@/3600/15}\"",
    );
    folder.wrap(
        "gpu_probe",
        "case \"$*\" in *strings*) echo 'error: nobody speaks'; exit 1 ;; *--kill*) echo 'error: dead'; exit 1 ;; esac >&2",
    );
    let tools = sessions();
    let count = tools.path().join("count");
    let dmesg = tools.path().join("dmesg");
    let text = format!(
        "#!/bin/bash\necho '[1.0] NVRM: Xid (PCI:0000:01:00): 13, old'\n\
         [[ -e {0} ]] && echo '[2.0] NVRM: Xid (PCI:0000:01:00): 79, GPU has fallen off the bus.'\ntouch {0}\n",
        count.display()
    );
    program(&dmesg, &text);
    let path = format!("{}:{}", tools.path().display(), std::env::var("PATH").unwrap());
    let parts = ["strings", "threads", "kill", "memory", "user", "libgl", "forced", "kernel"];
    let checked = Checked::run(&folder, &parts, 2, &[("PATH", &path)]);
    let mut failed = vec![
        ("strings", "nobody speaks"),
        ("threads", "threads are in the way"),
        ("kill", "dead"),
        ("memory", "no memory"),
        ("user", "not for you"),
        ("libgl", "libGL.so.1 is missing"),
        ("forced", "5 IDR pictures are there instead of 2"),
        ("kernel", "Xid (PCI:0000:01:00): 79"),
    ];
    // Who is no other user cannot become one.
    failed.retain(|(name, _)| *name != "user" || checked.all("skipped").is_empty());
    checked.assert_failed(&failed);
}

/// Processes that have this in their environment.
fn running(marker: &str) -> Vec<String> {
    let holds = |process: &Path| {
        let environment = std::fs::read(process.join("environ")).unwrap_or_default();
        environment.windows(marker.len()).any(|bytes| bytes == marker.as_bytes())
    };
    let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let processes =
        processes.filter(|path| path.file_name().is_some_and(|name| name.as_encoded_bytes()[0].is_ascii_digit()));
    processes.filter(|path| holds(path)).map(|path| path.display().to_string()).collect()
}

#[test]
fn a_part_that_hangs_is_killed_with_all_that_it_started() {
    let temp = sessions();
    let marker = temp.path().to_str().unwrap();
    // The doctor locks fewer in one process.
    let settings = [("MB_SIM_HANG", "nvEncLockBitstream@7"), ("TMPDIR", marker)];
    let folder = Folder::new();
    folder.wrap("stage_times", "sleep 300 & sleep 300");
    let mut command = gpu_check();
    command.args(["--simulated", "--pictures", "20", "--limit", "4", "--only", "clip", "--only", "stages"]);
    command.args(["--only", "choice", "--prebuilt"]).arg(folder.path()).envs(settings);
    let said = run(&mut command);
    let words = ["clip: it did not end within 4 s", "stages: it did not end within 4 s", "2 of 4 parts failed"];
    said.assert_verdict(1, &words);
    until(Duration::from_secs(10), "nothing runs on", || running(marker).is_empty().then_some(()));
    assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0, "it leaves no files");
}

#[test]
fn all_of_it_ends_when_its_time_is_over() {
    let folder = Folder::new();
    folder.wrap("gpu_probe", "[[ $* == *strings* ]] && sleep 300");
    let kept = sessions();
    let results = kept.path().join("out/gpu-check.json");
    let began = Instant::now();
    let mut command = gpu_check();
    command.args(["--simulated", "--within", "2", "--out"]).arg(kept.path().join("out"));
    let said = run(command.arg("--prebuilt").arg(folder.path()));
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    said.assert_verdict(1, &["mb-encode doctor came to no end"]);
    let results: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(results).unwrap()).unwrap();
    let parts = results["parts"].as_array().unwrap();
    assert_eq!(parts[0]["found"], "it did not end within 2 s", "{results:#}");
    assert!(parts.len() <= PARTS.len());
    // The report is kept as it was shown.
    let report = std::fs::read_to_string(kept.path().join("out/report.txt")).unwrap();
    assert_eq!(report, said.stdout);
}

#[test]
fn a_signal_ends_it_with_all_that_it_started() {
    use crate::support::process::Process;
    let temp = sessions();
    let marker = temp.path().to_str().unwrap();
    let folder = Folder::new();
    folder.wrap("gpu_probe", "[[ $* == *strings* ]] && sleep 300");
    let mut command = gpu_check();
    command.args(["--simulated", "--prebuilt"]).arg(folder.path()).env("TMPDIR", marker);
    let process = Process::start(command.stdout(std::process::Stdio::null()));
    process.wait_for_line("what EGL, CUDA");
    until(Duration::from_secs(10), "it has begun", || (running(marker).len() > 2).then_some(()));
    process.signal(rustix::process::Signal::TERM);
    assert_eq!(process.wait().code(), 143);
    until(Duration::from_secs(10), "nothing runs on", || running(marker).is_empty().then_some(()));
    assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0, "it leaves no files");
}

#[test]
fn results_are_json_whatever_was_found() {
    let folder = Folder::new();
    folder.wrap(
        "gpu_probe",
        "[[ $* != *strings* ]] || { printf 'error: \"a\\\\b\"\\ttab \\xff\\xc3\\xa4 \\x1b[31m' >&2; exit 1; }",
    );
    let checked = Checked::run(&folder, &["strings"], 2, &[]);
    checked.assert_failed(&[("strings", "\"a\\b\" tab ")]);
}
