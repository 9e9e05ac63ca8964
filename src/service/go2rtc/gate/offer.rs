//! A viewer's WebRTC offer (SDP, RFC 8866), cut down to what a viewer needs.
//!
//! go2rtc takes an offer that sends video for a publisher's, whatever the request says, and tries to reach every address
//! in it. So an offer that publishes is refused, and addresses that are not the viewer's own are left out: the viewer
//! reaches go2rtc, which then answers to wherever that comes from (RFC 8445, peer-reflexive candidates).

use std::net::IpAddr;

/// An offer by the viewer at `from`. `None` where it would publish.
pub fn to_watch(offer: &str, from: IpAddr) -> Option<String> {
    let (mut wants_video, mut in_video) = (false, false);
    for line in lines(offer) {
        match line.split_once('=') {
            Some(("m", media)) => in_video = media.starts_with("video "),
            Some(("a", attribute)) => match attribute.split(':').next().unwrap_or_default().trim() {
                "sendonly" => return None,
                "recvonly" | "sendrecv" => wants_video |= in_video,
                _ => {}
            },
            _ => {}
        }
    }
    wants_video.then(|| with_own_addresses(offer, from))
}

/// The offer without the candidates of other machines, its lines ended as the standard has it.
pub fn with_own_addresses(offer: &str, from: IpAddr) -> String {
    let is_kept = |line: &&str| match line.strip_prefix("a=") {
        Some(attribute) if attribute.trim_start().starts_with("candidate") => is_own_candidate(attribute, from),
        _ => true,
    };
    lines(offer).filter(is_kept).flat_map(|line| [line, "\r\n"]).collect()
}

/// Whether a candidate, `candidate:… 1 udp 2113937151 192.0.2.1 53421 typ host …`, is for UDP to the viewer at `from`
/// (RFC 8839 section 5.1).
pub fn is_own_candidate(candidate: &str, from: IpAddr) -> bool {
    let mut parts = candidate.split_ascii_whitespace();
    let is_udp = parts.nth(2).is_some_and(|transport| transport.eq_ignore_ascii_case("udp"));
    let address = parts.nth(1).and_then(|address| address.parse::<IpAddr>().ok());
    is_udp && address.is_some_and(|address| address.to_canonical() == from.to_canonical())
}

/// Either character ends a line for those who read this further on.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split(['\r', '\n']).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIEWER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn offer(attributes: &[&str]) -> String {
        let head = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";
        attributes.iter().fold(head.to_owned(), |text, line| text + line + "\r\n")
    }

    #[test]
    fn who_watches_is_let_in() {
        let watches =
            offer(&["m=video 9 UDP/TLS/RTP/SAVPF 96", "a=recvonly", "m=audio 9 UDP/TLS/RTP/SAVPF 0", "a=inactive"]);
        assert_eq!(to_watch(&watches, VIEWER).as_deref(), Some(watches.as_str()));
        assert!(to_watch(&watches.replace("\r\n", "\n"), VIEWER).is_some());
        assert!(to_watch(&watches.replace("recvonly", "sendrecv"), VIEWER).is_some());
    }

    #[test]
    fn who_publishes_is_not() {
        for attributes in [
            &["m=video 9 UDP/TLS/RTP/SAVPF 96", "a=sendonly"][..],
            &["m=video 9 X 96", "a=recvonly", "m=video 9 X 96", "a=sendonly"],
            &["m=video 9 X 96", "a=sendonly:", "a=recvonly"],
            &["m=video 9 X 96", "a= sendonly", "a=recvonly"],
            &["m=video 9 X 96"],
            &["m=audio 9 X 0", "a=recvonly"],
            &["a=recvonly", "m=video 9 X 96"],
            &["m=video 9 X 96\ra=sendonly\ra=recvonly"],
            &[],
        ] {
            assert_eq!(to_watch(&offer(attributes), VIEWER), None, "{attributes:?}");
        }
        assert_eq!(to_watch("", VIEWER), None);
    }

    #[test]
    fn go2rtc_is_sent_nowhere_else() {
        let own = "a=candidate:1 1 udp 2113937151 192.0.2.1 53421 typ host";
        let others = [
            "a=candidate:1 1 udp 2113937151 192.0.2.9 53421 typ host",
            "a=candidate:1 1 UDP 1 ::1 53421 typ host",
            "a=candidate:1 1 tcp 1518280447 192.0.2.1 22 typ host tcptype passive",
            "a=candidate:1 1 udp 2113937151 3f2504e0.local 53421 typ host",
            "a=candidate: 192.0.2.9",
            "a= candidate:1 1 udp 1 192.0.2.9 1 typ host",
        ];
        let mut attributes = vec!["m=video 9 X 96", own, "a=recvonly"];
        let clean = offer(&attributes);
        attributes.extend(others);
        assert_eq!(to_watch(&offer(&attributes), VIEWER), Some(clean));
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        assert!(is_own_candidate(&own[2..], mapped) && is_own_candidate(&own[2..], VIEWER));
    }
}
