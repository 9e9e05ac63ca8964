//! Cuts a byte stream that somebody else writes into access units.

use super::assembly::{Assembly, Belongs, Place};
use super::sets::Sps;
use super::stray::{Stray, is_text, without_text};
use super::{AccessUnit, NalUnit, START_CODE_SHORT};

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
    assembly: Assembly,
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
                    Some(true) if self.assembly.give(unit) => return true,
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
        if self.at_hand == AtHand::New && self.place(true) == Some(true) && self.assembly.give(unit) {
            return true;
        }
        if !self.assembly.has_picture() {
            return false;
        }
        // What stands behind the split belongs to the next one.
        if !self.assembly.may_be_over() && self.at_hand != AtHand::Nothing {
            self.close(self.bytes.len());
            self.from = self.bytes.len();
            self.searched = self.from;
            self.at_hand = AtHand::Nothing;
        }
        self.assembly.cut_short = true;
        self.assembly.give(unit)
    }

    /// Whether the access unit at hand may be whole: it has a picture, and does not end where no NAL unit does.
    pub fn may_be_whole(&self) -> bool {
        let at_hand = &self.bytes[self.from..];
        let is_new = self.at_hand == AtHand::New;
        // A slice is longer than its header.
        let begins = is_new && at_hand.len() > 1 && Place::of(at_hand[0]) == Place::Slice;
        // A NAL unit never ends in a zero byte.
        (begins || self.assembly.has_picture() && !is_new) && self.bytes.last() != Some(&0)
    }

    /// Bytes that wait for the end of their access unit.
    pub fn held(&self) -> usize {
        let at_hand = if self.at_hand == AtHand::Nothing { 0 } else { self.bytes.len() - self.from };
        at_hand + self.assembly.bytes()
    }

    /// Whether an access unit that was taken by [`Splitter::rest`] went on behind that, since the last call. What came
    /// later is left out.
    pub fn take_torn(&mut self) -> bool {
        std::mem::take(&mut self.assembly.torn)
    }

    /// Whether there were B pictures, whose decoding order mostly is not the order in which they are shown.
    pub fn has_b_pictures(&self) -> bool {
        self.assembly.has_b_pictures
    }

    /// What was passed over so far.
    pub fn stray(&self) -> &Stray {
        &self.assembly.stray
    }

    /// The sequence parameter set of the last access unit given, as far as it can be read.
    pub fn sps(&self) -> Option<&Sps> {
        self.assembly.given.sps.as_ref()
    }

    /// By how many pictures the last access unit given is shown later than it is decoded. 0 for all of a stream without
    /// B pictures.
    pub fn waits(&self) -> u32 {
        self.assembly.given.waits
    }

    /// Whether the last access unit given is a field that belongs to the frame of the one before.
    pub fn completes_frame(&self) -> bool {
        self.assembly.given.completes_frame
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
        if self.assembly.cut_short && passed.iter().any(|&byte| byte != 0) && !is_text(passed) {
            self.assembly.torn = true;
        } else {
            self.assembly.stray.saw_bytes(passed);
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
        let belongs = match NalUnit::new(without_zeros(start)) {
            None if is_whole => Belongs::Nowhere,
            None => Belongs::Unknown,
            Some(nal) => self.assembly.place(nal, is_whole),
        };
        self.at_hand = match belongs {
            Belongs::Unknown => return None,
            Belongs::Here | Belongs::Next => AtHand::Kept,
            Belongs::Nowhere => AtHand::Dropped,
        };
        Some(matches!(belongs, Belongs::Next))
    }

    /// Takes the NAL unit at hand, which ends at `end`.
    fn close(&mut self, end: usize) {
        let whole = without_zeros(&self.bytes[self.from..end]);
        let bytes = without_text(whole);
        self.assembly.stray.saw_bytes(&whole[bytes.len()..]);
        let Some(nal) = NalUnit::new(bytes) else { return };
        self.assembly.stray.saw_unit(bytes);
        if self.at_hand == AtHand::Kept {
            self.assembly.add(nal);
        }
    }
}

/// Leaves out `trailing_zero_8bits` and the next start code's `zero_byte`: a NAL unit never ends in a zero byte.
fn without_zeros(mut nal: &[u8]) -> &[u8] {
    while let [head @ .., 0] = nal {
        nal = head;
    }
    nal
}

#[cfg(test)]
mod tests;
