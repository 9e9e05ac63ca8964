//! Reads the heads of HTTP and RTSP requests with bounds.

use super::connection::more;
use crate::service::http::split_head;
use std::io::{self, Read};
use std::time::{Duration, Instant};

/// Bytes of a head. Browsers send one or two thousand.
const LONGEST_HEAD: usize = 16 * 1024;
/// A head has to be there within this.
pub const HEAD_WITHIN: Duration = Duration::from_secs(10);

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
        if let Some(whole) = split_head(&mut head) {
            *rest = head;
            return Ok(whole);
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
    fn what_comes_behind_a_head_is_kept() {
        let mut rest = Vec::new();
        let head = read_head(&mut &b"GET / HTTP/1.1\r\n\r\nbody"[..], &mut rest, HEAD_WITHIN, |_| Ok(())).unwrap();
        assert_eq!((head.as_slice(), rest.as_slice()), (&b"GET / HTTP/1.1\r\n\r\n"[..], &b"body"[..]));
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
