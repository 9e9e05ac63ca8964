//! Shaders as people have them: each convention in a file of its own, in the colour that a browser gives it.
//!
//! `corpus` has the shaders and `colours.txt` the mean colour of each: what Chromium's WebGL 2 draws where the file is
//! wrapped as Shadertoy does it. One test draws them there and compares the table, another one draws them with mb-encode.
//!
//! Needs ffmpeg, Mesa's EGL and Chromium: `apt install ffmpeg libegl1 libgl1-mesa-dri chromium chromium-driver`.

#[path = "../support/mod.rs"]
mod support;

mod channels;
mod drawn;
mod endless;
mod messages;
mod table;
mod texts;
mod webgl;
