//! What fuzzing tries on a producer's messages: whatever it says, nothing outside its memory is read.

use super::wire::{HEADER, Header, Message};
use super::{caps, layout};
use crate::source::Planes;

/// Caps in the first line, and what announces a buffer behind it, of memory that holds these very bytes.
pub fn messages(bytes: &[u8]) {
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (text, payload) = (String::from_utf8_lossy(&bytes[..at]), bytes.get(at + 1..).unwrap_or_default());
    let message = |command: u32| {
        let mut header = [0; HEADER];
        header[..4].copy_from_slice(&command.to_ne_bytes());
        header[4..].copy_from_slice(&(payload.len() as u32).to_ne_bytes());
        Message::parse(Header::parse(header).ok()?, payload).ok()
    };
    (1..5).for_each(|command| drop(message(command)));
    let (Ok(Some(caps)), Some(Message::Buffer(buffer))) = (caps::parse(&text), message(0)) else { return };
    let planes = match &buffer.planes {
        Some(told) => layout::told(&caps.shape, told),
        None => layout::usual(&caps.shape),
    };
    if let Some(planes) = planes.and_then(|planes| Planes::new(bytes, planes)) {
        let rows: usize = (0..3).flat_map(|at| planes.rows(at)).map(<[u8]>::len).sum();
        assert_eq!(Some(rows), caps.shape.bytes());
    }
}
