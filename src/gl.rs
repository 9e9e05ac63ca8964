//! OpenGL without a window: the EGL context, and the few objects that pictures are drawn with.
//!
//! All calls into EGL and GL are made here; what this room hands out is safe to use. Everything it hands out holds
//! the context alive and stays on its thread. Which GPU a context is opened on is decided elsewhere.

mod context;
mod egl;
mod import;
mod nv12;
mod program;
mod target;
mod texture;

pub use context::{Gl, Hardware};
pub(crate) use egl::{INSTALL_EGL, Survey};
pub(crate) use import::{DeviceImage, DevicePlane, Importer, LINEAR};
pub(crate) use nv12::{Nv12, Plane};
pub use program::{Program, WHOLE_TARGET};
pub use target::Target;
pub use texture::{Region, Texture};
