//! How long the drivers take to start. Each start is in a process of its own: a second one in the same process is another
//! matter.

use crate::times::Times;
use crate::{Found, say};
use anyhow::{Context as _, ensure};
use mb_encode::Settings;
use mb_encode::gl::Gl;
use mb_encode::parts::{Nvenc, candidates, open_cuda, open_gl};
use serde_json::Map;
use std::process::Command;
use std::time::{Duration, Instant};

/// What is started.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum What {
    /// EGL alone, to a current context.
    Egl,
    /// CUDA alone: its driver, and the context of a GPU.
    Cuda,
    /// Both, on one GPU.
    Both,
    /// A session of NVENC, once both are there.
    Session,
}

const ALL: [(What, &str); 4] =
    [(What::Egl, "egl"), (What::Cuda, "cuda"), (What::Both, "both"), (What::Session, "session")];

/// # Errors
/// What is started does not start.
pub fn run(device: Option<u32>, times: u32, within: u32) -> anyhow::Result<Found> {
    let program = std::env::current_exe()?;
    say(Times::HEAD);
    let mut found = Map::new();
    for (_, name) in ALL {
        let times = Times::measure(times, within, || {
            let mut command = Command::new(&program);
            command.args(["start", name]);
            command.args(device.map(|device| format!("--device={device}")));
            let output = command.output()?;
            let said = String::from_utf8_lossy(&output.stdout);
            ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr).trim());
            // A driver may say something, too.
            let last = said.lines().last().unwrap_or_default();
            Ok(Duration::from_micros(last.parse().with_context(|| format!("{name} says {said:?}"))?))
        })?;
        say(&times.row(name));
        found.insert(name.to_owned(), times.json());
    }
    Ok(found.into())
}

/// # Errors
/// What is started does not start.
pub fn once(what: What, settings: &Settings) -> anyhow::Result<()> {
    let began = Instant::now();
    let took = match what {
        What::Egl => {
            let _gl = Gl::open(settings.device)?;
            began.elapsed()
        }
        What::Cuda => {
            let _context = candidates(settings.device)?.next().context("CUDA shows no GPU")?.open()?;
            began.elapsed()
        }
        What::Both => {
            let gl = open_gl(settings)?;
            let _context = open_cuda(&gl)?;
            began.elapsed()
        }
        What::Session => {
            let gl = open_gl(settings)?;
            let _context = open_cuda(&gl)?;
            let began = Instant::now();
            let _nvenc = Nvenc::open(&gl, settings)?;
            began.elapsed()
        }
    };
    say(&took.as_micros().to_string());
    Ok(())
}
