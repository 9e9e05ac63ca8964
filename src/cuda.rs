//! CUDA: the context of the GPU that draws, memory on it, and GL textures as it sees them.

mod buffer;
mod calls;
mod driver;

pub use buffer::PitchedBuffer;
pub(crate) use driver::check;
pub use driver::{CudaContext, Driver};

/// Whether an NVIDIA driver is installed, working or not.
pub fn is_installed() -> bool {
    crate::os::dl::open("libcuda.so.1").is_ok()
}
