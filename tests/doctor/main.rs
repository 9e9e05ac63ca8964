//! What `mb-encode doctor` finds: on this machine, with the simulated drivers, and with each of their faults.
//!
//! Needs Mesa's EGL: `apt install libegl1 libgl1-mesa-dri`.

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/sim.rs"]
mod sim;

mod egl;
mod explained;
mod faults;
mod report;
mod without;

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use support::process::{Process, mb_encode};

/// What a run of the doctor said.
struct Said {
    code: i32,
    text: String,
}

/// Runs `mb-encode doctor` and waits for its end.
fn run(command: &mut Command) -> Said {
    let mut process = Process::start(command.stdout(Stdio::piped()));
    let text = String::from_utf8(process.stdout().all()).expect("the doctor writes UTF-8");
    let ended = process.wait();
    assert_eq!(ended.stderr, "", "the doctor has nothing for standard error:\n{text}");
    Said { code: ended.code(), text }
}

/// The doctor's report as JSON.
struct Report {
    code: i32,
    json: Value,
}

impl Report {
    fn of(command: &mut Command) -> Self {
        let Said { code, text } = run(command.arg("--json"));
        let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"));
        Self { code, json }
    }

    fn check(&self, id: &str) -> &Value {
        let checks = self.json["checks"].as_array().expect("a list of checks");
        checks.iter().find(|check| check["check"] == id).unwrap_or_else(|| panic!("no check {id} in {}", self.json))
    }

    fn state(&self, id: &str) -> &str {
        self.check(id)["state"].as_str().expect("a state is a word")
    }

    /// The checks of a state, by their names for programs.
    fn all(&self, state: &str) -> Vec<&str> {
        let checks = self.json["checks"].as_array().expect("a list of checks").iter();
        checks.filter(|check| check["state"] == state).filter_map(|check| check["check"].as_str()).collect()
    }
}

/// The doctor on this machine, without what the environment might hold for drivers.
fn doctor() -> Command {
    let mut command = mb_encode();
    for variable in ["CUDA_VISIBLE_DEVICES", "GO2RTC", "__EGL_VENDOR_LIBRARY_FILENAMES", "__EGL_VENDOR_LIBRARY_DIRS"] {
        command.env_remove(variable);
    }
    command.arg("doctor");
    command
}

/// The doctor with a folder of libraries before the system's.
fn doctor_with(libraries: &Path) -> Command {
    let mut command = doctor();
    command.env("LD_LIBRARY_PATH", sim::library_path(libraries));
    command
}
