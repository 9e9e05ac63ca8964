//! CUDA: the driver, the context of one GPU, and memory on it. It knows no GL.

mod buffer;
mod calls;
mod context;
mod driver;
mod status;

pub use buffer::PitchedBuffer;
pub use context::CudaContext;
pub use driver::Driver;
pub use status::{NO_DEVICE, check, described, failed};

/// Whether an NVIDIA driver is installed, working or not.
pub fn is_installed() -> bool {
    crate::os::dl::open("libcuda.so.1").is_ok()
}
