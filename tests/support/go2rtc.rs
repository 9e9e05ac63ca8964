//! A real go2rtc on loopback, with the streams that a test gives it.

use super::parts;
use super::process::{DEADLINE, Process};
use serde_json::{Map, Value, json};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

/// A running go2rtc, which answers. It is killed when this is dropped, and its `exec:` children end with it.
pub struct Go2rtc {
    process: Process,
    api: u16,
    rtsp: u16,
}

impl Go2rtc {
    /// Starts go2rtc with streams given as `(name, source)`.
    pub fn start(streams: &[(&str, &str)]) -> Self {
        let program = find();
        // A port is free when it is chosen and may be taken when go2rtc gets there.
        for _ in 0..10 {
            if let Some(this) = Self::try_start(&program, streams) {
                return this;
            }
        }
        panic!("go2rtc found every port taken, ten times in a row");
    }

    fn try_start(program: &PathBuf, streams: &[(&str, &str)]) -> Option<Self> {
        let [api, rtsp] = free_ports();
        let streams: Map<String, Value> =
            streams.iter().map(|(name, source)| ((*name).into(), (*source).into())).collect();
        let config = json!({
            "app": { "modules": ["api", "ws", "rtsp", "webrtc", "mp4", "exec", "http"] },
            "api": { "listen": format!("127.0.0.1:{api}") },
            "rtsp": { "listen": format!("127.0.0.1:{rtsp}") },
            // Without `loopback`, listening on 127.0.0.1 leaves a browser no address to send to.
            "webrtc": {
                "listen": "127.0.0.1:0",
                "ice_servers": [],
                "filters": { "loopback": true, "ips": ["127.0.0.1"] },
            },
            "log": { "output": "stderr", "format": "text" },
            "streams": streams,
        });
        let mut command = Command::new(program);
        command.arg("-config").arg(config.to_string()).stdin(Stdio::null()).stdout(Stdio::null());
        let process = Process::start(&mut command);
        for listener in ["[api] listen", "[rtsp] listen", "[webrtc] listen udp"] {
            if process.wait_for_line(listener).contains("address already in use") {
                return None;
            }
        }
        let this = Self { process, api, rtsp };
        let (status, answer) = this.get("api");
        assert_eq!(status, 200, "go2rtc's API: {answer}");
        Some(this)
    }

    /// The address of a stream for a player.
    pub fn rtsp(&self, stream: &str) -> String {
        format!("rtsp://127.0.0.1:{}/{stream}", self.rtsp)
    }

    /// An address on its HTTP server.
    pub fn http(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.api)
    }

    /// What a GET of `path` gives: the status, and the body as text.
    pub fn get(&self, path: &str) -> (u16, String) {
        ask("GET", &self.http(path), "").unwrap_or_else(|error| panic!("GET {path}: {error}\n{}", self.log()))
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.process.lines().join("\n")
    }
}

/// As set-up finds it too: $GO2RTC, PATH, then where `go install` puts it.
pub fn find() -> PathBuf {
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join("go/bin"));
    let how = "go install github.com/AlexxIT/go2rtc@v1.9.14";
    parts::find("GO2RTC", "go2rtc", home.as_slice(), how)
}

/// What a go2rtc answers to a request: the status, and the body as text.
pub fn ask(method: &str, address: &str, body: &str) -> Result<(u16, String), ureq::Error> {
    let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(DEADLINE)).build();
    let request = ureq::http::Request::builder().method(method).uri(address).body(body.to_owned())?;
    let mut answer = ureq::Agent::new_with_config(config).run(request)?;
    Ok((answer.status().as_u16(), answer.body_mut().read_to_string()?))
}

/// So many ports on loopback that nobody listens on.
pub fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port on loopback"));
    listeners.map(|listener| listener.local_addr().expect("it is bound").port())
}

/// The first of so many ports on loopback, one behind the other, that nobody listens on. The system gives others to whoever
/// asks for any.
pub fn free_run(ports: u16) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = (std::process::id() % 500) as u16 * 40;
    let is_free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let mut runs = (0..500).map(|_| 10_000 + (begin + NEXT.fetch_add(ports, Ordering::Relaxed)) % 20_000);
    runs.find(|&first| (first..first + ports).all(is_free)).expect("free ports on loopback")
}
