//! CUDA: the driver, the context of one GPU, and memory on it. It knows no GL.

mod buffer;
mod calls;
mod context;
mod driver;
mod start;
mod status;

pub use buffer::PitchedBuffer;
pub use context::CudaContext;
pub use driver::Driver;
pub use start::{Kept, Starting, Wants};
pub use status::{NO_DEVICE, check, described, failed, is_dead, note};

/// Whether an NVIDIA driver is installed, working or not.
pub fn is_installed() -> bool {
    crate::os::dl::open("libcuda.so.1").is_ok()
}
