//! Access units and NAL units as an Annex B byte stream (H.264 annex B), in the one layout that go2rtc cuts
//! correctly.
//!
//! go2rtc reads a raw stream without parsing slices. It starts a new packet at every **4-byte** start code that is
//! followed by a NAL unit of type 1 or 7, and looks for the next one from byte 10 of a packet on. [`AccessUnit`]
//! therefore holds:
//!
//! - a 4-byte start code before SPS, PPS and the first slice, a 3-byte one before anything else;
//! - SPS and PPS in front of every IDR picture, so that a packet starts there;
//! - no access unit delimiter, and no SEI: nobody here needs one, and one in front of a picture would be mistaken for it;
//! - at least [`MIN_BYTES`], and in the first one of a stream [`MIN_BYTES_FIRST`], made up by filler data.
//!
//! There are no B pictures, so decoding order is output order and DTS equals PTS throughout this crate.

mod access_unit;
mod h264;
mod splitter;

pub use access_unit::{AccessUnit, MIN_BYTES, MIN_BYTES_FIRST, room_for};
pub use h264::{ACCESS_UNIT_DELIMITER, NalUnit, NalUnitType, START_CODE_LONG, START_CODE_SHORT, nal_units};
pub use splitter::Splitter;
