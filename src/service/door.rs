//! Where readers come from.

mod fifo;

pub use fifo::{Fifo, FifoPlace};
