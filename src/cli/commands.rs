//! A file each for what is behind a subcommand.

pub mod doctor;
pub mod explain;
pub mod mpegts;
