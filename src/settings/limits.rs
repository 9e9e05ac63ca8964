//! How long a stream may take for a step until it counts as hung.

use std::time::Duration;

/// The longest that each step may take. A stream that takes longer makes no progress any more, usually because a driver hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Opening everything, up to the first picture.
    pub opening: Duration,
    /// One picture in the renderer, in reading back or in the encoder.
    pub picture: Duration,
}

impl Default for Limits {
    /// A minute for opening, 5 s for a picture.
    fn default() -> Self {
        Self { opening: Duration::from_secs(60), picture: Duration::from_secs(5) }
    }
}
