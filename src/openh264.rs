//! OpenH264, opened without a word.
//!
//! The library writes warnings to standard error while it starts, before its safe wrapper can lower the level. Here
//! that is done first: standard error belongs to people, and go2rtc shows them its first 512 bytes.

use crate::error::Error;
use ::openh264::OpenH264API;
use ::openh264::encoder::{Encoder, EncoderConfig};
use openh264_sys2::{API as _, DynamicAPI, ENCODER_OPTION_TRACE_LEVEL, OpenH264Version, WELS_LOG_QUIET};

/// An encoder with this configuration. It takes its size from the first picture.
///
/// # Errors
/// Out of memory.
pub fn open(config: EncoderConfig) -> Result<Encoder, Error> {
    let mut encoder = Encoder::with_api_config(OpenH264API::from_source(), config).map_err(|error| {
        Error::machine("openh264-failed", "OpenH264 does not start", "free some memory").caused_by(error)
    })?;
    let mut level = WELS_LOG_QUIET;
    // SAFETY: the option takes a pointer to an `int`, reads it during the call, and is one of the few that are legal
    // before the encoder has parameters; the wrapper sets the same one and relies on no other value.
    let status = unsafe { encoder.raw_api().set_option(ENCODER_OPTION_TRACE_LEVEL, (&raw mut level).cast()) };
    if status != 0 {
        tracing::debug!(status, "OpenH264 keeps its log level");
    }
    Ok(encoder)
}

/// The library's version, as `2.6.0`.
pub fn version() -> String {
    let mut version = OpenH264Version { uMajor: 0, uMinor: 0, uRevision: 0, uReserved: 0 };
    // SAFETY: the function writes the struct that it is given, and keeps nothing.
    unsafe { DynamicAPI::from_source().WelsGetCodecVersionEx(&mut version) };
    format!("{}.{}.{}", version.uMajor, version.uMinor, version.uRevision)
}

/// Whether the library was built with assembly, and this processor can run it. A build without nasm (on x86) has none
/// and says nothing about it.
pub fn has_assembly() -> bool {
    unsafe extern "C" {
        /// The library's own question before it chooses its functions: what the processor can, as far as there is
        /// assembly for it. Built without, it answers 0 without looking (codec/common/src/cpu.cpp).
        fn WelsCPUFeatureDetect(processors: *mut std::ffi::c_int) -> u32;
    }
    let mut processors = 0;
    // SAFETY: the declaration is that of codec/common/inc/cpu.h, in the library that is linked in; the function writes
    // one number at most.
    unsafe { WelsCPUFeatureDetect(&mut processors) != 0 }
}
