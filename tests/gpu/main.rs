//! `scripts/gpu-check`: what it says of a machine without a GPU, its whole way with the simulated drivers, each of its parts
//! where that fails or hangs, and what it packs for other machines.
//!
//! Needs Mesa's EGL: `apt install libegl1 libgl1-mesa-dri`.

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/sim.rs"]
mod sim;

mod clip;
mod failing;
mod folder;
mod pack;
mod whole;

use folder::{Folder, gpu_check};
use serde_json::Value;
use std::io::{Read as _, Seek as _};
use std::process::{Command, Stdio};
use std::time::Duration;
use support::process::Process;

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

/// How long any of it may take: half a minute on a quiet machine, and the script ends by itself after that.
const LIMIT: Duration = Duration::from_secs(600);

fn run(command: &mut Command) -> Said {
    // A part tells what it found when it has ended, which may be a while.
    let mut report = tempfile::tempfile().expect("a file");
    let process = Process::start(command.stdin(Stdio::null()).stdout(report.try_clone().expect("a file")));
    let ended = process.wait_for(LIMIT);
    let mut stdout = String::new();
    report.rewind().and_then(|()| report.read_to_string(&mut stdout)).expect("the script writes UTF-8");
    Said { code: ended.code(), stdout, stderr: ended.stderr }
}

/// The check with simulated drivers, and what it and they wrote down.
struct Checked {
    said: Said,
    results: Value,
    drivers: sim::Report,
}

impl Checked {
    /// With `parts` alone, or all where there are none; as many `pictures` of each kind.
    fn run(folder: &Folder, parts: &[&str], pictures: u32, settings: &[(&str, &str)]) -> Self {
        let kept = tempfile::tempdir().expect("a folder");
        let [drivers, results] = ["drivers.json", "results.json"].map(|name| kept.path().join(name));
        let mut command = gpu_check();
        command.args(["--simulated", "--pictures", &pictures.to_string(), "--prebuilt"]).arg(folder.path());
        command.args(parts.iter().flat_map(|part| ["--only", part])).arg("--json").arg(&results);
        command.env("MB_SIM_REPORT", &drivers).envs(settings.iter().copied());
        let said = run(&mut command);
        let text = std::fs::read_to_string(&results).unwrap_or_else(|error| panic!("{error}: {}", said.stderr));
        let results = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"));
        Self { said, results, drivers: sim::Report::read(&drivers) }
    }

    /// The names of all parts that ended so.
    fn all(&self, state: &str) -> Vec<&str> {
        let parts = self.results["parts"].as_array().expect("a list").iter();
        parts.filter(|part| part["state"] == state).map(|part| part["part"].as_str().expect("a name")).collect()
    }

    fn part(&self, name: &str) -> &Value {
        let parts = self.results["parts"].as_array().expect("a list");
        parts.iter().find(|part| part["part"] == name).unwrap_or_else(|| panic!("no {name} in {:#}", self.results))
    }

    /// These parts failed and no other, the verdict names each, and says why.
    fn assert_failed(&self, failed: &[(&str, &str)]) {
        let names: Vec<_> = failed.iter().map(|(name, _)| *name).collect();
        assert_eq!(self.all("failed"), names, "{}{}", self.said.stdout, self.said.stderr);
        for (name, why) in failed {
            let found = self.part(name)["found"].as_str().expect("a sentence");
            assert!(found.contains(why), "{why:?} is not in {found:?}:\n{}{}", self.said.stdout, self.said.stderr);
            self.said.assert_verdict(1, &[&format!("{name}: {found}")]);
        }
        assert_eq!(self.results["works"], false);
        assert!(self.said.verdict().ends_with(self.results["verdict"].as_str().expect("a sentence")));
    }
}
