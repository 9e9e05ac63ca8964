//! Machines that lack something: no NVIDIA driver, no EGL, no ffmpeg, no go2rtc or an old one.

use crate::{Report, doctor, doctor_with, sim};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

const NVENC: [&str; 9] = [
    "nvidia-driver",
    "cuda-devices",
    "gl-on-cuda",
    "interop",
    "nvenc-library",
    "nvenc-session",
    "nvenc-h264",
    "nvenc-picture",
    "nvenc-upload",
];

#[test]
fn without_a_driver_openh264_is_enough() {
    // A library that is none hides the machine's own driver, if it has one.
    let folder = tempfile::tempdir().unwrap();
    for name in ["libcuda.so.1", "libcuda.so", "libnvidia-encode.so.1"] {
        std::fs::write(folder.path().join(name), "this is no library").unwrap();
    }
    let report = Report::of(&mut doctor_with(folder.path()));
    assert_eq!((report.code, report.json["encoder"].as_str()), (0, Some("openh264")), "{:#}", report.json);
    // Nothing is wrong with a machine that has no NVIDIA GPU; on one that has, the driver is missing.
    assert!(["SKIP", "FAIL"].contains(&report.state("nvidia-driver")), "{:#}", report.json);
    let found = report.check("nvidia-driver")["found"].as_str().unwrap();
    assert!(found.contains("no NVIDIA driver"), "{found}");
    for check in &NVENC[1..] {
        assert_eq!(report.state(check), "SKIP", "{check}");
        let found = report.check(check)["found"].as_str().unwrap();
        assert!(found.contains("needs \"NVIDIA driver\""), "{check}: {found}");
    }
    for check in ["egl-loader", "gl-renderer", "openh264"] {
        assert_eq!(report.state(check), "OK", "{:#}", report.json);
    }
}

fn assert_nothing_works(env: &[(&str, &str)], check: &str, words: &[&str]) {
    let report = Report::of(doctor().envs(env.iter().copied()));
    assert_eq!((report.code, &report.json["encoder"]), (1, &serde_json::Value::Null), "{:#}", report.json);
    assert_eq!(report.state(check), "FAIL", "{:#}", report.json);
    let said = report.check(check).to_string();
    for words in words {
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
    assert!(report.json["verdict"].as_str().unwrap().starts_with("no encoder works"), "{:#}", report.json);
    assert_eq!(report.state("openh264"), "OK", "it lacks only something to draw with");
}

#[test]
fn without_libegl() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["libEGL.so.1", "libEGL.so"] {
        std::fs::write(folder.path().join(name), "this is no library").unwrap();
    }
    let path = folder.path().display().to_string();
    assert_nothing_works(
        &[("LD_LIBRARY_PATH", &path)],
        "egl-loader",
        &["libEGL.so.1", "apt install libegl1 libgl1-mesa-dri"],
    );
}

#[test]
fn without_gl_nvenc_takes_what_is_uploaded() {
    let report = Report::of(&mut doctor_with(&sim::drivers_without_gl()));
    assert_eq!((report.state("egl-loader"), report.state("nvenc-session")), ("FAIL", "SKIP"), "{:#}", report.json);
    let upload = report.check("nvenc-upload");
    assert_eq!(upload["state"], "OK", "{upload}");
    assert!(upload["found"].as_str().unwrap().contains("without GL"), "{upload}");
    for (fault, said) in [("open:10", "OUT_OF_MEMORY (10)"), ("encode:5@2", "DEVICE_NOT_EXIST (5)")] {
        let report = Report::of(doctor_with(&sim::drivers_without_gl()).env("MB_SIM_FAULT", fault));
        let upload = report.check("nvenc-upload");
        assert!(upload["state"] == "FAIL" && upload["found"].as_str().unwrap().contains(said), "{upload}");
    }
}

#[test]
fn without_an_egl_driver() {
    let env = [("__EGL_VENDOR_LIBRARY_FILENAMES", "/nonexistent.json")];
    assert_nothing_works(&env, "gl-renderer", &["EGL has no driver", "apt install libegl1 libgl1-mesa-dri"]);
    let report = Report::of(doctor().envs(env));
    assert_eq!((report.state("egl-loader"), report.state("egl-devices")), ("OK", "FAIL"));
    assert_eq!(report.state("egl-vendors"), "WARN");
    assert!(report.check("egl-vendors")["found"].as_str().unwrap().contains("nonexistent.json"));
}

#[test]
fn with_a_gl_that_is_too_old() {
    assert_nothing_works(&[("MESA_GL_VERSION_OVERRIDE", "2.1")], "gl-renderer", &["OpenGL 3.3", "libgl1-mesa-dri"]);
}

#[test]
fn a_vendor_file_whose_library_cannot_be_loaded_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("10_gone.json");
    std::fs::write(&file, r#"{"file_format_version":"1.0.0","ICD":{"library_path":"libEGL_gone.so.0"}}"#).unwrap();
    let mesa = system_vendors();
    let files: Vec<_> = [file].into_iter().chain(mesa).map(|path| path.display().to_string()).collect();
    let report = Report::of(doctor().env("__EGL_VENDOR_LIBRARY_FILENAMES", files.join(":")));
    assert_eq!(report.state("egl-vendors"), "WARN", "{:#}", report.json);
    let found = report.check("egl-vendors")["found"].as_str().unwrap();
    assert!(found.contains("cannot load 10_gone.json") && found.contains("libEGL_gone.so.0"), "{found}");
    assert_eq!((report.state("gl-renderer"), report.code), ("OK", 0), "{:#}", report.json);
}

fn system_vendors() -> Vec<std::path::PathBuf> {
    let folders = ["/etc/glvnd/egl_vendor.d", "/usr/share/glvnd/egl_vendor.d"];
    let entries = folders.iter().flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten());
    entries.map(|entry| entry.path()).collect()
}

/// A folder with programs that are shell scripts, each of which runs its text.
fn programs(programs: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in programs {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

fn with_path(path: &Path) -> Report {
    Report::of(doctor().env("PATH", path))
}

#[test]
fn ffmpeg_and_go2rtc_are_wished_for_and_not_needed() {
    let report = with_path(programs(&[]).path());
    for (check, words) in [("ffmpeg", "apt install ffmpeg"), ("go2rtc", "AlexxIT/go2rtc")] {
        assert_eq!(report.state(check), "WARN", "{:#}", report.json);
        assert!(report.check(check)["remedy"].as_str().unwrap().contains(words));
    }
    assert_eq!(report.code, 0);
}

#[test]
fn versions_of_ffmpeg_and_go2rtc_are_told_and_an_old_go2rtc_is_a_warning() {
    let folder = programs(&[
        ("ffmpeg", "echo 'ffmpeg version 6.1.1-3ubuntu5 Copyright (c) 2000-2023 the FFmpeg developers'"),
        ("go2rtc", "echo 'go2rtc version 1.9.12 (a1b2c3d) linux/amd64'"),
    ]);
    let report = with_path(folder.path());
    for (check, version) in [("ffmpeg", "6.1.1-3ubuntu5"), ("go2rtc", "1.9.12")] {
        assert_eq!((report.state(check), &report.check(check)["found"]), ("OK", &version.into()), "{:#}", report.json);
    }

    let old = programs(&[("mine", "echo 'go2rtc version 1.9.11 (a1b2c3d) linux/amd64'")]);
    let report = Report::of(doctor().env("PATH", folder.path()).env("GO2RTC", old.path().join("mine")));
    assert_eq!(report.state("go2rtc"), "WARN", "$GO2RTC comes before PATH: {:#}", report.json);
    let check = report.check("go2rtc").to_string();
    assert!(check.contains("1.9.11") && check.contains("1.9.12") && check.contains("update"), "{check}");
}

#[test]
fn programs_that_never_end_are_given_up_on() {
    let endless = "while :; do echo a line; done";
    let folder = programs(&[("ffmpeg", endless), ("go2rtc", &format!("({endless}) >&2"))]);
    let report = Report::of(doctor().env("PATH", folder.path()).args(["--timeout", "3"]));
    for check in ["ffmpeg", "go2rtc"] {
        assert_eq!(report.state(check), "WARN", "{:#}", report.json);
        assert_eq!(report.check(check)["found"], format!("{check} -version does not answer"));
    }
}

#[test]
fn programs_that_are_broken_are_told_of() {
    let folder = programs(&[("ffmpeg", "echo 'libx264.so.164: cannot open' >&2; exit 127"), ("go2rtc", "echo hello")]);
    let report = with_path(folder.path());
    let found = |check| report.check(check)["found"].as_str().unwrap();
    assert_eq!((report.state("ffmpeg"), report.state("go2rtc")), ("WARN", "WARN"), "{:#}", report.json);
    assert!(found("ffmpeg").contains("libx264.so.164"), "{}", found("ffmpeg"));
    assert!(found("go2rtc").contains("hello"), "{}", found("go2rtc"));
}
