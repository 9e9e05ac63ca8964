//! A client of HTTP that is as slow, as rude or as exact as a test wants it.

use super::process::DEADLINE;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

/// An answer, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case, in their order.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// Reads a whole answer, up to the end of the connection.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).ok()?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        let headers =
            lines.map(|line| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned())));
        Some(Self { status, headers: headers.collect::<Option<_>>()?, body: bytes[end + 4..].to_vec() })
    }

    /// The only header of this name, or nothing.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str());
        let value = values.next();
        assert_eq!(values.next(), None, "{name} stands there twice: {self:?}");
        value
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    /// Checks what every answer has to say; only a stream has no length.
    pub fn assert_exact(&self) {
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self:?}");
        assert_eq!(self.header("connection"), Some("close"), "{self:?}");
        assert!(self.header("date").is_some_and(|date| date.ends_with(" GMT")), "{self:?}");
        assert!(self.header("content-type").is_some(), "{self:?}");
        assert!(self.headers.iter().all(|(name, _)| !name.starts_with("access-control-")), "{self:?}");
        assert_eq!(self.header("transfer-encoding"), None);
    }
}

/// A connection, whose reads end after [`DEADLINE`].
pub fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).expect("it listens");
    socket.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    socket
}

/// Sends `request` and reads up to the end of the connection.
pub fn send(address: SocketAddr, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut socket = connect(address);
    socket.write_all(request)?;
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).map(|_| bytes)
}

/// Asks with a method for a target, with these lines as headers beside Host.
pub fn ask(address: SocketAddr, method: &str, target: &str, headers: &[&str]) -> Answer {
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let request = format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n");
    let bytes = send(address, request.as_bytes()).expect("an answer");
    Answer::of(&bytes).unwrap_or_else(|| panic!("{method} {target}: no answer: {:?}", String::from_utf8_lossy(&bytes)))
}

pub fn get(address: SocketAddr, target: &str) -> Answer {
    ask(address, "GET", target, &[])
}

/// A stream that is read.
#[derive(Debug)]
pub struct Stream {
    pub head: Answer,
    pub socket: TcpStream,
}

impl Stream {
    /// Asks for a stream, and waits for the head of the answer, whatever that is.
    pub fn open(address: SocketAddr, target: &str) -> Self {
        let mut socket = connect(address);
        request(&mut socket, address, target);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            let read = socket.read(&mut byte).expect("a byte of a head");
            assert_eq!(read, 1, "the connection ended within a head: {:?}", String::from_utf8_lossy(&head));
            head.push(byte[0]);
        }
        Self { head: Answer::of(&head).expect("a head"), socket }
    }

    /// The next so many bytes.
    pub fn take(&mut self, bytes: usize) -> Vec<u8> {
        let mut taken = vec![0; bytes];
        self.socket.read_exact(&mut taken).expect("bytes of a stream");
        taken
    }

    /// All that is left.
    pub fn rest(mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // One that is cut off may be reset.
        let _ = self.socket.read_to_end(&mut rest);
        rest
    }
}

/// Asks for a stream, without waiting for anything.
pub fn request(socket: &mut TcpStream, address: SocketAddr, target: &str) {
    let _ = socket.write_all(format!("GET {target} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes());
}
