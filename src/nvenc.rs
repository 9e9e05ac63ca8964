//! NVENC: the encoder on the GPU, through a thin wrapper of the vendor's C interface.
//!
//! The structs, GUIDs and version words are those of the oldest driver's API, which the bindings are made from. Statuses stay numbers throughout, and
//! what the driver fills in is read field by field: a newer driver may answer with values that the bindings' enums do
//! not know.

mod api;
mod config;
mod input;
mod params;
mod session;
mod status;

pub use api::Api;
pub use config::{Capabilities, Config};
pub use input::Input;
pub use session::Session;
pub use status::no_encoder_at;
