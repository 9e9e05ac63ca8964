//! The program with the parts that people use it with: a real go2rtc, a real ffmpeg, a real browser.
#![allow(clippy::print_stderr, reason = "delays are reported, not asserted")]

#[path = "../support/mod.rs"]
mod support;

mod browser;
mod colours;
mod go2rtc;
mod sizes;

use mb_encode::settings::Size;
use std::path::Path;
use support::process::mb_encode;
use support::turn::alone;

fn size(width: u32, height: u32) -> Size {
    Size::new(width, height).expect("a legal size")
}

/// `mb-encode` as the source of a go2rtc stream, with `options` after it.
fn exec_source(options: &str) -> String {
    let program = mb_encode();
    format!("exec:{} {options}{TAIL}", program.get_program().to_str().expect("a path without odd characters"))
}

/// `cat` of a FIFO as the source of a go2rtc stream.
fn cat_source(fifo: &Path) -> String {
    format!("exec:cat {}{TAIL}", fifo.display())
}

/// As the manual writes it.
const TAIL: &str = "#video=h264#raw#killsignal=15#killtimeout=5";
