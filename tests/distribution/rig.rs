//! A supervisor with its workers and go2rtc, and what a test asks of them.

use crate::support::children;
use crate::support::decode::{Decoder, Form, Source};
use crate::support::go2rtc::{self, ask, free_ports, free_run};
pub use crate::support::process::until;
use crate::support::process::{DEADLINE, Process, mb_encode, ready};
use mb_encode::settings::Size;
use rustix::event::PollFlags;
use rustix::fd::{AsFd, OwnedFd};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub const SMALL: &str = "--width 640 --height 360 --fps 15";

pub fn small() -> Size {
    Size::new(640, 360).expect("a legal size")
}

/// A running supervisor that has printed its addresses. When it is dropped it is killed, and what it started ends.
pub struct Rig {
    pub process: Process,
    pub addresses: Vec<String>,
    pub temp: PathBuf,
    pub ports: [u16; 3],
    pub folder: Option<tempfile::TempDir>,
}

impl Rig {
    /// Starts one in a folder of its own: `options` are the supervisor's, `worker_options` the workers'.
    pub fn start(options: &[&str], worker_options: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let temp = folder.path().join("temp");
        let mut this = Self::start_in(&temp, options, worker_options);
        this.folder = Some(folder);
        this
    }

    pub fn start_in(temp: &Path, options: &[&str], worker_options: &str) -> Self {
        // A port is free when it is chosen and may be taken when go2rtc gets there.
        for _ in 0..5 {
            let ports = free_ports();
            let mut command = mb_encode();
            command.arg("supervise").arg("--temp").arg(temp).arg("--go2rtc").arg(go2rtc::find()).args(options);
            command
                .args(port_options(ports))
                .args(["--worker-port", &free_run(16).to_string()])
                .arg("--")
                .args(worker_options.split_whitespace());
            if let Some(this) = Self::launch(command, temp, ports) {
                return this;
            }
        }
        panic!("every port was taken, five times in a row");
    }

    /// Starts `command`, which becomes a supervisor. `None` where a port was taken.
    pub fn launch(mut command: Command, temp: &Path, ports: [u16; 3]) -> Option<Self> {
        let mut process = Process::start(command.stdin(Stdio::null()).stdout(Stdio::piped()));
        let mut addresses = Vec::new();
        for line in BufReader::new(process.stdout()).lines() {
            let line = line.unwrap_or_else(|error| panic!("{error}\n{}", process.lines().join("\n")));
            addresses.push(line);
            if addresses.last().is_some_and(|line| line.starts_with("go2rtc ")) {
                return Some(Self { process, addresses, temp: temp.to_owned(), ports, folder: None });
            }
        }
        let ended = process.wait();
        assert!(ended.stderr.contains("cannot listen"), "no addresses: {addresses:?}\n{}", ended.stderr);
        None
    }

    pub fn rtsp(&self, id: &str) -> String {
        format!("rtsp://127.0.0.1:{}/{id}", self.ports[1])
    }

    /// The address at which go2rtc gives a stream to the gate.
    pub fn inner_rtsp(&self, id: &str) -> String {
        let words = command_line(self.go2rtc());
        let told: serde_json::Value = serde_json::from_str(words.last().expect("a config")).expect("JSON");
        format!("rtsp://{}/{id}", told["rtsp"]["listen"].as_str().expect("an address"))
    }

    pub fn http(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.ports[0])
    }

    /// What go2rtc answers: the status, and the body.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        ask(method, &self.http(path), body).unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", self.log()))
    }

    /// A viewer that stays until it is dropped.
    pub fn watch(&self, id: &str) -> Decoder {
        Decoder::start(Source::Rtsp(&self.rtsp(id)), small(), Form::Yuv420p, None)
    }

    pub fn status(&self) -> (String, i32) {
        let output = mb_encode().arg("status").arg("--temp").arg(&self.temp).output().expect("it can be run");
        (String::from_utf8(output.stdout).expect("UTF-8"), output.status.code().unwrap_or(-1))
    }

    /// Waits until the status has a line that begins with `name` and holds `words`.
    pub fn wait_for_status(&self, name: &str, words: &str) -> String {
        until(DEADLINE, &format!("status of {name}: {words}; log: {:?}", self.process.lines()), || {
            let (lines, _) = self.status();
            lines.lines().find(|line| line.starts_with(name) && line.contains(words)).map(str::to_owned)
        })
    }

    /// The process among the supervisor's children whose command line holds `word`.
    pub fn find(&self, word: &str) -> Option<Pid> {
        children::of(self.process.id()).into_iter().find(|&pid| command_line(pid).iter().any(|part| part == word))
    }

    pub fn worker(&self, id: &str) -> Pid {
        until(DEADLINE, &format!("the worker {id} runs"), || self.find(id))
    }

    pub fn go2rtc(&self) -> Pid {
        until(DEADLINE, "go2rtc runs", || self.find("-config"))
    }

    /// Where a worker listens, with `--mode http`.
    pub fn worker_address(&self, id: &str) -> String {
        let words = command_line(self.worker(id));
        let at = words.iter().position(|word| word == "--listen").expect("it listens");
        words[at + 1].clone()
    }

    /// Everything that the supervisor has started, and what that has started, and so on.
    pub fn family(&self) -> Vec<OwnedFd> {
        let mut found = children::of(self.process.id());
        let mut at = 0;
        while at < found.len() {
            found.extend(children::of(found[at].as_raw_nonzero().get() as u32));
            at += 1;
        }
        found.into_iter().filter_map(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()).collect()
    }

    pub fn log(&self) -> String {
        self.process.lines().join("\n")
    }
}

pub fn port_options(ports: [u16; 3]) -> Vec<String> {
    let names = ["--api-port", "--rtsp-port", "--webrtc-port"];
    names.iter().zip(ports).flat_map(|(name, port)| [(*name).to_owned(), port.to_string()]).collect()
}

pub fn command_line(pid: Pid) -> Vec<String> {
    let line = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    line.split(|&b| b == 0)
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .filter(|part| !part.is_empty())
        .collect()
}

/// User and system time that a process has used, in ticks of 10 ms.
pub fn ticks(pid: Pid) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    let fields: Vec<_> = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
    [11, 12].iter().filter_map(|&at: &usize| fields.get(at)?.parse::<u64>().ok()).sum()
}

/// Kills one process for good.
pub fn kill(pid: Pid) {
    let process = pidfd_open(pid, PidfdFlags::empty()).expect("it runs");
    pidfd_send_signal(&process, Signal::KILL).expect("it may be killed");
    assert!(ready(process.as_fd(), PollFlags::IN, DEADLINE), "it does not end");
}

/// Waits until all of them have ended.
pub fn assert_all_end(family: &[OwnedFd], limit: Duration) {
    let deadline = Instant::now() + limit;
    for process in family {
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(ready(process.as_fd(), PollFlags::IN, left), "a process is left after {limit:?}");
    }
}
