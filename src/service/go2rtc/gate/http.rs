//! The heads of HTTP requests: read with bounds, and parsed by `httparse`.

use super::connection::more;
use super::headers::Headers;
use std::io::{self, Read};
use std::time::{Duration, Instant};

/// Bytes of a head. Browsers send one or two thousand.
const LONGEST_HEAD: usize = 16 * 1024;
const MOST_HEADERS: usize = 100;
/// A head has to be there within this.
pub const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// A request's head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub headers: Headers,
}

impl Request {
    /// Parses a whole head, up to the empty line.
    pub fn parse(head: &[u8]) -> Option<Self> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let Ok(httparse::Status::Complete(bytes)) = request.parse(head) else { return None };
        let request = Self {
            method: request.method?.to_owned(),
            target: request.path?.to_owned(),
            headers: Headers::of(request.headers)?,
        };
        (bytes == head.len()).then_some(request)
    }

    #[cfg(test)]
    pub fn of(method: &str, target: &str, headers: &[(&str, &str)]) -> Self {
        let headers = headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { method: method.to_owned(), target: target.to_owned(), headers: Headers(headers) }
    }
}

/// Reads up to and with the empty line that ends a head; what came behind it goes to `rest`. `set_limit` sets how long
/// the next read may take.
///
/// # Errors
/// The other side ended, is too slow, or its head is too long.
pub fn read_head(
    from: &mut impl Read,
    rest: &mut Vec<u8>,
    within: Duration,
    set_limit: impl Fn(Duration) -> io::Result<()>,
) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + within;
    let mut head = std::mem::take(rest);
    loop {
        if let Some(at) = memchr::memmem::find(&head, b"\r\n\r\n") {
            *rest = head.split_off(at + 4);
            return Ok(head);
        }
        if head.len() >= LONGEST_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        set_limit(left)?;
        if !more(from, &mut head)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_where_its_empty_line_does() {
        let mut rest = Vec::new();
        let head =
            read_head(&mut &b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody"[..], &mut rest, HEAD_WITHIN, |_| Ok(())).unwrap();
        assert_eq!(rest, b"body");
        let request = Request::parse(&head).unwrap();
        assert_eq!(
            (request.method.as_str(), request.target.as_str(), request.headers.only("host")),
            ("GET", "/", Some("a"))
        );
        assert_eq!(request.headers.only("origin"), Some(""));
    }

    #[test]
    fn what_two_servers_would_read_differently_is_refused() {
        let twice = Request::parse(b"GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n").unwrap();
        assert_eq!(twice.headers.only("host"), None);
        for head in [
            &b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
            b"GET /\0 HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\nHost: a\n\n",
            b"GET / HTTP/2\r\n\r\n",
            b"GET  / HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01\x02\x00\r\n\r\n",
        ] {
            let parsed = Request::parse(head);
            assert!(parsed.is_none() || head.contains(&b'\n') && !head.ends_with(b"\r\n\r\n"), "{head:?}: {parsed:?}");
        }
    }

    #[test]
    fn a_head_has_bounds() {
        let endless = std::io::repeat(b'a');
        let error = read_head(&mut { endless }, &mut Vec::new(), HEAD_WITHIN, |_| Ok(())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let error = read_head(&mut &b"GET"[..], &mut Vec::new(), Duration::ZERO, |_| Ok(())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
