//! go2rtc: what it is told.

pub mod api;
pub mod config;
pub mod lock;
pub mod safe;
