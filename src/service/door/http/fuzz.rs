//! What fuzzing tries on the door for readers by HTTP: whatever comes, only who may have a stream gets one.

use super::admission::{Rules, Wish, admit};
use super::asking::{Asked, LONGEST_HEAD, asked};
use super::token::TokenFile;
use crate::service::http::Request;
use std::sync::OnceLock;

const TOKEN: &str = "0123456789abcdef";

fn token() -> TokenFile {
    static FILE: OnceLock<(tempfile::NamedTempFile, TokenFile)> = OnceLock::new();
    let make = || {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), TOKEN).expect("room for a token");
        let token = TokenFile::at(file.path().into()).expect("a token");
        (file, token)
    };
    FILE.get_or_init(make).1.clone()
}

/// A request, from its first byte.
pub fn request(bytes: &[u8]) {
    let mut come = bytes.to_vec();
    let whole = asked(&mut come);
    assert!(bytes.ends_with(&come), "a byte was lost");
    let mut grown = Vec::new();
    let in_pieces = bytes.iter().map(|&byte| {
        grown.push(byte);
        asked(&mut grown)
    });
    let in_pieces = in_pieces.take(LONGEST_HEAD + 1).find(|asked| *asked != Asked::NotYet);
    if bytes.len() <= LONGEST_HEAD {
        assert_eq!(in_pieces.unwrap_or(Asked::NotYet), whole, "it matters how a head comes");
    }
    let Asked::Request(request) = whole else { return };
    let ask = |is_local, token| admit(&request, &Rules { is_local, token });
    for wish in [ask(true, None), ask(false, None), ask(true, Some(token())), ask(false, Some(token()))] {
        match wish {
            Ok(wish) => check(&request, wish),
            Err(answer) => {
                let head = String::from_utf8(answer.head()).expect("text");
                let (lines, rest) = head.split_once("\r\n\r\n").expect("an empty line");
                assert!(rest.is_empty() && lines.split("\r\n").skip(1).all(|line| line.contains(": ")), "{head}");
                assert!(!answer.status().starts_with('2'));
            }
        }
    }
    if matches!(ask(false, Some(token())), Ok(Wish::Stream(_) | Wish::Status | Wish::Metrics)) {
        let shown = request.target.contains("token") || request.headers.has("authorization");
        assert!(shown, "{request:?}");
    }
}

fn check(request: &Request, wish: Wish) {
    assert!(matches!(request.method.as_str(), "GET" | "HEAD"), "{wish:?}: {request:?}");
    let path = request.target.split('?').next().unwrap_or_default();
    if let Wish::Stream(_) = wish {
        assert!(path.ends_with("/stream.ts") || path.ends_with("/stream.h264"), "{request:?}");
    }
}
