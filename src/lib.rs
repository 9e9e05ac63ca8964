//! Renders headless through EGL, encodes H.264 and writes it where go2rtc reads it.
//!
//! ```text
//! Tick -> Renderer -> picture -> Encoder -> AccessUnit -> Sink
//! ```
//!
//! To stream your own GL drawing, implement [`Renderer`] and hand it to [`stream`]; `examples/own_renderer.rs` does so
//! in a few lines. The parts, from the ground up, each using only those before it:
//!
//! | floor | modules |
//! |---|---|
//! | words: pure, no I/O | [`error`], [`settings`], [`color`], [`h264`], [`mpegts`], [`pacer`], [`stats`] |
//! | drivers: all `unsafe` | [`control`], [`gl`], [`cuda`], [`nvenc`] |
//! | stages | [`render`], [`encoder`], [`sink`] |
//! | assembly | [`mod@stream`], [`mod@wrap`], [`doctor`] |

pub mod color;
pub mod control;
pub mod cuda;
mod dl;
pub mod doctor;
pub mod encoder;
pub mod error;
pub mod gl;
pub mod h264;
pub mod mpegts;
pub mod nvenc;
mod openh264;
pub mod pacer;
pub mod render;
pub mod settings;
pub mod sink;
pub mod stats;
mod stdio;
pub mod stream;
pub mod wrap;

pub use control::Control;
pub use error::Error;
pub use render::{Frame, Renderer};
pub use settings::Settings;
pub use sink::Output;
