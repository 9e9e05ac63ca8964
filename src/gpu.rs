//! Which GPU draws or encodes, and how CUDA sees what was drawn. The only room that knows both GL and CUDA.

mod choose;
mod interop;

pub use choose::{cuda_contexts, find_gl, open_cuda, open_gl};
pub use interop::GlImages;
