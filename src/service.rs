//! Processes that serve: a worker, go2rtc beside workers, and what keeps them running.

pub mod door;
pub mod go2rtc;
pub mod supervisor;
pub mod worker;
