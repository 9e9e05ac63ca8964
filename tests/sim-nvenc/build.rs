//! Gives the simulated driver the SONAME of the real one, so that a second `dlopen` by that name
//! finds the copy that is loaded already, as it does with the vendor's library.

#![allow(clippy::print_stdout)] // How a build script talks to cargo.

fn main() {
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libnvidia-encode.so.1");
    println!("cargo::rerun-if-changed=build.rs");
}
