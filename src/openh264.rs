//! OpenH264 itself: its encoder, and what can be asked of the library.

mod session;

pub use session::{Failed, Parameters, Session};

use openh264_sys2::{API as _, DynamicAPI, OpenH264Version};

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
