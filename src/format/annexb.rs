//! A raw stream, in the one layout that go2rtc cuts correctly (H.264 annex B).
//!
//! go2rtc reads a raw stream without parsing slices. It starts a new packet at every **4-byte** start code that is
//! followed by a NAL unit of type 1 or 7, looks for the next one from byte 10 of a packet on, and stamps each with the
//! time of arrival. So there is
//!
//! - a 4-byte start code before SPS, PPS and the first slice, a 3-byte one before anything else;
//! - for each access unit at least [`MIN_BYTES`], and for the first one of a stream [`MIN_BYTES_FIRST`], made up by
//!   filler data;
//! - a steady time from when a picture is due to when it is written, by a [`Steadier`].
//!
//! SPS and PPS in front of every IDR picture, neither delimiter nor SEI: that is how the encoders' access units come.

use super::steadier::Steadier;
use crate::codec::{AccessUnit, NalUnitType, START_CODE_LONG, START_CODE_SHORT};
use crate::settings::FrameRate;
use std::time::Duration;

/// go2rtc searches for the next packet from here on; a shorter access unit would be glued to the one behind it.
const MIN_BYTES: usize = 10;
/// go2rtc looks at this many bytes before it opens a stream and would wait for more pictures until it has them.
const MIN_BYTES_FIRST: usize = 256;

/// Lays access units out for go2rtc.
#[derive(Debug)]
pub struct AnnexB {
    bytes: Vec<u8>,
    /// Of the next access unit.
    min_bytes: usize,
    steadier: Option<Steadier>,
}

impl AnnexB {
    /// For a stream whose pictures are held back to steady ones at this rate, or for one that is written as it comes.
    pub fn new(steady: Option<FrameRate>) -> Self {
        Self { bytes: Vec::new(), min_bytes: MIN_BYTES_FIRST, steadier: steady.map(Steadier::new) }
    }

    /// Makes room for access units of so many bytes.
    pub fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve(bytes);
    }

    /// When to write a picture that was due at `pts` and is ready `now`.
    pub fn release_at(&mut self, pts: Duration, now: Duration) -> Duration {
        self.steadier.as_mut().map_or(now, |steadier| steadier.release(pts, now))
    }

    /// The bytes of the next picture.
    pub fn lay_out(&mut self, unit: &AccessUnit) -> &[u8] {
        self.bytes.clear();
        byte_stream(unit, &mut self.bytes);
        pad_to(std::mem::replace(&mut self.min_bytes, MIN_BYTES), &mut self.bytes);
        &self.bytes
    }
}

/// Bytes of a NAL unit that are copied at once. For more than two KiB the C library takes an instruction of the processor
/// that is four times as slow where both ends lie almost alike in their pages (AMD EPYC). They do here: access units and
/// layouts are so large that each begins where a page does. Of 18 us that a picture of 12.5 kB took in all, this saved 4.
const COPIED_AT_ONCE: usize = 1024;

/// Adds the NAL units of `unit` behind start codes, and nothing else. The other formats hold the same.
pub fn byte_stream(unit: &AccessUnit, bytes: &mut Vec<u8>) {
    let mut has_slice = false;
    for nal in unit.nal_units() {
        let is_slice = matches!(nal.nal_unit_type(), NalUnitType::Slice | NalUnitType::IdrSlice);
        let is_parameter_set = matches!(nal.nal_unit_type(), NalUnitType::Sps | NalUnitType::Pps);
        // A second slice behind a 4-byte start code would become a packet of its own.
        if is_parameter_set || is_slice && !has_slice {
            bytes.extend_from_slice(&START_CODE_LONG);
        } else {
            bytes.extend_from_slice(&START_CODE_SHORT);
        }
        has_slice |= is_slice;
        for part in nal.bytes().chunks(COPIED_AT_ONCE) {
            bytes.extend_from_slice(part);
        }
    }
}

/// Makes an access unit at least `min_bytes` long with one filler data NAL unit, which stands behind the slice
/// (H.264 section 7.4.1.2.3).
fn pad_to(min_bytes: usize, bytes: &mut Vec<u8>) {
    // Start code, header and `rbsp_trailing_bits` are there in any case.
    const OVERHEAD: usize = 5;
    if bytes.len() >= min_bytes {
        return;
    }
    let ff_bytes = (min_bytes - bytes.len()).saturating_sub(OVERHEAD);
    bytes.extend_from_slice(&[0, 0, 1, 12]);
    bytes.resize(bytes.len() + ff_bytes, 0xff);
    bytes.push(0x80);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{NalUnit, nal_units};

    fn unit(stream: &[u8]) -> AccessUnit {
        let mut unit = AccessUnit::default();
        unit.push_annex_b(stream);
        unit
    }

    #[test]
    fn lays_an_idr_picture_out_for_go2rtc() {
        let unit = unit(&[
            0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1, 0x67, 7, 0, 0, 0, 1, 0x68, 8, 0, 0, 0, 1, 6, 5, 0x80, 0, 0, 0, 1, 0x65, 1,
            0, 0, 0, 1, 0x65, 2,
        ]);
        let mut bytes = Vec::new();
        byte_stream(&unit, &mut bytes);
        assert_eq!(bytes, [0, 0, 0, 1, 0x67, 7, 0, 0, 0, 1, 0x68, 8, 0, 0, 0, 1, 0x65, 1, 0, 0, 1, 0x65, 2]);
    }

    #[test]
    fn pads_with_one_filler_unit_behind_the_slice() {
        for min_bytes in [MIN_BYTES, 11, 14, 15, 16, MIN_BYTES_FIRST] {
            let mut bytes = vec![0, 0, 0, 1, 0x61, 1, 2];
            pad_to(min_bytes, &mut bytes);
            assert!(bytes.len() >= min_bytes && bytes.len() <= min_bytes.max(12));
            let types: Vec<_> = nal_units(&bytes).map(NalUnit::nal_unit_type).collect();
            assert_eq!(types, [NalUnitType::Slice, NalUnitType::Filler]);
            let filler = nal_units(&bytes).last().unwrap().bytes();
            assert!(filler[1..filler.len() - 1].iter().all(|&byte| byte == 0xff) && filler.ends_with(&[0x80]));
        }
    }

    #[test]
    fn the_first_picture_has_what_go2rtc_looks_at_and_the_others_what_it_skips() {
        let mut annex_b = AnnexB::new(None);
        let small = unit(&[0, 0, 0, 1, 0x61, 1]);
        let lengths: Vec<_> = (0..3).map(|_| annex_b.lay_out(&small).len()).collect();
        assert_eq!(lengths, [MIN_BYTES_FIRST, 11, 11]);
    }

    #[test]
    fn only_a_steady_stream_holds_pictures_back() {
        const MS: Duration = Duration::from_millis(1);
        let mut written = AnnexB::new(None);
        let mut steady = AnnexB::new(Some(FrameRate::new(50, 1).unwrap()));
        for annex_b in [&mut written, &mut steady] {
            annex_b.release_at(Duration::ZERO, 10 * MS);
        }
        assert_eq!(written.release_at(20 * MS, 21 * MS), 21 * MS);
        assert!(steady.release_at(20 * MS, 21 * MS) > 24 * MS);
    }
}
