//! OpenGL without a window: the EGL context, and the few objects that pictures are drawn with.
//!
//! All calls into EGL and GL are made here; what this room hands out is safe to use. Everything it hands out holds
//! the context alive and stays on its thread.

mod context;
mod objects;
mod planes;

pub use context::{Gl, Hardware, Survey, Surveyed};
pub use objects::{Program, Region, Target, Texture, WHOLE_TARGET};
pub use planes::{Nv12, Plane};
