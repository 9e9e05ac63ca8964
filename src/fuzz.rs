//! What fuzzing tries, a function for each way in: see `tests/fuzz`. Whatever the bytes are, nothing panics, and what each
//! function asserts holds.

use crate::codec::{AccessUnit, Splitter};
use crate::events::{Event, Request};
use crate::format::Muxer;
use crate::service::supervisor::status::Status;
use crate::settings::Size;
use crate::source::strip::{BLOCKS, Strip};
use std::time::Duration;

pub use crate::source::input::fuzz::{frames, messages as unixfd};
pub use crate::source::try_shader as shader;

pub use crate::service::door::http::fuzz::request as http;
pub use crate::service::go2rtc::gate::fuzz::{head, message, player, sdp};

/// Lines between processes.
pub fn events(bytes: &[u8]) {
    if let Ok(event) = serde_json::from_slice::<Event>(bytes) {
        if let Event::Progress(progress) = &event {
            let _ = (progress.in_stage(), progress.counts.since(&progress.counts));
        }
        let text = serde_json::to_string(&event).expect("it was read from JSON");
        assert!(!text.contains('\n'), "{text}");
        serde_json::from_str::<Event>(&text).expect("its own words");
    }
    if let Ok(request) = serde_json::from_slice::<Request>(bytes) {
        assert_eq!(
            serde_json::from_str::<Request>(&serde_json::to_string(&request).expect("JSON")).ok(),
            Some(request)
        );
    }
}

/// The supervisor's answer.
pub fn status(bytes: &[u8]) {
    if let Ok(status) = serde_json::from_slice::<Status>(bytes) {
        let lines = status.table();
        assert!(lines.lines().count() >= status.members.len());
        let _ = status.is_bad();
    }
}

/// A decoded picture of any size, cut off anywhere.
pub fn strip(bytes: &[u8]) {
    let [width, height, stride, luma @ ..] = bytes else { return };
    let side = |byte: u8| u32::from(byte) * 2 + 64;
    let Ok(size) = Size::new(side(*width), side(*height)) else { return };
    let strip = Strip::new(size);
    if let Some(mark) = strip.read(luma, usize::from(*stride) * 4 + 1) {
        let bits: Vec<_> = strip.draw(mark).collect();
        assert_eq!(bits.len(), BLOCKS);
    }
}

/// The access units of a stream that comes in pieces: the NAL units of each, and whether it is an IDR picture.
fn cut(stream: &[u8], piece: usize) -> Vec<(Vec<Vec<u8>>, bool)> {
    let (mut splitter, mut unit, mut units) = (Splitter::default(), AccessUnit::default(), Vec::new());
    let taken = |unit: &AccessUnit| (unit.nal_units().map(|nal| nal.bytes().to_vec()).collect(), unit.is_idr());
    for piece in stream.chunks(piece) {
        splitter.push(piece);
        while splitter.next(&mut unit) {
            units.push(taken(&unit));
        }
        assert!(splitter.held() <= 2 * stream.len() + 64, "it holds more than came");
    }
    while splitter.rest(&mut unit) {
        units.push(taken(&unit));
    }
    let _ = (splitter.take_torn(), splitter.has_b_pictures(), splitter.stray(), splitter.sps(), splitter.waits());
    units
}

/// A byte stream that somebody else writes, in pieces of one size and of another.
pub fn cutter(bytes: &[u8]) {
    let [size, stream @ ..] = bytes else { return };
    let _ = Splitter::begins_unit(stream);
    let whole = cut(stream, stream.len().max(1));
    let pieces = cut(stream, usize::from(*size) % 32 + 1);
    assert_eq!(whole, pieces, "it matters how the stream comes");
    for (units, is_idr) in &whole {
        assert!(units.iter().any(|nal| matches!(nal[0] & 0x1f, 1..=5)), "an access unit without a slice");
        assert!(!is_idr || units.iter().any(|nal| nal[0] & 0x1f == 7), "an IDR picture without parameter sets");
    }
}

/// What the cutter makes of it, as a transport stream.
pub fn muxer(bytes: &[u8]) {
    let (mut splitter, mut unit) = (Splitter::default(), AccessUnit::default());
    let mut muxer = Muxer::new(Duration::from_millis(20), Duration::ZERO);
    splitter.push(bytes);
    let mut at = Duration::ZERO;
    while splitter.next(&mut unit) || splitter.rest(&mut unit) {
        unit.decode_at(at, Duration::from_millis(u64::from(splitter.waits()) * 20));
        at += Duration::from_millis(20);
        let packets = muxer.write(&unit);
        let size: usize = unit.nal_units().map(|nal| nal.bytes().len()).sum();
        assert!(packets.len() % 188 == 0 && packets.len() > size);
        assert!(packets.chunks(188).all(|packet| packet[0] == 0x47));
    }
}
