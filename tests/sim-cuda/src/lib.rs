//! A test-only `libcuda.so.1`: GL interop and 2D copies, played in host memory.
//!
//! It keeps the driver's rules for the calls between an OpenGL texture and a hardware encoder, and
//! refuses what the real driver refuses, with the same number. A mapped texture shows the pixels
//! that the current OpenGL context really drew. A `CUdeviceptr` is a host address inside an
//! allocation of this library, but nobody outside may rely on that.
//!
//! It never runs kernels, never touches a GPU, and answers every function that it does not play with
//! `CUDA_ERROR_NOT_SUPPORTED`. Its settings are listed in `sim_ledger::setting`.

#[macro_use]
mod caller;

mod array;
mod context;
mod copy;
mod device;
mod driver;
mod event;
mod gl;
mod graphics;
mod lost;
mod memory;
mod not_supported;
mod place;
mod status;
mod stream;
mod vendor;
