//! A test-only `libnvidia-encode.so.1`: an H.264 encoder whose decoded pixels equal its input.
//!
//! It keeps the vendor's rules for one CUDA session at a time or many: struct versions, call order,
//! what must be registered, mapped and locked before what. It fetches its input through the CUDA
//! driver API alone, with the session's context pushed, so it works on the simulated CUDA driver and
//! on a real one whose GPU has no encoder.
//!
//! Pictures are written as I_PCM macroblocks, and as skipped ones where nothing changed, behind the
//! parameter sets that the given configuration asks for. It never compresses, controls no rate,
//! never delays a picture, and takes NV12 and I420 only. Its settings are listed in `sim_ledger::setting`.

#[macro_use]
mod caller;

mod api;
mod asked;
mod capability;
mod config;
mod cuda;
mod encode;
mod h264;
mod input;
mod output;
mod picture;
mod preset;
mod query;
mod session;
mod slot;
mod status;
mod version;
