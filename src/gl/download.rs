//! What a GPU drew, brought to host memory as planes.

use super::context::Gl;
use super::nv12::Nv12;
use super::target::Target;
use crate::error::Error;
use crate::settings::Size;
use glow::HasContext;
use std::fmt;

/// Converts pictures on the GPU, and brings them to host memory through a buffer that the driver maps.
pub struct Download {
    gl: Gl,
    nv12: Nv12,
    buffer: glow::Buffer,
    size: Size,
}

impl Download {
    /// For pictures of `size`.
    ///
    /// # Errors
    /// The driver cannot draw into planes, or gives no buffer.
    pub fn new(gl: &Gl, size: Size) -> Result<Self, Error> {
        let nv12 = Nv12::new(gl, size)?;
        let raw = gl.glow();
        // SAFETY: the context is current; nothing is written into the buffer here.
        let buffer = unsafe {
            let buffer = raw
                .create_buffer()
                .map_err(|why| Error::machine("gl-limits", "the GL driver gives no buffer", "").caused_by(why))?;
            raw.bind_buffer(glow::PIXEL_PACK_BUFFER, Some(buffer));
            raw.buffer_data_size(glow::PIXEL_PACK_BUFFER, (size.pixels() / 2 * 3) as i32, glow::STREAM_READ);
            raw.bind_buffer(glow::PIXEL_PACK_BUFFER, None);
            buffer
        };
        Ok(Self { gl: gl.clone(), nv12, buffer, size })
    }

    /// Waits until `target` is drawn, and gives `take` what it shows: Y, a byte a pixel, and then Cb and Cr in turn, two
    /// bytes for four pixels; BT.709 in limited range, rows without padding, the **top** row first. `target` is bound
    /// afterwards. Returns whether it did: the driver maps nothing where it has no memory, or the context is lost.
    ///
    /// # Panics
    /// `target` is of another size.
    pub fn bring(&self, target: &Target, take: impl FnOnce(&[u8], &[u8])) -> bool {
        assert_eq!(target.size(), self.size, "a target of the size that is brought");
        self.nv12.convert(target);
        let raw = self.gl.glow();
        let (luma, all) = (self.size.pixels(), self.size.pixels() / 2 * 3);
        // SAFETY: the context is current, and the buffer holds both planes, one behind the other. What is mapped is read only
        // before it is unmapped, and nothing else has the buffer.
        let is_mapped = unsafe {
            raw.bind_buffer(glow::PIXEL_PACK_BUFFER, Some(self.buffer));
            for (plane, offset) in self.nv12.planes().iter().zip([0, luma]) {
                plane.read_to(glow::PixelPackData::BufferOffset(offset as u32));
            }
            let mapped = raw.map_buffer_range(glow::PIXEL_PACK_BUFFER, 0, all as i32, glow::MAP_READ_BIT);
            if !mapped.is_null() {
                let (y, cbcr) = std::slice::from_raw_parts(mapped, all).split_at(luma);
                take(y, cbcr);
                raw.unmap_buffer(glow::PIXEL_PACK_BUFFER);
            }
            raw.bind_buffer(glow::PIXEL_PACK_BUFFER, None);
            !mapped.is_null()
        };
        target.bind();
        is_mapped
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        // SAFETY: the context is current, and the buffer is bound nowhere.
        unsafe { self.gl.glow().delete_buffer(self.buffer) };
    }
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Download({})", self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_is_not_mapped_brings_nothing() {
        let gl = Gl::open(None).unwrap();
        let size = Size::new(64, 64).unwrap();
        let (target, download) = (Target::new(&gl, size).unwrap(), Download::new(&gl, size).unwrap());
        let raw = gl.glow();
        // SAFETY: the context is current, and nobody reads what is mapped.
        unsafe {
            raw.bind_buffer(glow::PIXEL_PACK_BUFFER, Some(download.buffer));
            // Which it cannot be twice.
            assert!(!raw.map_buffer_range(glow::PIXEL_PACK_BUFFER, 0, 16, glow::MAP_READ_BIT).is_null());
            raw.bind_buffer(glow::PIXEL_PACK_BUFFER, None);
        }
        assert!(!download.bring(&target, |_, _| panic!("there is nothing to take")));
        // SAFETY: as above.
        unsafe {
            raw.bind_buffer(glow::PIXEL_PACK_BUFFER, Some(download.buffer));
            raw.unmap_buffer(glow::PIXEL_PACK_BUFFER);
            raw.bind_buffer(glow::PIXEL_PACK_BUFFER, None);
        }
        assert!(download.bring(&target, |luma, chroma| assert_eq!((luma[0], chroma[0]), (16, 128))));
    }
}
