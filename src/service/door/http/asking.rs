//! What has come of a request's head so far.

use crate::service::http::{Answer, Request, split_head};

/// Bytes of a head.
pub const LONGEST_HEAD: usize = 8 * 1024;

/// What that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A part of a head.
    NotYet,
    Request(Request),
    /// It is no request, and this is answered.
    Nonsense(Answer),
}

/// Looks at all bytes that have come. Those of a whole head are taken off.
pub fn asked(come: &mut Vec<u8>) -> Asked {
    let too_long = || Answer::text("431 Request Header Fields Too Large", "no request here is as long");
    match split_head(come) {
        Some(head) if head.len() > LONGEST_HEAD => Asked::Nonsense(too_long()),
        Some(head) => match Request::parse(&head) {
            Some(request) => Asked::Request(request),
            None => Asked::Nonsense(Answer::text("400 Bad Request", "this is no request of HTTP/1.1")),
        },
        None if come.len() > LONGEST_HEAD => Asked::Nonsense(too_long()),
        None => Asked::NotYet,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_whole_or_not_yet_or_too_long() {
        let of = |length: usize| {
            let mut come = b"GET / HTTP/1.1\r\nHost: a\r\nX: ".to_vec();
            come.resize(length - 4, b'x');
            come.extend_from_slice(b"\r\n\r\n");
            come
        };
        assert!(matches!(asked(&mut of(LONGEST_HEAD)), Asked::Request(_)));
        assert!(
            matches!(asked(&mut of(LONGEST_HEAD + 1)), Asked::Nonsense(answer) if answer.status().starts_with("431"))
        );
        assert!(matches!(asked(&mut vec![b'x'; LONGEST_HEAD + 1]), Asked::Nonsense(_)));
        assert_eq!(asked(&mut vec![b'x'; LONGEST_HEAD]), Asked::NotYet);
        assert!(
            matches!(asked(&mut b"x\r\n\r\n".to_vec()), Asked::Nonsense(answer) if answer.status().starts_with("400"))
        );
    }
}
