//! What a viewer says on the WebSocket (RFC 6455): read frame by frame, and passed on as messages of known kinds.

use super::connection::more;
use super::offer::{is_own_candidate, with_own_addresses};
use serde::Deserialize;
use serde_json::json;
use std::io::{self, Cursor, Read, Write};
use std::net::IpAddr;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// Bytes of a message. An offer has a few thousand.
const LONGEST: usize = 256 * 1024;

/// Passes on what the viewer at `from` sends, until it closes. What came with the request's head is in `buffer`; `asked`
/// is told when the viewer has asked for pictures.
///
/// # Errors
/// The connection's, or the viewer breaks the protocol.
pub fn pass_on(
    viewer: &mut impl Read,
    mut buffer: Vec<u8>,
    from: IpAddr,
    inside: &mut impl Write,
    asked: impl Fn(),
) -> io::Result<()> {
    let (mut message, mut unfinished) = (Vec::new(), false);
    loop {
        let Some((header, payload)) = next_frame(viewer, &mut buffer)? else { return Ok(()) };
        match header.opcode {
            OpCode::Control(control) => {
                if !header.is_final || payload.len() > 125 {
                    return Err(broken());
                }
                write_frame(inside, header.opcode, &payload)?;
                if control == Control::Close {
                    return Ok(());
                }
                continue;
            }
            OpCode::Data(Data::Text) if !unfinished => message = payload,
            OpCode::Data(Data::Continue) if unfinished => message.extend_from_slice(&payload),
            // A viewer has no use for anything else.
            OpCode::Data(_) => return Err(broken()),
        }
        if message.len() > LONGEST {
            return Err(broken());
        }
        unfinished = !header.is_final;
        if header.is_final {
            if let Some((asks, text)) = written_anew(&message, from) {
                write_frame(inside, OpCode::Data(Data::Text), text.as_bytes())?;
                if asks {
                    asked();
                }
            }
        }
    }
}

/// The next frame, its payload unmasked. `None` where the viewer has ended.
fn next_frame(viewer: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<Option<(FrameHeader, Vec<u8>)>> {
    loop {
        let mut cursor = Cursor::new(&*buffer);
        if let Some((header, length)) = FrameHeader::parse(&mut cursor).map_err(|_| broken())? {
            let start = cursor.position() as usize;
            let length = usize::try_from(length).ok().filter(|&length| length <= LONGEST).ok_or_else(broken)?;
            // Without an extension these bits have no meaning (section 5.2); a client's frames are masked (5.1).
            let mask = header.mask.filter(|_| !(header.rsv1 || header.rsv2 || header.rsv3)).ok_or_else(broken)?;
            if buffer.len() >= start + length {
                let mut payload: Vec<u8> = buffer.drain(..start + length).skip(start).collect();
                payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
                return Ok(Some((header, payload)));
            }
        }
        if !more(viewer, buffer)? {
            return Ok(None);
        }
    }
}

/// Masked with zeros, as a client's frames have to be masked: nothing between here and go2rtc could be fooled.
fn write_frame(to: &mut impl Write, opcode: OpCode, payload: &[u8]) -> io::Result<()> {
    let header = FrameHeader { is_final: true, opcode, mask: Some([0; 4]), ..FrameHeader::default() };
    let mut frame = Vec::with_capacity(payload.len() + 14);
    header.format(payload.len() as u64, &mut frame).map_err(io::Error::other)?;
    frame.extend_from_slice(payload);
    to.write_all(&frame)
}

#[derive(Deserialize)]
struct Kind {
    r#type: String,
}

#[derive(Deserialize)]
struct Text {
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
struct Described {
    value: Description,
}

#[derive(Deserialize)]
struct Description {
    sdp: String,
}

/// A message with nothing in it but what a viewer needs: no `ice_servers`, which go2rtc would connect to, and no
/// addresses but the viewer's own, and whether it asks for pictures. `None` where nothing is left.
fn written_anew(message: &[u8], from: IpAddr) -> Option<(bool, String)> {
    let Kind { r#type: kind } = serde_json::from_slice(message).ok()?;
    let value = match kind.as_str() {
        "webrtc" => {
            let Described { value: Description { sdp } } = serde_json::from_slice(message).ok()?;
            json!({ "type": "offer", "sdp": with_own_addresses(&sdp, from) })
        }
        "webrtc/offer" => {
            let Text { value } = serde_json::from_slice(message).ok()?;
            with_own_addresses(&value, from).into()
        }
        "webrtc/candidate" => {
            let Text { value } = serde_json::from_slice(message).ok()?;
            // An empty one says that there are no more.
            (value.is_empty() || is_own_candidate(&value, from)).then_some(value)?.into()
        }
        "mse" | "mp4" => {
            let Text { value } = serde_json::from_slice(message).ok()?;
            value.into()
        }
        _ => return None,
    };
    Some((kind != "webrtc/candidate", json!({ "type": kind, "value": value }).to_string()))
}

fn broken() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VIEWER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [7, 0, 255, 1];
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..126 => frame.push(0x80 | length as u8),
            length => {
                frame.push(0x80 | 126);
                frame.extend((length as u16).to_be_bytes());
            }
        }
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    /// What go2rtc gets, and whether the viewer kept to the protocol.
    fn passed(frames: &[Vec<u8>]) -> (Vec<u8>, bool) {
        let mut inside = Vec::new();
        let kept = pass_on(&mut &frames.concat()[..], Vec::new(), VIEWER, &mut inside, || {}).is_ok();
        (inside, kept)
    }

    fn sent(text: &str) -> Vec<u8> {
        let mut frame = Vec::new();
        write_frame(&mut frame, OpCode::Data(Data::Text), text.as_bytes()).unwrap();
        frame
    }

    #[test]
    fn what_viewers_say_gets_through() {
        for text in [
            r#"{"type":"mse","value":"avc1.640029,mp4a.40.2"}"#,
            r#"{"type":"mp4","value":""}"#,
            r#"{"type":"webrtc/candidate","value":"candidate:1 1 udp 1 192.0.2.1 5 typ host"}"#,
            r#"{"type":"webrtc/candidate","value":""}"#,
        ] {
            assert_eq!(passed(&[frame(0x81, text.as_bytes())]), (sent(text), true), "{text}");
        }
        let (start, end) = br#"{"type":"mp4","value":"abc"}"#.split_at(9);
        let ping = frame(0x89, b"x");
        let (inside, kept) = passed(&[frame(0x01, start), ping, frame(0x80, end), frame(0x88, b"\x03\xe8")]);
        let mut expected = Vec::new();
        write_frame(&mut expected, OpCode::Control(Control::Ping), b"x").unwrap();
        expected.extend(sent(r#"{"type":"mp4","value":"abc"}"#));
        write_frame(&mut expected, OpCode::Control(Control::Close), b"\x03\xe8").unwrap();
        assert!(kept && inside == expected, "{inside:?}");
    }

    #[test]
    fn nothing_else_does() {
        let servers = r#"{"type":"webrtc","value":{"type":"offer","sdp":"v=0\n","ice_servers":[{"urls":["turn:192.0.2.9"]}],"ICE_SERVERS":[]}}"#;
        let clean = r#"{"type":"webrtc","value":{"sdp":"v=0\r\n","type":"offer"}}"#;
        assert_eq!(passed(&[frame(0x81, servers.as_bytes())]), (sent(clean), true));
        for text in [
            r#"{"type":"webrtc/candidate","value":"candidate:1 1 udp 1 192.0.2.9 5 typ host"}"#,
            r#"{"type":"webrtc/candidate","value":{"candidate":"candidate:1 1 udp 1 192.0.2.9 5 typ host"}}"#,
            r#"{"type":"hls","value":""}"#,
            r#"{"TYPE":"mse","value":""}"#,
            r#"{"type":"mse","type":"mse","value":""}"#,
            r#"{"type":"webrtc","value":"v=0"}"#,
            "[",
            "",
            "null",
            &"[".repeat(9000),
        ] {
            assert_eq!(passed(&[frame(0x81, text.as_bytes())]), (Vec::new(), true), "{text}");
        }
    }

    #[test]
    fn who_breaks_the_protocol_is_out() {
        let text = br#"{"type":"mse","value":""}"#;
        let mut unmasked = frame(0x81, text);
        unmasked[1] &= 0x7f;
        for frames in [
            vec![unmasked],
            vec![frame(0xc1, text)],
            vec![frame(0x82, text)],
            vec![frame(0x80, text)],
            vec![frame(0x01, b"{"), frame(0x81, text)],
            vec![frame(0x09, b"x")],
            vec![frame(0x89, &[0; 126])],
            vec![vec![0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]],
            vec![frame(0x83, text)],
        ] {
            assert_eq!(passed(&frames), (Vec::new(), false), "{frames:?}");
        }
        let endless: Vec<_> =
            std::iter::once(frame(0x01, b"{")).chain((0..9).map(|_| frame(0x00, &[b' '; 60_000]))).collect();
        assert!(!passed(&endless).1);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_bytes_get_through_as_they_are(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,60}") {
            let mut inside = Vec::new();
            let _ = pass_on(&mut &bytes[..], Vec::new(), VIEWER, &mut inside, || {});
            let (also, _) = passed(&[frame(0x81, text.as_bytes())]);
            prop_assert!(also.is_empty() || also.starts_with(&[0x81]));
        }
    }
}
