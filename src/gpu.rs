//! Which GPU draws, and how CUDA sees what it drew. The only room that knows both GL and CUDA.

mod choose;
mod interop;

pub use choose::{open_cuda, open_gl};
pub use interop::GlImages;
