//! How each command of the pages is run. One that is not here is run by no test, and makes one fail.

use crate::page::{PAGES, Part, parts, without_variables};

/// How a command is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The program, or the script that wraps it.
    Program,
    /// Another program, with `mb-encode mpegts` behind it.
    Piped,
    /// `scripts/start` with a go2rtc of this machine.
    Start,
    /// By `tests/producers`, in front of the program: it writes frames to standard output.
    Produce,
    /// By `tests/producers`: it shows frames that another program makes, or is one that makes them.
    Feed,
    /// By `tests/recipes`: it reads a worker's stream by HTTP.
    Read,
    /// By `tests/recipes`: a server that stands beside workers, or what checks its files.
    Neighbour,
    /// While `scripts/start` runs.
    BesideStart,
    /// While that runs with `--mode http`.
    AskWorker,
    /// With a release build.
    Release,
    /// In a crate of the reader's own.
    Embed,
    /// `scripts/gpu-check`, with simulated drivers.
    Gpu,
    /// `kill -USR1`.
    Kill,
    /// By `scripts/docker-test`.
    Docker,
    /// By `scripts/cluster-test` on a cluster; `tests/kubernetes` holds what is applied against what must hold in it.
    Cluster,
    /// By whoever runs this test, or by `scripts/test`.
    Check,
    /// A part of what `scripts/test` runs.
    Tests,
    /// Not at all: it mends a machine that is not as it should be, or looks at one.
    Remedy,
}

pub fn how(command: &str) -> Option<How> {
    let words: Vec<_> = without_variables(command).split_whitespace().collect();
    let has = |word| words.contains(&word);
    match words[..] {
        ["ffplay" | "ffmpeg" | "curl" | "gst-launch-1.0", ..] if command.contains("http://127.0.0.1:9000/stream.") => {
            Some(How::Read)
        }
        ["mediamtx" | "prometheus" | "promtool", ..] => Some(How::Neighbour),
        ["mb-encode" | "scripts/start", ..] if has("--input") || has("--input-command") => Some(How::Feed),
        ["python3", file, ..] if file.starts_with("examples/") => Some(How::Feed),
        // Looks at a pipeline of the reader's own.
        ["gst-launch-1.0", "-v"] => Some(How::Remedy),
        ["gst-launch-1.0" | "node" | "python3" | "sh", ..] => Some(How::Produce),
        ["ffmpeg", ..] if has("yuv4mpegpipe") => Some(How::Produce),
        ["mb-encode", "status", ..] => Some(How::BesideStart),
        // Beside a container, for which the folder is.
        ["install", "-d", ..] | ["mb-encode", "gate", "--socket", ..] => Some(How::Docker),
        ["mb-encode" | "scripts/go2rtc_exec_mpegts.sh", ..] => Some(How::Program),
        ["scripts/start"] | ["scripts/start", "status", ..] => Some(How::BesideStart),
        ["scripts/start", ..] if has("--docker") => Some(How::Docker),
        ["scripts/start", ..] if has("--go2rtc") => Some(How::Start),
        ["ffplay", .., address] if address.starts_with("rtsp://") => Some(How::BesideStart),
        ["curl", .., address] if address.contains("127.0.0.1:9000/") => Some(How::AskWorker),
        ["cargo", "add", ..] => Some(How::Embed),
        ["cargo", "test", ..] => Some(How::Tests),
        ["cargo", "build" | "run" | "doc" | "install", ..] | ["ffprobe", ..] | ["target/release/mb-encode", ..] => {
            Some(How::Release)
        }
        ["scripts/demo", ..] => Some(How::Release),
        ["scripts/gpu-check" | "DIR/gpu-check", ..] => Some(How::Gpu),
        ["kill", "-USR1"] => Some(How::Kill),
        ["docker", "compose" | "build", ..] => Some(How::Docker),
        ["docker", "info"] => Some(How::Remedy),
        ["kubectl", ..] => Some(How::Cluster),
        // The token of that.
        ["openssl", "rand", ..] => Some(How::Cluster),
        // What was packed is installed in a bare container.
        ["apt", "install", package] if package.ends_with(".deb") => Some(How::Docker),
        ["apt", "install", ..] | ["systemctl", "start", ..] => Some(How::Remedy),
        [
            "nvidia-ctk" | "nvidia-modprobe" | "nvidia-smi" | "modprobe" | "chmod" | "df" | "dmesg" | "free" | "ls"
            | "pgrep" | "ss" | "ulimit" | "umask" | "unset",
            ..,
        ] => Some(How::Remedy),
        ["ffmpeg", "-version"] => Some(How::Program),
        ["ffmpeg", ..] if has("mpegts") => Some(How::Piped),
        [
            "scripts/test"
            | "scripts/bench"
            | "scripts/cluster-test"
            | "scripts/docker-test"
            | "scripts/package"
            | "scripts/soak",
            ..,
        ] => Some(How::Check),
        _ => None,
    }
}

/// The commands to run so, each once. There is at least one.
pub fn commands(wanted: How) -> Vec<String> {
    let mut found = Vec::new();
    for part in parts() {
        match part {
            Part::Command(command) if how(&command) == Some(wanted) && !found.contains(&command) => found.push(command),
            _ => {}
        }
    }
    assert!(!found.is_empty(), "{PAGES:?} have no command for {wanted:?} any more");
    found
}
