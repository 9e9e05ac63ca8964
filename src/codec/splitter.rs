//! Cuts a byte stream that somebody else writes into access units.

use super::h264::NalUnits;
use super::{AccessUnit, NalUnit, NalUnitType, START_CODE_SHORT, nal_units};

/// Takes an Annex B byte stream in pieces of any size, and gives its access units (H.264 section 7.4.1.2.3).
///
/// What it gives holds what a transport stream needs: delimiters and filler are left out, parameter sets stand first. SEI stays in its access unit. An IDR picture that comes without parameter sets gets the last ones, so that
/// decoding can start there, and so does a picture with SEI in front: go2rtc 1.9.14 takes an SEI that stands first out
/// of a packet that its viewers share, and crashes where two of them do so at once. Nothing is given before the first
/// parameter sets, for nobody could decode it.
///
/// A new picture is known by `first_mb_in_slice`, which is 0 in its first slice: arbitrary slice order, which only the
/// Baseline and Extended profiles have and nobody writes, is not taken.
#[derive(Debug, Default)]
pub struct Splitter {
    /// From the first NAL unit of the access unit at hand on.
    bytes: Vec<u8>,
    /// No start code that was not looked at begins before here.
    searched: usize,
    /// Whether the access unit at hand has a slice.
    has_picture: bool,
    /// Whether the first NAL unit of the access unit at hand was found.
    begun: bool,
    torn: bool,
    has_b_pictures: bool,
    /// SPS and PPS so far.
    parameter_sets: NalUnits,
    /// Those of the access unit at hand.
    own_sets: NalUnits,
}

/// What a NAL unit is to the access unit that it is in.
enum Place {
    /// Nothing of this kind stands behind the slices of a picture, so that it begins the next access unit there.
    Front,
    /// The first slice of a picture.
    FirstSlice,
    /// Another one of the same picture.
    OtherSlice,
    /// Belongs to what is in front of it.
    Behind,
}

impl Splitter {
    /// Takes the next piece of the stream.
    pub fn push(&mut self, piece: &[u8]) {
        self.bytes.extend_from_slice(piece);
    }

    /// Returns the access unit at hand where the next one has begun. Its time is the caller's to set.
    pub fn next(&mut self, unit: &mut AccessUnit) -> bool {
        while let Some(end) = self.find_end() {
            if self.give(end, unit) {
                return true;
            }
        }
        false
    }

    /// Returns the access unit at hand as it is: the stream has ended, or pauses.
    pub fn rest(&mut self, unit: &mut AccessUnit) -> bool {
        self.has_picture && self.give(self.bytes.len(), unit)
    }

    /// Whether the access unit at hand may be whole: it has a picture, and does not end where no NAL unit does.
    pub fn may_be_whole(&self) -> bool {
        // A NAL unit never ends in a zero byte, and a slice is longer than its header.
        self.has_picture && self.searched < self.bytes.len() && self.bytes.last() != Some(&0)
    }

    /// Bytes that wait for the end of their access unit.
    pub fn held(&self) -> usize {
        self.bytes.len()
    }

    /// Whether an access unit that was taken by [`Splitter::rest`] went on behind that, since the last call. What came
    /// later is left out.
    pub fn take_torn(&mut self) -> bool {
        std::mem::take(&mut self.torn)
    }

    /// Whether there were B pictures, whose decoding order is not the order in which they are shown.
    pub fn has_b_pictures(&self) -> bool {
        self.has_b_pictures
    }

    /// Whether `piece`, the next one, begins an access unit with its first byte, as far as one can see.
    pub fn begins_unit(piece: &[u8]) -> bool {
        let code = match piece {
            [0, 0, 0, 1, ..] => 4,
            [0, 0, 1, ..] => 3,
            _ => return piece.iter().all(|&byte| byte == 0),
        };
        !matches!(place_of(&piece[code..]), Some(Place::OtherSlice | Place::Behind))
    }

    /// Looks at one NAL unit after the other. Returns where the access unit at hand ends.
    fn find_end(&mut self) -> Option<usize> {
        loop {
            let Some(found) = memchr::memmem::find(&self.bytes[self.searched..], &START_CODE_SHORT) else {
                // The first two bytes of one may be there.
                self.searched = self.searched.max(self.bytes.len().saturating_sub(START_CODE_SHORT.len() - 1));
                return None;
            };
            let code = self.searched + found;
            let header = code + START_CODE_SHORT.len();
            self.searched = code;
            let place = place_of(&self.bytes[header..])?;
            if self.has_picture && matches!(place, Place::Front | Place::FirstSlice) {
                return Some(code);
            }
            if !self.begun {
                self.begun = true;
                self.torn |= self.bytes[..code].iter().any(|&byte| byte != 0);
                self.bytes.drain(..code);
                self.searched = 0;
                continue;
            }
            match place {
                Place::FirstSlice => {
                    self.has_picture = true;
                    self.has_b_pictures |= is_b_slice(self.bytes[header + 1]);
                }
                Place::OtherSlice => self.torn |= !self.has_picture,
                Place::Front | Place::Behind => {}
            }
            self.searched = header;
        }
    }

    /// Fills `unit` with what ends at `end`. Returns whether it can be decoded.
    fn give(&mut self, end: usize, unit: &mut AccessUnit) -> bool {
        let stream = &self.bytes[..end];
        self.own_sets.clear();
        kept(stream).filter(|&nal| is_parameter_set(nal)).for_each(|nal| self.own_sets.push(nal));
        let has = |kind| kept(stream).any(|nal| nal.nal_unit_type() == kind);
        if has(NalUnitType::Sps) {
            self.parameter_sets.clear();
        }
        for own in self.own_sets.iter() {
            if !self.parameter_sets.iter().any(|known| known == own) {
                self.parameter_sets.push(own);
            }
        }
        let with_all = has(NalUnitType::IdrSlice) || has(NalUnitType::Sei) && self.own_sets.iter().next().is_none();
        unit.begin(unit.pts());
        let sets = if with_all { &self.parameter_sets } else { &self.own_sets };
        sets.iter().for_each(|nal| unit.push(nal));
        kept(stream).filter(|&nal| !is_parameter_set(nal)).for_each(|nal| unit.push(nal));
        self.bytes.drain(..end);
        self.searched = 0;
        self.has_picture = false;
        self.begun = false;
        self.parameter_sets.iter().next().is_some()
    }
}

/// The NAL units of an access unit but for delimiters, filler, and what is left of a picture that was passed on already.
fn kept(stream: &[u8]) -> impl Iterator<Item = NalUnit<'_>> {
    let mut has_slice = false;
    nal_units(stream).filter(move |nal| match (nal.nal_unit_type(), place_of(nal.bytes())) {
        (NalUnitType::AccessUnitDelimiter | NalUnitType::Filler, _) => false,
        (_, Some(Place::OtherSlice | Place::Behind)) => has_slice,
        (_, place) => {
            has_slice |= matches!(place, Some(Place::FirstSlice));
            true
        }
    })
}

fn is_parameter_set(nal: NalUnit<'_>) -> bool {
    matches!(nal.nal_unit_type(), NalUnitType::Sps | NalUnitType::Pps)
}

/// What the NAL unit at the start of `bytes` is, if so much of it is there (H.264 table 7-1).
fn place_of(bytes: &[u8]) -> Option<Place> {
    Some(match bytes.first()? & 0x1f {
        // `first_mb_in_slice` in an Exp-Golomb code (section 9.1), of which 0 alone is a single one.
        1 | 2 | 5 if bytes.get(1)? & 0x80 != 0 => Place::FirstSlice,
        1 | 2 | 5 => Place::OtherSlice,
        6..=9 | 14..=18 => Place::Front,
        _ => Place::Behind,
    })
}

/// Whether the first slice of a picture is a B slice: behind the one bit of `first_mb_in_slice`, `slice_type` is 1 or 6
/// in the same code.
fn is_b_slice(start: u8) -> bool {
    start >> 4 == 0b1_010 || start >> 2 == 0b1_00111
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUD: &[u8] = &[0, 0, 0, 1, 9, 0xf0];
    const SPS: &[u8] = &[0, 0, 0, 1, 0x67, 1];
    const PPS: &[u8] = &[0, 0, 0, 1, 0x68, 2];
    const SEI: &[u8] = &[0, 0, 1, 6, 5, 0x80];
    const FILLER: &[u8] = &[0, 0, 1, 12, 0xff, 0x80];
    const IDR: &[u8] = &[0, 0, 1, 0x65, 0x88, 3];
    const P: &[u8] = &[0, 0, 1, 0x61, 0xe0, 4];
    const P_MORE: &[u8] = &[0, 0, 1, 0x61, 0x40, 5];

    /// The NAL units of an access unit, each as its bytes.
    fn held(unit: &AccessUnit) -> Vec<Vec<u8>> {
        unit.nal_units().map(|nal| nal.bytes().to_vec()).collect()
    }

    /// The NAL units of a byte stream, in the same way.
    fn in_stream(parts: &[&[u8]]) -> Vec<Vec<u8>> {
        nal_units(&parts.concat()).map(|nal| nal.bytes().to_vec()).collect()
    }

    /// Each access unit as its NAL units.
    fn cut(pieces: &[&[u8]]) -> Vec<Vec<Vec<u8>>> {
        let (mut splitter, mut unit, mut units) = (Splitter::default(), AccessUnit::default(), Vec::new());
        for piece in pieces {
            splitter.push(piece);
            while splitter.next(&mut unit) {
                units.push(held(&unit));
            }
        }
        while splitter.rest(&mut unit) {
            units.push(held(&unit));
        }
        assert!(!splitter.take_torn());
        units
    }

    #[test]
    fn access_units_are_the_same_in_pieces_of_any_size() {
        let stream = [AUD, SEI, SPS, PPS, IDR, AUD, SEI, P, P_MORE, FILLER, P, SPS, PPS, IDR, IDR].concat();
        let whole = [
            in_stream(&[SPS, PPS, SEI, IDR]),
            // Parameter sets that are missing are put in.
            in_stream(&[SPS, PPS, SEI, P, P_MORE]),
            in_stream(&[P]),
            in_stream(&[SPS, PPS, IDR]),
            in_stream(&[SPS, PPS, IDR]),
        ];
        for bytes in 1..=stream.len() {
            assert_eq!(cut(&stream.chunks(bytes).collect::<Vec<_>>()), whole, "pieces of {bytes} bytes");
        }
    }

    #[test]
    fn what_nobody_can_decode_is_left_out() {
        assert_eq!(cut(&[P, P, SPS, PPS, IDR]), [in_stream(&[SPS, PPS, IDR])]);
        assert!(cut(&[P, SEI]).is_empty());
    }

    #[test]
    fn a_picture_can_be_had_before_the_next_begins() {
        let (mut splitter, mut unit) = (Splitter::default(), AccessUnit::default());
        splitter.push(&[SPS, PPS].concat());
        assert!(!splitter.next(&mut unit) && !splitter.may_be_whole() && !splitter.rest(&mut unit));
        splitter.push(IDR);
        assert!(!splitter.next(&mut unit) && splitter.may_be_whole());
        splitter.push(&[0]);
        assert!(!splitter.next(&mut unit) && !splitter.may_be_whole(), "a start code begins");
        splitter.push(&[7]);
        assert!(splitter.rest(&mut unit) && unit.is_idr());
        assert_eq!(held(&unit), in_stream(&[SPS, PPS, IDR, &[0, 7]]));
        assert_eq!(splitter.held(), 0);

        // It went on: that is told, and what is left of it joins no other picture.
        for more in [&[7, 7][..], P_MORE] {
            splitter.push(more);
            splitter.push(P);
            assert!(!splitter.next(&mut unit) && splitter.rest(&mut unit));
            assert_eq!(held(&unit), in_stream(&[P]));
            assert!(splitter.take_torn() && !splitter.take_torn());
        }
    }

    #[test]
    fn a_piece_shows_whether_it_begins_a_picture() {
        for (piece, begins) in
            [(AUD, true), (SPS, true), (P, true), (&[0, 0][..], true), (P_MORE, false), (FILLER, false), (&[7], false)]
        {
            assert_eq!(Splitter::begins_unit(piece), begins, "{piece:?}");
        }
    }

    #[test]
    fn b_pictures_are_seen() {
        for (start, is_b) in [(0x88, false), (0xe0, false), (0xa0, true), (0x9c, true), (0x9b, false)] {
            let mut splitter = Splitter::default();
            splitter.push(&[0, 0, 1, 0x01, start, 1]);
            splitter.next(&mut AccessUnit::default());
            assert_eq!(splitter.has_b_pictures(), is_b, "{start:#x}");
        }
    }
}
