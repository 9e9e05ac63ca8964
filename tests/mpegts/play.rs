//! ffmpeg as a player, and a real go2rtc.

use crate::child::{Pipe, Running, eventually, mb_encode};
use mb_encode::render::strip::Strip;
use mb_encode::settings::Size;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The frame numbers in the pictures that ffmpeg decodes from `input`, with options in front of it. It must have nothing
/// to complain about. `limit` ends it after so many.
pub fn frame_numbers(input: &[&str], limit: Option<u32>) -> Vec<u32> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error"]).args(input);
    if let Some(limit) = limit {
        command.args(["-frames:v", &limit.to_string()]);
    }
    // Numbered instead of timed: raw video has no times, and pictures that go2rtc stamped alike would be a complaint.
    command.args(["-vf", "setpts=N", "-enc_time_base", "-1", "-vsync", "passthrough"]);
    let mut ffmpeg = Running::start(command.args(["-f", "rawvideo", "-pix_fmt", "gray", "pipe:1"]));
    let pictures = ffmpeg.stdout().all();
    let (code, complaints) = ffmpeg.end();
    assert_eq!((code, complaints.as_str()), (0, ""), "{input:?}");
    let size = Size::new(320, 240).expect("even");
    let (strip, chunks) = (Strip::new(size), pictures.chunks_exact(size.pixels()));
    assert!(chunks.remainder().is_empty(), "whole pictures");
    chunks.map(|luma| strip.read(luma, 320).expect("a strip in each picture").frame).collect()
}

/// Those in a file.
pub fn frame_numbers_in(file: &Path) -> Vec<u32> {
    frame_numbers(&["-f", "mpegts", "-i", &file.display().to_string()], None)
}

/// A go2rtc on loopback with one stream, `demo`. It is killed when this is dropped.
pub struct Go2rtc {
    process: Running,
    /// Its log, short and unread: closed it would end go2rtc.
    _log: Pipe,
    port: u16,
}

impl Go2rtc {
    pub fn start(config: &Path, demo: &str) -> Self {
        // A port may be taken between being found free and being listened on.
        for _ in 0..10 {
            let free =
                || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port").local_addr().expect("bound");
            let port = free().port();
            let yaml = format!(
                "app: {{modules: [rtsp, exec]}}\nrtsp: {{listen: \"127.0.0.1:{port}\"}}\nstreams:\n  demo: \"{demo}\"\n"
            );
            std::fs::File::create(config).and_then(|mut file| file.write_all(yaml.as_bytes())).expect("a config");
            let mut command = Command::new(find());
            for (name, _) in mb_encode(&[]).get_envs() {
                command.env_remove(name);
            }
            let mut process = Running::start(command.arg("-config").arg(config));
            let log = process.stdout();
            let up = eventually("go2rtc listens", || {
                let up = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
                (up || !crate::child::runs(process.id())).then_some(up)
            });
            if up {
                return Self { process, _log: log, port };
            }
        }
        panic!("go2rtc does not start");
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn frame_numbers(&self, limit: u32) -> Vec<u32> {
        let address = format!("rtsp://127.0.0.1:{}/demo", self.port);
        frame_numbers(&["-rtsp_transport", "tcp", "-i", &address], Some(limit))
    }
}

/// As set-up finds it too: $GO2RTC, PATH, then where `go install` puts it.
fn find() -> PathBuf {
    if let Some(given) = std::env::var_os("GO2RTC").filter(|given| !given.is_empty()) {
        return given.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join("go/bin"));
    std::env::split_paths(&path)
        .chain(home)
        .map(|folder| folder.join("go2rtc"))
        .find(|program| program.is_file())
        .expect("this test needs go2rtc v1.9.14: put it on PATH, or name it in $GO2RTC")
}
