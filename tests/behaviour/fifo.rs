//! A FIFO that encodes while somebody reads, one reader at a time.

use crate::annex_b::{go2rtc_packets, opens_in_go2rtc};
use crate::support::decode;
use crate::support::process::{DEADLINE, Process, Reader, mb_encode, pass_environment, ready};
use rustix::event::PollFlags;
use rustix::fd::AsFd;
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs::{File, Permissions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

const SIZE: (u32, u32) = (320, 180);

/// A worker that serves a FIFO in a folder of its own. It is dropped before its folder.
pub struct Worker {
    pub process: Process,
    pub path: PathBuf,
    pub folder: TempDir,
}

impl Worker {
    /// Starts one with `options` behind the ones that make it small, and waits until it waits.
    pub fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::start_in(folder, options)
    }

    pub fn start_in(folder: TempDir, options: &[&str]) -> Self {
        let path = folder.path().join("demo.h264");
        let process = Process::start(&mut command(&path, options));
        process.wait_for_line("waiting for a reader");
        Self { process, path, folder }
    }

    /// Comes as a reader. Like a blocking open this wakes the worker, but it returns at once.
    pub fn connect(&self) -> Viewer<File> {
        connect(&self.path)
    }

    /// Waits until reader `n`, counted from 1, has left, and gives the event.
    pub fn wait_until_gone(&self, n: usize) -> Value {
        event(&self.process.wait_for_nth_line(n, "reader disconnected"))
    }

    /// The processes that it has started and that have not ended.
    pub fn children(&self) -> Vec<Pid> {
        let children = std::fs::read_to_string(self.proc(&format!("task/{}/children", self.process.id()))).unwrap();
        children.split_whitespace().map(|id| Pid::from_raw(id.parse().unwrap()).unwrap()).collect()
    }

    /// Waits until it has no child, and has let go of the last reader's pipe.
    fn wait_until_idle(&self) {
        settled(|| self.children().is_empty(), || format!("children are left: {:?}", self.children()));
        settled(|| !self.holds_a_pipe(), || format!("{} is still open for writing", self.path.display()));
    }

    /// Whether it has its FIFO open for writing.
    fn holds_a_pipe(&self) -> bool {
        let descriptors = std::fs::read_dir(self.proc("fd")).unwrap().flatten();
        descriptors.filter(|entry| std::fs::read_link(entry.path()).is_ok_and(|file| file == self.path)).any(|entry| {
            let number = entry.file_name();
            let info = std::fs::read_to_string(self.proc("fdinfo").join(number)).unwrap_or_default();
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap_or("0").trim();
            // One that only names the file, with O_PATH, has no access mode.
            OFlags::from_bits_retain(u32::from_str_radix(flags, 8).unwrap()) & OFlags::RWMODE == OFlags::WRONLY
        })
    }

    /// What lies in the folder.
    fn names(&self) -> Vec<String> {
        names(self.folder.path())
    }

    fn proc(&self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.process.id().to_string()).join(name)
    }

    /// The memory that it holds.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(self.proc("status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    fn mode(&self) -> u32 {
        std::fs::metadata(&self.path).unwrap().permissions().mode() & 0o7777
    }
}

/// What lies in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// What lies beside the FIFO while a worker serves it: the folder that is its lock.
pub const WHILE_SERVED: [&str; 2] = [".demo.h264.mb-encode", "demo.h264"];

fn command(path: &Path, options: &[&str]) -> Command {
    let mut command = mb_encode();
    command.arg("--fifo").arg(path).args(["--width", "320", "--height", "180"]);
    for (name, value) in [("--log-level", "info"), ("--log-format", "json")] {
        if !options.contains(&name) {
            command.args([name, value]);
        }
    }
    command.args(options).stdout(Stdio::null());
    command
}

pub fn connect(path: &Path) -> Viewer<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty()).expect("the FIFO is there");
    Viewer::new(Reader::new(fd.into()))
}

/// Starts a `cat` of the FIFO at `path`, and waits until it is a reader: the path leads to a fresh FIFO then.
pub fn stand_in_line(path: &Path) -> Process {
    let inode = || std::fs::metadata(path).map(|file| file.ino());
    let before = inode().unwrap();
    let cat = Process::start(Command::new("cat").arg(path).stdout(Stdio::piped()));
    settled(|| inode().is_ok_and(|now| now != before), || "the reader was not accepted".to_owned());
    cat
}

pub fn event(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

fn make_fifo(path: &Path, mode: u32) {
    rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn milliseconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// Somebody who reads a stream.
pub struct Viewer<F> {
    reader: Reader<F>,
    /// Read, and not handed out yet.
    pending: Vec<u8>,
}

impl<F: Read + AsFd> Viewer<F> {
    pub fn new(reader: Reader<F>) -> Self {
        Self { reader, pending: Vec::new() }
    }

    /// The next `count` access units, whole.
    pub fn units(&mut self, count: usize) -> Vec<u8> {
        let mut buffer = [0; 16_384];
        loop {
            // The last packet may be cut off by the end of what was read.
            let packets = go2rtc_packets(&self.pending);
            if packets.len() > count {
                let bytes: usize = packets[..count].iter().map(|packet| packet.len()).sum();
                return self.pending.drain(..bytes).collect();
            }
            let read = self.reader.read(&mut buffer);
            let bytes = read.unwrap_or_else(|error| panic!("{error}, after {} packets", packets.len()));
            assert!(bytes > 0, "the stream ended after {} packets more", packets.len());
            self.pending.extend_from_slice(&buffer[..bytes]);
        }
    }

    /// Reads `count` bytes more, wherever that ends.
    pub fn bytes(&mut self, count: usize) {
        let bytes = self.reader.take_bytes(count);
        self.pending.extend_from_slice(&bytes);
    }

    /// All that is left, up to the writer's end.
    pub fn rest(mut self) -> Vec<u8> {
        self.pending.extend(self.reader.all());
        self.pending
    }

    /// Waits until there is something to read.
    pub fn wait(&self) {
        self.reader.wait();
    }

    /// Whether there is something to read now.
    pub fn has_something(&self) -> bool {
        ready(self.reader.as_fd(), PollFlags::IN, Duration::ZERO)
    }
}

#[test]
fn is_made_with_its_mode_whatever_the_umask() {
    for (umask, options, mode) in [
        ("022", &[][..], 0o640),
        ("777", &[], 0o640),
        ("000", &[], 0o640),
        ("077", &["--fifo-mode", "0660"], 0o660),
        ("077", &["--fifo-mode", "0666"], 0o666),
        ("000", &["--fifo-mode", "600"], 0o600),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("demo.h264");
        let program = command(&path, options);
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("umask {umask} && exec \"$@\""), "sh"]).arg(program.get_program());
        pass_environment(&program, &mut shell);
        let process = Process::start(shell.args(program.get_args()).stdout(Stdio::null()));
        process.wait_for_line("waiting for a reader");
        let worker = Worker { process, path, folder };
        assert_eq!(worker.mode(), mode, "umask {umask}, {options:?}");
        // And the one that takes its place behind a reader.
        worker.connect().units(1);
        worker.wait_until_gone(1);
        assert_eq!(worker.mode(), mode, "umask {umask}, {options:?}, after a reader");
    }
}

#[test]
fn is_made_with_the_folders_above_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("temp/streams/demo.h264");
    let process = Process::start(&mut command(&path, &[]));
    process.wait_for_line("waiting for a reader");
    opens_in_go2rtc(&connect(&path).units(1)).unwrap();
}

#[test]
fn that_exists_keeps_its_mode_and_owner() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("demo.h264");
    make_fifo(&path, 0o640);
    // Only root can give it away; for everybody else the test is of the mode.
    let given = std::os::unix::fs::chown(&path, Some(12_345), Some(23_456)).is_ok();
    let worker = Worker::start_in(folder, &["--fifo-mode", "0666"]);
    for n in 1..=3 {
        assert_eq!(worker.mode(), 0o640, "before reader {n}");
        if given {
            let owner = std::fs::metadata(&worker.path).unwrap();
            assert_eq!((owner.uid(), owner.gid()), (12_345, 23_456), "before reader {n}");
        }
        worker.connect().units(1);
        worker.wait_until_gone(n);
    }
}

#[test]
fn has_the_pipe_size_that_was_asked_for() {
    let worker = Worker::start(&["--pipe-size", "256k"]);
    let mut reader = worker.connect();
    reader.units(1);
    assert_eq!(rustix::pipe::fcntl_getpipe_size(&reader.reader).unwrap(), 262_144);
}

#[test]
fn that_nobody_reads_costs_nothing() {
    let worker = Worker::start(&[]);
    // Each wake-up of a thread would be counted here.
    let wake_ups = || -> Vec<(PathBuf, String)> {
        let threads = std::fs::read_dir(worker.proc("task")).unwrap();
        let status = |thread: PathBuf| {
            let status = std::fs::read_to_string(thread.join("status")).unwrap();
            (thread, status.lines().filter(|line| line.contains("ctxt_switches")).collect())
        };
        let mut all: Vec<_> = threads.map(|thread| status(thread.unwrap().path())).collect();
        all.sort();
        all
    };
    // Until every thread has gone to sleep: the line was written a moment before.
    let (begun, quarter) = (Instant::now(), Duration::from_millis(250));
    let mut before = wake_ups();
    loop {
        assert!(worker.process.is_running_after(quarter));
        let now = wake_ups();
        if std::mem::replace(&mut before, now.clone()) == now {
            break;
        }
        assert!(begun.elapsed() < DEADLINE, "it wakes up again and again: {now:?}");
    }
    assert!(worker.process.is_running_after(Duration::from_secs(2)));
    assert_eq!(wake_ups(), before, "in two seconds without a reader");
    // Most of it is the program's own code, of which a debug build has twice as much: 10 MB, and a release build 5 MB.
    let most = if cfg!(debug_assertions) { 15_000 } else { 10_000 };
    let held = worker.resident_kib();
    assert!(held < most, "{held} KiB held without a reader");
}

#[test]
fn wakes_for_a_reader_and_says_so_when_it_comes_and_goes() {
    let worker = Worker::start(&[]);
    let stream = worker.connect().units(5);
    let connected = event(&worker.process.wait_for_line("reader connected"));
    assert_eq!(connected["reader"], 1);
    let gone = worker.wait_until_gone(1);
    assert_eq!(gone["reader"], 1);
    assert!(gone["frames"].as_u64() >= Some(5) && gone["bytes"].as_u64() >= Some(stream.len() as u64), "{gone}");
    assert_eq!(gone["level"], "INFO");
}

#[test]
fn a_reader_that_leaves_is_noticed_though_nothing_is_written() {
    let notice = || {
        let worker = Worker::start(&["--fps", "1", "--pipe-size", "256k", "--log-level", "trace"]);
        let reader = worker.connect();
        // The first picture is there as a whole; the second is due a second later.
        worker.process.wait_for_line(r#""written""#);
        let begun = Instant::now();
        drop(reader);
        let gone = worker.wait_until_gone(1);
        let noticed = begun.elapsed();
        assert_eq!(gone["frames"], 1, "{gone}");
        noticed
    };
    // What waits for the second picture never is so quick, and a busy machine is not always so slow.
    let is_late = |noticed: &Duration| *noticed >= Duration::from_millis(700);
    let late: Vec<_> = std::iter::repeat_with(notice).take(5).take_while(is_late).collect();
    assert!(late.len() < 5, "noticed after {late:?}");
}

#[test]
fn a_reader_that_leaves_before_the_first_picture_is_no_failure() {
    let worker = Worker::start(&[]);
    for n in 1..=20 {
        let reader = worker.connect();
        worker.process.wait_for_nth_line(n, "reader connected");
        drop(reader);
        worker.wait_until_gone(n);
    }
    let stream = worker.connect().units(2);
    decode::assert_frames_rise_by_one(&decode::all_marks(&stream, SIZE));
}

/// Checks the first access unit of each reader, given with the time at which the reader before it was still there.
fn assert_each_begins_anew(first_units: &[(Vec<u8>, u64)]) {
    for (reader, (unit, _)) in first_units.iter().enumerate() {
        opens_in_go2rtc(unit).unwrap_or_else(|why| panic!("reader {reader}: {why}"));
    }
    // Each of them begins with an IDR picture, so together they are a stream as well.
    let stream: Vec<u8> = first_units.iter().flat_map(|(unit, _)| unit.clone()).collect();
    let marks = decode::all_marks(&stream, SIZE);
    assert_eq!(marks.len(), first_units.len());
    for (reader, (mark, (_, not_before))) in marks.iter().zip(first_units).enumerate() {
        assert_eq!(mark.frame, 0, "reader {reader}");
        assert!(mark.wall_clock_ms >= *not_before, "reader {reader} got a picture of an earlier reader");
    }
}

#[test]
fn a_reader_never_sees_an_earlier_ones_stream() {
    let worker = Worker::start(&["--fps", "240", "--bitrate", "20M"]);
    let mut first_units = Vec::new();
    let mut reader = worker.connect();
    let mut not_before = 0;
    for turn in 0..80usize {
        first_units.push((reader.units(1), not_before));
        match turn % 4 {
            // Leaves at once, in the middle of a picture.
            0 => {}
            1 => reader.bytes(turn * 37 % 2000 + 1),
            // Leaves with a full pipe behind it: the worker does not get on.
            2 => reader.bytes(1),
            _ => drop(reader.units(3)),
        }
        // The next one comes before this one leaves, or right behind it.
        not_before = milliseconds_now();
        if turn % 3 == 0 {
            let next = worker.connect();
            drop(std::mem::replace(&mut reader, next));
        } else {
            drop(reader);
            reader = worker.connect();
        }
    }
    drop(reader);
    assert_each_begins_anew(&first_units);
}

#[test]
fn a_reader_never_sees_what_one_left_unread() {
    let worker = Worker::start(&["--fps", "60"]);
    let mut first_units = Vec::new();
    for n in 1..=20 {
        let reader = worker.connect();
        // All of it stays in the pipe.
        reader.wait();
        let not_before = milliseconds_now();
        drop(reader);
        let mut next = worker.connect();
        first_units.push((next.units(1), not_before));
        drop(next);
        worker.wait_until_gone(2 * n);
    }
    assert_each_begins_anew(&first_units);
}

#[test]
fn a_second_reader_waits_and_then_gets_its_own_stream() {
    let worker = Worker::start(&[]);
    let mut first = worker.connect();
    let mut first_stream = first.units(3);
    let mut cat = stand_in_line(&worker.path);
    let mut second = Viewer::new(cat.stdout());
    // The first one loses nothing to it.
    first_stream.extend(first.units(30));
    assert!(!second.has_something(), "the second reader got something while the first one was there");
    assert_eq!(go2rtc_packets(&first_stream).len(), 33);
    let not_before = milliseconds_now();
    drop(first);
    let marks = decode::all_marks(&second.units(10), SIZE);
    decode::assert_frames_rise_by_one(&marks);
    assert!(marks[0].wall_clock_ms >= not_before);
}

#[test]
fn readers_that_wait_together_get_a_stream_each_one_after_the_other() {
    let worker = Worker::start(&[]);
    let mut first = worker.connect();
    first.units(1);
    let mut cats = [(); 2].map(|()| stand_in_line(&worker.path));
    let waiting = cats.each_mut().map(|cat| Viewer::new(cat.stdout()));
    let mut not_before = milliseconds_now();
    drop(first);
    // A whole one: not every second piece of one that both read.
    for mut reader in waiting {
        let marks = decode::all_marks(&reader.units(30), SIZE);
        decode::assert_frames_rise_by_one(&marks);
        assert!(marks[0].wall_clock_ms >= not_before, "it was drawn for while the one before it was there");
        not_before = milliseconds_now();
    }
}

/// Checks what one of several readers that came together was given: a stream of its own, or nothing at all.
fn assert_whole_or_nothing(stream: &[u8], which: &str) {
    if !stream.is_empty() {
        opens_in_go2rtc(stream).unwrap_or_else(|why| panic!("{which}: {why}"));
        // Where it is cut off its last picture may be, too.
        let whole: Vec<u8> = go2rtc_packets(stream).iter().rev().skip(1).rev().copied().flatten().copied().collect();
        decode::assert_frames_rise_by_one(&decode::all_marks(&whole, SIZE));
    }
}

fn cat(path: &Path) -> Process {
    Process::start(Command::new("cat").arg(path).stdout(Stdio::piped()))
}

/// What each of them writes, read at the same time: whoever is served first is not to wait to be read.
fn all_of_each(cats: &mut [Process]) -> Vec<Vec<u8>> {
    std::thread::scope(|scope| {
        let readers: Vec<_> = cats.iter_mut().map(|cat| scope.spawn(|| cat.stdout().all())).collect();
        readers.into_iter().map(|reader| reader.join().expect("it reads to the end")).collect()
    })
}

#[test]
fn readers_that_open_it_together_never_share_a_stream() {
    let worker = Worker::start(&["--frames", "4", "--fps", "60"]);
    let (mut streams, mut nothing) = (0, 0);
    for round in 0..60 {
        // Two processes, as close together as they can be started, and every third time three.
        let mut cats: Vec<_> = (0..2 + usize::from(round % 3 == 0)).map(|_| cat(&worker.path)).collect();
        for (at, stream) in all_of_each(&mut cats).iter().enumerate() {
            assert_whole_or_nothing(stream, &format!("round {round}, reader {at}"));
            if stream.is_empty() { nothing += 1 } else { streams += 1 }
        }
    }
    assert!(streams > 0, "{nothing} readers, and none got a stream");
    assert!(!worker.process.lines().iter().any(|line| line.contains("ERROR")), "{:?}", worker.process.lines());
}

#[test]
fn readers_that_waited_for_the_worker_never_share_a_stream() {
    for count in [1, 2, 3] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("demo.h264");
        make_fifo(&path, 0o660);
        let mut cats: Vec<_> = (0..count).map(|_| cat(&path)).collect();
        for cat in &cats {
            let wait = format!("/proc/{}/wchan", cat.id());
            let blocks =
                || std::fs::read_to_string(&wait).is_ok_and(|at| at.contains("fifo") || at.contains("partner"));
            settled(blocks, || "it does not wait in its open".to_owned());
        }
        let worker = Worker::start_in(folder, &["--frames", "4", "--fps", "60"]);
        let streams = all_of_each(&mut cats);
        streams.iter().for_each(|stream| assert_whole_or_nothing(stream, &format!("{count} readers")));
        assert!(count > 1 || !streams[0].is_empty(), "a reader that is alone gets its stream");
        // And the next one is served.
        opens_in_go2rtc(&worker.connect().units(1)).unwrap();
    }
}

#[test]
fn two_hundred_readers_leave_nothing_behind() {
    let worker = Worker::start(&["--fps", "240"]);
    let count = |name: &str| std::fs::read_dir(worker.proc(name)).unwrap().count();
    let mut early = None;
    for n in 1..=200usize {
        let mut reader = worker.connect();
        match n % 4 {
            0 => reader.wait(),
            1 => reader.bytes(n * 31 % 700 + 1),
            2 => drop(reader.units(1)),
            _ => reader.bytes(3000),
        }
        drop(reader);
        worker.wait_until_gone(n);
        if n == 20 {
            early = Some((count("fd"), count("task"), worker.resident_kib()));
        }
    }
    let (fds, threads, kib) = early.unwrap();
    // The worker goes on from its last line into its wait, which takes a thread and a few descriptors.
    let settles = |name: &str, at_most: usize| {
        let fault = || format!("{name}: {} after 200 readers, {at_most} at most", count(name));
        settled(|| count(name) <= at_most, fault);
    };
    // The early figure may have been taken just before that wait began.
    settles("fd", fds + 4);
    settles("task", threads + 1);
    worker.wait_until_idle();
    let grown = worker.resident_kib().saturating_sub(kib);
    assert!(grown < 6 * 1024, "{grown} KiB more after 200 readers than after 20 ({kib} KiB)");
    assert_eq!(worker.names(), WHILE_SERVED);
}

#[test]
fn that_was_removed_is_made_anew() {
    let worker = Worker::start(&["--fifo-mode", "0640"]);
    for n in 1..=5 {
        std::fs::remove_file(&worker.path).unwrap();
        wait_for_fifo(&worker.path);
        assert_eq!(worker.mode(), 0o640);
        let stream = worker.connect().units(2);
        decode::assert_frames_rise_by_one(&decode::all_marks(&stream, SIZE));
        worker.wait_until_gone(n);
    }
    assert_eq!(worker.names(), WHILE_SERVED);
}

#[test]
fn that_was_removed_with_its_folder_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("streams/demo.h264");
    let process = Process::start(&mut command(&path, &[]));
    process.wait_for_line("waiting for a reader");
    // Again and again: it is made anew while the folder is still being removed, too.
    for _ in 0..50 {
        let removed = std::fs::remove_dir_all(path.parent().unwrap());
        assert!(removed.is_ok() || process.is_running(), "{:?}", process.lines());
        wait_for_fifo(&path);
    }
    opens_in_go2rtc(&connect(&path).units(1)).unwrap();
}

/// A user has so many watches on folders, and other programs may have taken them all.
#[test]
fn that_was_removed_is_made_anew_without_a_watch_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("demo.h264");
    let streams = command(&path, &[]);
    let mut alone = std::process::Command::new("unshare");
    alone.args([
        "--user",
        "--map-root-user",
        "sh",
        "-c",
        "echo 0 >/proc/sys/user/max_inotify_instances; exec \"$@\"",
        "sh",
    ]);
    alone.arg(streams.get_program()).args(streams.get_args());
    for (name, value) in streams.get_envs() {
        match value {
            Some(value) => alone.env(name, value),
            None => alone.env_remove(name),
        };
    }
    let process = Process::start(&mut alone);
    process.wait_for_line("waiting for a reader");
    std::fs::remove_file(&path).unwrap();
    wait_for_fifo(&path);
    opens_in_go2rtc(&connect(&path).units(1)).unwrap();
    let watches = std::fs::read_dir(format!("/proc/{}/fd", process.id())).unwrap();
    let is_watch = |link: std::path::PathBuf| link.to_string_lossy().contains("inotify");
    assert!(!watches.flatten().filter_map(|fd| std::fs::read_link(fd.path()).ok()).any(is_watch));
}

#[test]
fn that_was_replaced_is_served_in_its_new_form() {
    let worker = Worker::start(&[]);
    for n in 1..=5usize {
        let other = worker.folder.path().join("other");
        make_fifo(&other, 0o644);
        std::fs::rename(&other, &worker.path).unwrap();
        let stream = worker.connect().units(2);
        decode::assert_frames_rise_by_one(&decode::all_marks(&stream, SIZE));
        worker.wait_until_gone(n);
        assert_eq!(worker.mode(), 0o644, "the mode is that of the FIFO that was put there");
    }
}

#[test]
fn that_was_removed_while_it_is_read_goes_on_for_its_reader() {
    let worker = Worker::start(&[]);
    let mut reader = worker.connect();
    let mut stream = reader.units(2);
    std::fs::remove_file(&worker.path).unwrap();
    stream = [stream, reader.units(20)].concat();
    assert_eq!(go2rtc_packets(&stream).len(), 22);
    drop(reader);
    worker.wait_until_gone(1);
    wait_for_fifo(&worker.path);
    opens_in_go2rtc(&worker.connect().units(1)).unwrap();
}

#[test]
fn that_gave_way_to_a_regular_file_is_an_error_and_the_file_is_left_alone() {
    let Worker { process, path, folder } = Worker::start(&[]);
    let other = folder.path().join("other");
    std::fs::write(&other, "mine").unwrap();
    std::fs::rename(&other, &path).unwrap();
    let ended = process.wait();
    assert_eq!(ended.code(), 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("a regular file"), "{}", ended.stderr);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
}

#[test]
fn through_a_symbolic_link_is_the_one_that_it_points_to() {
    let folder = tempfile::tempdir().unwrap();
    make_fifo(&folder.path().join("real"), 0o660);
    std::os::unix::fs::symlink("real", folder.path().join("demo.h264")).unwrap();
    let worker = Worker::start_in(folder, &[]);
    for n in 1..=2 {
        opens_in_go2rtc(&worker.connect().units(1)).unwrap();
        worker.wait_until_gone(n);
        assert!(worker.path.is_symlink());
    }
}

#[test]
fn a_crash_while_a_reader_is_served_ends_that_stream_alone() {
    let worker = Worker::start(&[]);
    let mut reader = worker.connect();
    reader.units(2);
    for child in worker.children() {
        kill_process(child, Signal::KILL).unwrap();
    }
    reader.rest();
    worker.process.wait_for_line("ERROR");
    // It holds back for a second, since readers like go2rtc come again at once.
    let stream = worker.connect().units(2);
    decode::assert_frames_rise_by_one(&decode::all_marks(&stream, SIZE));
}

#[test]
fn a_worker_that_is_killed_takes_its_stream_along() {
    let Worker { process, path, folder } = Worker::start(&[]);
    let mut reader = connect(&path);
    reader.units(2);
    process.signal(Signal::KILL);
    // Up to the end of the stream: whoever wrote it is gone, too.
    reader.rest();
    drop((process, folder));
}

#[test]
fn pictures_that_were_counted_end_each_readers_stream_and_not_the_worker() {
    let worker = Worker::start(&["--frames", "5", "--fps", "240"]);
    for n in 1..=3 {
        let stream = worker.connect().rest();
        assert_eq!(go2rtc_packets(&stream).len(), 5);
        decode::assert_frames_rise_by_one(&decode::all_marks(&stream, SIZE));
        worker.wait_until_gone(n);
    }
}

#[test]
fn with_the_longest_name_that_there_is_is_a_fifo_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("n".repeat(255));
    let process = Process::start(&mut command(&path, &[]));
    process.wait_for_line("waiting for a reader");
    opens_in_go2rtc(&connect(&path).units(1)).unwrap();
    process.wait_for_line("reader disconnected");
    assert!(process.lines().iter().all(|line| !line.contains("WARN")), "{:?}", process.lines());
}

#[test]
fn with_a_name_that_is_not_utf_8_is_a_fifo_like_any_other() {
    use std::os::unix::ffi::OsStrExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(std::ffi::OsStr::from_bytes(b"d\xffmo.h264"));
    let process = Process::start(&mut command(&path, &[]));
    process.wait_for_line("waiting for a reader");
    opens_in_go2rtc(&connect(&path).units(1)).unwrap();
}

#[test]
fn is_served_by_one_worker_until_that_one_is_gone_however_it_ends() {
    let Worker { process, path, folder } = Worker::start(&[]);
    let refused = Process::start(&mut command(&path, &[])).wait();
    assert_eq!(refused.code(), 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("another mb-encode serves"), "{}", refused.stderr);
    process.signal(Signal::KILL);
    process.wait();
    let worker = Worker::start_in(folder, &[]);
    opens_in_go2rtc(&worker.connect().units(1)).unwrap();
}

#[test]
fn in_a_folder_that_takes_no_new_names_is_served_with_a_warning() {
    // Root may write everywhere, so the worker runs as somebody else.
    let folder = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap();
    let path = folder.path().join("demo.h264");
    make_fifo(&path, 0o666);
    // The build may lie under a folder that only root may enter.
    let program = folder.path().join("mb-encode");
    std::fs::copy(env!("CARGO_BIN_EXE_mb-encode"), &program).unwrap();
    let mut command = Command::new(&program);
    command.args(self::command(&path, &["--fps", "60"]).get_args()).stdout(Stdio::null());
    if rustix::process::geteuid().is_root() {
        std::os::unix::process::CommandExt::uid(&mut command, 65_534);
    } else {
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o555)).unwrap();
    }
    let process = Process::start(&mut command);
    process.wait_for_line("waiting for a reader");
    let worker = Worker { process, path, folder };
    let mut first_units = Vec::new();
    for n in 1..=10 {
        let reader = worker.connect();
        reader.wait();
        let not_before = milliseconds_now();
        drop(reader);
        worker.wait_until_gone(2 * n - 1);
        // This FIFO is the last reader's too, until its process has let go of it.
        worker.wait_until_idle();
        let mut next = worker.connect();
        first_units.push((next.units(1), not_before));
        drop(next);
        worker.wait_until_gone(2 * n);
        worker.wait_until_idle();
    }
    let warned = worker.process.lines().iter().filter(|line| line.contains("WARN")).count();
    assert_eq!(warned, 1, "{:?}", worker.process.lines());
    assert_each_begins_anew(&first_units);
    let _ = std::fs::set_permissions(worker.folder.path(), Permissions::from_mode(0o755));
}

/// Looks again and again, where the kernel announces nothing that could be waited for.
fn settled(is_so: impl Fn() -> bool, fault: impl Fn() -> String) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < DEADLINE, "{}", fault());
        std::thread::yield_now();
    }
}

/// Waits until a FIFO is at `path`, by what the kernel says about the nearest folder that is there.
fn wait_for_fifo(path: &Path) {
    use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
    use std::os::unix::fs::FileTypeExt as _;
    let begun = Instant::now();
    let is_there = || std::fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_fifo());
    while !is_there() {
        assert!(begun.elapsed() < DEADLINE, "{} was not made", path.display());
        let events = inotify::init(CreateFlags::CLOEXEC).unwrap();
        let folder = path.ancestors().skip(1).find(|folder| folder.is_dir()).unwrap();
        if inotify::add_watch(&events, folder, WatchFlags::CREATE | WatchFlags::MOVED_TO).is_ok() && !is_there() {
            // The folder may have changed before the watch began; then the next look finds it.
            let limit = Duration::from_millis(500);
            ready(events.as_fd(), PollFlags::IN, limit);
        }
    }
}
