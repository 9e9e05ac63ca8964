//! What fuzzing tries on a producer's messages: whatever it says, nothing outside its memory is read.

use super::wire::{Header, Message};
use super::{caps, layout};
use crate::source::Planes;

/// Caps in the first line, and what announces a buffer behind it, of memory that holds these very bytes.
pub fn messages(bytes: &[u8]) {
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (text, payload) = (String::from_utf8_lossy(&bytes[..at]), bytes.get(at + 1..).unwrap_or_default());
    for command in 0..4 {
        let _ = Message::parse(Header { command, payload: payload.len() }, payload);
    }
    let Ok(Some(caps)) = caps::parse(&text) else { return };
    let Ok(Message::Buffer(buffer)) = Message::parse(Header { command: 0, payload: payload.len() }, payload) else {
        return;
    };
    let planes = match &buffer.planes {
        Some(told) => layout::told(&caps.shape, told),
        None => layout::usual(&caps.shape),
    };
    if let Some(planes) = planes.and_then(|planes| Planes::new(bytes, planes)) {
        let rows: usize = (0..3).flat_map(|at| planes.rows(at)).map(<[u8]>::len).sum();
        assert_eq!(Some(rows), caps.shape.bytes());
    }
}
