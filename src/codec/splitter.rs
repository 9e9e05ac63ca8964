//! Cuts a byte stream that somebody else writes into access units.

use super::h264::NalUnits;
use super::order::Order;
use super::sets::{Key, ParameterSets, Sps};
use super::slice::{Slice, Unread};
use super::stray::{Stray, is_sound, is_text, without_text};
use super::{AccessUnit, NalUnit, NalUnitType, START_CODE_SHORT};
use std::collections::BTreeMap;

/// As many bytes as may stand in front of a picture. What is more is left out, but for parameter sets.
const MOST_IN_FRONT: usize = 64 * 1024;
/// As many NAL units as may stand between the fields of a frame, or in front of a slice that may be another one of the
/// same picture.
const MOST_BETWEEN: usize = 64;
/// The place of a NAL unit is told by so much of it.
const LONGEST_START: usize = 64;

/// Takes an Annex B byte stream in pieces of any size, and gives its access units (H.264 section 7.4.1.2.3). Two fields
/// of a frame are one.
///
/// What it gives holds what a transport stream needs: delimiters and filler are left out, parameter sets stand first,
/// SEI stays in its access unit. An IDR picture that comes without parameter sets gets the last ones, so that
/// decoding can start there, and so does a picture with SEI in front: go2rtc 1.9.14 takes an SEI that stands first out
/// of a packet that its viewers share, and crashes where two of them do so at once. No picture is given whose parameter
/// sets have not come, for nobody could decode it.
///
/// The stream may begin anywhere, also behind text; [`Splitter::stray`] says what was passed over.
#[derive(Debug, Default)]
pub struct Splitter {
    bytes: Vec<u8>,
    /// Where the NAL unit at hand begins in `bytes`, or what no NAL unit has begun in.
    from: usize,
    /// No start code that was not looked at begins before here.
    searched: usize,
    at_hand: AtHand,
    /// The NAL units of the access unit at hand that are whole, and maybe the first ones of the next.
    units: NalUnits,
    /// How many of `units` belong to the access unit at hand, where the others may belong to the next.
    split: Option<usize>,
    /// The first slice of the access unit at hand.
    first: Option<Slice>,
    /// The slice at hand, where it begins the next one.
    next_first: Option<Slice>,
    /// The last slice so far, of this access unit or one before.
    last: Option<Slice>,
    /// Whether it has both fields of a frame.
    has_both_fields: bool,
    /// Whether parameter sets in front of it were left out here, for they were too many.
    overflowed: bool,
    /// Whether the access unit before was taken by [`Splitter::rest`], and may go on.
    cut_short: bool,
    torn: bool,
    has_b_pictures: bool,
    sets: ParameterSets,
    stray: Stray,
    given: Given,
}

/// The NAL unit whose end was not found yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum AtHand {
    /// There is none.
    #[default]
    Nothing,
    /// Where it belongs is not known yet.
    New,
    Kept,
    /// It is to be left out.
    Dropped,
}

/// What is known of the last access unit given.
#[derive(Debug, Default)]
struct Given {
    order: Order,
    sps: Option<Sps>,
    /// Its first slice, where it is one field.
    half: Option<Slice>,
    completes_frame: bool,
    waits: u32,
}

/// What a NAL unit is to the access unit that it is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nothing of this kind stands behind the slices of a picture, so that it begins the next access unit there.
    Front,
    /// Stands in front of a slice, of this picture or of the next.
    Prefix,
    Slice,
    /// Belongs to what is in front of it.
    Behind,
}

impl Place {
    /// H.264 table 7-1 and section 7.4.1.2.3. A prefix (14) stands in front of each slice of a base layer.
    fn of(header: u8) -> Self {
        match header & 0x1f {
            1 | 2 | 5 => Self::Slice,
            14 => Self::Prefix,
            6..=9 | 13 | 15..=18 => Self::Front,
            _ => Self::Behind,
        }
    }
}

/// Where the NAL unit at hand belongs.
enum Belongs {
    /// Not enough of it is there.
    Unknown,
    Here,
    /// To the next access unit, so that the one at hand is whole.
    Next,
    /// Nowhere: it is left out.
    Nowhere,
}

impl Splitter {
    /// Takes the next piece of the stream.
    pub fn push(&mut self, piece: &[u8]) {
        self.bytes.drain(..self.from);
        self.searched -= self.from;
        self.from = 0;
        self.bytes.extend_from_slice(piece);
    }

    /// Returns the access unit at hand where the next one has begun. When it is decoded is the caller's to set.
    pub fn next(&mut self, unit: &mut AccessUnit) -> bool {
        loop {
            if self.at_hand == AtHand::Nothing && !self.open() {
                return false;
            }
            if self.at_hand == AtHand::New {
                match self.place(false) {
                    Some(true) if self.give(unit) => return true,
                    Some(_) => {}
                    None => return false,
                }
            }
            let Some(found) = memchr::memmem::find(&self.bytes[self.searched..], &START_CODE_SHORT) else {
                // The first two bytes of one may be there.
                self.searched = self.searched.max(self.bytes.len().saturating_sub(START_CODE_SHORT.len() - 1));
                return false;
            };
            let end = self.searched + found;
            self.close(end);
            self.from = end + START_CODE_SHORT.len();
            self.searched = self.from;
            self.at_hand = AtHand::New;
        }
    }

    /// Returns the access unit at hand as it is: the stream has ended, or pauses. There may be another one.
    pub fn rest(&mut self, unit: &mut AccessUnit) -> bool {
        if self.at_hand == AtHand::New && self.place(true) == Some(true) && self.give(unit) {
            return true;
        }
        if self.first.is_none() {
            return false;
        }
        // What stands behind the split belongs to the next one.
        if self.split.is_none() && self.at_hand != AtHand::Nothing {
            self.close(self.bytes.len());
            self.from = self.bytes.len();
            self.searched = self.from;
            self.at_hand = AtHand::Nothing;
        }
        self.cut_short = true;
        self.give(unit)
    }

    /// Whether the access unit at hand may be whole: it has a picture, and does not end where no NAL unit does.
    pub fn may_be_whole(&self) -> bool {
        let at_hand = &self.bytes[self.from..];
        let is_new = self.at_hand == AtHand::New;
        // A slice is longer than its header.
        let begins = is_new && at_hand.len() > 1 && Place::of(at_hand[0]) == Place::Slice;
        // A NAL unit never ends in a zero byte.
        (begins || self.first.is_some() && !is_new) && self.bytes.last() != Some(&0)
    }

    /// Bytes that wait for the end of their access unit.
    pub fn held(&self) -> usize {
        let at_hand = if self.at_hand == AtHand::Nothing { 0 } else { self.bytes.len() - self.from };
        at_hand + self.units.bytes()
    }

    /// Whether an access unit that was taken by [`Splitter::rest`] went on behind that, since the last call. What came
    /// later is left out.
    pub fn take_torn(&mut self) -> bool {
        std::mem::take(&mut self.torn)
    }

    /// Whether there were B pictures, whose decoding order mostly is not the order in which they are shown.
    pub fn has_b_pictures(&self) -> bool {
        self.has_b_pictures
    }

    /// What was passed over so far.
    pub fn stray(&self) -> &Stray {
        &self.stray
    }

    /// The sequence parameter set of the last access unit given, as far as it can be read.
    pub fn sps(&self) -> Option<&Sps> {
        self.given.sps.as_ref()
    }

    /// By how many pictures the last access unit given is shown later than it is decoded. 0 for all of a stream without
    /// B pictures.
    pub fn waits(&self) -> u32 {
        self.given.waits
    }

    /// Whether the last access unit given is a field that belongs to the frame of the one before.
    pub fn completes_frame(&self) -> bool {
        self.given.completes_frame
    }

    /// Whether `piece`, the next one, begins an access unit with its first byte, as far as one can see. `None` where it
    /// says nothing about that: text, and what may come at any time.
    pub fn begins_unit(piece: &[u8]) -> Option<bool> {
        let code = match piece {
            [0, 0, 0, 1, ..] => 4,
            [0, 0, 1, ..] => 3,
            _ if piece.iter().all(|&byte| byte == 0) => return Some(true),
            _ if piece.len() > 8 && is_text(piece) => return None,
            _ => return Some(false),
        };
        match piece[code..] {
            [header, start, ..] if Place::of(header) == Place::Slice => Some(start & 0x80 != 0),
            [header, ..] if matches!(header & 0x1f, 10..=12) => None,
            [header, ..] => Some(Place::of(header) != Place::Behind),
            [] => Some(true),
        }
    }

    /// Looks for a start code where no NAL unit is at hand. Returns whether there is one.
    fn open(&mut self) -> bool {
        let found = memchr::memmem::find(&self.bytes[self.searched..], &START_CODE_SHORT);
        let end = match found {
            Some(found) => self.searched + found,
            // The first two bytes of one may be there.
            None => self.bytes.len().saturating_sub(START_CODE_SHORT.len() - 1).max(self.from),
        };
        let passed = &self.bytes[self.from..end];
        if self.cut_short && passed.iter().any(|&byte| byte != 0) && !is_text(passed) {
            self.torn = true;
        } else {
            self.stray.saw_bytes(passed);
        }
        self.from = end;
        if found.is_some() {
            self.from += START_CODE_SHORT.len();
            self.at_hand = AtHand::New;
        }
        self.searched = self.from;
        found.is_some()
    }

    /// Tells where the NAL unit at hand belongs. Returns whether the access unit at hand is whole without it; `None` where
    /// more of it has to arrive.
    fn place(&mut self, at_end: bool) -> Option<bool> {
        let at_hand = &self.bytes[self.from..];
        let start = &at_hand[..at_hand.len().min(LONGEST_START)];
        let (start, is_whole) = match memchr::memmem::find(start, &START_CODE_SHORT) {
            Some(end) => (&start[..end], true),
            None => (start, at_end || start.len() == LONGEST_START),
        };
        let belongs = match NalUnit::new(start) {
            None if is_whole => Belongs::Nowhere,
            None => Belongs::Unknown,
            Some(nal) if !is_sound(nal) => Belongs::Nowhere,
            Some(nal) => match Place::of(nal.bytes()[0]) {
                Place::Slice => match Slice::read(nal, &self.sets) {
                    Err(Unread::Short) if !is_whole => Belongs::Unknown,
                    read => self.place_slice(read.ok()),
                },
                place => self.place_other(place, nal.bytes()[0] & 0x1f),
            },
        };
        self.at_hand = match belongs {
            Belongs::Unknown => return None,
            Belongs::Here | Belongs::Next => AtHand::Kept,
            Belongs::Nowhere => AtHand::Dropped,
        };
        Some(matches!(belongs, Belongs::Next))
    }

    fn place_other(&mut self, place: Place, kind: u8) -> Belongs {
        match (place, &self.first) {
            (Place::Behind, None) => {
                // A part of a picture that was passed on already.
                self.torn |= self.cut_short && matches!(kind, 3 | 4 | 19 | 20);
                Belongs::Nowhere
            }
            (Place::Behind, Some(_)) | (_, None) => Belongs::Here,
            (_, Some(_)) => {
                let split = *self.split.get_or_insert(self.units.len());
                // The second field of a frame may come behind, and a prefix may belong to another slice.
                let may_go_on = place == Place::Prefix || self.is_half();
                if may_go_on && self.units.len() - split < MOST_BETWEEN { Belongs::Here } else { Belongs::Next }
            }
        }
    }

    fn place_slice(&mut self, slice: Option<Slice>) -> Belongs {
        let Some(slice) = slice.filter(|slice| !slice.is_redundant()) else {
            // It is no picture by itself.
            return if self.first.is_some() { Belongs::Here } else { Belongs::Nowhere };
        };
        let goes_on = self.last.as_ref().is_some_and(|last| !slice.begins_picture(last));
        let completes = self.is_half() && self.first.as_ref().is_some_and(|first| slice.completes_frame(first));
        self.has_both_fields |= completes;
        self.has_b_pictures |= slice.is_b;
        match &self.first {
            Some(_) if goes_on || completes => {
                self.split = None;
                self.last = Some(slice);
                Belongs::Here
            }
            Some(_) => {
                self.last = Some(slice.clone());
                self.next_first = Some(slice);
                Belongs::Next
            }
            None if goes_on && self.cut_short && self.units.len() == 0 => {
                self.torn = true;
                Belongs::Nowhere
            }
            None if self.last.is_none() && !slice.may_be_first() => {
                // What is left of the picture that the stream was joined in.
                self.stray.pictures = 1;
                Belongs::Nowhere
            }
            None => {
                self.cut_short = false;
                self.last = Some(slice.clone());
                self.first = Some(slice);
                Belongs::Here
            }
        }
    }

    /// Whether the access unit at hand is one field so far, whose frame may be completed by another.
    fn is_half(&self) -> bool {
        !self.has_both_fields && self.first.as_ref().is_some_and(Slice::is_field)
    }

    /// Takes the NAL unit at hand, which ends at `end`.
    fn close(&mut self, end: usize) {
        let mut whole = &self.bytes[self.from..end];
        // `trailing_zero_8bits` and the next start code's `zero_byte`.
        while let [head @ .., 0] = whole {
            whole = head;
        }
        let bytes = without_text(whole);
        self.stray.saw_bytes(&whole[bytes.len()..]);
        let Some(nal) = NalUnit::new(bytes) else { return };
        self.stray.saw_unit(bytes);
        if self.at_hand == AtHand::Dropped {
            return;
        }
        match nal.nal_unit_type() {
            NalUnitType::AccessUnitDelimiter | NalUnitType::Filler => return,
            _ => self.sets.take(nal),
        };
        self.units.push(nal);
        if self.first.is_none() && self.units.bytes() > MOST_IN_FRONT {
            self.units.clear();
            self.overflowed = true;
        }
    }

    /// Fills `unit` with the access unit at hand. Returns whether it can be decoded.
    fn give(&mut self, unit: &mut AccessUnit) -> bool {
        let count = self.split.take().unwrap_or(self.units.len());
        let first = std::mem::replace(&mut self.first, self.next_first.take());
        let given = first.filter(|first| self.sets.has(first.pps));
        match &given {
            Some(first) => {
                self.fill(unit, count, first.pps);
                self.given.take(first, self.has_both_fields, &self.sets);
            }
            None => self.stray.pictures += 1,
        }
        self.units.forget_first(count);
        self.overflowed = false;
        self.has_both_fields = false;
        given.is_some()
    }

    /// Fills `unit` with the first `count` NAL units, parameter sets in front.
    fn fill(&self, unit: &mut AccessUnit, count: usize, pps: u32) {
        let units = || self.units.iter().take(count);
        let has = |kind| units().any(|nal| nal.nal_unit_type() == kind);
        let own = units().filter_map(|nal| Some((Key::of(nal)?, nal)));
        // The last one of a number counts.
        let mut sets: BTreeMap<_, _> = own.collect();
        if has(NalUnitType::IdrSlice) || self.overflowed || has(NalUnitType::Sei) && sets.is_empty() {
            for (key, nal) in self.sets.around(pps) {
                sets.entry(key).or_insert(nal);
            }
        }
        unit.begin(unit.pts());
        sets.values().for_each(|&nal| unit.push(nal));
        units().filter(|&nal| !is_parameter_set(nal)).for_each(|nal| unit.push(nal));
    }
}

impl Given {
    fn take(&mut self, first: &Slice, has_both_fields: bool, sets: &ParameterSets) {
        self.completes_frame = self.half.as_ref().is_some_and(|half| first.completes_frame(half));
        self.half = (first.is_field() && !has_both_fields && !self.completes_frame).then(|| first.clone());
        let Some((sps, _)) = sets.of_slice(first.pps) else { return };
        if !self.completes_frame {
            self.waits = self.order.take(first, sps);
        }
        if self.sps.as_ref() != Some(sps) {
            self.sps = Some(sps.clone());
        }
    }
}

fn is_parameter_set(nal: NalUnit<'_>) -> bool {
    matches!(nal.nal_unit_type(), NalUnitType::Sps | NalUnitType::Pps | NalUnitType::Other(13 | 15))
}
