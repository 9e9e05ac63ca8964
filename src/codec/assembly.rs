//! Access units out of NAL units, one after the other, each as soon as the next one has begun.

use super::h264::NalUnits;
use super::order::Order;
use super::sets::{Key, ParameterSets, Sps};
use super::slice::{Slice, Unread};
use super::stray::{Stray, is_sound};
use super::{AccessUnit, NalUnit, NalUnitType};
use std::collections::BTreeMap;

/// As many bytes as may stand in front of a picture. What is more is left out, but for parameter sets.
const MOST_IN_FRONT: usize = 64 * 1024;
/// As many NAL units as may stand between the fields of a frame, or in front of a slice that may be another one of the
/// same picture.
const MOST_BETWEEN: usize = 64;

/// The access unit at hand, and what is known of the stream that it is in.
#[derive(Debug, Default)]
pub struct Assembly {
    /// Its NAL units, and maybe the first ones of the next.
    units: NalUnits,
    /// How many of `units` belong to it, where the others may belong to the next.
    split: Option<usize>,
    /// Its first slice.
    first: Option<Slice>,
    /// The slice that was placed last, where it begins the next one.
    next_first: Option<Slice>,
    /// The last slice so far, of this access unit or one before.
    last: Option<Slice>,
    /// Whether it has both fields of a frame.
    has_both_fields: bool,
    /// Whether parameter sets that came are in no access unit, so that the next one has to have them.
    sets_due: bool,
    /// Whether the access unit before was given as it was, and may go on.
    pub cut_short: bool,
    /// Whether it did go on.
    pub torn: bool,
    pub has_b_pictures: bool,
    sets: ParameterSets,
    pub stray: Stray,
    pub given: Given,
}

/// What is known of the last access unit given.
#[derive(Debug, Default)]
pub struct Given {
    order: Order,
    pub sps: Option<Sps>,
    /// Its first slice, where it is one field.
    half: Option<Slice>,
    /// Whether it is a field that belongs to the frame of the one before.
    pub completes_frame: bool,
    /// By how many pictures it is shown later than it is decoded.
    pub waits: u32,
}

/// What a NAL unit is to the access unit that it is in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
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
    pub fn of(header: u8) -> Self {
        match header & 0x1f {
            1 | 2 | 5 => Self::Slice,
            14 => Self::Prefix,
            6..=9 | 13 | 15..=18 => Self::Front,
            _ => Self::Behind,
        }
    }
}

/// Where a NAL unit belongs.
pub enum Belongs {
    /// Not enough of it is there.
    Unknown,
    Here,
    /// To the next access unit, so that the one at hand is whole.
    Next,
    /// Nowhere: it is left out.
    Nowhere,
}

impl Assembly {
    /// Tells where the NAL unit belongs that starts like `nal`, or is it (`is_whole`).
    pub fn place(&mut self, nal: NalUnit<'_>, is_whole: bool) -> Belongs {
        if !is_sound(nal) {
            return Belongs::Nowhere;
        }
        match Place::of(nal.bytes()[0]) {
            Place::Slice => match Slice::read(nal, &self.sets) {
                Err(Unread::Short) if !is_whole => Belongs::Unknown,
                read => self.place_slice(read.ok()),
            },
            place => self.place_other(place, nal.bytes()[0] & 0x1f),
        }
    }

    /// Whether there is a slice in it.
    pub fn has_picture(&self) -> bool {
        self.first.is_some()
    }

    /// Whether what comes now may belong to the next one already.
    pub fn may_be_over(&self) -> bool {
        self.split.is_some()
    }

    /// Bytes that are kept.
    pub fn bytes(&self) -> usize {
        self.units.bytes()
    }

    /// Adds a NAL unit that belongs here, or to the next one after this one was given.
    pub fn add(&mut self, nal: NalUnit<'_>) {
        match nal.nal_unit_type() {
            NalUnitType::AccessUnitDelimiter | NalUnitType::Filler => return,
            _ => self.sets.take(nal),
        };
        self.units.push(nal);
        if self.first.is_none() && self.units.bytes() > MOST_IN_FRONT {
            self.units.clear();
            self.sets_due = true;
        }
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
                self.sets_due |= self.units.iter().any(is_parameter_set);
                self.units.clear();
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

    /// Fills `unit` with the access unit at hand. Returns whether it can be decoded.
    pub fn give(&mut self, unit: &mut AccessUnit) -> bool {
        let count = self.split.take().unwrap_or(self.units.len());
        let first = std::mem::replace(&mut self.first, self.next_first.take());
        let given = first.filter(|first| self.sets.has(first.pps));
        match &given {
            Some(first) => {
                self.fill(unit, count, first.pps);
                self.given.take(first, self.has_both_fields, &self.sets);
            }
            None => {
                self.stray.pictures += 1;
                self.sets_due |= self.units.iter().take(count).any(is_parameter_set);
            }
        }
        self.units.forget_first(count);
        self.sets_due &= given.is_none();
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
        if has(NalUnitType::IdrSlice) || self.sets_due || has(NalUnitType::Sei) && sets.is_empty() {
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
