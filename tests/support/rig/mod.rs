//! The drivers' own customer: the whole path from an OpenGL texture to an access unit, call by call.
//!
//! It hands every status back as the number it was, so that a test can provoke each refusal. It is
//! for the tests of the simulated drivers; the program's tests run the program.

#![allow(dead_code)] // Every test program uses its own part.

pub mod cuda;
pub mod egl;
pub mod host;
pub mod live;
pub mod nvenc;
pub mod process;
