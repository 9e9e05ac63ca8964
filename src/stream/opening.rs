//! Which of a stream's first pictures are IDR pictures, beside the very first.
//!
//! go2rtc starts an MPEG-TS source while it answers an RTSP viewer's DESCRIBE, and throws away what the source writes
//! until that viewer's SETUP arrives, a round trip later. The picture that is lost is the first one, so the viewer saw
//! nothing until the next GOP. A raw stream loses none: there go2rtc passes a picture on when the next one begins.

use crate::settings::Settings;
use std::time::Duration;

/// The picture, counted from 0, that is an IDR picture again: behind a round trip on a near network, and the player
/// looks at three pictures in any case.
const NEAR: u64 = 2;
/// Behind a round trip across an ocean, and what a busy machine adds.
const FAR: Duration = Duration::from_millis(250);

/// Says for which pictures an IDR picture is due.
#[derive(Debug)]
pub struct Opening {
    /// The ones still to come, the next one last.
    due: Vec<u64>,
}

impl Opening {
    /// For MPEG-TS that somebody takes as it comes (`live`). All other streams begin with their one IDR picture.
    pub fn new(settings: &Settings, live: bool) -> Self {
        let mut due = Vec::new();
        if live && settings.paced && settings.mpegts.is_some() {
            let far = settings.frame_rate.frames_in(FAR) + 1;
            due.extend([far.max(NEAR), far.min(NEAR)]);
            due.dedup();
        }
        Self { due }
    }

    /// Whether the picture of this index is to be an IDR picture.
    pub fn is_due(&mut self, index: u64) -> bool {
        let due = self.due.last().is_some_and(|&next| next <= index);
        if due {
            self.due.retain(|&next| next > index);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::MpegTs;

    /// The pictures among the first hundred that are to be IDR pictures.
    fn due(frame_rate: &str, mpegts: Option<MpegTs>, live: bool, paced: bool) -> Vec<u64> {
        let settings = Settings { frame_rate: frame_rate.parse().unwrap(), mpegts, paced, ..Settings::default() };
        let mut opening = Opening::new(&settings, live);
        (0..100).filter(|&index| opening.is_due(index)).collect()
    }

    #[test]
    fn a_transport_stream_that_somebody_watches_can_be_joined_twice_soon_after_its_start() {
        let native = Some(MpegTs::Native);
        assert_eq!(due("30", native, true, true), [2, 8]);
        assert_eq!(due("60", Some(MpegTs::Ffmpeg), true, true), [2, 16]);
        assert_eq!(due("5", native, true, true), [2]);
        assert_eq!(due("1", native, true, true), [1, 2]);
    }

    #[test]
    fn raw_streams_and_files_are_as_they_were() {
        let native = Some(MpegTs::Native);
        for (mpegts, live, paced) in [(None, true, true), (native, false, true), (native, true, false)] {
            assert_eq!(due("30", mpegts, live, paced), [0; 0]);
        }
    }
}
