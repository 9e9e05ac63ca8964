//! What the test targets share. Each uses its own part of it.
#![allow(dead_code, reason = "each test target uses a part")]

pub mod browser;
pub mod children;
pub mod decode;
pub mod go2rtc;
pub mod http;
pub mod parts;
pub mod process;
pub mod turn;
