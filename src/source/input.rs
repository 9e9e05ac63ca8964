//! Pictures that other programs make: read, brought to the stream's size and colours, and shown as they come.

mod intake;
mod unixfd;

pub use intake::{Arrived, Intake, Keep, Next, Over};
pub use unixfd::UnixFd;
