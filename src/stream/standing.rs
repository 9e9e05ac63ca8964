//! A picture that stands still costs next to nothing, and whoever joins sees it soon.
//!
//! It is encoded once more, as an IDR picture. From then on the encoder rests: copies of the IDR picture are sent, and by
//! turns with them pictures that repeat it in a few bytes, so that what is seen stays as it is. The stream can go on behind
//! each of them, for no picture refers to a repetition.
//!
//! Where a repetition cannot be made by hand (see `codec/repeat.rs`), the encoder makes one that it does refer to. A decoder
//! that has seen it is where the encoder is; behind a copy of the IDR picture the stream then goes on with an IDR picture.
//!
//! Two IDR pictures never follow each other, which would need different numbers (`idr_pic_id`, H.264 section 7.4.3).

use crate::codec::{AccessUnit, repeat_idr};
use crate::settings::Bitrate;
use std::time::Duration;

/// A picture stands when nothing else has come for so long.
const STANDS_AFTER: Duration = Duration::from_millis(200);
/// From one copy to the next, so that there are five of each a second.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest pause, however large the IDR picture is: go2rtc gives a source up that sends nothing.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What the stream has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The last picture was a new one.
    Moving,
    /// The IDR picture was encoded and sent.
    Begun,
    /// There are both, and the one sent last is the skipped one.
    Level,
    /// There are both, and the one sent last is the IDR picture. Where the skipped one is referred to, the encoder is ahead of
    /// the decoder.
    Behind,
}

/// Sends a picture that stands still.
#[derive(Debug)]
pub struct Standing {
    bitrate: Bitrate,
    state: State,
    intra: AccessUnit,
    skipped: AccessUnit,
    /// The encoder has made `skipped`, and refers to it.
    is_referred_to: bool,
    due: Duration,
}

impl Standing {
    /// Before the first picture of a stream.
    pub fn new(bitrate: Bitrate) -> Self {
        Self {
            bitrate,
            state: State::Moving,
            intra: AccessUnit::default(),
            skipped: AccessUnit::default(),
            is_referred_to: false,
            due: Duration::MAX,
        }
    }

    /// A new picture was encoded, to be shown at `pts`.
    pub fn moved(&mut self, pts: Duration) {
        self.state = State::Moving;
        self.due = pts + STANDS_AFTER;
    }

    /// Whether the next new picture has to be an IDR picture.
    pub fn needs_idr(&self) -> bool {
        self.state == State::Behind && self.is_referred_to
    }

    /// When the picture is sent again unless there is a new one, as time since the start of the stream.
    pub fn due(&self) -> Duration {
        self.due
    }

    /// The access unit to send at `pts`, which `encode` makes the first time, as an IDR picture, and perhaps the
    /// second time, not as one, from the picture that it had last.
    ///
    /// # Errors
    /// What `encode` fails with.
    pub fn send<E>(
        &mut self,
        pts: Duration,
        mut encode: impl FnMut(bool, &mut AccessUnit) -> Result<(), E>,
    ) -> Result<&AccessUnit, E> {
        match self.state {
            State::Moving => encode(true, &mut self.intra)?,
            State::Begun => {
                self.is_referred_to = !repeat_idr(&self.intra, &mut self.skipped);
                if self.is_referred_to {
                    encode(false, &mut self.skipped)?;
                }
            }
            State::Level | State::Behind => {}
        }
        self.state = match self.state {
            State::Moving => State::Begun,
            State::Begun | State::Behind => State::Level,
            State::Level => State::Behind,
        };
        self.due = pts + self.pause();
        let unit = match self.state {
            State::Begun | State::Behind => &mut self.intra,
            State::Moving | State::Level => &mut self.skipped,
        };
        unit.decode_at(pts, Duration::ZERO);
        Ok(unit)
    }

    /// Large IDR pictures come less often, so that they stay within the bitrate.
    fn pause(&self) -> Duration {
        let bits = 8 * self.intra.nal_units().map(|unit| unit.bytes().len() as u64).sum::<u64>();
        // One IDR picture for two pauses.
        let within_rate = Duration::from_micros(bits * 1_000_000 / u64::from(self.bitrate.bps()) / 2);
        within_rate.clamp(PAUSE, LONGEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Sends `times` in a row; what is encoded is an IDR picture of so many bytes, or a small one.
    fn send(standing: &mut Standing, bytes: usize, times: usize) -> (Vec<bool>, usize) {
        let mut encoded = 0;
        let sent = (0..times)
            .map(|_| {
                let due = standing.due();
                let unit = standing.send(due, |idr, unit| {
                    encoded += 1;
                    unit.begin(Duration::ZERO);
                    let mut nal = vec![0xAA; if idr { bytes } else { 8 }];
                    nal.splice(..4, [0, 0, 1, if idr { 0x65 } else { 0x41 }]);
                    unit.push_annex_b(&nal);
                    Ok::<_, ()>(())
                });
                let unit = unit.unwrap();
                assert_eq!(unit.pts(), due);
                unit.is_idr()
            })
            .collect();
        (sent, encoded)
    }

    #[test]
    fn it_is_encoded_twice_and_sent_by_turns() {
        let mut standing = Standing::new(Bitrate::default());
        assert_eq!(standing.due(), Duration::MAX, "before the first picture");
        standing.moved(1000 * MS);
        assert_eq!(standing.due(), 1200 * MS);
        let (sent, encoded) = send(&mut standing, 1000, 6);
        assert_eq!((sent, encoded), (vec![true, false, true, false, true, false], 2));
        assert_eq!(standing.due(), 1800 * MS, "ten a second");
        standing.moved(1800 * MS);
        assert_eq!((standing.due(), send(&mut standing, 1000, 3).1), (2000 * MS, 2), "another one");
    }

    #[test]
    fn behind_a_copy_of_the_idr_picture_the_stream_goes_on_with_one() {
        let mut standing = Standing::new(Bitrate::default());
        standing.moved(Duration::ZERO);
        let needs: Vec<_> = (0..6)
            .map(|_| {
                send(&mut standing, 1000, 1);
                standing.needs_idr()
            })
            .collect();
        // The first one is where the encoder is, too.
        assert_eq!(needs, [false, false, true, false, true, false]);
        standing.moved(Duration::ZERO);
        assert!(!standing.needs_idr());
    }

    #[test]
    fn large_idr_pictures_stay_within_the_bitrate() {
        for (bytes, pause) in [(60_000, 100 * MS), (300_000, 200 * MS), (30_000_000, 1000 * MS)] {
            let mut standing = Standing::new(Bitrate::default());
            standing.moved(Duration::ZERO);
            let first = standing.due();
            send(&mut standing, bytes, 1);
            let off = (standing.due() - first).abs_diff(pause);
            assert!(off < MS, "{bytes} bytes: {:?}", standing.due() - first);
        }
    }
}
