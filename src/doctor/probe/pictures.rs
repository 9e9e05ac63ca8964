//! What is asked of encoded pictures, from any encoder.

use crate::codec::AccessUnit;
use crate::error::Error;

/// How many pictures are encoded: an IDR picture and some that build on it.
pub const CODED: u64 = 4;

/// The decoder that checks them.
///
/// # Errors
/// Out of memory.
pub fn decoder() -> Result<::openh264::decoder::Decoder, Error> {
    ::openh264::decoder::Decoder::new().map_err(|error| {
        Error::machine("openh264-failed", "OpenH264's decoder does not start", "free some memory").caused_by(error)
    })
}

/// Whether an access unit is one that a stream may have at `index`.
///
/// # Errors
/// It is not.
pub fn check_unit(unit: &AccessUnit, index: u64) -> Result<(), Error> {
    let fault = match unit.layout_fault() {
        Some(fault) => fault,
        None if unit.is_idr() != (index == 0) => "an IDR picture comes when none was asked for, or none at the start",
        None => return Ok(()),
    };
    Err(Error::machine(
        "bad-access-unit",
        format!("the encoder produced an access unit that go2rtc would split wrongly: {fault}"),
        "",
    ))
}

/// The error for what `encoder` encodes and a decoder refuses.
pub fn not_decoded(encoder: &str) -> Error {
    Error::machine("encoder-wrong", format!("what {encoder} encodes cannot be decoded"), "")
}
