//! The report itself: its two forms, its order, its exit code.

use crate::support::process::Process;
use crate::{Report, doctor, doctor_with, run, sim};
use std::collections::BTreeSet;
use std::process::Stdio;

const CHECKS: [&str; 17] = [
    "egl-loader",
    "egl-vendors",
    "egl-devices",
    "gl-renderer",
    "nvidia-devices",
    "nvidia-driver",
    "cuda-devices",
    "gl-on-cuda",
    "interop",
    "nvenc-library",
    "nvenc-session",
    "nvenc-h264",
    "nvenc-picture",
    "nvenc-upload",
    "openh264",
    "ffmpeg",
    "go2rtc",
];

#[test]
fn with_the_simulated_drivers_all_is_well() {
    let folder = tempfile::tempdir().unwrap();
    let drivers = folder.path().join("drivers.json");
    let report = Report::of(doctor_with(sim::drivers()).env("MB_SIM_REPORT", &drivers));
    assert_eq!(report.code, 0, "{:#}", report.json);
    // Whether ffmpeg and go2rtc are there is another matter.
    // And NVIDIA's device files are this machine's own.
    let wanted: Vec<_> = CHECKS[..15].iter().copied().filter(|check| *check != "nvidia-devices").collect();
    let mut works = report.all("OK");
    works.retain(|check| *check != "nvidia-devices");
    assert_eq!(works[..14], wanted, "{:#}", report.json);
    assert_eq!(report.json["encoder"], "nvenc");
    assert!(report.json["verdict"].as_str().unwrap().starts_with("NVENC works"));
    let found = |id| report.check(id)["found"].as_str().unwrap();
    assert!(found("nvidia-driver").contains("CUDA 12.2"), "{}", found("nvidia-driver"));
    assert!(found("cuda-devices").contains("0: Simulated GPU 0"), "{}", found("cuda-devices"));
    assert!(found("interop").contains("byte for byte"), "{}", found("interop"));
    assert!(found("nvenc-library").contains("API 12.1"), "{}", found("nvenc-library"));
    assert!(found("nvenc-h264").contains("to 4096x4096"), "{}", found("nvenc-h264"));
    assert!(found("nvenc-h264").starts_with("145x49 to "), "{}", found("nvenc-h264"));
    assert!(!found("nvenc-h264").contains("macroblocks"), "{}", found("nvenc-h264"));
    assert!(found("nvenc-upload").contains("Simulated GPU 0"), "{}", found("nvenc-upload"));
    assert!(found("openh264").contains("2."), "{}", found("openh264"));
    // It leaves the drivers as a stream does.
    sim::Report::read(&drivers).assert_clean();
}

#[test]
fn the_checks_come_in_their_order_and_each_has_all_its_fields() {
    let report = Report::of(&mut doctor());
    let checks = report.json["checks"].as_array().unwrap();
    assert_eq!(checks.iter().map(|check| check["check"].as_str().unwrap()).collect::<Vec<_>>(), CHECKS);
    for check in checks {
        let fields: Vec<_> = check.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["check", "found", "name", "remedy", "state"]);
        assert!(["OK", "WARN", "FAIL", "SKIP"].contains(&check["state"].as_str().unwrap()), "{check}");
        assert_ne!(check["found"], "", "{check}");
        let needs_remedy = matches!(check["state"].as_str(), Some("WARN" | "FAIL"));
        assert!(!needs_remedy || check["remedy"] != "", "nothing to do about {check}");
    }
    assert_eq!(report.json["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_table_says_what_the_json_says() {
    // A fault in the middle brings all states on the scene.
    let fault = ("MB_SIM_FAULT", "open:2");
    let report = Report::of(doctor_with(sim::drivers()).env(fault.0, fault.1));
    let table = run(doctor_with(sim::drivers()).env(fault.0, fault.1));
    assert_eq!(table.code, report.code);
    assert!(!table.text.contains('\x1b'), "colours are for terminals: {}", table.text);
    for check in report.json["checks"].as_array().unwrap() {
        let text = |key: &str| check[key].as_str().unwrap();
        let line = table.text.lines().find(|line| line.get(6..).is_some_and(|rest| rest.starts_with(text("name"))));
        let line = line.unwrap_or_else(|| panic!("no line for {check} in\n{}", table.text));
        assert_eq!(line.split_whitespace().next(), Some(text("state")), "{line}");
        let found = without_seconds(text("found"));
        assert!(without_seconds(line).ends_with(&found), "{line}\nhas to end in\n{found}");
        for remedy in text("remedy").lines() {
            assert!(table.text.contains(remedy), "{remedy}");
        }
    }
    assert_eq!(table.text.lines().last(), report.json["verdict"].as_str());
    let columns: Vec<_> = table.text.lines().filter(|line| line.contains("-> ")).map(|line| line.find("-> ")).collect();
    assert!(columns.windows(2).all(|pair| pair[0] == pair[1]), "remedies stand below each other:\n{}", table.text);
}

/// What is said, but for how many seconds something took, which no two runs agree on: `up in … s`.
fn without_seconds(said: &str) -> String {
    let words = said.split(' ').collect::<Vec<_>>();
    let counts_seconds = |n: usize| words.get(n + 1).is_some_and(|unit| unit.trim_end_matches(',') == "s");
    let said = |(n, word): (usize, &&str)| {
        if counts_seconds(n) && word.parse::<f64>().is_ok() { "…".to_owned() } else { (*word).to_owned() }
    };
    words.iter().enumerate().map(said).collect::<Vec<_>>().join(" ")
}

#[test]
fn seconds_alone_are_left_out() {
    let said = "CUDA 12.2, up in 0.04 s, after 3 s of 60 and s";
    assert_eq!(without_seconds(said), "CUDA 12.2, up in … s, after … s of 60 and s");
}

#[test]
fn a_terminal_gets_colours_unless_it_asks_for_none() {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use std::io::Read as _;
    for (no_color, coloured) in [(None, true), (Some("1"), false)] {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
        let side = std::fs::File::options().read(true).write(true).open(name).unwrap();
        let mut command = doctor();
        command.env_remove("NO_COLOR").envs(no_color.map(|value| ("NO_COLOR", value)));
        let process = Process::start(command.stdout(side));
        drop(command);
        let mut text = Vec::new();
        // The end of a terminal is an error.
        let _ = std::fs::File::from(terminal).read_to_end(&mut text);
        assert_eq!(process.wait().code(), 0);
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text.contains("\x1b[32mOK"), coloured, "{text:?}");
        assert!(text.contains("GL renderer"), "{text:?}");
    }
}

#[test]
fn whoever_reads_only_the_first_line_sees_no_error() {
    let mut process = Process::start(doctor().stdout(Stdio::piped()));
    drop(process.stdout());
    let ended = process.wait();
    assert_eq!((ended.code(), ended.stderr.as_str()), (0, ""));
}

#[test]
fn wrong_use_is_exit_code_2() {
    for wrong in [&["--device", "x"][..], &["--timeout", "0"], &["--probe", "everything"], &["--stdout"]] {
        assert_eq!(Process::start(doctor().args(wrong)).wait().code(), 2, "{wrong:?}");
    }
}

#[test]
fn the_help_tells_of_it_and_not_of_its_children() {
    let mut help = crate::support::process::mb_encode();
    assert!(run(help.arg("--help")).text.contains("  doctor "));
    let help = run(doctor().arg("--help")).text;
    assert!(help.contains("--json") && help.contains("--device") && help.contains("Exit codes"), "{help}");
    assert!(!help.contains("--probe"), "{help}");
    let mut man = crate::support::process::mb_encode();
    let page = run(man.arg("man")).text;
    assert!(page.contains("mb\\-encode\\-doctor(1)"), "{page}");
}

#[test]
fn the_help_describes_every_field_of_the_json() {
    let help = run(doctor().arg("--help")).text;
    let documented: Vec<_> = help
        .split("JSON:")
        .nth(1)
        .unwrap()
        .lines()
        .filter_map(|line| line.starts_with("  ").then(|| line.split_whitespace().next()).flatten())
        .take_while(|word| !word.starts_with('0'))
        .collect();
    let report = Report::of(&mut doctor());
    let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let written = &keys(&report.json) | &keys(&report.json["checks"][0]);
    assert_eq!(documented.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), written);
}

#[test]
fn what_is_set_for_streams_does_not_confuse_the_probes() {
    let env = [
        ("MB_ENCODE_LOG_LEVEL", "trace"),
        ("MB_ENCODE_LOG_FORMAT", "json"),
        ("MB_ENCODE_ENCODER", "openh264"),
        ("MB_ENCODE_WIDTH", "64"),
        ("MB_ENCODE_HEIGHT", "64"),
        ("MB_ENCODE_MPEGTS", "ffmpeg"),
        ("MB_ENCODE_WORKERS_CHILD", "1 1"),
    ];
    let report = Report::of(doctor_with(sim::drivers()).envs(env));
    // And NVIDIA's device files are this machine's own.
    let wanted: Vec<_> = CHECKS[..15].iter().copied().filter(|check| *check != "nvidia-devices").collect();
    let mut works = report.all("OK");
    works.retain(|check| *check != "nvidia-devices");
    assert_eq!(works[..14], wanted, "{:#}", report.json);
    // A crash is told in the driver's words, with nothing of the program's own log behind them.
    let crash = ("MB_SIM_CRASH", "NvEncEncodePicture");
    let report = Report::of(doctor_with(sim::drivers()).envs(env).envs([crash]));
    let plain = Report::of(doctor_with(sim::drivers()).envs([crash]));
    assert_eq!(report.check("nvenc-picture")["state"], "FAIL");
    assert_eq!(report.check("nvenc-picture"), plain.check("nvenc-picture"));
}

#[test]
fn the_gpu_that_streams_are_told_to_take_is_the_one_that_is_tried() {
    let report = Report::of(doctor_with(sim::drivers()).env("MB_ENCODE_DEVICE", "7"));
    let found = report.check("cuda-devices")["found"].as_str().unwrap();
    assert!(found.contains("no device 7"), "{found}");
}

#[test]
fn closed_standard_streams_change_nothing() {
    for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        let doctor = doctor();
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &format!("exec \"$0\" \"$@\" {closed}")]).arg(doctor.get_program()).args(doctor.get_args());
        let mut process = Process::start(shell.arg("--json").stdout(Stdio::piped()));
        let text = process.stdout().all();
        let ended = process.wait();
        assert_eq!((ended.code(), ended.stderr.as_str()), (0, ""), "{closed}");
        if !closed.contains(" >&-") && closed != ">&-" {
            let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
            assert!(json["encoder"].is_string(), "{closed}: {json:#}");
        }
    }
}

#[test]
fn a_report_that_cannot_be_written_is_an_error() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let ended = Process::start(doctor().stdout(full)).wait();
    assert_eq!(ended.code(), 1);
    assert!(ended.stderr.contains("cannot write to standard output"), "{}", ended.stderr);
}
