//! Processes that serve: a worker, go2rtc beside workers, and what keeps them running.

pub mod backoff;
pub mod door;
pub mod exit;
pub mod go2rtc;
pub mod input;
pub mod role;
mod stall;
pub mod streams;
pub mod supervisor;
pub mod watched;
pub mod worker;
