//! The two ends of a connection: a viewer, and go2rtc.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::os::threads;

/// A viewer who takes nothing for so long is gone.
const STUCK: Duration = Duration::from_secs(30);
/// go2rtc answers within this or not at all.
const CONNECTS_WITHIN: Duration = Duration::from_secs(2);
const CHUNK: usize = 64 * 1024;

/// Where go2rtc listens for the gate alone.
#[derive(Clone, Debug)]
pub struct Inner {
    /// The path of a Unix socket.
    pub api: PathBuf,
    /// It may move when go2rtc is started again.
    pub rtsp: Arc<Mutex<SocketAddr>>,
}

impl Inner {
    pub fn connect_web(&self) -> io::Result<UnixStream> {
        let stream = UnixStream::connect(&self.api)?;
        stream.set_write_timeout(Some(STUCK))?;
        Ok(stream)
    }

    pub fn connect_rtsp(&self) -> io::Result<TcpStream> {
        let rtsp = *self.rtsp.lock().unwrap_or_else(PoisonError::into_inner);
        let stream = TcpStream::connect_timeout(&rtsp, CONNECTS_WITHIN)?;
        set_up(&stream)?;
        Ok(stream)
    }
}

/// A socket that can be used from two threads, one a direction.
pub trait TwoWay: Read + Write + Send + Sized + 'static {
    fn another(&self) -> io::Result<Self>;
    /// Ends both directions, for both threads.
    fn hang_up(&self);
}

impl TwoWay for TcpStream {
    fn another(&self) -> io::Result<Self> {
        self.try_clone()
    }

    fn hang_up(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

impl TwoWay for UnixStream {
    fn another(&self) -> io::Result<Self> {
        self.try_clone()
    }

    fn hang_up(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

/// No message waits for the next one.
pub fn set_up(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(STUCK))
}

/// Reads on, to the end of `buffer`. Returns whether there was anything.
pub fn more(from: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<bool> {
    let mut chunk = [0u8; 4096];
    loop {
        match from.read(&mut chunk) {
            Ok(bytes) => {
                buffer.extend_from_slice(&chunk[..bytes]);
                return Ok(bytes > 0);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Passes on what go2rtc sends until either side has ended.
pub fn pour(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut chunk = vec![0u8; CHUNK];
    loop {
        match from.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(bytes) => to.write_all(&chunk[..bytes])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Passes on what go2rtc sends, while `up` handles what the viewer says. The end of either is the end of both.
pub fn both_ways<I: TwoWay>(viewer: &TcpStream, inside: &I, up: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let (mut from, mut to) = (inside.another()?, viewer.try_clone()?);
    let down = threads::small("gate-down").spawn(move || {
        let _ = pour(&mut from, &mut to);
        from.hang_up();
        to.hang_up();
    })?;
    let ended = up();
    viewer.hang_up();
    inside.hang_up();
    let _ = down.join();
    ended
}
