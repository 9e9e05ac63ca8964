//! Where a session finds its pictures: memory on the GPU, laid out as one of the formats that NVENC takes.

use crate::cuda::{CudaContext, PitchedBuffer};
use crate::error::Error;
use crate::settings::Size;
use nvidia_video_codec_sdk::sys::nvEncodeAPI as sys;

/// Where the rows of each plane begin that the driver reads without a fault: at multiples of this. nvEncodeAPI.h asks for
/// a pitch that is a multiple of 4, and drivers 595 and 610 were seen to end in CUDA_ERROR_MISALIGNED_ADDRESS at multiples
/// of 8.
const ALIGNMENT: usize = 16;

/// A buffer for one picture at a time, 4:2:0, the top row first.
#[derive(Debug)]
pub struct Input {
    buffer: PitchedBuffer,
    format: sys::NV_ENC_BUFFER_FORMAT,
    size: Size,
}

impl Input {
    /// For pictures that are on the GPU: rows of Y, then half as many of Cb and Cr in turn.
    ///
    /// # Errors
    /// The GPU is out of memory.
    pub fn nv12(context: &CudaContext, size: Size) -> Result<Self, Error> {
        let buffer = PitchedBuffer::new(context, size.width() as usize, size.height() as usize * 3 / 2)?;
        Ok(Self { buffer, format: sys::NV_ENC_BUFFER_FORMAT::NV_ENC_BUFFER_FORMAT_NV12, size })
    }

    /// For pictures from host memory: the planes of Y, Cb and Cr, one behind the other, the rows of Cb and Cr half as far
    /// apart as those of Y. Where the driver takes rows without gaps, a picture lies here as it does on the host.
    ///
    /// # Errors
    /// The GPU is out of memory.
    pub fn i420(context: &CudaContext, size: Size) -> Result<Self, Error> {
        let (width, rows) = (size.width() as usize, size.height() as usize * 3 / 2);
        let buffer = if width % (2 * ALIGNMENT) == 0 {
            PitchedBuffer::packed(context, width, rows)?
        } else {
            PitchedBuffer::new(context, width, rows)?
        };
        Ok(Self { buffer, format: sys::NV_ENC_BUFFER_FORMAT::NV_ENC_BUFFER_FORMAT_IYUV, size })
    }

    /// Copies a picture of host memory here, whose planes have no gaps: at once where they have none here either, else Y
    /// and then Cb with Cr.
    ///
    /// # Errors
    /// The driver's.
    ///
    /// # Panics
    /// It is of another size, or this is no input for pictures from host memory.
    pub fn upload(&self, samples: &[u8]) -> Result<(), Error> {
        let (width, luma, pitch) = (self.size.width() as usize, self.size.pixels(), self.buffer.pitch());
        assert!(self.format == sys::NV_ENC_BUFFER_FORMAT::NV_ENC_BUFFER_FORMAT_IYUV, "an input for planes");
        assert_eq!(samples.len(), luma / 2 * 3, "a picture of {}", self.size);
        if pitch == width {
            return self.buffer.upload(samples, width, 0, pitch);
        }
        let (y, chroma) = samples.split_at(luma);
        self.buffer.upload(y, width, 0, pitch)?;
        self.buffer.upload(chroma, width / 2, pitch * self.size.height() as usize, pitch / 2)
    }

    /// The memory, for copies on the GPU.
    pub fn buffer(&self) -> &PitchedBuffer {
        &self.buffer
    }

    pub(super) fn size(&self) -> Size {
        self.size
    }

    pub(super) fn format(&self) -> sys::NV_ENC_BUFFER_FORMAT {
        self.format
    }
}
