//! NAL units, and how an Annex B byte stream holds them (H.264 annex B).

/// A start code with its `zero_byte`, mandatory before parameter sets and the first NAL unit of an access unit
/// (H.264 section B.1.2).
pub const START_CODE_LONG: [u8; 4] = [0, 0, 0, 1];
/// A start code without `zero_byte`.
pub const START_CODE_SHORT: [u8; 3] = [0, 0, 1];

/// A whole access unit delimiter that allows slices of every type (H.264 section 7.4.2.4): it starts an access unit in
/// a transport stream, never in a raw one.
pub const ACCESS_UNIT_DELIMITER: [u8; 6] = [0, 0, 0, 1, 9, 0xf0];

/// `nal_unit_type`, H.264 table 7-1; the ones this crate tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NalUnitType {
    /// 1: slice of a picture that is not an IDR picture.
    Slice,
    /// 5: slice of an IDR picture.
    IdrSlice,
    /// 6: supplemental enhancement information.
    Sei,
    /// 7: sequence parameter set.
    Sps,
    /// 8: picture parameter set.
    Pps,
    /// 9: access unit delimiter.
    AccessUnitDelimiter,
    /// 12: filler data.
    Filler,
    /// Any other value.
    Other(u8),
}

/// One NAL unit without its start code. Never empty: the first byte is its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NalUnit<'a>(&'a [u8]);

impl<'a> NalUnit<'a> {
    /// The NAL unit that these bytes are; `None` where there are none.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        if bytes.is_empty() { None } else { Some(Self(bytes)) }
    }

    /// The type in the header's low five bits.
    pub fn nal_unit_type(self) -> NalUnitType {
        match self.0[0] & 0x1f {
            1 => NalUnitType::Slice,
            5 => NalUnitType::IdrSlice,
            6 => NalUnitType::Sei,
            7 => NalUnitType::Sps,
            8 => NalUnitType::Pps,
            9 => NalUnitType::AccessUnitDelimiter,
            12 => NalUnitType::Filler,
            other => NalUnitType::Other(other),
        }
    }

    /// Header and payload, with emulation prevention bytes.
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }
}

/// NAL units one behind the other, in memory that is kept for the next ones.
#[derive(Debug, Default)]
pub struct NalUnits {
    bytes: Vec<u8>,
    /// Where each one ends in `bytes`.
    ends: Vec<usize>,
}

impl NalUnits {
    /// With room for so many bytes.
    pub fn with_room_for(bytes: usize) -> Self {
        // SPS, PPS and a slice, and more than an encoder adds to them.
        Self { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(16) }
    }

    /// Forgets all of them, and keeps their memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// How many bytes they have together.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets the first `count`, and keeps their memory.
    pub fn forget_first(&mut self, count: usize) {
        let end = count.checked_sub(1).map_or(0, |last| self.ends[last]);
        self.bytes.drain(..end);
        self.ends.drain(..count);
        self.ends.iter_mut().for_each(|its| *its -= end);
    }

    /// Adds one behind the others.
    pub fn push(&mut self, unit: NalUnit<'_>) {
        self.bytes.extend_from_slice(unit.bytes());
        self.ends.push(self.bytes.len());
    }

    /// All of them, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = NalUnit<'_>> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| NalUnit(&self.bytes[start..end]))
    }
}

/// Splits an Annex B byte stream at its start codes (H.264 section B.1.1). Zero bytes between NAL units belong to
/// none of them.
pub fn nal_units(stream: &[u8]) -> impl Iterator<Item = NalUnit<'_>> {
    let mut rest = after_start_code(stream);
    std::iter::from_fn(move || {
        loop {
            let body = rest?;
            let end = memchr::memmem::find(body, &START_CODE_SHORT);
            rest = end.map(|end| &body[end + START_CODE_SHORT.len()..]);
            // `trailing_zero_8bits` and the next start code's `zero_byte`: a NAL unit never ends in a zero byte.
            let mut unit = &body[..end.unwrap_or(body.len())];
            while let [head @ .., 0] = unit {
                unit = head;
            }
            if !unit.is_empty() {
                return Some(NalUnit(unit));
            }
        }
    })
}

fn after_start_code(stream: &[u8]) -> Option<&[u8]> {
    memchr::memmem::find(stream, &START_CODE_SHORT).map(|at| &stream[at + START_CODE_SHORT.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_long_and_short_start_codes_and_drops_trailing_zeros() {
        let types = |stream| nal_units(stream).map(NalUnit::nal_unit_type).collect::<Vec<_>>();
        let stream = [0, 0, 0, 1, 0x67, 1, 2, 0, 0, 0, 0, 1, 0x68, 3, 0, 0, 1, 0x65, 0, 0, 3, 1];
        let units: Vec<_> = nal_units(&stream).map(NalUnit::bytes).collect();
        assert_eq!(units, [&[0x67, 1, 2][..], &[0x68, 3], &[0x65, 0, 0, 3, 1]]);
        assert_eq!(types(&stream), [NalUnitType::Sps, NalUnitType::Pps, NalUnitType::IdrSlice]);
        assert_eq!(types(&[]), []);
        assert_eq!(types(&[0, 0, 1]), []);
        assert_eq!(types(&[1, 2, 3]), []);
    }

    #[test]
    fn units_are_kept_apart_and_their_memory_is_used_again() {
        let mut units = NalUnits::with_room_for(16);
        for _ in 0..3 {
            units.clear();
            assert_eq!(units.iter().count(), 0);
            for unit in nal_units(&[0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 0, 0, 1, 0x65, 2, 3]) {
                units.push(unit);
            }
            let each: Vec<_> = units.iter().map(NalUnit::bytes).collect();
            assert_eq!(each, [&[0x67, 1][..], &[0x68], &[0x65, 2, 3]]);
            assert_eq!(units.bytes.capacity(), 16);
        }
    }
}
