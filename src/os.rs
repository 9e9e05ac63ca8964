//! The operating system: processes, signals, descriptors, files, libraries.

#[cfg(feature = "cli")]
pub mod atomic_file;
pub mod dl;
#[cfg(feature = "cli")]
pub mod environment;
#[cfg(feature = "cli")]
pub mod process;
#[cfg(feature = "cli")]
pub mod signals;
pub mod stdio;
