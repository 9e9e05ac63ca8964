//! A worker that serves readers by HTTP, and what is to be seen of it from outside.

use crate::sim;
use crate::support::children;
use crate::support::go2rtc::free_ports;
use crate::support::http::{Stream, get};
use crate::support::process::{DEADLINE, Process, mb_encode, until};
use rustix::process::{Pid, Signal};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};

/// The smallest pictures there are.
pub const SMALL: [&str; 8] = ["--width", "64", "--height", "64", "--fps", "60", "--encoder", "openh264"];

/// The program, whose GL draws nothing.
pub fn program() -> Command {
    let mut command = mb_encode();
    command.env("LD_LIBRARY_PATH", sim::library_path(&sim::gl_alone())).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// A worker.
pub struct Door {
    pub process: Process,
    pub address: SocketAddr,
}

impl Door {
    /// Starts one with the smallest pictures and `options`.
    pub fn start(options: &[&str]) -> Self {
        Self::start_as(program().args(SMALL), options)
    }

    /// Starts one for everybody who reaches this machine.
    pub fn start_beyond(options: &[&str]) -> Self {
        Self::start_at(program().args(SMALL), options, Ipv4Addr::UNSPECIFIED)
    }

    /// Starts `command` with `options` and an address, and waits until it answers.
    pub fn start_as(command: &mut Command, options: &[&str]) -> Self {
        Self::start_at(command, options, Ipv4Addr::LOCALHOST)
    }

    fn start_at(command: &mut Command, options: &[&str], at: Ipv4Addr) -> Self {
        let [port] = free_ports();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let process = Process::start(command.args(options).args(["--listen", &format!("{at}:{port}")]));
        until(DEADLINE, "it listens", || {
            assert!(process.is_running(), "{:?}", process.lines());
            TcpStream::connect(address).ok()
        });
        Self { process, address }
    }

    pub fn stream(&self, target: &str) -> Stream {
        Stream::open(self.address, target)
    }

    /// What `/status` says.
    pub fn status(&self) -> serde_json::Value {
        serde_json::from_slice(&get(self.address, "/status").body).expect("JSON")
    }

    /// The value of one line of `/metrics`.
    pub fn metric(&self, name: &str) -> f64 {
        let answer = get(self.address, "/metrics");
        let value = answer.text().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_else(|| panic!("{name} is not in {}", answer.text()))
    }

    /// The processes of its readers.
    pub fn children(&self) -> Vec<Pid> {
        children::of(self.process.id())
    }

    /// Waits until it has no reader left.
    pub fn wait_until_alone(&self) {
        until(DEADLINE, "all streams end", || self.children().is_empty().then_some(()));
    }

    /// Ends it as a person does.
    pub fn end(self) {
        self.process.signal(Signal::TERM);
        let ended = self.process.wait();
        assert_eq!(ended.code(), 0, "{}", ended.stderr);
    }

    /// Its open descriptors, its threads, and its memory in KiB.
    pub fn holds(&self) -> (usize, usize, u64) {
        let folder = format!("/proc/{}", self.process.id());
        let count = |name: &str| std::fs::read_dir(format!("{folder}/{name}")).map_or(0, Iterator::count);
        let status = std::fs::read_to_string(format!("{folder}/status")).unwrap_or_default();
        let memory =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
        (count("fd"), count("task"), memory.unwrap_or(0))
    }
}
