//! One viewer's HTTP request, from its head to its end.

use super::admission::{Refusal, Wish, admit, query};
use super::connection::{TwoWay as _, both_ways, pour, set_up};
use super::http::{HEAD_WITHIN, read_head};
use super::known::Known;
use super::wall::Wall;
use super::{messages, offer};
use crate::service::http::{Answer, Request};
use serde::Deserialize;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Bytes of an offer.
const LONGEST_BODY: usize = 64 * 1024;
/// go2rtc answers a WebSocket within this, or something is wrong with it.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// A refused viewer's last bytes are waited for so long, or the refusal might be lost on the way.
const LINGER: Duration = Duration::from_millis(500);

/// Serves `viewer`, and closes the connection.
pub fn serve(known: &Known, viewer: TcpStream) {
    let Ok(from) = viewer.peer_addr() else { return };
    if set_up(&viewer).is_ok() {
        let _ = Visit { known, viewer, from: from.ip().to_canonical(), rest: Vec::new() }.run();
    }
}

struct Visit<'a> {
    known: &'a Known,
    viewer: TcpStream,
    from: IpAddr,
    /// What has come behind the head.
    rest: Vec<u8>,
}

impl Visit<'_> {
    fn run(mut self) -> io::Result<()> {
        let limits = self.viewer.try_clone()?;
        let head =
            read_head(&mut self.viewer, &mut self.rest, HEAD_WITHIN, |limit| limits.set_read_timeout(Some(limit)))?;
        let Some(request) = Request::parse(&head) else {
            return self.refuse(&Refusal::new("400 Bad Request", "this is no request of HTTP/1.1"));
        };
        let wish = match admit(&request, &self.known.hosts).and_then(|wish| self.check_stream(wish)) {
            Ok(wish) => wish,
            Err(refusal) => {
                tracing::debug!(viewer = %self.from, method = request.method, status = refusal.status, "refused a request");
                return self.refuse(&refusal);
            }
        };
        let served = match wish {
            Wish::Wall => self.wall(&request),
            Wish::Tiles => self.tiles(&request),
            Wish::Page(path) => self.page(&request, &path),
            Wish::List(id) => self.list(id.as_deref()),
            Wish::Watch(id) => self.watch(&request, &id),
            Wish::Offer(id) => self.answer(&request, &id),
        };
        served.or_else(|error| match error {
            Failed::Refused(refusal) => self.refuse(&refusal),
            Failed::Io(error) => Err(error),
        })
    }

    fn check_stream(&self, wish: Wish) -> Result<Wish, Refusal> {
        let (Wish::Watch(id) | Wish::Offer(id)) = &wish else { return Ok(wish) };
        match self.known.ids.know(id) {
            Ok(true) => Ok(wish),
            Ok(false) => Err(Refusal::new("404 Not Found", "there is no such stream")),
            Err(_) => Err(not_there()),
        }
    }

    fn wall(&self, request: &Request) -> Result<(), Failed> {
        let (page, policy) = Wall::page()?;
        Ok(self.answer_own(request, Answer::of_kind("text/html; charset=utf-8", page), policy)?)
    }

    fn tiles(&self, request: &Request) -> Result<(), Failed> {
        let list = self.known.wall.list(&self.known.ids);
        let policy = "default-src 'none'; frame-ancestors 'none'".to_owned();
        Ok(self.answer_own(request, Answer::json(list.to_string()), policy)?)
    }

    /// What is made here, for this origin alone.
    fn answer_own(&self, request: &Request, answer: Answer, policy: String) -> io::Result<()> {
        let answer = answer
            .with("Content-Security-Policy", policy)
            .with("X-Content-Type-Options", "nosniff")
            .with("Referrer-Policy", "no-referrer")
            .with("Cross-Origin-Resource-Policy", "same-origin");
        let bytes = if request.method == "HEAD" { answer.head() } else { answer.to_bytes() };
        (&self.viewer).write_all(&bytes)
    }

    fn page(&self, request: &Request, path: &str) -> Result<(), Failed> {
        let mut inside = self.connect()?;
        self.ask(&mut inside, request, path, "Connection: close\r\n", "")?;
        Ok(pour(&mut inside, &mut &self.viewer)?)
    }

    fn list(&self, id: Option<&str>) -> Result<(), Failed> {
        let streams = self.known.ids.list().map_err(|_| not_there())?;
        let list = streams.public(id).ok_or_else(|| Refusal::new("404 Not Found", "there is no such stream"))?;
        Ok(self.say(&Answer::json(list))?)
    }

    fn watch(&mut self, request: &Request, id: &str) -> Result<(), Failed> {
        let key = request.headers.only("sec-websocket-key").unwrap_or_default();
        let is_key = key.len() == 24 && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b));
        if !is_key || request.headers.only("sec-websocket-version") != Some("13") {
            return Err(Refusal::new("400 Bad Request", "this is no WebSocket of RFC 6455").into());
        }
        let mut inside = self.connect()?;
        let upgrade = format!(
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
        );
        self.ask(&mut inside, request, &format!("/api/ws?{}", query(id)), &upgrade, "")?;
        let (mut answered, limits) = (Vec::new(), inside.another()?);
        let head = read_head(&mut inside, &mut answered, ANSWERS_WITHIN, |limit| limits.set_read_timeout(Some(limit)))?;
        inside.set_read_timeout(None)?;
        (&self.viewer).write_all(&head)?;
        (&self.viewer).write_all(&answered)?;
        if !head.starts_with(b"HTTP/1.1 101 ") {
            // What the viewer says next is no WebSocket's, and go2rtc would take it for a request.
            return Ok(pour(&mut inside, &mut &self.viewer)?);
        }
        self.viewer.set_read_timeout(None)?;
        let (rest, from) = (std::mem::take(&mut self.rest), self.from);
        let (mut viewer, mut up) = (self.viewer.try_clone()?, inside.another()?);
        let asked = || self.known.ring(id, false);
        Ok(both_ways(&self.viewer, &inside, || messages::pass_on(&mut viewer, rest, from, &mut up, asked))?)
    }

    fn answer(&mut self, request: &Request, id: &str) -> Result<(), Failed> {
        #[derive(Deserialize)]
        struct Description {
            sdp: String,
        }
        let kind = request.headers.only("content-type").unwrap_or_default().split(';').next().unwrap_or_default();
        let kind = kind.trim().to_ascii_lowercase();
        let body = self.body(request)?;
        let sdp = match kind.as_str() {
            "application/json" => serde_json::from_str(&body).map(|Description { sdp }| sdp).unwrap_or_default(),
            "application/sdp" | "text/plain" | "" => body,
            _ => return Err(Refusal::new("415 Unsupported Media Type", "send the offer as application/sdp").into()),
        };
        let offer = offer::to_watch(&sdp, self.from)
            .ok_or_else(|| Refusal::new("403 Forbidden", "the offer has to receive video, and to send nothing"))?;
        let body = match kind.as_str() {
            "application/json" => serde_json::json!({ "type": "offer", "sdp": offer }).to_string(),
            _ => offer,
        };
        let kind = if kind.is_empty() { "text/plain" } else { &kind };
        let headers = format!("Connection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
        let mut inside = self.connect()?;
        self.ask(&mut inside, request, &format!("/api/webrtc?{}", query(id)), &headers, &body)?;
        self.known.ring(id, false);
        Ok(pour(&mut inside, &mut &self.viewer)?)
    }

    fn body(&mut self, request: &Request) -> Result<String, Failed> {
        let length = request.headers.only("content-length").and_then(|length| length.parse::<usize>().ok());
        let Some(length) = length.filter(|_| !request.headers.has("transfer-encoding")) else {
            return Err(Refusal::new("411 Length Required", "say how long the offer is").into());
        };
        if length > LONGEST_BODY {
            return Err(Refusal::new("413 Content Too Large", "no offer is as long").into());
        }
        if request.headers.has("expect") {
            (&self.viewer).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let mut body = std::mem::take(&mut self.rest);
        body.truncate(length);
        self.viewer.set_read_timeout(Some(HEAD_WITHIN))?;
        let missing = (length - body.len()) as u64;
        (&self.viewer).take(missing).read_to_end(&mut body)?;
        match String::from_utf8(body) {
            Ok(body) if body.len() == length => Ok(body),
            _ => Err(Refusal::new("400 Bad Request", "the offer is not whole, or no text").into()),
        }
    }

    fn connect(&self) -> Result<UnixStream, Refusal> {
        self.known.inner.connect_web().map_err(|_| not_there())
    }

    /// Writes the request anew.
    fn ask(
        &self,
        inside: &mut UnixStream,
        request: &Request,
        target: &str,
        headers: &str,
        body: &str,
    ) -> io::Result<()> {
        let printable = |b: &u8| b.is_ascii_graphic() || *b == b' ';
        let agent: String =
            request.headers.only("user-agent").unwrap_or_default().bytes().filter(printable).map(char::from).collect();
        let agent = &agent[..agent.len().min(256)];
        let (method, from) = (&request.method, self.from);
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: {agent}\r\nX-Forwarded-For: {from}\r\n{headers}\r\n{body}"
        );
        inside.write_all(head.as_bytes())
    }

    fn say(&self, answer: &Answer) -> io::Result<()> {
        (&self.viewer).write_all(&answer.to_bytes())
    }

    fn refuse(&self, refusal: &Refusal) -> io::Result<()> {
        self.say(&Answer::text(refusal.status, &refusal.words))?;
        self.viewer.shutdown(Shutdown::Write)?;
        self.viewer.set_read_timeout(Some(LINGER))?;
        let _ = io::copy(&mut (&self.viewer).take(LONGEST_BODY as u64), &mut io::sink());
        Ok(())
    }
}

fn not_there() -> Refusal {
    Refusal::new("502 Bad Gateway", "go2rtc does not run, or not yet: try again in a moment")
}

enum Failed {
    Refused(Refusal),
    Io(io::Error),
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
