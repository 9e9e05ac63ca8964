//! What go2rtc answers over HTTP about its streams.

use serde_json::Value;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(5);

/// Everything that go2rtc tells of its streams.
#[derive(Debug)]
pub struct Streams(Value);

impl Streams {
    /// Asks the one at `api`, such as `127.0.0.1:1984`.
    ///
    /// # Errors
    /// It does not answer, or with something else than JSON.
    pub fn ask(api: &str) -> io::Result<Self> {
        let address = api.parse().map_err(io::Error::other)?;
        let mut socket = TcpStream::connect_timeout(&address, LIMIT)?;
        socket.set_read_timeout(Some(LIMIT))?;
        // Of version 1.0, whose answer ends with the connection.
        write!(socket, "GET /api/streams HTTP/1.0\r\nHost: {api}\r\n\r\n")?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
        serde_json::from_str(body).map(Self).map_err(io::Error::other)
    }

    /// Access units and bytes that it has taken from a stream's source, if that runs.
    pub fn counts(&self, id: &str) -> Option<(u64, u64)> {
        let producers = self.0[id]["producers"].as_array()?;
        let producer = producers.iter().find(|producer| producer["receivers"].is_array())?;
        let receiver = &producer["receivers"].as_array()?[0];
        Some((receiver["packets"].as_u64()?, receiver["bytes"].as_u64()?))
    }
}
