//! What fuzzing tries on the gate: whatever a stranger sends, go2rtc gets nothing that is not a viewer's.

use super::admission::{Host, Hosts, Wish, admit, query};
use super::http::{HEAD_WITHIN, read_head};
use super::{messages, offer, rtsp};
use crate::service::http::Request;
use std::net::{IpAddr, Ipv4Addr};

const VIEWER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// A request, from its first byte.
pub fn head(bytes: &[u8]) {
    let mut rest = Vec::new();
    let Ok(head) = read_head(&mut &bytes[..], &mut rest, HEAD_WITHIN, |_| Ok(())) else { return };
    assert_eq!([&head[..], &rest].concat(), bytes, "a byte was lost");
    let Some(request) = Request::parse(&head) else { return };
    let hosts = Hosts(vec!["robot.example".parse::<Host>().expect("a name")]);
    match admit(&request, &hosts) {
        Ok(Wish::Page(path)) => {
            assert!(matches!(request.method.as_str(), "GET" | "HEAD") && !path.contains("api"), "{path}");
        }
        Ok(Wish::Wall | Wish::Tiles) => assert!(matches!(request.method.as_str(), "GET" | "HEAD")),
        Ok(Wish::List(_)) => assert_eq!(request.method, "GET"),
        Ok(Wish::Watch(id) | Wish::Offer(id)) => {
            let written = query(&id);
            assert!(written.bytes().all(|b| b.is_ascii_graphic()), "{written}");
            let read: Vec<_> = form_urlencoded::parse(written.as_bytes()).collect();
            assert!(read.len() == 1 && read[0].0 == "src" && read[0].1 == id, "{written}");
        }
        Err(refusal) => assert!(!refusal.words.contains(['\r', '\n']), "{}", refusal.words),
    }
}

/// What comes on a WebSocket.
pub fn message(bytes: &[u8]) {
    let mut inside = Vec::new();
    let _ = messages::pass_on(&mut &bytes[..], Vec::new(), VIEWER, &mut inside, || {});
    // Nothing but what this end writes gets through, so it reads its own.
    let mut again = Vec::new();
    messages::pass_on(&mut &inside[..], Vec::new(), VIEWER, &mut again, || {}).expect("frames of our own");
    assert_eq!(inside, again);
    assert!(!inside.windows(11).any(|part| part.eq_ignore_ascii_case(b"ice_servers") && part.contains(&b'"')));
}

/// A WebRTC offer.
pub fn sdp(text: &str) {
    if let Some(clean) = offer::to_watch(text, VIEWER) {
        assert!(clean.lines().all(|line| line != "a=sendonly"), "{clean}");
        assert!(clean.lines().any(|line| line.starts_with("m=video ")), "{clean}");
        assert_eq!(offer::to_watch(&clean, VIEWER).as_deref(), Some(clean.as_str()));
        for line in clean.lines().filter(|line| line.starts_with("a=candidate")) {
            assert!(line.contains(&VIEWER.to_string()), "{line}");
        }
    }
}

/// What a player says.
pub fn player(bytes: &[u8]) {
    let mut inside = Vec::new();
    let _ = rtsp::pass_on(&mut &bytes[..], &mut inside, &|id| id == "omega-0", |_| {}, |_| Ok(()));
    if !inside.contains(&b'$') {
        let text = String::from_utf8_lossy(&inside).to_ascii_uppercase();
        let starts = text.split("\r\n\r\n").filter_map(|head| head.split(' ').next());
        assert!(starts.into_iter().all(|method| !["ANNOUNCE", "RECORD"].contains(&method)), "{text}");
    }
}
