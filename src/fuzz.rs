//! What fuzzing tries, a function for each way in: see `tests/fuzz`. Whatever the bytes are, nothing panics, and what each
//! function asserts holds.

use crate::events::{Event, Request};
use crate::service::supervisor::status::Status;
use crate::settings::Size;
use crate::source::strip::{BLOCKS, Strip};

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
