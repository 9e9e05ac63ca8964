//! Renders headless through EGL, encodes H.264 and writes it where go2rtc reads it.
//!
//! ```text
//! Tick -> Renderer -> picture -> Encoder -> AccessUnit -> Format -> Sink
//! ```
//!
//! To stream your own GL drawing, implement [`Renderer`] and hand it to [`stream`]; `examples/own_renderer.rs` does so
//! in a few lines. For GL calls of your own, [`glow`] has the bindings that [`gl::Gl::glow`] returns.
//!
//! # Floors
//!
//! The source is a house of six floors. A room is a module of this crate; it uses what lies below it, and rooms of its own
//! floor as long as no circle comes of it, neither between rooms nor between the files of one. `tests/floors` reads these
//! two tables and holds every file to them.
//!
//! | floor | rooms | what lives there | may use |
//! |---|---|---|---|
//! | 0 words | `codec` `color` `error` `events` `nvidia` `pacer` `pulse` `settings` `stats` | values and decisions, without I/O | floor 0 |
//! | 1 machine | `control` `cuda` `gl` `gpu` `nvenc` `openh264` `os` | the operating system and the drivers | floors 0 to 1 |
//! | 2 stages | `encoder` `format` `sink` `source` | what a picture passes through | floors 0 to 2 |
//! | 3 stream | `doctor` `remux` `stream` | one stream from start to end, and the self-check | floors 0 to 3 |
//! | 4 service | `service` | the processes that serve readers | floors 0 to 4 |
//! | 5 program | `cli` `fuzz` | the command line and the exit codes; what fuzzing tries | floors 0 to 5 |
//!
//! | what | only in | because |
//! |---|---|---|
//! | `clap` | `cli` | the library needs no command line |
//! | `unsafe` | floor 1 | it is read in one place |
//! | `std::process::exit` | `cli.rs` `os` | who ends the program runs no destructor of somebody else |
//! | `crate::gl` | `gl` `gpu` `encoder` `source` `doctor` | pictures are drawn, encoded and checked there |
//! | `crate::gl::Gl` | `stream` `cli` | they hand it from one to another, for renderers are made with it |
//! | `crate::gl::Hardware` | `stream` | a stream can be asked what draws it |
//! | `crate::cuda` | `cuda` `nvenc` `gpu` `encoder` `doctor` | CUDA knows no GL, and GL no CUDA |
//! | `crate::nvenc` | `nvenc` `encoder` `doctor` | the encoder hides which one it is |
//! | `crate::gpu` | `gpu` `encoder` `source` `doctor` | a stream does not choose its GPU |
//! | lines of a file | at most 420 | a file has one noun |

#![cfg_attr(
    not(feature = "cli"),
    allow(dead_code, unused_imports, reason = "the program alone uses some of what lies below it")
)]

mod codec;
mod color;
mod error;
#[cfg(feature = "cli")]
mod events;
mod nvidia;
mod pacer;
mod pulse;
pub mod settings;
mod stats;

mod control;
mod cuda;
pub mod gl;
mod gpu;
mod nvenc;
mod openh264;
mod os;

mod encoder;
mod format;
mod sink;
mod source;

#[cfg(feature = "cli")]
mod doctor;
#[cfg(feature = "cli")]
mod remux;
pub mod stream;

#[cfg(feature = "cli")]
mod service;

#[cfg(feature = "cli")]
mod cli;

pub use control::Control;
pub use error::{Error, Fault};
pub use glow;
pub use settings::Settings;
pub use sink::Output;
pub use source::{Drawn, Frame, Frames, Renderer};
pub use stats::Totals;

/// The program `mb-encode`, from its command line to its exit code.
#[cfg(feature = "cli")]
#[doc(hidden)]
pub use cli::run as main;

#[cfg(all(fuzzing, feature = "cli"))]
#[doc(hidden)]
pub mod fuzz;

/// What this project's own tests and examples look at. Nothing here is promised to stay.
#[doc(hidden)]
pub mod parts {
    pub use crate::codec::{AccessUnit, NalUnit, NalUnitType, START_CODE_LONG, nal_units};
    pub use crate::color::{KB, KG, KR, ycbcr_from_rgb};
    pub use crate::cuda::CudaContext;
    pub use crate::encoder::{HostPicture, Lost, Nvenc, Openh264, Profile, Readback};
    pub use crate::format::byte_stream;
    pub use crate::gl::{Said, strings as egl_strings};
    pub use crate::gpu::{Candidate, candidates, open_cuda, open_gl};
    pub use crate::nvidia::{API_FLOOR, DRIVER_CAPABILITIES, DRIVER_FLOOR};
    pub use crate::os::dl::open as open_library;
    pub use crate::source::TestCard;
    pub use crate::source::strip::{Mark, Strip};
    pub use crate::source::testcard::Layout;
    #[cfg(feature = "cli")]
    pub use crate::source::{Shader, ShaderScene};
    pub use crate::stats::STAGE;
}
