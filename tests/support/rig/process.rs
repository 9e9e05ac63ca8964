//! Scenes: tests that run in a process of their own, with the simulated drivers on its library path.
//!
//! A library is loaded and settings are read once a process, so each scene is this test program
//! again, asked for one ignored test by name.

#![allow(dead_code)] // Every test program uses its own part.

use crate::sim;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What a scene left: how it ended, the drivers' report, and the folder it wrote to.
pub struct Ended {
    pub output: Output,
    pub report: sim::Report,
    pub folder: PathBuf,
}

impl Ended {
    pub fn assert_passed(&self) -> &Ended {
        assert!(
            self.output.status.success(),
            "the scene failed: {}\n{}\n{}",
            self.output.status,
            String::from_utf8_lossy(&self.output.stdout),
            String::from_utf8_lossy(&self.output.stderr),
        );
        self
    }
}

/// A folder of its own for a scene, empty.
pub fn folder(name: &str) -> PathBuf {
    let program = std::env::current_exe().expect("the test program has a path");
    let program = program.file_stem().expect("and a name").to_owned();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scenes").join(program).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("the target folder can be written");
    folder
}

/// The command that runs the ignored test `scene`, under the settings given.
pub fn command(scene: &str, drivers: &Path, folder: &Path, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the test program has a path"));
    command
        .args([scene, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env("LD_LIBRARY_PATH", sim::library_path(drivers))
        .env("EGL_PLATFORM", "surfaceless")
        .env("LIBGL_ALWAYS_SOFTWARE", "1")
        .env("MB_SIM_REPORT", folder.join("report.json"))
        .env("SCENE_FOLDER", folder)
        .env_remove("CUDA_VISIBLE_DEVICES")
        .envs(settings.iter().copied());
    command
}

/// Runs `scene` and waits for it; `name` tells apart the runs of one scene.
pub fn run(scene: &str, name: &str, settings: &[(&str, &str)]) -> Ended {
    run_with(scene, name, sim::drivers(), settings)
}

/// Runs `scene` with another folder of drivers.
pub fn run_with(scene: &str, name: &str, drivers: &Path, settings: &[(&str, &str)]) -> Ended {
    let folder = folder(name);
    let output = command(scene, drivers, &folder, settings).output();
    let output = output.expect("this program can be run again");
    let report = sim::Report::read(&folder.join("report.json"));
    Ended { output, report, folder }
}

/// In a scene: where to put what its parent wants to see.
pub fn scene_folder() -> PathBuf {
    std::env::var_os("SCENE_FOLDER").expect("a scene is started by its parent").into()
}
