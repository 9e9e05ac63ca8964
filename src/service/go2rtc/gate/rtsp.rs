//! A player's side of RTSP (RFC 2326): requests are read, held against what players need, and written anew.
//!
//! go2rtc takes `ANNOUNCE` and `RECORD` from anybody, with which a stranger's pictures get into a stream.

use super::connection::{both_ways, more, set_up};
use super::http::read_head;
use super::known::Known;
use crate::service::http::Headers;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A player says something within this: a request, a receiver report, something that keeps the connection alive.
const SILENCE: Duration = Duration::from_secs(120);
/// What plays.
const METHODS: [&str; 7] = ["OPTIONS", "DESCRIBE", "SETUP", "PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER"];
/// What go2rtc reads of a player's request.
const HEADERS: [&str; 6] = ["cseq", "session", "transport", "user-agent", "accept", "range"];
const MOST_HEADERS: usize = 50;

/// Serves `viewer`, and closes the connection.
pub fn serve(known: &Known, viewer: TcpStream) {
    let _ = play(known, viewer);
}

fn play(known: &Known, viewer: TcpStream) -> io::Result<()> {
    set_up(&viewer)?;
    viewer.set_read_timeout(Some(SILENCE))?;
    let inside = known.inner.connect_rtsp()?;
    let (mut player, mut up) = (viewer.try_clone()?, inside.try_clone()?);
    let is_stream = |id: &str| known.ids.know(id).unwrap_or(false);
    let set_up = |id: &str| known.ring(id, true);
    let refuse = |answer: &[u8]| (&viewer).write_all(answer);
    both_ways(&viewer, &inside, || pass_on(&mut player, &mut up, &is_stream, set_up, refuse))
}

/// Passes on what a player says until it ends. `set_up` is told of a stream whose pictures reach the player from now on,
/// `refuse` is given what a player is answered instead of by go2rtc.
///
/// # Errors
/// The connection's, or the player does what players do not.
pub fn pass_on(
    player: &mut impl Read,
    inside: &mut impl Write,
    known: &dyn Fn(&str) -> bool,
    set_up: impl Fn(&str),
    refuse: impl Fn(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        if buffer.is_empty() && !more(player, &mut buffer)? {
            return Ok(());
        }
        if buffer[0] == b'$' {
            // Interleaved binary data (section 10.12): the player's reports.
            let Some(packet) = interleaved(player, &mut buffer)? else { return Ok(()) };
            inside.write_all(&packet)?;
            continue;
        }
        let head = read_head(player, &mut buffer, SILENCE, |_| Ok(()))?;
        let Some(request) = Request::parse(&head) else { return Err(io::ErrorKind::InvalidData.into()) };
        match request.fault(known) {
            None => {
                inside.write_all(request.written_anew().as_bytes())?;
                if request.method == "SETUP" {
                    request.stream().into_iter().for_each(&set_up);
                }
            }
            Some(status) => {
                let cseq = request.headers.only("cseq").unwrap_or_default();
                return refuse(format!("RTSP/1.0 {status}\r\nCSeq: {cseq}\r\n\r\n").as_bytes());
            }
        }
    }
}

/// A packet with its four bytes of head: `$`, the channel, the length.
fn interleaved(player: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    loop {
        if let [_, _, high, low, ..] = **buffer {
            let end = 4 + usize::from(u16::from_be_bytes([high, low]));
            if buffer.len() >= end {
                return Ok(Some(buffer.drain(..end).collect()));
            }
        }
        if !more(player, buffer)? {
            return Ok(None);
        }
    }
}

/// A request without a body: players send none.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    method: String,
    url: String,
    headers: Headers,
}

impl Request {
    fn parse(head: &[u8]) -> Option<Self> {
        let at = memchr::memchr(b'\n', head)?;
        let (line, headers) = head.split_at(at + 1);
        let line = std::str::from_utf8(line).ok()?.trim_end();
        let [method, url, "RTSP/1.0"] = line.split(' ').collect::<Vec<_>>()[..] else { return None };
        if !url.bytes().all(|b| b.is_ascii_graphic()) {
            return None;
        }
        let mut parsed = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let Ok(httparse::Status::Complete((_, parsed))) = httparse::parse_headers(headers, &mut parsed) else {
            return None;
        };
        let headers = Headers::of(parsed)?;
        Some(Self { method: method.to_owned(), url: url.to_owned(), headers })
    }

    /// What is wrong with it, for a player, as a status.
    fn fault(&self, known: &dyn Fn(&str) -> bool) -> Option<&'static str> {
        if !METHODS.contains(&self.method.as_str()) {
            return Some("405 Method Not Allowed");
        }
        if !matches!(self.headers.only("content-length"), Some("" | "0")) {
            return Some("400 Bad Request");
        }
        if self.url == "*" {
            return (self.method != "OPTIONS").then_some("400 Bad Request");
        }
        let Some(id) = self.stream() else { return Some("400 Bad Request") };
        let query = self.url.split_once('?').map_or("", |(_, query)| query);
        if query.to_ascii_lowercase().contains("backchannel") {
            return Some("403 Forbidden");
        }
        (!known(id)).then_some("404 Not Found")
    }

    /// The id in `rtsp://host:port/id?…`, or with `/trackID=0` behind it.
    fn stream(&self) -> Option<&str> {
        let (_, path) = self.url.strip_prefix("rtsp://")?.split_once('/')?;
        let path = path.split('?').next().unwrap_or_default();
        Some(path.split("/trackID=").next().unwrap_or_default().trim_end_matches('/'))
    }

    fn written_anew(&self) -> String {
        let kept = self.headers.0.iter().filter(|(name, _)| HEADERS.contains(&name.as_str()));
        let headers: String = kept.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!("{} {} RTSP/1.0\r\n{headers}\r\n", self.method, self.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// What go2rtc gets of what a player says, and what the player is answered.
    fn passed(said: &[u8]) -> (String, String) {
        let (mut inside, answered, set_up) = (Vec::new(), RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let refuse = |answer: &[u8]| {
            answered.borrow_mut().extend_from_slice(answer);
            Ok(())
        };
        let is_set_up = |id: &str| set_up.borrow_mut().push(id.to_owned());
        let _ = pass_on(&mut &said[..], &mut inside, &|id| id == "omega-0", is_set_up, refuse);
        let expected = said.windows(6).filter(|word| word == b"SETUP ").count();
        assert_eq!(set_up.into_inner(), vec!["omega-0"; expected]);
        (String::from_utf8(inside).unwrap(), String::from_utf8(answered.into_inner()).unwrap())
    }

    #[test]
    fn players_play() {
        let said = "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n\
                    DESCRIBE rtsp://127.0.0.1:8554/omega-0?video RTSP/1.0\r\nCSeq: 2\r\nAccept: application/sdp\r\n\r\n\
                    SETUP rtsp://127.0.0.1:8554/omega-0/trackID=0 RTSP/1.0\r\nCSeq: 3\r\nTransport: RTP/AVP/TCP\r\nX: y\r\n\r\n\
                    $\x01\0\x04abcdPLAY rtsp://127.0.0.1:8554/omega-0/ RTSP/1.0\r\nCSeq: 4\r\n\r\n";
        let (inside, answered) = passed(said.as_bytes());
        let expected = said.replace("CSeq", "cseq").replace("Accept", "accept").replace("Transport", "transport");
        assert_eq!((inside, answered.as_str()), (expected.replace("X: y\r\n", ""), ""));
    }

    #[test]
    fn nobody_publishes() {
        for (request, status) in [
            ("ANNOUNCE rtsp://h/omega-0 RTSP/1.0\r\nCSeq: 2\r\nContent-Length: 3\r\n\r\nv=0", "405"),
            ("RECORD rtsp://h/omega-0 RTSP/1.0\r\nCSeq: 2\r\n\r\n", "405"),
            ("announce rtsp://h/omega-0 RTSP/1.0\r\nCSeq: 2\r\n\r\n", "405"),
            ("DESCRIBE rtsp://h/other RTSP/1.0\r\nCSeq: 2\r\n\r\n", "404"),
            ("DESCRIBE rtsp://h/omega-0%00 RTSP/1.0\r\nCSeq: 2\r\n\r\n", "404"),
            ("DESCRIBE rtsp://h/omega-0?backchannel=1 RTSP/1.0\r\nCSeq: 2\r\n\r\n", "403"),
            ("DESCRIBE http://h/omega-0 RTSP/1.0\r\nCSeq: 2\r\n\r\n", "400"),
            ("DESCRIBE * RTSP/1.0\r\nCSeq: 2\r\n\r\n", "400"),
            ("PLAY rtsp://h/omega-0 RTSP/1.0\r\nCSeq: 2\r\nContent-Length: 40\r\n\r\nRECORD", "400"),
        ] {
            let (inside, answered) = passed(request.as_bytes());
            assert_eq!(inside, "", "{request}");
            assert!(
                answered.starts_with(&format!("RTSP/1.0 {status} ")) && answered.ends_with("CSeq: 2\r\n\r\n"),
                "{answered}"
            );
        }
        for request in [
            "PLAY rtsp://h/omega-0 RTSP/1.0\r\n\tx\r\n\r\n",
            "PLAY  rtsp://h/omega-0 RTSP/1.0\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(passed(request.as_bytes()), (String::new(), String::new()), "{request}");
        }
    }
}
