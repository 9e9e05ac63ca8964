//! The size of a picture.

use crate::error::Error;
use std::fmt;

/// Smallest width and height in pixels.
pub const MIN_SIDE: u32 = 64;
/// Largest width and height in pixels; what NVENC's H.264 encoder takes.
pub const MAX_SIDE: u32 = 4096;

/// Width and height in pixels, both even (4:2:0) and from [`MIN_SIDE`] to [`MAX_SIDE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Size {
    width: u32,
    height: u32,
}

impl Default for Size {
    /// 1280x720.
    fn default() -> Self {
        Self { width: 1280, height: 720 }
    }
}

impl Size {
    /// Checks both sides.
    ///
    /// # Errors
    /// A side that is odd or out of range.
    pub fn new(width: u32, height: u32) -> Result<Self, Error> {
        for (name, side) in [("width", width), ("height", height)] {
            Self::check_side(side).map_err(|what| Error::input("", format!("{name} {side}: {what}"), String::new()))?;
        }
        Ok(Self { width, height })
    }

    /// Checks one side alone; the error names the nearest legal values.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the side.
    pub fn check_side(side: u32) -> Result<u32, String> {
        if !(MIN_SIDE..=MAX_SIDE).contains(&side) {
            return Err(format!("must be an even number from {MIN_SIDE} to {MAX_SIDE}"));
        }
        if side % 2 == 1 {
            return Err(format!("must be even, from {MIN_SIDE} to {MAX_SIDE}: write {} or {}", side - 1, side + 1));
        }
        Ok(side)
    }

    /// Width in pixels.
    pub fn width(self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(self) -> u32 {
        self.height
    }

    /// Number of pixels.
    pub fn pixels(self) -> usize {
        self.width as usize * self.height as usize
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_even_and_bounded() {
        assert!(Size::new(64, 4096).is_ok());
        for side in [0, 62, 65, 4095, 4098, u32::MAX] {
            assert!(Size::new(side, 720).is_err());
            assert!(Size::new(1280, side).is_err());
        }
    }
}
