//! Processes that serve: a worker, go2rtc beside workers, and what keeps them running.

mod account;
pub mod backoff;
pub mod broadcast;
pub mod door;
pub mod exit;
pub mod go2rtc;
pub mod http;
pub mod input;
mod metrics;
pub mod role;
mod stall;
pub mod streams;
pub mod supervisor;
pub mod watched;
pub mod worker;
