//! An ffmpeg child that wraps H.264 in MPEG-TS.
//!
//! Both its pipes end here: an access unit goes in, its packets come out, and only then do they go on to the reader.
//! That is one copy more than to let ffmpeg write to the reader itself, and it buys this:
//!
//! - whether the reader is slow or gone is seen where it always is;
//! - a stop, or a picture that ends the stream, leaves nothing half-written: ffmpeg is killed between two pictures. Left
//!   to end by itself it would write the delimiter that is still in it as a picture of its own, which crashes go2rtc;
//! - where this process is killed, ffmpeg finds both ends of its pipes closed, and ends, whatever the reader does.

use super::annexb::byte_stream;
use super::follower::Follower;
use super::transport::{Continuity, PACKET_BYTES, Transport};
use crate::codec::{ACCESS_UNIT_DELIMITER, AccessUnit};
use crate::control::Control;
use crate::error::Error;
use crate::os::poll;
use crate::os::process::{Child, Orphaned};
use crate::settings::FrameRate;
use crate::sink::{LAST_WRITE, Written};
use rustix::event::PollFlags;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::process::CommandExt;
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// ffmpeg may take this long for a picture, or to start, before it counts as stalled. It takes 0.2 ms and 80 ms.
const STALLED: Duration = Duration::from_secs(5);
/// ffmpeg may take this long for a picture before it counts as holding that back until the next. How it cuts a stream into
/// pictures is its own matter.
const HELD_BACK: Duration = Duration::from_secs(1);
/// ffmpeg may take this long to say why it ends.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// As much of its standard error as is kept, from the start.
const MOST_WORDS: usize = 2048;

/// A running ffmpeg. It is killed, and waited for, when this is dropped.
#[derive(Debug)]
pub struct Ffmpeg {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    /// `None` after its end.
    stderr: Option<ChildStderr>,
    follower: Follower,
    /// From when a picture is due to when whoever goes on shows it.
    lead: Duration,
    /// The counters and the time behind the last whole picture.
    behind_whole: (Continuity, u64),
    begun: bool,
    input: Vec<u8>,
    output: Vec<u8>,
    /// So much of `output` the follower has seen.
    followed: usize,
    /// So much of `output` is whole pictures.
    whole: usize,
    /// The bytes of each picture that went in and has not come out.
    inside: VecDeque<usize>,
    /// How many of these it holds back.
    behind: usize,
    /// How long it was waited for since the last picture came out.
    silent: Duration,
    words: Vec<u8>,
}

impl Ffmpeg {
    /// Starts it. The first picture's time is `begin`.
    ///
    /// # Errors
    /// It is not installed.
    pub fn start(frame_rate: FrameRate, begin: Duration) -> Result<Self, Error> {
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-nostdin"]);
        // Without these it reads for seconds before it writes.
        command.args(["-probesize", "32", "-analyzeduration", "0"]);
        command.args(["-f", "h264", "-framerate", &frame_rate.to_string(), "-i", "pipe:0", "-c", "copy"]);
        // It would leave out everything in front of the first IDR picture.
        command.arg("-copyinkf");
        // By default the length stays open, and the reader has to wait for the next picture to know it.
        command.args(["-f", "mpegts", "-omit_video_pes_length", "0"]);
        command.args(["-output_ts_offset", &format!("{}us", begin.as_micros())]);
        command.args(["-muxdelay", "0", "-muxpreload", "0", "-flush_packets", "1", "pipe:1"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Ctrl-C in a terminal goes to the whole group; this process ends it when its own last picture is out.
        command.process_group(0);
        let mut child = Child::start(command, Orphaned::Killed, &[]).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::machine("ffmpeg-missing", "ffmpeg is not installed", ""),
            _ => Error::machine("ffmpeg-missing", "cannot start ffmpeg", "").caused_by(error),
        })?;
        let (Some(stdin), Some(stdout), Some(stderr)) = child.take_pipes() else {
            unreachable!("all three are piped");
        };
        let this = Self {
            child,
            stdin,
            stdout,
            stderr: Some(stderr),
            follower: Follower::default(),
            lead: frame_rate.interval(),
            behind_whole: Default::default(),
            begun: false,
            input: Vec::new(),
            output: Vec::new(),
            followed: 0,
            whole: 0,
            inside: VecDeque::new(),
            behind: 0,
            silent: Duration::ZERO,
            words: Vec::new(),
        };
        for fd in [this.stdin.as_fd(), this.stdout.as_fd()].into_iter().chain(this.stderr.as_ref().map(AsFd::as_fd)) {
            // The flag belongs to this end alone; ffmpeg's ends stay as they are.
            fcntl_getfl(fd).and_then(|flags| fcntl_setfl(fd, flags | OFlags::NONBLOCK)).map_err(|errno| {
                Error::machine("ffmpeg-pipes", "cannot use the pipes to ffmpeg", "").caused_by(errno)
            })?;
        }
        Ok(this)
    }

    /// The packets of one picture, as [`Format::lay_out`](super::Format::lay_out).
    pub fn wrap(
        &mut self,
        unit: &AccessUnit,
        reader: Option<BorrowedFd<'_>>,
        control: &Control,
    ) -> Result<ControlFlow<Written, &[u8]>, Error> {
        self.input.clear();
        if !std::mem::replace(&mut self.begun, true) {
            self.input.extend_from_slice(&ACCESS_UNIT_DELIMITER);
        }
        let before = self.input.len();
        byte_stream(unit, &mut self.input);
        let elementary = ACCESS_UNIT_DELIMITER.len() + self.input.len() - before;
        // The next picture's delimiter: with it ffmpeg knows that this one is whole, and passes it on at once.
        self.input.extend_from_slice(&ACCESS_UNIT_DELIMITER);
        let written = std::mem::take(&mut self.whole);
        self.output.drain(..written);
        self.followed -= written;
        // What has come out late.
        self.fetch()?;
        self.follow()?;
        self.behind = self.behind.min(self.inside.len());
        self.inside.push_back(elementary);
        let mut sent = 0;
        let mut moved_at = Instant::now();
        let mut give_up_at = None;
        loop {
            let before = (sent, self.output.len());
            self.listen();
            sent += self.send(sent)?;
            self.fetch()?;
            self.follow()?;
            let is_sent = sent == self.input.len();
            if is_sent && self.inside.len() <= self.behind {
                self.silent = Duration::ZERO;
                return Ok(ControlFlow::Continue(&self.output[..self.whole]));
            }
            if before != (sent, self.output.len()) {
                moved_at = Instant::now();
            }
            let stopping = control.stop_requested();
            let patience = if is_sent { HELD_BACK } else { STALLED };
            let until = match stopping {
                true => *give_up_at.get_or_insert_with(|| Instant::now() + LAST_WRITE),
                false => moved_at + patience.min(STALLED - self.silent),
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() && stopping {
                return Ok(ControlFlow::Break(Written::Stopped));
            } else if left.is_zero() {
                self.silent = if self.whole > 0 { Duration::ZERO } else { self.silent + patience };
                if !is_sent || self.silent >= STALLED {
                    return Err(self.stalled());
                }
                self.behind = self.inside.len();
                return Ok(ControlFlow::Continue(&self.output[..self.whole]));
            }
            if self.wait(!is_sent, reader, (!stopping).then(|| control.wake_fd()), left) {
                return Ok(ControlFlow::Break(Written::ReaderGone));
            }
        }
    }

    /// The counters of what it has written in whole pictures.
    pub fn written(&self) -> Continuity {
        self.follower.continuity()
    }

    /// Where the stream has come to with whole pictures, of which the last one that went in was due at `pts`.
    pub fn transport(&self, pts: Duration) -> Transport {
        let (continuity, shown) = self.behind_whole;
        Transport::behind(continuity, shown, pts + self.lead)
    }

    /// Looks for the ends of pictures in what has come out.
    fn follow(&mut self) -> Result<(), Error> {
        while let Some(packet) = self.output[self.followed..].first_chunk::<PACKET_BYTES>() {
            let unbounded = self.inside.front().copied().unwrap_or_default();
            let ends = self.follower.ends_picture(packet, unbounded).map_err(|why| {
                Error::machine("ffmpeg-failed", format!("ffmpeg writes something else than MPEG-TS: {why}"), "")
            })?;
            self.followed += PACKET_BYTES;
            if ends {
                self.whole = self.followed;
                self.behind_whole = (self.follower.continuity(), self.follower.pts());
                self.inside.pop_front();
            }
        }
        Ok(())
    }

    /// Waits until something moves. Returns whether the reader left.
    fn wait(&self, more: bool, reader: Option<BorrowedFd<'_>>, wake: Option<BorrowedFd<'_>>, left: Duration) -> bool {
        let mut fds = poll::Set::default();
        fds.add(Moves::Ffmpeg, &self.stdout);
        if more {
            fds.add_for(Moves::Ffmpeg, &self.stdin, PollFlags::OUT);
        }
        if let Some(stderr) = &self.stderr {
            fds.add(Moves::Ffmpeg, stderr);
        }
        if let Some(wake) = &wake {
            fds.add(Moves::Ffmpeg, wake);
        }
        if let Some(reader) = &reader {
            fds.add_for(Moves::Reader, reader, PollFlags::empty());
        }
        fds.wait(Some(left)).any(|(what, events)| what == Moves::Reader && events.intersects(poll::GONE))
    }

    fn send(&mut self, sent: usize) -> Result<usize, Error> {
        let rest = &self.input[sent..];
        if rest.is_empty() {
            return Ok(0);
        }
        match rustix::io::write(&self.stdin, rest) {
            Ok(bytes) => Ok(bytes),
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(Errno::PIPE) => Err(self.ended()),
            Err(errno) => Err(Error::machine("ffmpeg-pipes", "cannot write to ffmpeg", "").caused_by(errno)),
        }
    }

    fn fetch(&mut self) -> Result<(), Error> {
        let mut bytes = [0; 16 * 1024];
        loop {
            match rustix::io::read(&self.stdout, &mut bytes) {
                Ok(0) => return Err(self.ended()),
                Ok(read) => self.output.extend_from_slice(&bytes[..read]),
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => {
                    return Err(Error::machine("ffmpeg-pipes", "cannot read from ffmpeg", "").caused_by(errno));
                }
            }
        }
    }

    /// Takes what it says on standard error, so that it never waits there.
    fn listen(&mut self) {
        let mut bytes = [0; 1024];
        while let Some(stderr) = &self.stderr {
            match rustix::io::read(stderr, &mut bytes) {
                Ok(0) => self.stderr = None,
                Ok(read) => {
                    let room = MOST_WORDS.saturating_sub(self.words.len());
                    self.words.extend_from_slice(&bytes[..read.min(room)]);
                }
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    fn ended(&mut self) -> Error {
        let until = Instant::now() + LAST_WORDS;
        loop {
            self.listen();
            let left = until.saturating_duration_since(Instant::now());
            let Some(stderr) = self.stderr.as_ref().filter(|_| !left.is_zero()) else { break };
            poll::wait_for(stderr, PollFlags::IN, Some(left));
        }
        // It has closed its pipes, so it is ending if it has not ended.
        match self.child.end_by(until) {
            Some(status) => self.in_its_words(Error::machine("ffmpeg-failed", format!("ffmpeg ended ({status})"), "")),
            _ => self.in_its_words(Error::machine("ffmpeg-failed", "ffmpeg closed its pipes", "")),
        }
    }

    fn stalled(&self) -> Error {
        let seconds = STALLED.as_secs();
        self.in_its_words(Error::machine(
            "ffmpeg-failed",
            format!("ffmpeg stalled: it did nothing for {seconds} s"),
            "",
        ))
    }

    fn in_its_words(&self, error: Error) -> Error {
        let words = String::from_utf8_lossy(&self.words);
        if words.trim().is_empty() { error } else { error.caused_by(words.trim()) }
    }
}

/// What the wait for a picture ends with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moves {
    Ffmpeg,
    Reader,
}
