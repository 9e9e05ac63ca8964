//! Renders headless through EGL, encodes H.264 and writes it where go2rtc reads it.
//!
//! ```text
//! Tick -> Renderer -> picture -> Encoder -> AccessUnit -> Format -> Sink
//! ```
//!
//! To stream your own GL drawing, implement [`Renderer`] and hand it to [`stream`]; `examples/own_renderer.rs` does so
//! in a few lines. Who draws with their own GL calls finds the bindings that [`gl::Gl::glow`] speaks in [`glow`].

#![cfg_attr(
    not(feature = "cli"),
    allow(dead_code, unused_imports, reason = "the program alone uses some of what lies below it")
)]

// Floor 0: words. Pure, no I/O.
mod codec;
mod color;
mod error;
mod nvidia;
mod pacer;
mod pulse;
pub mod settings;
mod stats;
// Floor 1: the machine. All `unsafe` lives here.
mod control;
mod cuda;
pub mod gl;
mod gpu;
mod nvenc;
mod openh264;
mod os;
// Floor 2: stages.
mod encoder;
mod format;
mod sink;
mod source;
// Floor 3: one stream.
#[cfg(feature = "cli")]
mod doctor;
#[cfg(feature = "cli")]
mod remux;
pub mod stream;
// Floor 4: processes that serve.
#[cfg(feature = "cli")]
mod service;
// Floor 5: the program.
#[cfg(feature = "cli")]
mod cli;

pub use control::Control;
pub use error::{Error, Fault};
pub use glow;
pub use settings::Settings;
pub use sink::Output;
pub use source::{Frame, Renderer};
pub use stats::Totals;

/// The program `mb-encode`, from its command line to its exit code.
#[cfg(feature = "cli")]
#[doc(hidden)]
pub use cli::run as main;

/// What this project's own tests and examples look at. Nothing here is promised to stay.
#[doc(hidden)]
pub mod parts {
    pub use crate::codec::{AccessUnit, NalUnit, NalUnitType, START_CODE_LONG, nal_units};
    pub use crate::color::{KB, KG, KR, ycbcr_from_rgb};
    pub use crate::cuda::CudaContext;
    pub use crate::encoder::{Encoder, HostPicture, Profile, Readback};
    pub use crate::gpu::open_cuda;
    pub use crate::nvidia::{API_FLOOR, DRIVER_CAPABILITIES, DRIVER_FLOOR};
    pub use crate::source::TestCard;
    pub use crate::source::strip::{Mark, Strip};
    pub use crate::source::testcard::Layout;
    pub use crate::stats::STAGE;
}
