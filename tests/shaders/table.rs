//! The shaders of the corpus, the picture that they read, and the table of their colours.

use image::{Rgba, RgbaImage};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Pictures are this many pixels wide and high.
pub const SIDE: u32 = 64;
/// The picture that is looked at: `iFrame`.
pub const FRAME: usize = 1;
/// Pictures a second.
pub const RATE: u32 = 2;

/// How far a mean may be off, of 255.
pub const TOLERANCE: f64 = 2.0;

/// Who says what the colour of a shader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// The browser, which draws the shader.
    Browser,
    /// This table: the browser refuses what mb-encode takes.
    Own,
}

/// Mean red, green and blue, from 0 to 255.
pub type Colour = [f64; 3];

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shaders")
}

/// The path of the table.
pub fn path() -> PathBuf {
    folder().join("colours.txt")
}

/// The shaders by name.
pub fn corpus() -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(folder().join("corpus")).expect("the corpus");
    let shaders = entries.map(|entry| {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name in ASCII").to_owned();
        (name, std::fs::read_to_string(&path).expect("a text"))
    });
    shaders.collect()
}

/// The stored colours.
pub fn stored() -> BTreeMap<String, (Colour, Says)> {
    let text = std::fs::read_to_string(path()).expect("the table");
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let name = words.next().expect("a name").to_owned();
        let mut part = || words.next().and_then(|word| word.parse().ok()).expect("a part of a colour");
        let colour = [part(), part(), part()];
        let says = match words.next() {
            None => Says::Browser,
            Some("own") => Says::Own,
            Some(other) => panic!("{line}: what is {other}?"),
        };
        (name, (colour, says))
    };
    text.lines().filter(|line| !line.starts_with('#')).map(line).collect()
}

/// The table as text.
pub fn written(colours: &BTreeMap<String, (Colour, Says)>) -> String {
    let mut text = "# Mean red, green and blue of each shader in corpus/, 64x64 pixels, at iTime 0.5 and iFrame 1, as Chromium's\n\
                    # WebGL 2 draws it. `own`: a browser's page for Shadertoy refuses it, and mb-encode does not.\n\
                    # Made by: MB_SHADERS_WRITE=1 cargo test --test shaders webgl\n"
        .to_owned();
    for (name, ([red, green, blue], says)) in colours {
        let own = if *says == Says::Own { "  own" } else { "" };
        writeln!(text, "{name:<28}{red:>6.1} {green:>6.1} {blue:>6.1}{own}").expect("a String");
    }
    text
}

pub fn is_near(one: &Colour, other: &Colour) -> bool {
    one.iter().zip(other).all(|(one, other)| (one - other).abs() <= TOLERANCE)
}

/// What shaders read as `iChannel0`, the top row first: every texel another one, and the last one half transparent.
pub fn picture() -> RgbaImage {
    RgbaImage::from_fn(4, 4, |x, y| {
        let opacity = if (x, y) == (3, 3) { 128 } else { 255 };
        Rgba([20 + 60 * x as u8, 30 + 50 * y as u8, 15 * (x * y) as u8, opacity])
    })
}
