//! What the test targets share, with the program on a machine whose NVIDIA driver is the simulated one.
#![allow(dead_code, reason = "each test target uses a part")]

#[path = "../support/children.rs"]
pub mod children;
#[path = "../support/decode.rs"]
pub mod decode;
#[path = "../support/go2rtc.rs"]
pub mod go2rtc;
#[path = "../support/http.rs"]
pub mod http;
#[path = "../support/parts.rs"]
pub mod parts;
#[path = "../support/process.rs"]
mod plain;
#[path = "../support/sim.rs"]
pub mod sim;

pub mod process {
    pub use super::plain::*;
    use super::sim;
    use std::path::Path;
    use std::process::Command;

    /// `mb-encode` with `--encoder nvenc`, in the environment so that a test can say otherwise, and the simulated drivers.
    pub fn mb_encode() -> Command {
        mb_encode_with(sim::drivers())
    }

    /// The same with the drivers in another folder.
    pub fn mb_encode_with(drivers: &Path) -> Command {
        let mut command = super::plain::mb_encode();
        command.env("MB_ENCODE_ENCODER", "nvenc").env("LD_LIBRARY_PATH", sim::library_path(drivers));
        command
    }
}
