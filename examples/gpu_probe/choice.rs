//! Whether EGL finds each GPU that CUDA shows, and the one that a stream takes by itself.

use crate::{Found, say};
use anyhow::ensure;
use mb_encode::Settings;
use mb_encode::parts::{candidates, open_cuda, open_gl};
use mb_encode::settings::EncoderChoice;
use serde_json::json;

/// # Errors
/// A GPU cannot be drawn with, or another one draws than the one that was asked for.
pub fn run() -> anyhow::Result<Found> {
    let mut names = Vec::new();
    for gpu in candidates(None)? {
        names.push(gpu.open()?.name());
    }
    let mut chosen = Vec::new();
    for device in std::iter::once(None).chain((0..names.len() as u32).map(Some)) {
        let settings = Settings { device, encoder: EncoderChoice::Nvenc, ..Settings::default() };
        let gl = open_gl(&settings)?;
        let cuda = open_cuda(&gl)?;
        let asked = device.map_or_else(|| "without --device".to_owned(), |ordinal| format!("--device {ordinal}"));
        let drawn_by = gl.hardware().to_string();
        say(&format!("{asked}: CUDA device {} ({}), drawn by {drawn_by}", cuda.ordinal(), cuda.name()));
        ensure!(device.is_none_or(|device| device == cuda.ordinal()), "{asked} takes CUDA device {}", cuda.ordinal());
        chosen.push(json!({ "asked": device, "device": cuda.ordinal(), "name": cuda.name(), "drawn_by": drawn_by }));
    }
    Ok(json!({ "devices": names, "chosen": chosen }))
}
