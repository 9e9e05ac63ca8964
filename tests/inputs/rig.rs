//! A worker that shows frames of others, and somebody who watches it.

use crate::annex_b::{Nal, go2rtc_packets, nals};
use crate::producer::Colour;
use crate::support::decode::{Decoder, Form, Picture, Source};
use crate::support::process::{DEADLINE, Process, mb_encode, ready};
use crate::support::{children, parts};
use mb_encode::settings::Size;
use rustix::event::PollFlags;
use rustix::fd::AsFd as _;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Looks again and again, where the kernel announces nothing that could be waited for.
pub fn settled(why: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < DEADLINE, "not in time: {why}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A worker with a FIFO on each side, in a folder of its own. It is dropped before the folder.
pub struct Worker {
    pub process: Process,
    /// Where viewers read.
    pub stream: PathBuf,
    /// Where producers write.
    pub frames: PathBuf,
    pub folder: TempDir,
}

impl Worker {
    /// Starts one with more `options`, and waits until it waits.
    pub fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let frames = folder.path().join("frames.y4m");
        let input = frames.to_str().expect("UTF-8").to_owned();
        Self::start_with(folder, frames, &["--input", &input], options)
    }

    /// Starts one that shows what a command writes.
    pub fn start_command(command: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::start_command_in(folder, command, options)
    }

    pub fn start_command_in(folder: TempDir, command: &str, options: &[&str]) -> Self {
        let frames = folder.path().join("frames.y4m");
        Self::start_with(folder, frames, &["--input-command", command], options)
    }

    pub fn start_with(folder: TempDir, frames: PathBuf, input: &[&str], options: &[&str]) -> Self {
        let stream = folder.path().join("stream.h264");
        let mut command = mb_encode();
        command.current_dir(folder.path()).arg("--fifo").arg(&stream).args(input);
        command.args(["--log-level", "debug", "--encoder", "openh264"]).args(options).stdout(Stdio::null());
        let process = Process::start(&mut command);
        process.wait_for_line("waiting for a reader");
        Self { process, stream, frames, folder }
    }

    /// Somebody begins to watch.
    pub fn watch(&self) -> Viewer {
        let viewer = Viewer::of(&self.stream);
        settled("an encoder process for the viewer", || self.encoder().is_some());
        viewer
    }

    /// The process that encodes, while somebody watches.
    pub fn encoder(&self) -> Option<u32> {
        // One that has ended may not have been waited for yet.
        let lives = |pid: &u32| std::fs::read_link(format!("/proc/{pid}/exe")).is_ok();
        children::of(self.process.id()).into_iter().map(|pid| pid.as_raw_nonzero().get() as u32).find(lives)
    }

    /// Waits until nobody is served, and checks that nothing is left of who was.
    pub fn wait_until_idle(&self) {
        settled("the worker waits", || children::of(self.process.id()).is_empty());
    }
}

/// How many descriptors a process has open.
pub fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// What descriptors a process has open, for a message.
pub fn describe_descriptors(pid: u32) -> Vec<String> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    entries.map(|entry| std::fs::read_link(entry.path()).unwrap_or_default().display().to_string()).collect()
}

/// The memory that a process holds.
pub fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

/// Whether a process is there and has not ended.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, fields)| !fields.starts_with(['Z', 'X']))
}

/// Somebody who reads a stream without a pause. Dropping it leaves.
pub struct Viewer {
    seen: Arc<Seen>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    state: Mutex<State>,
    more: Condvar,
    leaves: AtomicBool,
}

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    has_ended: bool,
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Viewer {
    /// Opens a FIFO for reading, which wakes a worker.
    pub fn of(path: &Path) -> Self {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).expect("the FIFO is there");
        Self::reading(fd.into())
    }

    /// Reads what a process writes.
    pub fn of_output(process: &mut Process) -> Self {
        let stdout = process.stdout();
        let fd = stdout.as_fd().try_clone_to_owned().expect("a descriptor");
        rustix::fs::fcntl_setfl(&fd, OFlags::NONBLOCK).expect("a pipe");
        Self::reading(fd.into())
    }

    fn reading(mut file: File) -> Self {
        let seen = Arc::new(Seen::default());
        let shared = Arc::clone(&seen);
        let thread = std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while !shared.leaves.load(Ordering::Relaxed) {
                if !ready(file.as_fd(), PollFlags::IN, Duration::from_millis(10)) {
                    // That is also so of a FIFO which nobody has opened for writing yet.
                    continue;
                }
                match file.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(read) => {
                        shared.lock().bytes.extend_from_slice(&buffer[..read]);
                        shared.more.notify_all();
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(error) => panic!("{error}"),
                }
            }
            drop(file);
            shared.lock().has_ended = true;
            shared.more.notify_all();
        });
        Self { seen, thread: Some(thread) }
    }

    /// The bytes so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.seen.lock().bytes.clone()
    }

    /// How many bytes have come.
    pub fn len(&self) -> usize {
        self.seen.lock().bytes.len()
    }

    pub fn has_ended(&self) -> bool {
        self.seen.lock().has_ended
    }

    /// Waits until what has come `is_enough`, or the stream ends. Returns whether it is.
    pub fn wait_until(&self, is_enough: impl Fn(&[u8]) -> bool) -> bool {
        let deadline = Instant::now() + DEADLINE;
        let mut state = self.seen.lock();
        loop {
            if is_enough(&state.bytes) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.has_ended || left.is_zero() {
                return false;
            }
            state = self.seen.more.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until so many whole pictures have come in all.
    pub fn wait_for_pictures(&self, count: usize) {
        let has_come = self.wait_until(|bytes| go2rtc_packets(bytes).len() > count);
        assert!(has_come, "of {count} pictures, {} have come", go2rtc_packets(&self.bytes()).len());
    }

    /// Waits until so many more have come than have by now.
    pub fn wait_for_more(&self, count: usize) {
        self.wait_for_pictures(go2rtc_packets(&self.bytes()).len() + count);
    }

    /// Waits until the stream shows this colour: it is decoded again and again.
    pub fn wait_for_colour(&self, size: Size, colour: Colour) {
        let from = self.len();
        let begun = Instant::now();
        loop {
            let stream = whole(&self.bytes());
            if !stream.is_empty() && is_near(plain_of(decode(&stream, size).last().expect("a picture")), colour) {
                return;
            }
            assert!(begun.elapsed() < DEADLINE, "{colour:?} does not come, {} bytes do", self.len() - from);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for the stream's end, and returns all of it.
    pub fn rest(self) -> Vec<u8> {
        let begun = Instant::now();
        while !self.has_ended() {
            assert!(begun.elapsed() < DEADLINE, "the stream does not end");
            std::thread::sleep(Duration::from_millis(2));
        }
        self.bytes()
    }

    /// Leaves, and returns the whole pictures that had come.
    pub fn leave(mut self) -> Vec<u8> {
        self.stop();
        whole(&self.bytes())
    }

    /// Leaves, and returns whatever had come.
    pub fn leave_as_it_is(mut self) -> Vec<u8> {
        self.stop();
        self.bytes()
    }

    fn stop(&mut self) {
        self.seen.leaves.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A stream without its last picture, which may have been cut off.
pub fn whole(stream: &[u8]) -> Vec<u8> {
    let packets = go2rtc_packets(stream);
    packets[..packets.len().saturating_sub(1)].concat()
}

/// For each picture of a stream, whether it is an IDR picture.
pub fn idrs(stream: &[u8]) -> Vec<bool> {
    nals(stream).iter().filter(|nal| nal.is_slice()).map(|nal| nal.unit_type() == 5).collect()
}

/// For each picture of a stream, the bytes of its slice.
pub fn slices(stream: &[u8]) -> Vec<Vec<u8>> {
    nals(stream).iter().filter(|nal| nal.is_slice()).map(|nal: &Nal<'_>| nal.bytes.to_vec()).collect()
}

/// The pictures of a stream of H.264, decoded by an ffmpeg that fails at the first fault.
pub fn decode(stream: &[u8], size: Size) -> Vec<Picture> {
    let mut command = Command::new(parts::find("FFMPEG", "ffmpeg", &[], "apt-get install ffmpeg"));
    command.args(["-nostdin", "-v", "error", "-xerror", "-err_detect", "explode", "-f", "h264", "-i", "pipe:0"]);
    command.args(["-vf", "setpts=N,format=yuv420p", "-fps_mode", "passthrough", "-f", "rawvideo", "pipe:1"]);
    let mut process = Process::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
    let (mut stdin, mut stdout) = (process.stdin(), process.stdout());
    let bytes = std::thread::scope(|scope| {
        // What keeps it from taking all of it, it prints.
        scope.spawn(move || stdin.write_all(stream));
        stdout.all()
    });
    let ended = process.wait();
    assert!(ended.status.success() && ended.stderr.is_empty(), "ffmpeg: {:?}\n{}", ended.status, ended.stderr);
    let each = size.pixels() * 3 / 2;
    assert_eq!(bytes.len() % each, 0, "pictures of another size");
    bytes.chunks(each).map(|bytes| Picture { size, bytes: bytes.to_vec() }).collect()
}

/// As [`decode`], of MPEG-TS.
pub fn decode_ts(file: &Path, size: Size) -> Vec<Picture> {
    let mut decoder = Decoder::start(Source::MpegTs(file), size, Form::Yuv420p, None);
    let pictures: Vec<_> = decoder.by_ref().collect();
    decoder.finish();
    pictures
}

/// The colour of a picture that has one. One that was mixed of two has not.
pub fn plain_of(picture: &Picture) -> Colour {
    let pixels = picture.size.pixels();
    let planes = [&picture.bytes[..pixels], &picture.bytes[pixels..pixels * 5 / 4], &picture.bytes[pixels * 5 / 4..]];
    planes.map(|plane| {
        let (min, max) = (plane.iter().min().copied().unwrap_or(0), plane.iter().max().copied().unwrap_or(0));
        assert!(max - min <= 6, "a picture of several colours: from {min} to {max}");
        min + (max - min) / 2
    })
}

pub fn is_near(a: Colour, b: Colour) -> bool {
    a.iter().zip(b).all(|(a, b)| a.abs_diff(b) <= 4)
}

/// The colours of a stream's pictures, each by its place in `palette`. Each picture has one of them and no other.
pub fn colours(stream: &[u8], size: Size, palette: &[Colour]) -> Vec<usize> {
    let find = |picture: &Picture| {
        let colour = plain_of(picture);
        let at = palette.iter().position(|&it| is_near(colour, it));
        at.unwrap_or_else(|| panic!("{colour:?} was never written"))
    };
    decode(stream, size).iter().map(find).collect()
}
