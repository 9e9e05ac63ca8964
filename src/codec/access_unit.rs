//! One coded picture.

use super::h264::{NalUnit, NalUnitType, NalUnits};
use crate::settings::Size;
use std::time::Duration;

/// All NAL units of one coded picture, in decoding order. Made once and filled again for each picture.
#[derive(Debug, Default)]
pub struct AccessUnit {
    units: NalUnits,
    is_idr: bool,
    pts: Duration,
    /// From when it is decoded until it is shown.
    waits: Duration,
}

/// Bytes that a coded picture of `size` has room in from the start: four bits a pixel, which streams do not reach. Not
/// more, for where the system has huge pages the first byte written to a larger buffer takes 2 MB.
pub fn room_for(size: Size) -> usize {
    // The small ones need more for their parameter sets, and for what a format adds.
    size.pixels() / 2 + 256
}

impl AccessUnit {
    /// With room for pictures of `size`, so that none of them has to make some.
    pub fn with_room_for(size: Size) -> Self {
        Self { units: NalUnits::with_room_for(room_for(size)), ..Self::default() }
    }

    /// The NAL units, from the first parameter set to the last slice.
    pub fn nal_units(&self) -> impl Iterator<Item = NalUnit<'_>> {
        self.units.iter()
    }

    /// Whether this is an IDR picture: decoding can start here.
    pub fn is_idr(&self) -> bool {
        self.is_idr
    }

    /// When the picture is to be shown, as time since the start of the stream.
    pub fn pts(&self) -> Duration {
        self.pts
    }

    /// When the picture is to be decoded, as time since the start of the stream: when it is shown, but for streams with
    /// B pictures, which this crate does not encode.
    pub fn dts(&self) -> Duration {
        self.pts.saturating_sub(self.waits)
    }

    /// Sets when the picture is to be decoded, and how long after that it is shown.
    pub fn decode_at(&mut self, dts: Duration, waits: Duration) {
        self.pts = dts + waits;
        self.waits = waits;
    }

    /// Starts the next picture, shown at `pts`. What the access unit held is gone; its memory is kept.
    pub fn begin(&mut self, pts: Duration) {
        self.units.clear();
        self.is_idr = false;
        self.pts = pts;
        self.waits = Duration::ZERO;
    }

    /// Adds a NAL unit behind the others.
    pub fn push(&mut self, unit: NalUnit<'_>) {
        self.is_idr |= unit.nal_unit_type() == NalUnitType::IdrSlice;
        self.units.push(unit);
    }

    /// What would break a stream, if anything: an encoder that does this would garble what go2rtc and browsers make of
    /// every picture.
    pub fn layout_fault(&self) -> Option<&'static str> {
        let mut slices = 0;
        let mut parameter_sets = (false, false);
        for unit in self.nal_units() {
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

    #[test]
    fn names_what_is_wrong_with_a_layout() {
        for (stream, fault) in [
            (&[0u8, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 1, 0, 0, 1, 0x65, 1][..], None),
            (&[0, 0, 1, 0x61, 1], None),
            (&[0, 0, 1, 0x65, 1], Some("an IDR picture has no SPS and PPS in front")),
            (&[0, 0, 1, 0x67, 1], Some("it has no slice")),
            (&[0, 0, 1, 0x61, 1, 0, 0, 1, 0x61, 2], Some("it has more than one slice")),
        ] {
            let mut unit = AccessUnit::default();
            unit.push_annex_b(stream);
            assert_eq!(unit.layout_fault(), fault);
        }
    }
}
