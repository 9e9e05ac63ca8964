//! Machines without a graphics driver: one clear sentence with the package to install.

use crate::support::process::{Process, mb_encode};
use std::process::Stdio;

/// Runs with `env` and checks what holds for every machine that cannot draw.
fn assert_says(env: &[(&str, &str)], words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new").display().to_string();
    for output in [&["--stdout"][..], &["--fifo", &path], &["--out", &path]] {
        let mut command = mb_encode();
        let mut process = Process::start(command.args(output).envs(env.iter().copied()).stdout(Stdio::piped()));
        let written = process.stdout().all();
        let ended = process.wait();
        let what = format!("{env:?} {output:?}: {}", ended.stderr);
        assert_eq!(ended.code(), 1, "{what}");
        assert!(written.is_empty(), "{what}");
        assert_eq!(ended.stderr.matches(" ERROR ").count(), 1, "{what}");
        // What go2rtc shows to a viewer.
        let head = &ended.stderr.as_bytes()[..ended.stderr.len().min(512)];
        let head = String::from_utf8_lossy(head);
        for words in words {
            assert!(head.contains(words), "{words:?} is not in the first 512 bytes of {what}");
        }
        assert!(!ended.stderr.contains("panicked"), "{what}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{what}");
    }
}

#[test]
fn without_libegl() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["libEGL.so.1", "libEGL.so"] {
        std::fs::write(folder.path().join(name), "this is no library, and the real one is not looked for").unwrap();
    }
    let path = folder.path().display().to_string();
    assert_says(&[("LD_LIBRARY_PATH", &path)], &["libEGL.so.1", "apt install libegl1 libgl1-mesa-dri"]);
}

#[test]
fn with_a_libegl_that_is_another_library() {
    let libc = std::fs::read_to_string("/proc/self/maps").unwrap();
    let libc = libc.lines().find_map(|line| line.split_whitespace().last().filter(|path| path.contains("/libc.so")));
    let libc = libc.expect("this test is linked with the system's libc");
    let folder = tempfile::tempdir().unwrap();
    for name in ["libEGL.so.1", "libEGL.so"] {
        std::os::unix::fs::symlink(libc, folder.path().join(name)).unwrap();
    }
    let path = folder.path().display().to_string();
    assert_says(&[("LD_LIBRARY_PATH", &path)], &["libEGL.so.1", "apt install libegl1 libgl1-mesa-dri"]);
}

#[test]
fn without_a_driver() {
    assert_says(
        &[("__EGL_VENDOR_LIBRARY_FILENAMES", "/nonexistent.json")],
        &["EGL", "driver", "apt install libegl1 libgl1-mesa-dri"],
    );
}

#[test]
fn with_a_gl_that_is_too_old() {
    for version in ["2.1", "3.0", "3.2"] {
        assert_says(
            &[("MESA_GL_VERSION_OVERRIDE", version)],
            &["too old", "OpenGL 3.3", "apt install libgl1-mesa-dri"],
        );
    }
}

#[test]
fn that_breaks_while_a_worker_waits_is_said_and_outlived() {
    use crate::annex_b::opens_in_go2rtc;
    let libraries = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("demo.h264");
    let mut command = mb_encode();
    command.args(["--width", "320", "--height", "180"]).env("LD_LIBRARY_PATH", libraries.path());
    let worker = Process::start(command.arg("--fifo").arg(&path).stdout(Stdio::null()));
    worker.wait_for_line("waiting for a reader");
    let names = ["libEGL.so.1", "libEGL.so"].map(|name| libraries.path().join(name));
    for name in &names {
        std::fs::write(name, "an update that was broken off").unwrap();
    }
    assert!(crate::fifo::connect(&path).rest().is_empty());
    worker.wait_for_line("apt install libegl1");
    for name in &names {
        std::fs::remove_file(name).unwrap();
    }
    opens_in_go2rtc(&crate::fifo::connect(&path).units(1)).unwrap();
}
