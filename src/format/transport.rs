//! Where a transport stream (ISO/IEC 13818-1) has come to: the counters of its packets, and its time. Whoever goes on with
//! one that somebody else began goes on with both.

use std::time::Duration;

/// Every packet is this long (section 2.4.3.2).
pub const PACKET_BYTES: usize = 188;
/// The PID of the PAT (table 2-3).
pub const PAT_PID: u16 = 0;
/// The PID of the PMT. Any from 0x10 to 0x1ffe would do; this and the next are what ffmpeg takes.
pub const PMT_PID: u16 = 0x1000;
/// The PID of the video.
pub const VIDEO_PID: u16 = 0x100;
/// PTS and PCR base wrap around here (sections 2.4.3.5 and 2.4.3.7).
pub const CLOCK_MASK: u64 = (1 << 33) - 1;

/// `continuity_counter`: counts the packets of one PID that have a payload, modulo 16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(serde::Serialize, serde::Deserialize))]
pub struct Counter(u8);

impl Counter {
    /// Of the next packet.
    pub fn next(&mut self) -> u8 {
        let now = self.0;
        self.0 = (now + 1) & 0x0f;
        now
    }
}

/// The counters of what is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(serde::Serialize, serde::Deserialize))]
pub struct Continuity {
    pub pat: Counter,
    pub pmt: Counter,
    pub video: Counter,
}

/// Where a transport stream has come to between two pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(serde::Serialize, serde::Deserialize))]
pub struct Transport {
    pub continuity: Continuity,
    /// Its time zero in units of the 90 kHz clock.
    pub epoch: u64,
}

impl Transport {
    /// Of a stream of somebody else, whose last picture has the time `pts` in units of the 90 kHz clock, and is shown `at`
    /// on the clock of whoever goes on.
    pub fn behind(continuity: Continuity, pts: u64, at: Duration) -> Self {
        Self { continuity, epoch: pts.wrapping_sub(clock_90khz(at)) & CLOCK_MASK }
    }
}

impl Continuity {
    /// Takes a packet that somebody else wrote with the same PIDs.
    pub fn follow(&mut self, packet: &[u8; PACKET_BYTES]) {
        let counter = match u16::from_be_bytes([packet[1] & 0x1f, packet[2]]) {
            PAT_PID => &mut self.pat,
            PMT_PID => &mut self.pmt,
            VIDEO_PID => &mut self.video,
            _ => return,
        };
        *counter = Counter((packet[3] + u8::from(packet[3] & 0x10 != 0)) & 0x0f);
    }
}

/// A time in units of the 90 kHz clock, rounded to the nearest.
pub fn clock_90khz(time: Duration) -> u64 {
    ((time.as_nanos() * 9 + 50_000) / 100_000) as u64 & CLOCK_MASK
}
