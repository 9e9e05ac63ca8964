//! A machine with simulated GPUs, supervised workers on it, and those who read all the time.

use crate::rig::command_line;
use crate::sim;
use crate::support::children;
use crate::support::go2rtc::free_run;
use crate::support::http;
use crate::support::process::{DEADLINE, Process, mb_encode, until};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal};
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

pub const SMALL: &str = "--width 160 --height 90 --fps 10";

/// A machine with simulated GPUs.
pub struct Machine {
    pub folder: tempfile::TempDir,
    pub variables: Vec<(&'static str, String)>,
}

impl Machine {
    pub fn new(gpus: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let all: Vec<_> = (0..gpus).map(|number| number.to_string()).collect();
        let variables = vec![
            ("MB_SIM_REPORT", path("drivers.json")),
            ("MB_SIM_DEVICES", path("devices")),
            ("MB_SIM_EGL_DEVICES", all.join(",")),
            ("MB_SIM_ENCODE", "null".to_owned()),
        ];
        let this = Self { folder, variables };
        this.show(gpus);
        this
    }

    /// One whose driver allows so many sessions in all.
    pub fn with_sessions(gpus: usize, limit: usize) -> Self {
        let mut this = Self::new(gpus);
        let sessions = this.folder.path().join("sessions");
        std::fs::create_dir(&sessions).expect("a folder to write to");
        this.variables.push(("MB_SIM_SESSION_LIMIT", limit.to_string()));
        this.variables.push(("MB_SIM_SESSION_DIR", sessions.display().to_string()));
        this
    }

    /// From now on CUDA shows so many GPUs.
    pub fn show(&self, gpus: usize) {
        std::fs::write(self.folder.path().join("devices"), gpus.to_string()).expect("a folder to write to");
    }

    pub fn on(&self, mut command: Command) -> Command {
        command
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .env("LD_LIBRARY_PATH", sim::library_path(sim::drivers()))
            .env("__EGL_VENDOR_LIBRARY_FILENAMES", sim::egl_vendor())
            .env_remove("CUDA_VISIBLE_DEVICES")
            .stdin(Stdio::null());
        command
    }

    pub fn mb_encode(&self) -> Command {
        self.on(mb_encode())
    }

    pub fn temp(&self) -> PathBuf {
        self.folder.path().join("temp")
    }

    /// Starts a supervisor, and waits until all workers wait.
    pub fn supervise(&self, mode: &str, workers: u16, options: &[&str], worker_options: &str) -> Workers<'_> {
        let port = free_run(workers);
        let mut command = self.mb_encode();
        command.arg("supervise").arg("--temp").arg(self.temp()).args(["--mode", mode]).args(options);
        command.args(["--workers", &workers.to_string(), "--worker-port", &port.to_string(), "--"]);
        command.args(SMALL.split(' ')).args(worker_options.split_whitespace()).stdout(Stdio::null());
        let workers =
            Workers { machine: self, supervisor: Process::start(&mut command), by_http: mode == "http", port };
        workers.wait_for("all workers wait", |members| members.iter().all(|member| member["state"] == "waiting"));
        workers
    }

    /// What CUDA's driver has seen in a process that has ended: the machine's numbers of the GPUs that it used.
    pub fn used_by(&self, pid: Pid) -> Vec<u32> {
        let text = std::fs::read_to_string(self.folder.path().join("drivers.json")).unwrap_or_default();
        let own = format!(r#""library":"cuda","pid":{},"#, pid.as_raw_nonzero());
        let Some(last) = text.lines().rev().find(|line| line.contains(&own)) else { return Vec::new() };
        let counts: Value = serde_json::from_str(last).expect("JSON");
        let names = counts.as_object().expect("an object").keys();
        names.filter_map(|name| name.strip_prefix("device.")?.parse().ok()).collect()
    }
}

/// Supervised workers.
pub struct Workers<'a> {
    machine: &'a Machine,
    pub supervisor: Process,
    by_http: bool,
    port: u16,
}

impl Workers<'_> {
    /// Comes as a reader of worker `number`.
    pub fn read(&self, number: u16) -> Viewer {
        if self.by_http {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port + number));
            let stream = http::Stream::open(address, "/stream.h264");
            assert_eq!(stream.head.status, 200, "{:?}", stream.head);
            return Viewer::of(stream.socket);
        }
        let path = self.machine.temp().join(format!("streams/omega-{number}.h264"));
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Viewer::of(File::from(rustix::fs::open(path, flags, Mode::empty()).expect("the FIFO is there")))
    }

    pub fn members(&self) -> Vec<Value> {
        let output = mb_encode().args(["status", "--json", "--temp"]).arg(self.machine.temp()).output();
        let status: Value = serde_json::from_slice(&output.expect("it can be run").stdout).unwrap_or_default();
        status["members"].as_array().cloned().unwrap_or_default()
    }

    pub fn wait_for(&self, what: &str, reached: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        until(DEADLINE, what, || {
            assert!(self.supervisor.is_running(), "{:?}", self.supervisor.lines());
            let members = self.members();
            (!members.is_empty() && reached(&members)).then_some(members)
        })
    }

    /// Waits until worker `number` is in this state.
    pub fn wait_until(&self, number: u16, state: &str) -> Value {
        let what = format!("omega-{number} is {state}: {:?}", self.members());
        self.wait_for(&what, |members| members[usize::from(number)]["state"] == state)[usize::from(number)].clone()
    }

    /// Waits until it is known what encodes the stream of worker `number`, and returns that.
    pub fn chosen(&self, number: u16) -> Value {
        let chosen = |members: &[Value]| members[usize::from(number)]["stream"]["chosen"].clone();
        chosen(&self.wait_for("an encoder is chosen", |members| chosen(members).is_object()))
    }

    /// Whoever has `viewer` leaves worker `number`, and its process has ended.
    pub fn leave(&self, number: u16, viewer: Viewer) {
        drop(viewer);
        self.wait_until(number, "waiting");
        until(DEADLINE, "its process ends", || {
            children::of(self.pid(number).as_raw_nonzero().get() as u32).is_empty().then_some(())
        });
    }

    pub fn pid(&self, number: u16) -> Pid {
        let id = format!("omega-{number}");
        let find = || children::of(self.supervisor.id()).into_iter().find(|&pid| command_line(pid).contains(&id));
        until(DEADLINE, "the worker runs", find)
    }

    pub fn end(self) {
        self.supervisor.signal(Signal::TERM);
        let ended = self.supervisor.wait();
        assert_eq!(ended.code(), 0, "{}", ended.stderr);
    }
}

/// Somebody who reads all the time, until this is dropped.
pub struct Viewer {
    pictures: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
    leaves: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Viewer {
    pub fn of(mut stream: impl Read + AsFd + Send + 'static) -> Self {
        let [ended, leaves] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let pictures = Arc::new(AtomicUsize::new(0));
        let (counted, over, left) = (Arc::clone(&pictures), Arc::clone(&ended), Arc::clone(&leaves));
        let mut seen = Vec::new();
        let thread = std::thread::spawn(move || {
            let moment = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
            let (mut chunk, mut has_come) = (vec![0; 1 << 16], false);
            while !left.load(Ordering::Relaxed) {
                let ready = poll(&mut [PollFd::new(&stream, PollFlags::IN)], Some(&moment)).unwrap_or(0);
                match if ready > 0 { stream.read(&mut chunk).unwrap_or(0) } else { continue } {
                    // A FIFO without a writer yet looks as one that has lost its writer.
                    0 if !has_come => std::thread::sleep(std::time::Duration::from_millis(5)),
                    0 => return over.store(true, Ordering::Relaxed),
                    bytes => {
                        has_come = true;
                        seen.extend_from_slice(&chunk[..bytes]);
                        let is_slice = |four: &[u8]| four[..3] == [0, 0, 1] && matches!(four[3] & 31, 1 | 5);
                        counted.fetch_add(seen.windows(4).filter(|four| is_slice(four)).count(), Ordering::Relaxed);
                        seen.drain(..seen.len().saturating_sub(3));
                    }
                }
            }
        });
        Self { pictures, ended, leaves, thread: Some(thread) }
    }

    pub fn pictures(&self) -> usize {
        self.pictures.load(Ordering::Relaxed)
    }

    /// Waits for so many more pictures, all of one stream.
    pub fn take(&self, pictures: usize) {
        let enough = self.pictures() + pictures;
        until(DEADLINE, &format!("{enough} pictures"), || {
            assert!(!self.has_ended(), "the end of the stream after {} pictures", self.pictures());
            (self.pictures() >= enough).then_some(())
        });
    }

    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.leaves.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
