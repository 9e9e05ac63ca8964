//! The operating system: processes, signals, descriptors, files, libraries.

#[cfg(feature = "cli")]
pub mod atomic_file;
#[cfg(feature = "cli")]
pub mod claim;
pub mod dl;
pub mod environment;
pub mod event;
#[cfg(feature = "cli")]
pub mod holders;
#[cfg(feature = "cli")]
pub mod link;
pub mod listener;
#[cfg(feature = "cli")]
pub mod openings;
pub mod others;
pub mod poll;
#[cfg(feature = "cli")]
pub mod ports;
pub mod process;
#[cfg(feature = "cli")]
pub mod sealed;
pub mod shared_memory;
#[cfg(feature = "cli")]
pub mod sockets;
pub mod stdio;
pub mod threads;
