//! What an encoder produced, read into an access unit.

use super::access_unit::AccessUnit;
use super::h264::{NalUnitType, nal_units};

impl AccessUnit {
    /// Adds what an encoder produced for this picture: an Annex B byte stream with any start codes.
    ///
    /// Delimiters, SEI and filler are left out here, where the output of the encoders comes in, and not by the formats:
    /// nobody behind needs them, a format that wants a delimiter or filler writes its own, and go2rtc takes an SEI in
    /// front of a picture for the picture. Access units from elsewhere, which the splitter cuts, keep theirs.
    pub fn push_annex_b(&mut self, stream: &[u8]) {
        for unit in nal_units(stream) {
            match unit.nal_unit_type() {
                NalUnitType::AccessUnitDelimiter | NalUnitType::Sei | NalUnitType::Filler => {}
                _ => self.push(unit),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::h264::NalUnit;
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_no_stream_needs_is_left_out() {
        let mut unit = AccessUnit::default();
        unit.begin(Duration::ZERO);
        // As NVENC and OpenH264 write it: delimiter, then everything behind 4-byte start codes.
        unit.push_annex_b(&[0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1, 0x67, 7, 0, 0, 0, 1, 0x68, 8]);
        assert!(!unit.is_idr());
        unit.push_annex_b(&[0, 0, 0, 1, 6, 5, 0x80, 0, 0, 0, 1, 0x65, 1, 0, 0, 0, 1, 12, 0xff, 0x80]);
        let units: Vec<_> = unit.nal_units().map(NalUnit::bytes).collect();
        assert_eq!(units, [[0x67, 7], [0x68, 8], [0x65, 1]]);
        assert!(unit.is_idr());
    }
}
