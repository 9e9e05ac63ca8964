//! A stream that loses its GPU again and again, for as long as each loss is far enough from the one before: nothing is left
//! of any of them, and no picture is lost or wrong.
//!
//! `MB_LOSSES` says how many losses of each kind there are.

use crate::losses::{idrs, parameter_sets};
use crate::run::{Run, at_once};
use crate::support::children;
use crate::support::decode;
use crate::support::go2rtc::free_ports;
use crate::support::http::Stream;
use crate::support::process::{DEADLINE, Process, Reader, until};
use rustix::process::Signal;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Stdio;
use std::thread::JoinHandle;
use std::time::Duration;

/// How many losses of a kind there are, unless `MB_LOSSES` says so.
const LOSSES: usize = 6;
/// Pictures of one life. At one a second of the stream, which is not held to real time, a GPU is trusted again within them,
/// whether its last one or the ones that were drawn behind it are counted from.
const LIFE: usize = 40;
const SIZE: (u32, u32) = (160, 90);
const OPTIONS: [&str; 9] = ["--no-pace", "--fps", "1", "--gop", "3600", "--width", "160", "--height", "90"];

/// How each IDR picture begins.
const SPS: [u8; 5] = [0, 0, 0, 1, 0x67];

fn losses() -> usize {
    match std::env::var("MB_LOSSES") {
        Ok(number) => number.parse().expect("MB_LOSSES is a number"),
        Err(_) => LOSSES,
    }
}

/// What a process has at one moment.
#[derive(Clone, Copy, Debug)]
struct Holdings {
    descriptors: usize,
    children: usize,
    resident_kib: u64,
}

impl Holdings {
    /// `None` while the process is about to become another program.
    fn of(process: &Process) -> Option<Self> {
        let proc = |name: &str| format!("/proc/{}/{name}", process.id());
        let status = std::fs::read_to_string(proc("status")).ok()?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let resident_kib = resident.trim_end_matches("kB").trim().parse().ok().filter(|&kib: &u64| kib > 4096)?;
        let descriptors = std::fs::read_dir(proc("fd")).ok()?.count();
        Some(Self { descriptors, children: children::of(process.id()).len(), resident_kib })
    }

    /// The least or the most of both.
    fn and(self, other: Self, of: fn(u64, u64) -> u64) -> Self {
        let count = |one: usize, other: usize| of(one as u64, other as u64) as usize;
        Self {
            descriptors: count(self.descriptors, other.descriptors),
            children: count(self.children, other.children),
            resident_kib: of(self.resident_kib, other.resident_kib),
        }
    }
}

/// What makes a process lose its GPU with its picture [`LIFE`].
fn order(kind: &str, losses: usize) -> (&'static str, String) {
    match kind {
        "in its process" => ("MB_SIM_FAULT", format!("encode:5@{LIFE}x{losses}")),
        "with its process" => ("MB_SIM_FAULT", format!("cuda:cuGraphicsMapResources:719@{LIFE}")),
        _ => ("MB_SIM_HANG", format!("nvEncLockBitstream@{}", LIFE + 1)),
    }
}

fn run(kind: &str, losses: usize, to: &[&str]) -> Run {
    let run = Run::new(&[&OPTIONS[..], &["--hang-timeout", "1"], to].concat());
    let (name, order) = order(kind, losses);
    run.env(&[(name, &order)])
}

/// Reads a stream of so many losses, on a thread, and a life behind the last of them.
fn read(mut reader: impl Read + Send + 'static, losses: usize) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let (mut stream, mut buffer, mut lives) = (Vec::new(), vec![0; 1 << 16], 0);
        while lives <= losses {
            let read = reader.read(&mut buffer).expect("the stream goes on");
            assert!(read > 0, "it has ended in life {lives}");
            // Each life begins with the one SPS that it has, of which a part may be here.
            let from = stream.len().saturating_sub(4);
            stream.extend_from_slice(&buffer[..read]);
            lives += stream[from..].windows(5).filter(|five| *five == SPS).count();
        }
        stream
    })
}

/// Follows `process` from one of its losses to the next. What it holds comes and goes with its encoder; in the second half
/// of them it never comes to that there is always more of it than there was at any time in the first.
fn follow(process: &Process, losses: usize, what: &str) {
    let (mut most, mut least): (Option<Holdings>, Option<Holdings>) = (None, None);
    for number in 1..=losses {
        process.wait_for_nth_line(number, "starting over in");
        for _ in 0..20 {
            std::thread::sleep(Duration::from_millis(5));
            let Some(now) = Holdings::of(process) else { continue };
            if number <= losses.div_ceil(2) {
                most = Some(most.map_or(now, |most| most.and(now, u64::max)));
            } else {
                least = Some(least.map_or(now, |least| least.and(now, u64::min)));
            }
        }
    }
    let (most, least) = most.zip(least).unwrap_or_else(|| panic!("{what}: too few of {losses} losses"));
    assert!(least.descriptors <= most.descriptors, "{what}: {most:?}, then {least:?}");
    assert!(least.children <= most.children && most.children <= 1, "{what}: {most:?}, then {least:?}");
    // A heap that has settled takes something by and by.
    assert!(least.resident_kib <= most.resident_kib + 4096, "{what}: {most:?}, then {least:?}");
}

/// All pictures up to the last IDR picture are there, each once and the right one.
fn assert_whole(stream: &[u8], losses: usize, what: &str) {
    let last = stream.windows(5).rposition(|five| five == SPS).expect("one");
    let at: Vec<_> = (0..losses).map(|number| number * LIFE).collect();
    assert_eq!(idrs(&stream[..last]), at, "{what}");
    assert_eq!(parameter_sets(&stream[..last]), [1; 2], "{what}");
    let marks = decode::all_marks(&stream[..last], SIZE);
    assert_eq!(marks.len(), losses * LIFE, "{what}");
    decode::assert_frames_rise_by_one(&marks);
}

const KINDS: [&str; 3] = ["in its process", "with its process", "by a hang"];

#[test]
fn a_stream_to_standard_output_survives_any_number_of_losses() {
    let losses = losses();
    at_once(&KINDS, |kind| {
        let mut process = Process::start(run(kind, losses, &["--stdout"]).command.stdout(Stdio::piped()));
        let reading = read(process.stdout(), losses);
        follow(&process, losses, kind);
        assert_whole(&reading.join().expect("a stream"), losses, kind);
        process.signal(Signal::TERM);
        process.wait();
    });
}

#[test]
fn a_fifos_reader_survives_any_number_of_losses() {
    let losses = losses();
    at_once(&KINDS[1..], |kind| {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("demo.h264");
        let worker = Process::start(&mut run(kind, losses, &["--fifo", path.to_str().expect("a plain path")]).command);
        worker.wait_for_line("waiting for a reader");
        let reading = read(std::fs::File::open(&path).expect("the FIFO"), losses);
        follow(&worker, losses, kind);
        assert_whole(&reading.join().expect("a stream"), losses, kind);
        worker.signal(Signal::TERM);
        assert_eq!(worker.wait().code(), 0, "{kind}");
    });
}

#[test]
fn a_reader_by_http_survives_any_number_of_losses() {
    let losses = losses();
    at_once(&KINDS[1..], |kind| {
        let [port] = free_ports();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let worker = Process::start(&mut run(kind, losses, &["--listen", &address.to_string()]).command);
        until(DEADLINE, &format!("it listens: {:?}", worker.lines()), || TcpStream::connect(address).ok());
        let reading = read(Reader::new(Stream::open(address, "/stream.h264").socket), losses);
        follow(&worker, losses, kind);
        assert_whole(&reading.join().expect("a stream"), losses, kind);
        worker.signal(Signal::TERM);
        assert_eq!(worker.wait().code(), 0, "{kind}");
    });
}
