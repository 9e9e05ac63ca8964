//! Access units, the NAL units in them, and the byte stream of H.264 annex B that encoders and other programs write.
//!
//! An [`AccessUnit`] knows no byte layout: it holds NAL units, and a [`format`](crate::format) lays them out. The encoders
//! make no B pictures, so decoding order is output order and DTS equals PTS, but for streams of other programs.

mod access_unit;
#[cfg(feature = "cli")]
mod assembly;
mod coded;
#[cfg(feature = "cli")]
mod foreign;
mod h264;
#[cfg(all(test, feature = "cli"))]
mod made;
#[cfg(feature = "cli")]
mod order;
mod repeat;
#[cfg(feature = "cli")]
mod sets;
#[cfg(feature = "cli")]
mod slice;
#[cfg(feature = "cli")]
mod splitter;
#[cfg(feature = "cli")]
mod stray;

pub use access_unit::{AccessUnit, room_for};
pub use h264::{ACCESS_UNIT_DELIMITER, NalUnit, NalUnitType, START_CODE_LONG, START_CODE_SHORT, nal_units};
pub use repeat::repeat_idr;
#[cfg(feature = "cli")]
pub use {
    foreign::{Cure, Foreign, HEAD, recognise},
    splitter::Splitter,
};
