//! The formats of pictures in the memory of a device, by the names of drm_fourcc.h, which drivers go by.

use crate::gl::LINEAR;
use crate::settings::PixelFormat;
use std::fmt;

/// What a driver is told of pictures that lie in the memory of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceFormat {
    /// By drm_fourcc.h.
    pub fourcc: [u8; 4],
    /// How they lie there, likewise; `None` where the caps do not say.
    pub modifier: Option<u64>,
}

/// `DRM_FORMAT_MOD_INVALID`: the driver knows, or nobody does.
const UNTOLD_MODIFIER: u64 = 0x00ff_ffff_ffff_ffff;

impl DeviceFormat {
    /// Rows one below the other.
    pub fn linear(format: PixelFormat) -> Self {
        Self { fourcc: fourcc(format), modifier: Some(LINEAR) }
    }

    /// However the driver takes it to lie there.
    pub fn untold(format: PixelFormat) -> Self {
        Self { fourcc: fourcc(format), modifier: None }
    }

    /// Whether rows lie one below the other. Who does not say has them so, since GStreamer 1.24.
    pub fn is_linear(&self) -> bool {
        self.modifier.is_none_or(|modifier| modifier == LINEAR)
    }

    /// Reads a value of `drm-format`, as in `NV12:0x0100000000000002`.
    pub fn parse(text: &str) -> Option<(Self, PixelFormat)> {
        let (name, modifier) = match text.split_once(':') {
            Some((name, modifier)) => (name, u64::from_str_radix(modifier.trim().strip_prefix("0x")?, 16).ok()?),
            None => (text, LINEAR),
        };
        let mut fourcc = *b"    ";
        let name = name.trim().as_bytes();
        fourcc.get_mut(..name.len())?.copy_from_slice(name);
        let format = drm_format(&fourcc)?;
        Some((Self { fourcc, modifier: Some(modifier).filter(|it| *it != UNTOLD_MODIFIER) }, format))
    }
}

/// As `drm-format` has it.
impl fmt::Display for DeviceFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(String::from_utf8_lossy(&self.fourcc).trim_end())?;
        match self.modifier {
            Some(LINEAR) | None => Ok(()),
            Some(modifier) => write!(f, ":{modifier:#018x}"),
        }
    }
}

/// drm_fourcc.h's names. They count the parts of a pixel from the highest byte, where GStreamer counts from the lowest.
fn drm_format(fourcc: &[u8; 4]) -> Option<PixelFormat> {
    Some(match fourcc {
        b"AB24" | b"XB24" => PixelFormat::Rgba,
        b"AR24" | b"XR24" => PixelFormat::Bgra,
        b"BG24" => PixelFormat::Rgb24,
        b"RG24" => PixelFormat::Bgr24,
        b"R8  " => PixelFormat::Gray8,
        b"YU12" => PixelFormat::Yuv420p,
        b"YU16" => PixelFormat::Yuv422p,
        b"YU24" => PixelFormat::Yuv444p,
        b"NV12" => PixelFormat::Nv12,
        _ => return None,
    })
}

/// The name of `format`, as [`drm_format`] reads it; where alpha may be there, of the one that has none.
fn fourcc(format: PixelFormat) -> [u8; 4] {
    *match format {
        PixelFormat::Rgba => b"XB24",
        PixelFormat::Bgra => b"XR24",
        PixelFormat::Rgb24 => b"BG24",
        PixelFormat::Bgr24 => b"RG24",
        PixelFormat::Gray8 => b"R8  ",
        PixelFormat::Yuv420p => b"YU12",
        PixelFormat::Yuv422p => b"YU16",
        PixelFormat::Yuv444p => b"YU24",
        PixelFormat::Nv12 => b"NV12",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Named as _;

    #[test]
    fn every_format_has_a_name() {
        for (format, ..) in PixelFormat::ALL {
            assert_eq!(drm_format(&fourcc(*format)), Some(*format));
        }
    }
}
