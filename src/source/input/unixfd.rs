//! Pictures of a GStreamer pipeline that ends in `unixfdsink` (1.24 or later), or of any program that speaks its protocol.
//!
//! The producer puts pictures into memory that both can see and passes descriptors over a Unix socket. This is a client of
//! it: it connects while a stream runs, by which a producer knows that somebody watches, keeps the latest picture and gives
//! every buffer back at once. A producer that leaves, or says what makes no sense, is connected to again; meanwhile the
//! picture stands still. What it shares is never trusted: see [`crate::os::shared_memory`].

mod bands;
mod caps;
mod connection;
mod device_format;
mod dma_buf;
#[cfg(all(fuzzing, feature = "cli"))]
pub mod fuzz;
mod layout;
mod memories;
mod refused;
#[cfg(test)]
mod tests;
mod wire;

use super::intake::{Arrived, Intake, Over};
use super::producers::{Patience, Producer};
use crate::error::Error;
use bands::{Bands, Taken};
use caps::Caps;
use connection::{Address, Connection, Lost};
use dma_buf::{DeviceFrames, Failed};
use memories::Memories;
use rustix::event::PollFlags;
use rustix::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use wire::{Broken, Buffer, MemoryKind, Message};

/// Between two looks for a producer that is not there.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Before the first try after a producer that was there, and before all later ones at most.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A connection that has lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(2);

/// A producer that stops amid a message for so long is taken for dead.
const STALLED: Duration = Duration::from_secs(2);

/// A producer that is there and shows nothing is told of after so long.
const SILENT: Duration = Duration::from_secs(2);

/// Messages that are read before a picture is shown, where they come faster than they are read.
const AT_ONCE: usize = 64;

/// A client of `unixfdsink`.
#[derive(Debug)]
pub struct UnixFd {
    address: Address,
    /// What was said last of a producer, so that it is not said every two seconds.
    said: String,
}

/// How a connection ends.
#[derive(Debug)]
enum End {
    /// The stream is over.
    Over,
    /// The producer is at its end.
    Finished,
    Lost(Lost),
    /// Another connection would end likewise.
    Hopeless(Error),
}

impl From<Over> for End {
    fn from(Over: Over) -> Self {
        Self::Over
    }
}

impl From<Lost> for End {
    fn from(why: Lost) -> Self {
        Self::Lost(why)
    }
}

impl From<Broken> for End {
    fn from(why: Broken) -> Self {
        Self::Lost(Lost::Broken(why))
    }
}

impl UnixFd {
    /// For the producer that listens, or will, on the socket at `path`; behind an `@` on an abstract one.
    pub fn new(path: PathBuf) -> Self {
        Self { address: Address::new(path), said: String::new() }
    }

    fn say(&mut self, what: String) {
        if self.said != what {
            tracing::info!("{what}");
            self.said = what;
        }
    }

    fn warn(&mut self, what: String) {
        if self.said != what {
            tracing::warn!("{what}");
            self.said = what;
        }
    }
}

impl Producer for UnixFd {
    /// Runs until the stream is over, whether a producer is there or not.
    fn run(&mut self, intake: &Intake) -> Result<(), Error> {
        let mut patience = Patience::new(FIRST_WAIT, LONGEST_WAIT);
        let mut devices = DeviceFrames::default();
        loop {
            let Some(connection) = self.address.connect()? else {
                self.say(format!("waiting for a producer at {}", self.address));
                if intake.wait(None, Some(LOOK_AGAIN)).is_err() {
                    return Ok(());
                }
                continue;
            };
            intake.hear();
            let began = Instant::now();
            let end = Session::new(&self.address, connection, intake, &mut devices).run();
            if began.elapsed() >= GOOD {
                patience.reset();
                self.said.clear();
            }
            match end {
                End::Over => return Ok(()),
                End::Hopeless(error) => return Err(error),
                End::Finished => self.say(format!("the producer at {} has come to its end", self.address)),
                End::Lost(Lost::Left) => self.say(format!("the producer at {} has left", self.address)),
                End::Lost(Lost::Broken(Broken(what))) => {
                    self.warn(format!("the producer at {} {what}; connecting to it again", self.address));
                }
            }
            if intake.wait(None, Some(patience.next())).is_err() {
                return Ok(());
            }
        }
    }

    fn name(&self) -> String {
        self.address.to_string()
    }
}

/// A buffer that is not given back yet.
#[derive(Debug)]
struct Held {
    buffer: Buffer,
    fds: Vec<OwnedFd>,
    /// The last caps in front of it.
    caps: Option<Caps>,
}

/// One connection.
#[derive(Debug)]
struct Session<'a> {
    address: &'a Address,
    connection: Connection,
    intake: &'a Intake,
    caps: Option<Caps>,
    memories: Memories,
    bands: Bands,
    /// Outlives the connection, since it takes its time to open.
    devices: &'a mut DeviceFrames,
    /// Since when nothing has come, until that is told or something comes.
    silent_since: Option<Instant>,
}

impl<'a> Session<'a> {
    fn new(address: &'a Address, connection: Connection, intake: &'a Intake, devices: &'a mut DeviceFrames) -> Self {
        Self {
            address,
            connection,
            intake,
            caps: None,
            memories: Memories::default(),
            bands: Bands::default(),
            devices,
            silent_since: Some(Instant::now()),
        }
    }

    /// Hands pictures over until something ends it.
    fn run(mut self) -> End {
        loop {
            let (latest, end) = self.drain();
            // A picture that is all there is shown, whatever came behind it.
            let shown = latest.map_or(Ok(()), |held| self.show(held));
            if let Err(end) = shown.and(end).and_then(|()| self.wait()) {
                return end;
            }
        }
    }

    /// Waits for more.
    fn wait(&mut self) -> Result<(), End> {
        let left = |since: Option<Instant>, limit: Duration| since.map(|since| limit.saturating_sub(since.elapsed()));
        let until_stalled = left(self.connection.amid_message_since(), STALLED);
        if until_stalled == Some(Duration::ZERO) {
            return Err(Broken::from("stopped amid a message").into());
        }
        if left(self.silent_since, SILENT) == Some(Duration::ZERO) {
            tracing::info!("connected to {}, which has sent no frame yet", self.address);
            self.silent_since = None;
        }
        let timeout = [until_stalled, left(self.silent_since, SILENT)].into_iter().flatten().min();
        self.intake.wait(Some((self.connection.as_fd(), PollFlags::IN)), timeout)?;
        Ok(())
    }

    /// Reads what is there. Returns the latest buffer, and what ends the connection behind it. The buffers before are given
    /// back unread.
    fn drain(&mut self) -> (Option<Held>, Result<(), End>) {
        let mut latest = None;
        let at_once = if self.intake.keeps_every() { 1 } else { AT_ONCE };
        for _ in 0..at_once {
            match self.next(&mut latest) {
                Ok(true) => {}
                Ok(false) => break,
                Err(end) => return (latest, Err(end)),
            }
        }
        (latest, Ok(()))
    }

    /// Takes one message in; false where there is none.
    fn next(&mut self, latest: &mut Option<Held>) -> Result<bool, End> {
        let Some((message, fds)) = self.connection.receive()? else { return Ok(false) };
        match message {
            Message::Caps(text) => {
                let caps = caps::parse(&text).map_err(|why| End::Hopeless(refused::error(self.address, &why)))?;
                if let Some(Caps { shape, .. }) = &caps {
                    // What cannot be shown is turned away before any of it comes.
                    self.intake.size_for(shape).map_err(End::Hopeless)?;
                }
                if caps != self.caps {
                    tracing::debug!("{} sends {caps:?}", self.address);
                    // The pictures before lay in other memory.
                    self.memories = Memories::default();
                    self.caps = caps;
                }
            }
            Message::Buffer(buffer) => {
                let (pieces, descriptors) = (buffer.pieces.len(), fds.len());
                if pieces != descriptors {
                    let what = format!("sent {descriptors} descriptors for {pieces} pieces of memory");
                    return Err(Broken(what).into());
                }
                // Nothing to see is a gap in the stream.
                let before = if pieces == 0 {
                    Some(buffer.id)
                } else {
                    latest.replace(Held { buffer, fds, caps: self.caps }).map(|before| before.buffer.id)
                };
                before.map_or(Ok(()), |id| self.connection.release(id))?;
            }
            Message::EndOfStream => return Err(End::Finished),
            Message::Unknown(command) => tracing::debug!("{} sends an unknown command ({command})", self.address),
        }
        Ok(true)
    }

    /// Takes a picture out of the producer's memory, gives that back and hands the picture over.
    fn show(&mut self, Held { buffer, fds, caps }: Held) -> Result<(), End> {
        self.silent_since = None;
        let caps = caps.ok_or_else(|| Broken::from("sent a frame before its caps"))?;
        let copied = match buffer.kind {
            MemoryKind::Ordinary => {
                let size = self.intake.size_for(&caps.shape).map_err(End::Hopeless)?;
                self.bands.set_up(&caps.shape, size).map_err(End::Hopeless)?;
                self.copy(&caps, &buffer, fds).map(|taken| (caps.shape, taken)).map_err(Failed::Broken)
            }
            MemoryKind::DmaBuf => {
                let copied = self.devices.copy(&caps, &buffer, fds, self.intake);
                copied.map(|(shape, samples)| (shape, Taken { samples, is_converted: false }))
            }
        };
        let (shape, taken) = copied.map_err(|why| match why {
            Failed::Broken(broken) => broken.into(),
            Failed::Refused(format, reasons) => End::Hopeless(refused::device(self.address, format, &reasons)),
        })?;
        let Taken { samples, is_converted } = taken;
        self.connection.release(buffer.id)?;
        let frame_rate = caps.frame_rate;
        Ok(self.intake.offer(Arrived { samples, shape, is_converted, frame_rate, at: Instant::now(), ends_at: 0 })?)
    }

    /// Takes a picture out of ordinary memory.
    fn copy(&mut self, caps: &Caps, buffer: &Buffer, fds: Vec<OwnedFd>) -> Result<Taken, Broken> {
        let shape = caps.shape;
        if caps.device.is_some_and(|device| !device.is_linear()) {
            return Err("sent frames of ordinary memory as tiled ones".into());
        }
        let planes = match &buffer.planes {
            Some(planes) => layout::told(&shape, planes),
            None => layout::usual(&shape),
        };
        let planes = planes.ok_or("sent planes that its caps do not have")?;
        let bytes = self.memories.open(&buffer.pieces, fds)?;
        self.bands.take(&bytes, &shape, &planes, self.intake)
    }
}
