//! Scenes: parts of a test that run in a process of their own, with the simulated drivers on its library path.
//!
//! A library is loaded and settings are read once a process, so a scene is this test program again, asked for the test
//! that plays it, with the scene's name in its environment. A test names its scenes first of all: `scenes!(opens, lives)`.

#![allow(dead_code)] // Every test program uses its own part.

use crate::sim;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Which scene this process is to play.
const SCENE: &str = "SCENE";

/// The file that tells a scene's parent that it began: a test program that finds no such test is content, too.
const PLAYED: &str = "played";

thread_local! {
    /// The test that runs on this thread.
    static TEST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Plays the scene that this process was started for, if it was, in place of the test around it.
macro_rules! scenes {
    ($($scene:ident),+) => {
        fn here() {}
        if let Some(asked) = process::begin(std::any::type_name_of_val(&here)) {
            return match asked.as_str() {
                $(stringify!($scene) => $scene(),)+
                _ => panic!("this test has no scene {asked}"),
            };
        }
    };
}
pub(crate) use scenes;

/// Notes the test by the path of a function in it, and gives the scene that this process was started for.
pub fn begin(here: &str) -> Option<String> {
    let test = here.strip_suffix("::here").and_then(|path| path.split_once("::"));
    let (_, test) = test.expect("a function in a test, in this program");
    TEST.set(test.to_owned());
    let scene = std::env::var(SCENE).ok();
    if scene.is_some() {
        std::fs::write(scene_folder().join(PLAYED), "").expect("the scene's folder");
    }
    scene
}

/// What a scene left: how it ended, the drivers' report, and the folder it wrote to.
pub struct Ended {
    pub output: Output,
    pub report: sim::Report,
    pub folder: PathBuf,
}

impl Ended {
    pub fn assert_passed(&self) -> &Ended {
        assert!(self.folder.join(PLAYED).exists(), "the scene did not begin");
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

/// The command that plays a scene of the test on this thread, under the settings given.
pub fn command(scene: &str, drivers: &Path, folder: &Path, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the test program has a path"));
    let test = TEST.with_borrow(String::clone);
    assert!(!test.is_empty(), "a test names its scenes first: scenes!({scene})");
    command
        .args([&test, "--exact", "--nocapture", "--test-threads=1"])
        .env(SCENE, scene)
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
