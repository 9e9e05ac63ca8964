//! Every answer to everything that can be asked, with exactly its headers.

use crate::door::Door;
use crate::support::http::{Answer, ask, get, send};
use crate::support::process::{DEADLINE, until};

const TEXT: &str = "text/plain; charset=utf-8";

fn assert_says(answer: &Answer, status: u16, kind: &str) {
    answer.assert_exact();
    assert_eq!((answer.status, answer.header("content-type")), (status, Some(kind)), "{answer:?}");
}

/// Checks a whole answer, and that HEAD gets the same one without its body.
fn assert_answers(door: &Door, target: &str, status: u16, kind: &str) -> Answer {
    let answer = get(door.address, target);
    assert_says(&answer, status, kind);
    assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()), "{answer:?}");
    let head = ask(door.address, "HEAD", target, &[]);
    assert_says(&head, status, kind);
    assert_eq!(head.body, b"", "{target}");
    answer
}

#[test]
fn everything_has_its_answer() {
    let door = Door::start(&[]);
    let index = assert_answers(&door, "/", 200, TEXT);
    assert_eq!(index.text().lines().count(), 1, "one line: {}", index.text());
    for path in ["/stream.ts", "/stream.h264", "/healthz", "/status", "/metrics"] {
        assert!(index.text().contains(path), "{path} is not in {}", index.text());
    }
    assert_eq!(assert_answers(&door, "/healthz", 200, TEXT).text(), "ok\n");
    assert_answers(&door, "/status", 200, "application/json; charset=utf-8");
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(assert_answers(&door, "/metrics", 200, kind).text().ends_with("\n# EOF\n"));
    // Scrapers from before OpenMetrics.
    let plain = ask(door.address, "GET", "/metrics", &["Accept: text/plain;version=0.0.4;q=1,*/*;q=0.1"]);
    assert_says(&plain, 200, "text/plain; version=0.0.4; charset=utf-8");
    assert!(plain.text().contains("\n# TYPE mb_encode_pictures_total counter\n"), "{}", plain.text());
    assert_answers(&door, "/nothing", 404, TEXT);

    // Asking for the head of a stream starts none.
    for (target, kind) in [("/stream.ts", "video/mp2t"), ("/stream.h264", "video/h264")] {
        let head = ask(door.address, "HEAD", target, &[]);
        assert_says(&head, 200, kind);
        assert_eq!((head.header("content-length"), head.body.len()), (None, 0));
    }
    assert_eq!(door.metric("mb_encode_starts_total"), 0.0);

    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"] {
        for target in ["/stream.ts", "/", "/status"] {
            let answer = ask(door.address, method, target, &["Content-Length: 0"]);
            assert_says(&answer, 405, TEXT);
            assert_eq!(answer.header("allow"), Some("GET, HEAD"));
        }
    }
    door.end();
}

#[test]
fn what_is_no_request_of_this_machine_is_refused() {
    let door = Door::start(&[]);
    let status = |request: &[u8]| {
        let bytes = send(door.address, request).unwrap_or_default();
        let answer = Answer::of(&bytes).unwrap_or_else(|| panic!("{:?}", String::from_utf8_lossy(request)));
        assert_says(&answer, answer.status, TEXT);
        answer.status
    };
    for (request, expected) in [
        (&b"GET / HTTP/1.0\r\n\r\n"[..], 200),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\nHost: [::1]:9000\r\n\r\n", 200),
        (b"GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
        (b"GET /stream.ts HTTP/1.1\r\nHost: 127.0.0.1.evil.example\r\n\r\n", 421),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", 400),
        (b"GET / HTTP/2\r\nHost: localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n Host: localhost\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
        (b"GET /stream.ts HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\n\r\n", 403),
        // A body is nobody's business, and no second request either.
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello", 405),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
    ] {
        assert_eq!(status(request), expected, "{:?}", String::from_utf8_lossy(request));
    }
    let long = |bytes: usize| {
        let filler = "x".repeat(bytes - "GET / HTTP/1.1\r\nHost: localhost\r\nX: \r\n\r\n".len());
        format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {filler}\r\n\r\n")
    };
    assert_eq!(status(long(8192).as_bytes()), 200);
    assert_eq!(status(long(8193).as_bytes()), 431);
    assert_eq!(status(&[b'x'; 60_000]), 431, "an answer in spite of all that is still to be read");
    assert_eq!(door.metric("mb_encode_starts_total"), 0.0);
    door.end();
}

#[test]
fn figures_and_state_follow_the_readers_and_never_go_down() {
    let door = Door::start(&[]);
    assert_eq!(door.status()["state"], "waiting");
    assert_eq!(door.metric("mb_encode_up"), 1.0);
    let (mut first, mut second) = (door.stream("/stream.ts"), door.stream("/stream.h264"));
    first.take(188 * 3);
    second.take(500);
    let status = until(DEADLINE, "both streams tell of frames", || {
        let status = door.status();
        let frames = |stream: &serde_json::Value| stream["totals"]["pictures"].as_u64().unwrap_or(0);
        (frames(&status["stream"]) > 0 && frames(&status["more_streams"][0]) > 0).then_some(status)
    });
    assert_eq!((&status["state"], &status["stream"]["reader"]), (&"streaming".into(), &1.into()));
    assert_eq!(status["more_streams"][0]["reader"], 2);
    assert_eq!(status["stream"]["chosen"]["encoder"], "OpenH264");
    assert_eq!(door.metric("mb_encode_readers"), 2.0);
    assert!(door.metric("mb_encode_since_last_picture_seconds") < 5.0);
    let before = door.metric("mb_encode_pictures_total");
    drop((first, second));
    door.wait_until_alone();
    let text = until(DEADLINE, "it waits again", || {
        let text = get(door.address, "/metrics").text().to_owned();
        text.contains("\nmb_encode_readers 0\n").then_some(text)
    });
    assert!(door.metric("mb_encode_pictures_total") >= before);
    for line in [
        "mb_encode_starts_total 2",
        "mb_encode_ends_total{cause=\"left\"} 2",
        "mb_encode_ends_total{cause=\"failed\"} 0",
        "mb_encode_pictures_skipped_total{cause=\"late\"} ",
        "mb_encode_pictures_skipped_total{cause=\"held_back\"} ",
        "mb_encode_written_bytes_total ",
        "encoder=\"OpenH264\",gpu=\"\"",
        "mb_encode_encode_time_seconds_bucket{le=\"+Inf\"} ",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    assert!(!text.contains("since_last_picture"), "nobody waits for one: {text}");
    let number = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}"));
        line.trim().parse::<f64>().expect("a number")
    };
    let frames = number("mb_encode_pictures_total");
    assert_eq!(number("mb_encode_encode_time_seconds_count"), frames);
    let buckets: Vec<f64> = text
        .lines()
        .filter(|line| line.contains("_bucket{"))
        .filter_map(|line| line.split(' ').nth(1)?.parse().ok())
        .collect();
    assert!(buckets.is_sorted() && buckets.last() == Some(&frames), "{buckets:?}");
    assert!(number("mb_encode_encode_time_seconds_sum") > 0.0);
    assert_eq!(door.status()["last_end"]["failure"], serde_json::Value::Null);
    door.end();
}
