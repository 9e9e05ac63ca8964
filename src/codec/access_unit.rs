//! One coded picture.

use super::h264::{NalUnit, NalUnitType, START_CODE_LONG, START_CODE_SHORT, nal_units};
use crate::settings::Size;
use std::time::Duration;

/// go2rtc searches for the next packet from here on; a shorter access unit would be glued to the one behind it.
pub const MIN_BYTES: usize = 10;
/// go2rtc looks at this many bytes before it opens a stream and would wait for more pictures until it has them.
pub const MIN_BYTES_FIRST: usize = 256;

/// All NAL units of one coded picture. Made once and filled again for each picture.
#[derive(Debug, Default)]
pub struct AccessUnit {
    pub(super) bytes: Vec<u8>,
    pub(super) is_idr: bool,
    pts: Duration,
}

/// Bytes that a coded picture of `size` has room in from the start: four bits a pixel, which streams do not reach. Not
/// more, for where the system has huge pages the first byte written to a larger buffer takes 2 MB.
pub fn room_for(size: Size) -> usize {
    size.pixels() / 2 + MIN_BYTES_FIRST
}

impl AccessUnit {
    /// With room for pictures of `size`, so that none of them has to make some.
    pub fn with_room_for(size: Size) -> Self {
        Self { bytes: Vec::with_capacity(room_for(size)), ..Self::default() }
    }

    /// The Annex B byte stream, in the layout that this module describes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether this is an IDR picture: decoding can start here.
    pub fn is_idr(&self) -> bool {
        self.is_idr
    }

    /// When the picture is to be shown, as time since the start of the stream.
    pub fn pts(&self) -> Duration {
        self.pts
    }

    /// Sets when the picture is to be shown.
    pub fn show_at(&mut self, pts: Duration) {
        self.pts = pts;
    }

    /// Starts the next picture, shown at `pts`. What the access unit held is gone; its memory is kept.
    pub fn begin(&mut self, pts: Duration) {
        self.bytes.clear();
        self.is_idr = false;
        self.pts = pts;
    }

    /// Adds what an encoder put out for this picture: an Annex B byte stream with any start codes. Delimiters,
    /// SEI and filler are left out, start codes are rewritten.
    pub fn push_annex_b(&mut self, stream: &[u8]) {
        for unit in nal_units(stream) {
            self.push(unit);
        }
    }

    fn push(&mut self, unit: NalUnit<'_>) {
        let long = match unit.nal_unit_type() {
            NalUnitType::AccessUnitDelimiter | NalUnitType::Sei | NalUnitType::Filler => return,
            NalUnitType::Sps | NalUnitType::Pps => true,
            // A second slice behind a 4-byte start code would become a packet of its own.
            NalUnitType::Slice | NalUnitType::IdrSlice => !self.has_slice(),
            NalUnitType::Other(_) => false,
        };
        self.is_idr |= unit.nal_unit_type() == NalUnitType::IdrSlice;
        if long {
            self.bytes.extend_from_slice(&START_CODE_LONG);
        } else {
            self.bytes.extend_from_slice(&START_CODE_SHORT);
        }
        self.bytes.extend_from_slice(unit.bytes());
    }

    fn has_slice(&self) -> bool {
        nal_units(&self.bytes).any(|unit| matches!(unit.nal_unit_type(), NalUnitType::Slice | NalUnitType::IdrSlice))
    }

    /// Makes the access unit at least `min_bytes` long with one filler data NAL unit, which stands behind the slice
    /// (H.264 section 7.4.1.2.3).
    pub fn pad_to(&mut self, min_bytes: usize) {
        // Start code, header and `rbsp_trailing_bits` are there in any case.
        const OVERHEAD: usize = 5;
        if self.bytes.len() >= min_bytes {
            return;
        }
        let ff_bytes = (min_bytes - self.bytes.len()).saturating_sub(OVERHEAD);
        self.bytes.extend_from_slice(&[0, 0, 1, 12]);
        self.bytes.resize(self.bytes.len() + ff_bytes, 0xff);
        self.bytes.push(0x80);
    }

    /// What is wrong with the layout, if anything: an encoder that breaks it would garble every stream.
    pub fn layout_fault(&self) -> Option<&'static str> {
        let mut slices = 0;
        let mut parameter_sets = (false, false);
        for unit in nal_units(&self.bytes) {
            match unit.nal_unit_type() {
                NalUnitType::Sps => parameter_sets.0 = slices == 0,
                NalUnitType::Pps => parameter_sets.1 = slices == 0,
                NalUnitType::Slice | NalUnitType::IdrSlice => slices += 1,
                _ => {}
            }
        }
        match slices {
            0 => Some("it has no slice"),
            2.. => Some("it has more than one slice"),
            _ if self.is_idr && parameter_sets != (true, true) => Some("an IDR picture has no SPS and PPS in front"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(stream: &[u8]) -> Vec<NalUnitType> {
        nal_units(stream).map(NalUnit::nal_unit_type).collect()
    }

    #[test]
    fn splits_long_and_short_start_codes_and_drops_trailing_zeros() {
        let stream = [0, 0, 0, 1, 0x67, 1, 2, 0, 0, 0, 0, 1, 0x68, 3, 0, 0, 1, 0x65, 0, 0, 3, 1];
        let units: Vec<_> = nal_units(&stream).map(NalUnit::bytes).collect();
        assert_eq!(units, [&[0x67, 1, 2][..], &[0x68, 3], &[0x65, 0, 0, 3, 1]]);
        assert_eq!(types(&stream), [NalUnitType::Sps, NalUnitType::Pps, NalUnitType::IdrSlice]);
        assert_eq!(types(&[]), []);
        assert_eq!(types(&[0, 0, 1]), []);
        assert_eq!(types(&[1, 2, 3]), []);
    }

    #[test]
    fn lays_an_idr_picture_out_for_go2rtc() {
        let mut unit = AccessUnit::default();
        unit.begin(Duration::ZERO);
        // As NVENC and OpenH264 write it: delimiter, then everything behind 4-byte start codes.
        unit.push_annex_b(&[0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1, 0x67, 7, 0, 0, 0, 1, 0x68, 8]);
        unit.push_annex_b(&[0, 0, 0, 1, 6, 5, 0x80, 0, 0, 0, 1, 0x65, 1, 0, 0, 0, 1, 0x65, 2]);
        assert_eq!(unit.bytes(), [0, 0, 0, 1, 0x67, 7, 0, 0, 0, 1, 0x68, 8, 0, 0, 0, 1, 0x65, 1, 0, 0, 1, 0x65, 2]);
        assert!(unit.is_idr());
        assert_eq!(unit.layout_fault(), Some("it has more than one slice"));
    }

    #[test]
    fn pads_with_one_filler_unit_behind_the_slice() {
        for min_bytes in [MIN_BYTES, 11, 14, 15, 16, MIN_BYTES_FIRST] {
            let mut unit = AccessUnit::default();
            unit.push_annex_b(&[0, 0, 0, 1, 0x61, 1, 2]);
            unit.pad_to(min_bytes);
            assert!(unit.bytes().len() >= min_bytes && unit.bytes().len() <= min_bytes.max(12));
            assert_eq!(types(unit.bytes()), [NalUnitType::Slice, NalUnitType::Filler]);
            let filler = nal_units(unit.bytes()).last().unwrap().bytes();
            assert!(filler[1..filler.len() - 1].iter().all(|&byte| byte == 0xff) && filler.ends_with(&[0x80]));
        }
    }

    #[test]
    fn names_what_is_wrong_with_a_layout() {
        for (stream, fault) in [
            (&[0u8, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 1, 0, 0, 1, 0x65, 1][..], None),
            (&[0, 0, 1, 0x61, 1], None),
            (&[0, 0, 1, 0x65, 1], Some("an IDR picture has no SPS and PPS in front")),
            (&[0, 0, 1, 0x67, 1], Some("it has no slice")),
        ] {
            let mut unit = AccessUnit::default();
            unit.push_annex_b(stream);
            assert_eq!(unit.layout_fault(), fault);
        }
    }
}
