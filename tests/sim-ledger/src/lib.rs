//! What the simulated drivers share: their settings, the faults and hangs they were ordered to show, the time
//! they take to come up, and the report they leave behind.
//!
//! Each driver holds one static [`Ledger`] and one static [`Call`] per exported function, so that
//! counting a call costs two atomic operations and no allocation: the drivers are also used to
//! measure the CPU time of the code that calls them.
//!
//! It never prints, and it knows neither CUDA nor NVENC.

mod fault;
pub mod gate;
mod hang;
mod ledger;
mod once;
pub mod setting;
mod start;

pub use ledger::{Call, Ledger};
