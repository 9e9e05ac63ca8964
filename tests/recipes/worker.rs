//! A worker that is read from, and a place for its neighbours.

use crate::how::{How, commands};
use crate::place::Place;
use crate::rig::until;
use crate::support::children;
use crate::support::go2rtc::free_ports;
use crate::support::parts;
use crate::support::process::{DEADLINE, Process, mb_encode};
use mb_encode::parts::Mark;
use mb_encode::settings::Size;
use rustix::process::Pid;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Stdio;

const SMALL: [&str; 6] = ["--width", "320", "--height", "180", "--fps", "30"];

pub fn size() -> Size {
    Size::new(320, 180).expect("a legal size")
}

pub struct Worker {
    pub process: Process,
    pub address: SocketAddr,
}

impl Worker {
    /// Starts one with small pictures, 30 a second, and waits until it listens.
    pub fn start(options: &[&str]) -> Self {
        let [port] = free_ports();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut command = mb_encode();
        command.args(SMALL).args(options).args(["--listen", &address.to_string()]);
        let process = Process::start(command.stdin(Stdio::null()).stdout(Stdio::null()));
        until(DEADLINE, "it listens", || {
            assert!(process.is_running(), "{:?}", process.lines());
            TcpStream::connect(address).ok()
        });
        Self { process, address }
    }

    /// The processes of its readers.
    pub fn encoders(&self) -> Vec<Pid> {
        children::of(self.process.id())
    }

    pub fn wait_until_alone(&self) {
        until(DEADLINE, "nobody reads any more", || self.encoders().is_empty().then_some(()));
    }
}

/// A folder with `program` on the PATH there, which is at `file`.
pub fn link(place: &Place, program: &str, file: &Path) {
    let file = std::path::absolute(file).expect("a path");
    std::os::unix::fs::symlink(file, place.path("bin").join(program)).expect("a folder to write to");
}

/// The only one of the pages' commands that begins so.
pub fn command(words: &str) -> String {
    let lines: Vec<_> = commands(How::Neighbour).into_iter().filter(|line| line.starts_with(words)).collect();
    let [line] = &lines[..] else { panic!("one line with {words}: {lines:?}") };
    line.clone()
}

/// `text` with other words for each of these, which are all there.
pub fn replaced(text: &str, words: &[(&str, &str)]) -> String {
    words.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from} is not in {text}");
        text.replace(from, to)
    })
}

/// Checks that a stream was seen from its first frame on, each frame once. A busy machine skips some.
pub fn assert_rises(what: &str, marks: &[Mark]) {
    assert_eq!(marks.first().map(|mark| mark.frame), Some(0), "{what}");
    assert!(marks.windows(2).all(|pair| pair[1].frame > pair[0].frame), "{what}: {marks:?}");
}

pub fn find(variable: &str, name: &str) -> std::path::PathBuf {
    parts::find(variable, name, &[], "see scripts/lib/tools.sh")
}
