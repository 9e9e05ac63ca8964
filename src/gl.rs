//! OpenGL without a window: the EGL context, and the few objects that pictures are drawn with.
//!
//! All calls into EGL and GL are made here; what this room hands out is safe to use. Everything it hands out holds
//! the context alive and stays on its thread. Which GPU a context is opened on is decided elsewhere.

mod context;
mod display;
mod download;
mod egl;
mod import;
mod nv12;
mod program;
mod reset;
mod strings;
mod target;
mod texture;

pub(crate) use context::PassedOver;
pub use context::{Gl, Hardware};
pub(crate) use download::Download;
pub(crate) use egl::{Device, INSTALL_EGL, Survey};
pub(crate) use import::{DeviceImage, DevicePlane, Importer, LINEAR};
pub(crate) use nv12::{Nv12, Plane};
pub use program::{Program, WHOLE_TARGET};
#[doc(hidden)]
pub use strings::{Said, strings};
pub use target::Target;
pub use texture::{Region, Texture};
