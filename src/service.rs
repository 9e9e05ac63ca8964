//! Processes that serve: a worker, go2rtc beside workers, and what keeps them running.

mod account;
pub mod backoff;
pub mod broadcast;
pub mod door;
pub mod exit;
pub mod go2rtc;
pub mod gpus;
pub mod http;
pub mod input;
mod metrics;
mod rehearsal;
mod relay;
pub mod role;
pub mod spare;
mod stall;
mod start;
pub mod streams;
pub mod supervisor;
pub mod terms;
mod turn;
pub mod watched;
pub mod worker;
