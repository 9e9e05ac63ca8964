//! Gives the simulated vendor a SONAME of its own, by which the simulated CUDA driver
//! finds the copy that libEGL has loaded already.

#![allow(clippy::print_stdout)] // How a build script talks to cargo.

fn main() {
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libEGL_sim.so.0");
    println!("cargo::rerun-if-changed=build.rs");
}
