//! Which GPU draws or encodes, and how CUDA sees what was drawn. The only room that knows both GL and CUDA.

mod candidates;
mod choose;
mod interop;

pub use candidates::{Candidate, candidates};
pub use choose::{Opened, Warmth, find_gl, gpu_of, open_beside_cuda, open_cuda, open_gl, other_gpus};
pub use interop::{GlImages, is_apart};
