//! Gives the library the SONAME of the real one, so that both names lead to the copy that is loaded already.

#![allow(clippy::print_stdout)] // How a build script talks to cargo.

fn main() {
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libEGL.so.1");
    println!("cargo::rerun-if-changed=build.rs");
}
