//! CUDA: the context of the GPU that draws, memory on it, and GL textures as it sees them.

mod buffer;
mod calls;
mod driver;
mod gl_image;

pub use buffer::PitchedBuffer;
pub use driver::{CudaContext, Driver};
pub use gl_image::GlImages;

/// Whether an NVIDIA driver is installed, working or not.
pub fn is_installed() -> bool {
    crate::dl::open("libcuda.so.1").is_ok()
}
