//! Programs that make frames: what they write, and how.

use crate::support::process::{DEADLINE, Process, ready};
use mb_encode::parts::{Mark, Strip};
use mb_encode::settings::Size;
use rustix::event::PollFlags;
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Y, Cb and Cr.
pub type Colour = [u8; 3];

/// Far enough from each other to be told apart when they were encoded.
pub const COLOURS: [Colour; 6] =
    [[40, 128, 128], [75, 90, 160], [110, 160, 90], [145, 128, 128], [180, 100, 100], [215, 150, 150]];

pub fn size(width: u32, height: u32) -> Size {
    Size::new(width, height).expect("a legal size")
}

pub fn header(size: Size) -> Vec<u8> {
    format!("YUV4MPEG2 W{} H{} F60:1 Ip A1:1 C420jpeg XCOLORRANGE=LIMITED\n", size.width(), size.height()).into_bytes()
}

/// The samples of a picture of one colour, as I420.
pub fn plain(size: Size, [y, cb, cr]: Colour) -> Vec<u8> {
    let quarter = size.pixels() / 4;
    [vec![y; size.pixels()], vec![cb; quarter], vec![cr; quarter]].concat()
}

/// A plain picture with the strip in it.
pub fn marked(size: Size, colour: Colour, frame: u32) -> Vec<u8> {
    let mut samples = plain(size, colour);
    let wall_clock = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later");
    let mark = Mark { frame, wall_clock_ms: wall_clock.as_millis() as u64 };
    let (strip, width) = (Strip::new(size), size.width() as usize);
    let half = (strip.block() / 2) as usize;
    for (is_white, (x, y)) in strip.draw(mark).zip(strip.centres()) {
        let (x, y) = (x as usize, y as usize);
        for row in samples[..size.pixels()].chunks_mut(width).skip(y - half).take(2 * half) {
            row[x - half..x + half].fill(if is_white { 235 } else { 16 });
        }
    }
    samples
}

/// A picture as Y4M has it.
pub fn framed(samples: &[u8]) -> Vec<u8> {
    [b"FRAME\n", samples].concat()
}

/// A whole stream of Y4M of so many marked pictures.
pub fn clip(size: Size, colour: Colour, count: u32) -> Vec<u8> {
    let mut stream = header(size);
    (0..count).for_each(|frame| stream.extend(framed(&marked(size, colour, frame))));
    stream
}

/// Opens a FIFO for writing without waiting, as a producer does that asks whether somebody watches.
pub fn open_now(path: &Path) -> Result<File, Errno> {
    let opened: OwnedFd = rustix::fs::open(path, OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
    // From here on a write waits for room.
    rustix::fs::fcntl_setfl(&opened, OFlags::empty()).expect("it is a pipe");
    Ok(opened.into())
}

/// Waits until somebody watches, and opens it.
pub fn open(path: &Path) -> File {
    let begun = Instant::now();
    loop {
        match open_now(path) {
            Ok(file) => return file,
            Err(Errno::NXIO | Errno::NOENT) => {}
            Err(errno) => panic!("{}: {errno}", path.display()),
        }
        assert!(begun.elapsed() < DEADLINE, "nobody reads from {}", path.display());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Opens it, says how large pictures are, and writes some of one colour. What is returned keeps it open.
pub fn show(path: &Path, size: Size, colour: Colour, count: usize) -> File {
    let mut file = open(path);
    file.write_all(&header(size)).expect("it is read");
    (0..count).for_each(|_| file.write_all(&framed(&plain(size, colour))).expect("it is read"));
    file
}

/// Another process that has a FIFO open for writing, and is fed by this one.
pub struct Producer {
    pub process: Process,
    feeder: Option<JoinHandle<()>>,
    written: Arc<AtomicU64>,
}

impl Producer {
    /// Starts one that opens `fifo`, which may have it wait. `next` gives what it writes, piece by piece.
    pub fn start(fifo: &Path, mut next: impl FnMut() -> Option<Vec<u8>> + Send + 'static) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", "exec cat >\"$1\"", "sh"]).arg(fifo).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut process = Process::start(&mut command);
        let mut stdin = process.stdin();
        let written = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&written);
        let feeder = std::thread::spawn(move || {
            while let Some(piece) = next() {
                if stdin.write_all(&piece).is_err() {
                    return;
                }
                count.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
        });
        Self { process, feeder: Some(feeder), written }
    }

    /// Starts one that writes pictures of one colour without an end, as fast as it can.
    pub fn endless(fifo: &Path, size: Size, colour: Colour) -> Self {
        let (mut header, picture) = (Some(header(size)), framed(&plain(size, colour)));
        Self::start(fifo, move || Some(header.take().unwrap_or_else(|| picture.clone())))
    }

    /// How many bytes have left this process.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Waits until more was taken from it than all pipes on the way hold: it is being read. `false` where it was turned
    /// away.
    pub fn wait_until_read(&self) -> bool {
        const HELD: u64 = 2 << 20;
        let begun = Instant::now();
        while self.written() < HELD {
            if !self.process.is_running() {
                return false;
            }
            assert!(begun.elapsed() < DEADLINE, "{} bytes were taken", self.written());
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }

    /// Kills it where it is.
    pub fn kill(mut self) {
        self.process.signal(rustix::process::Signal::KILL);
        self.finish();
    }

    /// Waits for its end. Returns the exit code, or the signal as a shell shows it.
    pub fn wait(mut self) -> i32 {
        self.finish();
        let Self { process, .. } = self;
        process.wait().code()
    }

    fn finish(&mut self) {
        if let Some(feeder) = self.feeder.take() {
            feeder.join().expect("it writes");
        }
    }
}

/// Writes as far as there is room, and returns how far, or the error.
pub fn write_until(file: &mut File, bytes: &[u8], limit: Duration) -> io::Result<usize> {
    rustix::fs::fcntl_setfl(&*file, OFlags::NONBLOCK)?;
    let deadline = Instant::now() + limit;
    let mut at = 0;
    while at < bytes.len() && ready(file.as_fd(), PollFlags::OUT, deadline.saturating_duration_since(Instant::now())) {
        match file.write(&bytes[at..]) {
            Ok(written) => at += written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(at)
}
