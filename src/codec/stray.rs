//! What of a stream belongs to no picture that can be decoded, counted for whoever has to say so.

use super::foreign::{H265, is_h265_parameter_set, looks_like_h265};
use super::{Foreign, NalUnit, NalUnitType};

/// So many NAL units that look like those of H.265, and none that does not, are no accident.
const MANY: u64 = 8;
/// How the lines begin that `gst-launch-1.0` prints to standard output, where its `fdsink` writes as well.
const LINES: [&[u8]; 13] = [
    b"Setting pipeline to ",
    b"Use Windows high-resolution clock",
    b"Pipeline is ",
    b"Prerolled, ",
    b"New clock: ",
    b"Redistribute latency...",
    b"Got context from element",
    b"Got EOS from element",
    b"EOS on shutdown",
    b"handling interrupt.",
    b"Interrupt: ",
    b"Execution ended after ",
    b"Freeing pipeline ",
];

/// What was passed over, and what was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stray {
    /// Bytes that belong to no NAL unit.
    pub bytes: u64,
    /// How many of them were text.
    pub text: u64,
    /// Pictures that nobody could decode, and what is left of some.
    pub pictures: u64,
    /// NAL units that arrived.
    pub units: u64,
    like_h265: u64,
    h265_sets: bool,
}

impl Stray {
    /// Counts bytes that belong to no NAL unit. The zeros in front of a start code are no such bytes.
    pub(super) fn saw_bytes(&mut self, bytes: &[u8]) {
        if let Some(last) = bytes.iter().rposition(|&byte| byte != 0) {
            let bytes = &bytes[..=last];
            self.bytes += bytes.len() as u64;
            self.text += if is_text(bytes) { bytes.len() as u64 } else { 0 };
        }
    }

    /// Counts a NAL unit.
    pub(super) fn saw_unit(&mut self, nal: &[u8]) {
        self.units += 1;
        if looks_like_h265(nal) {
            self.like_h265 += 1;
            self.h265_sets |= is_h265_parameter_set(nal);
        }
    }

    /// What the stream is, if it is not H.264.
    pub fn foreign(&self) -> Option<Foreign> {
        let all = self.like_h265 == self.units;
        (all && (self.h265_sets && self.units > 1 || self.units >= MANY)).then_some(H265)
    }

    /// Whether anything was passed over.
    pub fn is_any(&self) -> bool {
        self.bytes > 0 || self.pictures > 0
    }
}

/// Whether this is something that a program prints.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    // The colours that a terminal would show begin with an escape.
    let is_printed = |character: char| !character.is_control() || matches!(character, '\n' | '\r' | '\t' | '\u{1b}');
    std::str::from_utf8(bytes).is_ok_and(|text| text.chars().all(is_printed))
}

fn is_character(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\n' | b'\r' | b'\t')
}

/// Takes lines of text off the end of a NAL unit. Its own last bytes may look like characters too, so text begins where a
/// line does that is known.
pub(super) fn without_text(nal: &[u8]) -> &[u8] {
    if nal.last() != Some(&b'\n') {
        return nal;
    }
    let text = nal.len() - nal.iter().rev().take_while(|&&byte| is_character(byte)).count();
    let starts = LINES.iter().filter_map(|line| memchr::memmem::find(&nal[text..], line));
    starts.min().map_or(nal, |start| &nal[..text + start])
}

/// Whether a NAL unit is one that streams may have: neither broken, nor of a type that RTP gives a meaning of its own
/// (H.264 table 7-1, RFC 6184 table 1).
pub(super) fn is_sound(nal: NalUnit<'_>) -> bool {
    nal.bytes()[0] & 0x80 == 0 && !matches!(nal.nal_unit_type(), NalUnitType::Other(0 | 22..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_behind_a_nal_unit_is_taken_off() {
        let text = b"\x61\xe0\x80ABGot EOS from element \"pipeline0\".\nExecution ended after 0:00:01.0\n";
        assert_eq!(without_text(text), b"\x61\xe0\x80AB");
        for whole in [
            &b"\x61\xe0\x80"[..],
            b"\x61\xe0\x80something that is shorter\n",
            b"\x06\x05x264 - core 164 options: ref=1\x80",
        ] {
            assert_eq!(without_text(whole), whole);
        }
    }

    #[test]
    fn what_programs_print_is_text() {
        for text in ["Leitung wird auf PAUSIERT gesetzt …\n", "\u{1b}[32mok\u{1b}[0m\r\n"] {
            assert!(is_text(text.as_bytes()), "{text}");
        }
        assert!(!is_text(&[0x41, 0xe0, 0x80]) && !is_text(&[b'a', 0, b'b']));
    }

    #[test]
    fn h265_is_known_by_its_parameter_sets_or_by_many_slices() {
        let seen = |units: &[&[u8]]| {
            let mut stray = Stray::default();
            units.iter().for_each(|nal| stray.saw_unit(nal));
            stray.foreign()
        };
        assert_eq!(seen(&[&[0x46, 1], &[0x40, 1]]), Some(H265));
        assert_eq!(seen(&[&[0x02, 1][..]; 8]), Some(H265));
        assert_eq!(seen(&[&[0x02, 1][..]; 7]), None);
        assert_eq!(seen(&[&[0x40, 1], &[0x42, 1], &[0x67, 1]]), None);
    }
}
