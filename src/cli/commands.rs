//! A file each for what is behind a subcommand, and one for the stream that is made without any.

pub mod completions;
pub mod doctor;
pub mod explain;
pub mod gate;
pub mod go2rtc_config;
pub mod gpus;
pub mod man;
pub mod mpegts;
pub mod status;
pub mod stream;
pub mod supervise;
