//! OpenH264, opened without a word.
//!
//! The library writes warnings to standard error while it starts, before its safe wrapper can lower the level. Here
//! that is done first: standard error belongs to people, and go2rtc shows them its first 512 bytes.

use crate::error::Error;
use ::openh264::OpenH264API;
use ::openh264::encoder::{Encoder, EncoderConfig};
use openh264_sys2::{ENCODER_OPTION_TRACE_LEVEL, WELS_LOG_QUIET};

/// An encoder with this configuration. It takes its size from the first picture.
///
/// # Errors
/// Out of memory.
pub fn open(config: EncoderConfig) -> Result<Encoder, Error> {
    let mut encoder = Encoder::with_api_config(OpenH264API::from_source(), config)
        .map_err(|error| Error::machine("OpenH264 does not start", "free some memory").caused_by(error))?;
    let mut level = WELS_LOG_QUIET;
    // SAFETY: the option takes a pointer to an `int`, reads it during the call, and is one of the few that are legal
    // before the encoder has parameters; the wrapper sets the same one and relies on no other value.
    let status = unsafe { encoder.raw_api().set_option(ENCODER_OPTION_TRACE_LEVEL, (&raw mut level).cast()) };
    if status != 0 {
        tracing::debug!(status, "OpenH264 keeps its log level");
    }
    Ok(encoder)
}
