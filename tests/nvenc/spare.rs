//! A process that is ready before its reader comes, where the drivers take their time.
//!
//! Times are printed and not held against a limit: a reader's own process never gets through `cuInit` in most of these, so
//! whoever gets a picture has it from the process that was ready.

use crate::fifo::Viewer;
use crate::run::{Run, size};
use crate::support::children;
use crate::support::decode;
use crate::support::process::{DEADLINE, Process, ready, until};
use crate::support::sim;
use rustix::event::PollFlags;
use rustix::fd::AsFd as _;
use rustix::process::{Pid, Signal, kill_process, pidfd_open};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const READY: &str = "a process is ready";
/// A start that is slow enough for a process to be kept, and no slower.
const SLOW: (&str, &str) = ("MB_SIM_START", "cuInit=400");
/// With this, only what is ready already streams.
const NO_COLD_START: [(&str, &str); 2] = [("MB_SIM_HANG", "cuInit"), ("MB_SIM_HANG_ROLE", "reader")];

/// A worker, by FIFO or by HTTP.
struct Worker {
    process: Process,
    run: Run,
}

impl Worker {
    fn start(to: &str, options: &[&str], variables: &[(&str, &str)]) -> Self {
        let small = ["--width", "320", "--height", "180", "--fps", "60", "--log-level", "debug"];
        let mut run = Run::new(&[&small[..], options].concat()).env(variables);
        run.command.env_remove("MB_ENCODE_SPARE");
        match to {
            "fifo" => run.command.arg("--fifo").arg(run.folder.path().join("demo.h264")),
            _ => run.command.args(["--listen", "127.0.0.1:0"]),
        };
        let process = Process::start(&mut run.command);
        process.wait_for_line(if to == "fifo" { "waiting for a reader" } else { "listening at" });
        Self { process, run }
    }

    fn fifo(&self) -> PathBuf {
        self.run.folder.path().join("demo.h264")
    }

    /// Waits until the process number `n`, counted from 1, is ready.
    fn wait_until_ready(&self, n: usize) {
        self.process.wait_for_nth_line(n, READY);
    }

    /// How many were ready so far.
    fn ready(&self) -> usize {
        self.process.lines().iter().filter(|line| line.contains(READY)).count()
    }

    /// Comes as a reader of the FIFO.
    fn connect(&self) -> Viewer<File> {
        crate::fifo::connect(&self.fifo())
    }

    /// Comes as a reader by HTTP.
    fn get(&self) -> TcpStream {
        let line = self.process.wait_for_line("listening at");
        let address = line.split_once("http://").and_then(|(_, rest)| rest.split_once('/')).expect("an address").0;
        let mut socket = TcpStream::connect(address).expect("it listens");
        socket.set_read_timeout(Some(DEADLINE)).expect("a socket");
        write!(socket, "GET /stream.h264 HTTP/1.1\r\nHost: {address}\r\n\r\n").expect("it is sent");
        socket
    }

    /// Its only child.
    fn child(&self) -> Pid {
        until(DEADLINE, "it has one child", || {
            let children = children::of(self.process.id());
            (children.len() == 1).then(|| children[0])
        })
    }

    fn wait_until_alone(&self) {
        until(DEADLINE, "no process is left", || children::of(self.process.id()).is_empty().then_some(()));
    }

    /// Ends it as a person does. Nothing is left of it.
    fn end(self) -> Run {
        let children = children::watch(self.process.id());
        self.process.signal(Signal::TERM);
        let ended = self.process.wait_for(Duration::from_secs(3));
        assert_eq!(ended.code(), 0, "{}", ended.stderr);
        for child in children {
            assert!(ready(child.as_fd(), PollFlags::IN, DEADLINE), "a process outlives its worker");
        }
        self.run
    }
}

/// Bytes of a stream by HTTP behind the head of its answer.
fn body(socket: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        if let Some(head) = head.filter(|head| bytes.len() >= head + count) {
            assert!(bytes.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&bytes[..head]));
            return bytes.split_off(head);
        }
        match socket.read(&mut piece).expect("it comes in time") {
            0 => panic!("it ends: {}", String::from_utf8_lossy(&bytes)),
            read => bytes.extend(&piece[..read]),
        }
    }
}

#[test]
fn a_reader_is_given_what_is_ready_and_another_one_is_made_behind_its_first_picture() {
    let worker = Worker::start("fifo", &[], &[&NO_COLD_START[..], &[SLOW]].concat());
    for reader in 1..=3 {
        worker.wait_until_ready(reader);
        let came = Instant::now();
        let mut viewer = worker.connect();
        viewer.wait();
        eprintln!("reader {reader}: first byte after {:.0} ms", came.elapsed().as_secs_f64() * 1e3);
        let stream = viewer.units(10);
        decode::assert_frames_rise_by_one(&decode::all_marks(&stream, (320, 180)));
        // While this one reads.
        worker.wait_until_ready(reader + 1);
        drop(viewer);
        worker.process.wait_for_nth_line(reader, "reader disconnected");
    }
    assert_eq!(worker.ready(), 4);
    worker.end().report().assert_clean();
}

#[test]
fn readers_by_http_are_given_it_as_well() {
    let worker = Worker::start("http", &[], &[&NO_COLD_START[..], &[SLOW]].concat());
    for reader in 1..=2 {
        worker.wait_until_ready(reader);
        let came = Instant::now();
        let mut socket = worker.get();
        assert!(ready(socket.as_fd(), PollFlags::IN, DEADLINE), "nothing comes");
        eprintln!("reader {reader}: first byte after {:.0} ms", came.elapsed().as_secs_f64() * 1e3);
        assert!(body(&mut socket, 20_000).starts_with(&[0, 0, 0, 1]));
        worker.wait_until_ready(reader + 1);
    }
    worker.end().report().assert_clean();
}

#[test]
fn of_two_readers_at_once_one_gets_it_and_the_other_a_process_of_its_own() {
    let worker = Worker::start("http", &[], &[SLOW]);
    worker.wait_until_ready(1);
    let mut sockets = [worker.get(), worker.get()];
    for socket in &mut sockets {
        assert!(body(socket, 20_000).starts_with(&[0, 0, 0, 1]));
    }
    worker.wait_until_ready(2);
    drop(sockets);
    worker.process.wait_for_nth_line(2, "reader disconnected");
    worker.end().report().assert_clean();
}

#[test]
fn it_holds_no_session_of_the_gpu() {
    let sessions = tempfile::tempdir().expect("a folder");
    let limit =
        [("MB_SIM_SESSION_LIMIT", "1"), ("MB_SIM_SESSION_DIR", sessions.path().to_str().expect("a plain path"))];
    let worker = Worker::start("fifo", &["--spare", "on"], &limit);
    worker.wait_until_ready(1);
    let other = Run::new(&["--stdout", "--frames", "3", "--no-pace"]).env(&limit).finish();
    other.assert_well();
    assert_eq!(worker.run.report().count("call.NvEncOpenEncodeSessionEx"), 1, "the rehearsal's");
    let mut viewer = worker.connect();
    viewer.units(3);
    drop(viewer);
    worker.wait_until_ready(2);
    worker.end().report().assert_clean();
}

#[test]
fn one_that_was_killed_is_no_loss() {
    let worker = Worker::start("fifo", &["--spare", "on"], &[]);
    worker.wait_until_ready(1);
    kill_process(worker.child(), Signal::KILL).expect("it runs");
    worker.process.wait_for_line("was ready for the next reader has ended");
    worker.connect().units(5);
    // In the very moment in which a reader comes.
    worker.wait_until_ready(2);
    kill_process(worker.child(), Signal::KILL).expect("it runs");
    worker.connect().units(5);
    worker.wait_until_ready(3);
    worker.end();
}

#[test]
fn one_that_does_not_answer_is_no_loss_either() {
    for to in ["fifo", "http"] {
        let worker = Worker::start(to, &["--spare", "on"], &[]);
        worker.wait_until_ready(1);
        let spare = worker.child();
        let ended = pidfd_open(spare, rustix::process::PidfdFlags::empty()).expect("it runs");
        kill_process(spare, Signal::STOP).expect("it runs");
        let came = Instant::now();
        if to == "fifo" {
            worker.connect().units(5);
        } else {
            body(&mut worker.get(), 5000);
        }
        eprintln!("{to}: five frames after {:.0} ms", came.elapsed().as_secs_f64() * 1e3);
        worker.process.wait_for_line("does not answer: starting another one");
        assert!(ready(ended.as_fd(), PollFlags::IN, DEADLINE), "it is not killed");
        worker.wait_until_ready(2);
        worker.end();
    }
}

#[test]
fn one_that_hangs_while_it_opens_keeps_no_reader_waiting_and_is_killed() {
    let hang = [("MB_SIM_HANG", "cuInit"), ("MB_SIM_HANG_ROLE", "spare")];
    let worker = Worker::start("fifo", &["--spare", "on", "--start-timeout", "3"], &hang);
    let spare = worker.child();
    let ended = pidfd_open(spare, rustix::process::PidfdFlags::empty()).expect("it runs");
    until(DEADLINE, "it hangs", || (worker.run.report().count("hang.cuInit") == 1).then_some(()));
    worker.connect().units(5);
    assert!(ready(ended.as_fd(), PollFlags::IN, DEADLINE), "it is not killed");
    worker
        .process
        .wait_for_line("no process is ready for the next reader: the stream did not start: no progress for 3 s");
    assert!(worker.process.is_running());
    worker.connect().units(5);
    worker.end();
}

#[test]
fn it_ends_with_its_worker_also_where_it_hangs() {
    for (order, to) in [("", "fifo"), ("", "http"), ("cuInit", "fifo"), ("cuInit", "http")] {
        let hang = [("MB_SIM_HANG", order), ("MB_SIM_HANG_ROLE", "spare")];
        let worker = Worker::start(to, &["--spare", "on"], &hang);
        if order.is_empty() {
            worker.wait_until_ready(1);
        } else {
            until(DEADLINE, "it hangs", || (worker.run.report().count("hang.cuInit") == 1).then_some(()));
        }
        worker.end();
    }
    // And where nobody asks it to.
    let worker = Worker::start("fifo", &["--spare", "on"], &[]);
    worker.wait_until_ready(1);
    let ended = pidfd_open(worker.child(), rustix::process::PidfdFlags::empty()).expect("it runs");
    worker.process.signal(Signal::KILL);
    assert!(ready(ended.as_fd(), PollFlags::IN, DEADLINE), "it outlives its worker");
}

#[test]
fn a_reader_that_leaves_at_once_leaves_another_one_behind() {
    let worker = Worker::start("fifo", &[], &[SLOW]);
    for reader in 1..=3 {
        worker.wait_until_ready(reader);
        let viewer = worker.connect();
        worker.process.wait_for_nth_line(reader, "reader connected");
        drop(viewer);
        worker.process.wait_for_nth_line(reader, "reader disconnected");
    }
    worker.wait_until_ready(4);
    worker.connect().units(3);
    worker.end().report().assert_clean();
}

#[test]
fn it_goes_when_nobody_comes_and_comes_back_with_the_next_reader() {
    for to in ["fifo", "http"] {
        let worker = Worker::start(to, &["--spare", "on", "--spare-idle", "1s"], &[]);
        worker.wait_until_ready(1);
        worker.process.wait_for_line("nobody has come for 1 s");
        worker.wait_until_alone();
        if to == "fifo" {
            let mut viewer = worker.connect();
            viewer.units(3);
            worker.wait_until_ready(2);
            // It stays while somebody reads, for longer than it would alone.
            viewer.units(90);
            assert_eq!(worker.process.lines().iter().filter(|line| line.contains("nobody has come")).count(), 1);
            drop(viewer);
        } else {
            body(&mut worker.get(), 5000);
            worker.wait_until_ready(2);
        }
        worker.process.wait_for_nth_line(2, "nobody has come for 1 s");
        worker.wait_until_alone();
        worker.end().report().assert_clean();
    }
}

#[test]
fn none_is_kept_where_a_start_is_quick_or_it_is_not_wanted() {
    for options in [["--spare", "off"], ["--encoder", "openh264"]] {
        let worker = Worker::start("fifo", &options, &[SLOW]);
        worker.connect().units(3);
        worker.process.wait_for_line("reader disconnected");
        worker.wait_until_alone();
        assert_eq!(worker.ready(), 0);
        worker.end();
    }
}

#[test]
fn what_has_changed_meanwhile_is_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let shader = folder.path().join("scene.glsl");
    let write = |colour: &str| {
        let text = format!("void mainImage(out vec4 c, in vec2 p) {{ c = vec4({colour}, 1.0); }}");
        std::fs::write(&shader, text).expect("it can be written");
    };
    write("1.0, 0.0, 0.0");
    let path = shader.to_str().expect("a plain path");
    let worker = Worker::start("fifo", &["--spare", "on", "--shader", path], &NO_COLD_START);
    worker.wait_until_ready(1);
    write("0.0, 0.0, 1.0");
    let stream = worker.connect().units(3);
    let pictures = crate::run::decoded(&stream, size(320, 180));
    // Y of blue, where that of red is 63.
    assert_eq!(pictures[0].bytes[0], 32, "the first picture");
    // A mistake is told of as ever, and the next one shows what was made of it.
    worker.wait_until_ready(2);
    write("nothing");
    worker.connect().rest();
    worker.process.wait_for_line("the stream failed");
    worker.end();
}

#[test]
fn a_gpu_that_was_lost_meanwhile_is_opened_afresh() {
    // In each process the first session is refused, as in a context that has gone.
    let worker = Worker::start("fifo", &["--spare", "on", "--encoder", "auto"], &[("MB_SIM_FAULT", "open:4x1")]);
    worker.wait_until_ready(1);
    worker.connect().units(3);
    worker.process.wait_for_line("reader disconnected");
    worker.wait_until_ready(2);
    let report = worker.end().report();
    assert!(report.count("pictures") >= 3, "by NVENC: {}", report.count("pictures"));
    report.assert_clean();
}

#[test]
fn pictures_in_host_memory_are_encoded_by_one_that_is_ready() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("frames.y4m");
    let mut bytes = b"YUV4MPEG2 W320 H180 F30:1 C420jpeg\n".to_vec();
    for luma in 0..90 {
        bytes.extend(b"FRAME\n");
        bytes.extend(std::iter::repeat_n(luma, 320 * 180));
        bytes.extend(std::iter::repeat_n(128, 320 * 180 / 2));
    }
    std::fs::write(&input, bytes).expect("it can be written");
    let path = input.to_str().expect("a plain path");
    let worker = Worker::start_with(path);
    worker.wait_until_ready(1);
    assert!(!worker.connect().units(3).is_empty());
    worker.wait_until_ready(2);
    worker.process.wait_for_line("reader disconnected");
    worker.end().report().assert_clean();
}

impl Worker {
    /// One that shows `input`, without GL.
    fn start_with(input: &str) -> Self {
        let options = ["--input", input, "--fps", "30", "--log-level", "debug"];
        let mut run = Run::with_drivers(&sim::drivers_without_gl(), &options).env(&[SLOW]).env(&NO_COLD_START);
        run.command.env_remove("MB_ENCODE_SPARE").arg("--fifo").arg(run.folder.path().join("demo.h264"));
        let process = Process::start(&mut run.command);
        process.wait_for_line("waiting for a reader");
        Self { process, run }
    }
}
