//! Which API version the simulated driver speaks, and which it therefore accepts.
//!
//! A driver takes every version up to its own. The structs known here are those of 12.1 alone, so
//! for a driver below 12.1 every version word is one from the future.

use sim_ledger::setting;
use std::sync::OnceLock;

/// What the structs of this crate are: `(major, minor)`.
const OURS: (u32, u32) = (12, 1);

/// The newest version the driver speaks, as `MB_SIM_NVENC_VERSION` gives it.
pub(crate) fn newest() -> (u32, u32) {
    static NEWEST: OnceLock<(u32, u32)> = OnceLock::new();
    *NEWEST.get_or_init(|| match setting::text(setting::NVENC_VERSION) {
        None => OURS,
        Some(text) => text
            .split_once('.')
            .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)))
            .unwrap_or_else(|| panic!("{}={text}: expected 12.1", setting::NVENC_VERSION)),
    })
}

/// Whether the driver is new enough for the structs of 12.1.
pub(crate) fn accepted() -> bool {
    newest() >= OURS
}
