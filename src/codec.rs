//! Access units, the NAL units in them, and the byte stream of H.264 annex B that encoders and other programs write.
//!
//! An [`AccessUnit`] knows no byte layout: it holds NAL units, and a [`format`](crate::format) lays them out. There are
//! no B pictures, so decoding order is output order and DTS equals PTS throughout this crate.

mod access_unit;
mod coded;
mod h264;
#[cfg(feature = "cli")]
mod splitter;

pub use access_unit::{AccessUnit, room_for};
pub use h264::{ACCESS_UNIT_DELIMITER, NalUnit, NalUnitType, START_CODE_LONG, START_CODE_SHORT, nal_units};
#[cfg(feature = "cli")]
pub use splitter::Splitter;
