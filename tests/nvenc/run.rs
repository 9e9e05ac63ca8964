//! One run of the program to its end, with what it wrote, what it said, and what the drivers saw.

use crate::support::decode::{Decoder, Form, Picture, Source};
use crate::support::process::{Process, mb_encode_with};
use crate::support::sim::{self, Report};
use mb_encode::settings::Size;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A command that is not started yet, and the drivers' report on it.
pub struct Run {
    pub command: Command,
    pub folder: TempDir,
}

/// What came of it.
pub struct Ended {
    pub code: i32,
    pub stderr: String,
    pub stream: Vec<u8>,
    pub report: Report,
}

impl Run {
    /// With `--encoder nvenc` unless `options` say otherwise, and both drivers.
    pub fn new(options: &[&str]) -> Self {
        Self::with_drivers(sim::drivers(), options)
    }

    /// With another folder of drivers.
    pub fn with_drivers(drivers: &Path, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = mb_encode_with(drivers);
        command.env("MB_SIM_REPORT", folder.path().join("drivers.json")).env_remove("CUDA_VISIBLE_DEVICES");
        command.args(options).stdout(Stdio::piped());
        Self { command, folder }
    }

    pub fn env(mut self, variables: &[(&str, &str)]) -> Self {
        self.command.envs(variables.iter().copied());
        self
    }

    /// What the drivers have seen so far.
    pub fn report(&self) -> Report {
        Report::read(&self.folder.path().join("drivers.json"))
    }

    pub fn finish(mut self) -> Ended {
        let mut process = Process::start(&mut self.command);
        let stream = process.stdout().all();
        let ended = process.wait();
        Ended { code: ended.code(), stderr: ended.stderr, stream, report: self.report() }
    }
}

impl Ended {
    /// It ended well, everything was released, and no rule of the drivers was broken.
    pub fn assert_well(&self) -> &Self {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self.report.assert_clean();
        self
    }

    /// All its pictures, decoded without one word of complaint.
    pub fn pictures(&self, size: Size) -> Vec<Picture> {
        decoded(&self.stream, size)
    }
}

/// All pictures of `stream`, decoded without one word of complaint.
pub fn decoded(stream: &[u8], size: Size) -> Vec<Picture> {
    let mut decoder = Decoder::start(Source::Bytes(stream.to_vec()), size, Form::Yuv420p, None);
    let pictures = decoder.by_ref().collect();
    decoder.finish();
    pictures
}

pub fn size(width: u32, height: u32) -> Size {
    Size::new(width, height).expect("a legal size")
}

/// Runs `check` on all of `items` at the same time, where each of them waits for more than it works.
pub fn at_once<T: Sync>(items: &[T], check: impl Fn(&T) + Sync) {
    std::thread::scope(|scope| {
        for item in items {
            scope.spawn(|| check(item));
        }
    });
}
