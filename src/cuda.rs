//! CUDA: the context of the GPU that draws, memory on it, and GL textures as it sees them.

mod buffer;
mod driver;
mod gl_image;

pub use buffer::PitchedBuffer;
pub use driver::{CudaContext, Driver};
pub use gl_image::GlImages;
