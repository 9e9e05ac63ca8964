//! The heads of HTTP requests, as `httparse` reads them.

use super::headers::Headers;

const MOST_HEADERS: usize = 100;

/// A request's head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub headers: Headers,
    /// The 1 of HTTP/1.1, or the 0 of HTTP/1.0.
    pub minor_version: u8,
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
            minor_version: request.version?,
        };
        (bytes == head.len()).then_some(request)
    }

    #[cfg(test)]
    pub fn of(method: &str, target: &str, headers: &[(&str, &str)]) -> Self {
        let headers = headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let (method, target) = (method.to_owned(), target.to_owned());
        Self { method, target, headers: Headers(headers), minor_version: 1 }
    }
}

/// Takes a head off what has come, up to and with its empty line; what has come behind it stays. `None` where it has no end
/// yet.
pub fn split_head(come: &mut Vec<u8>) -> Option<Vec<u8>> {
    let end = memchr::memmem::find(come, b"\r\n\r\n")? + 4;
    let rest = come.split_off(end);
    Some(std::mem::replace(come, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_where_its_empty_line_does() {
        let mut come = b"GET / HTTP/1.1\r\nHost: a\r\n\r".to_vec();
        assert_eq!(split_head(&mut come), None);
        come.extend_from_slice(b"\nbody");
        let head = split_head(&mut come).unwrap();
        assert_eq!(come, b"body");
        let request = Request::parse(&head).unwrap();
        assert_eq!(
            (request.method.as_str(), request.target.as_str(), request.headers.only("host"), request.minor_version),
            ("GET", "/", Some("a"), 1)
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
}
