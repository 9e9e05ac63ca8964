//! Where the pictures of a transport stream end that somebody else writes.

use super::mpegts::{PACKET_HEADER_BYTES, SYNC_BYTE};
use super::transport::{Continuity, PACKET_BYTES, VIDEO_PID};

/// Follows a transport stream that someone else writes, to know when a picture is whole.
#[derive(Debug, Default)]
pub struct Follower {
    /// Bytes of the PES packet that are still to come; `None` between two.
    rest: Option<usize>,
    continuity: Continuity,
    /// The time of the last PES packet that has begun, in units of the 90 kHz clock.
    pts: u64,
}

impl Follower {
    /// The counters behind the last packet.
    pub fn continuity(&self) -> Continuity {
        self.continuity
    }

    /// When the last picture that has begun is shown, in units of the 90 kHz clock.
    pub fn pts(&self) -> u64 {
        self.pts
    }

    /// Takes the next packet. Returns `true` where a PES packet ends with it; one that does not state its length ends
    /// with `unbounded` bytes of payload.
    ///
    /// # Errors
    /// A sentence on why this is no packet.
    pub fn ends_picture(&mut self, packet: &[u8; PACKET_BYTES], unbounded: usize) -> Result<bool, &'static str> {
        if packet[0] != SYNC_BYTE {
            return Err("a packet does not start with 0x47");
        }
        self.continuity.follow(packet);
        let field = if packet[3] & 0x20 == 0 { 0 } else { 1 + usize::from(packet[4]) };
        let payload = packet.get(PACKET_HEADER_BYTES + field..).unwrap_or_default();
        if u16::from_be_bytes([packet[1] & 0x1f, packet[2]]) != VIDEO_PID {
            return Ok(false);
        }
        if packet[1] & 0x40 != 0 {
            let [0, 0, 1, _, long, short, _, _, options, ..] = payload else {
                return Err("a PES packet does not start with its header");
            };
            let length = usize::from(u16::from_be_bytes([*long, *short]));
            // A PTS behind the header's fixed part (section 2.4.3.6).
            if let Some(&[5..=255, a, b, c, d, e]) = payload.get(8..14) {
                let bits = |byte: u8, mask: u8, at: u32| u64::from(byte & mask) >> 1 << at;
                self.pts =
                    bits(a, 0x0e, 30) | u64::from(b) << 22 | bits(c, 0xfe, 15) | u64::from(d) << 7 | bits(e, 0xfe, 0);
            }
            self.rest = Some(if length == 0 { 9 + usize::from(*options) + unbounded } else { 6 + length });
        }
        self.rest = self.rest.map(|rest| rest.saturating_sub(payload.len()));
        if self.rest == Some(0) {
            self.rest = None;
            return Ok(true);
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::super::mpegts::tests::{p_picture, packets};
    use super::super::mpegts::{MAX_BOUNDED, Muxer};
    use super::*;
    use crate::codec::ACCESS_UNIT_DELIMITER;
    use std::time::Duration;

    #[test]
    fn a_follower_sees_each_picture_end_with_its_last_packet() {
        let mut muxer = Muxer::new(Duration::from_millis(40), Duration::ZERO);
        let mut follower = Follower::default();
        for bytes in [10, 150, 160, 5000, MAX_BOUNDED, MAX_BOUNDED + 1, 200_000] {
            let picture = p_picture(bytes, Duration::ZERO);
            let unbounded = ACCESS_UNIT_DELIMITER.len() + bytes;
            let ends: Vec<_> = packets(muxer.write(&picture))
                .iter()
                .map(|packet| follower.ends_picture(packet, unbounded).unwrap())
                .collect();
            let (last, before) = ends.split_last().unwrap();
            assert!(last & !before.contains(&true), "{bytes} bytes");
        }
        assert!(follower.ends_picture(&[0; PACKET_BYTES], 1).is_err());
        let mut headless = [0xff; PACKET_BYTES];
        headless[..4].copy_from_slice(&[SYNC_BYTE, 0x41, 0, 0x10]);
        assert!(follower.ends_picture(&headless, 1).is_err());
    }

    #[test]
    fn a_picture_is_shown_when_its_header_says() {
        let (lead, hours) = (Duration::from_millis(40), |hours: u64| Duration::from_secs(hours * 3600));
        let (mut muxer, mut follower) = (Muxer::new(lead, Duration::ZERO), Follower::default());
        // The clock wraps around after 26.5 hours.
        for (at, wraps) in [(hours(0), 0), (hours(1), 0), (hours(20), 0), (hours(26), 0), (hours(27), 1)] {
            for packet in packets(muxer.write(&p_picture(1000, at))) {
                follower.ends_picture(&packet, 0).unwrap();
            }
            assert_eq!(follower.pts() + wraps * (1 << 33), 90_000 * at.as_secs() + 3600);
        }
    }

    #[test]
    fn whoever_goes_on_counts_on() {
        let (mut theirs, mut follower) = (Muxer::new(Duration::ZERO, Duration::ZERO), Follower::default());
        let picture = p_picture(1000, Duration::ZERO);
        let mut stream = packets(theirs.write(&picture));
        for packet in &stream {
            follower.ends_picture(packet, 0).unwrap();
        }
        stream.extend(packets(Muxer::continuing(Duration::ZERO, follower.continuity()).write(&picture)));
        for pid in [[0x40, 0], [0x50, 0], [0x01, 0]] {
            let same = |packet: &&[u8; PACKET_BYTES]| packet[1] & !0x40 == pid[0] & !0x40 && packet[2] == pid[1];
            let counters: Vec<_> = stream.iter().filter(same).map(|packet| packet[3] & 0x0f).collect();
            assert!(counters.iter().copied().eq(0..counters.len() as u8), "{pid:02x?}: {counters:?}");
        }
    }
}
