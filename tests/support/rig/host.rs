//! The way of pictures from host memory: one copy into the encoder's own input, with no GL anywhere.

use super::cuda::{self, Copy2d};
use super::nvenc::{Encoder, IYUV, Settings};
use nvidia_video_codec_sdk::sys::nvEncodeAPI::NV_ENC_PIC_PARAMS;
use std::mem::offset_of;

/// The encoder, and its input of planes.
pub struct Host {
    size: (u32, u32),
    pub encoder: Encoder,
    input: usize,
    pitch: usize,
    pub registered: usize,
    pub buffer: usize,
}

/// The planes of an NV12 picture one behind the other.
pub fn planes(size: (u32, u32), nv12: &[u8]) -> Vec<u8> {
    let (luma, chroma) = nv12.split_at((size.0 * size.1) as usize);
    let part = |part: usize| chroma.iter().skip(part).step_by(2);
    luma.iter().chain(part(0)).chain(part(1)).copied().collect()
}

impl Host {
    /// Everything up to the first picture, with rows of Y `pitch` bytes apart.
    pub fn start(size: (u32, u32), pitch: usize) -> Host {
        let encoder = Encoder::open(cuda::start()).expect("a session");
        let settings = Settings::live(&encoder, size);
        assert_eq!(encoder.initialize(&settings.init), 0, "{}", encoder.last_error());
        let mut input = 0;
        assert_eq!(cuda::cuMemAlloc_v2(&mut input, pitch * size.1 as usize * 3 / 2), 0);
        let (status, registered) = encoder.register_as(IYUV, input, 1, size, pitch as u32);
        assert_eq!(status, 0, "{}", encoder.last_error());
        let (status, buffer) = encoder.create_bitstream();
        assert_eq!(status, 0);
        Host { size, encoder, input, pitch, registered, buffer }
    }

    /// Copies planes to the input: by one copy where rows have no gaps, else by one for Y and one for Cb and Cr.
    pub fn upload(&self, planes: &[u8]) {
        let (width, height) = (self.size.0 as usize, self.size.1 as usize);
        if width == self.pitch {
            assert_eq!(cuda::cuMemcpyHtoD_v2(self.input, planes.as_ptr() as usize, planes.len()), 0);
            return;
        }
        for (part, halved) in [(0, 1), (1, 2)] {
            let copy = Copy2d {
                src_type: cuda::HOST,
                src_host: planes.as_ptr() as usize + part * width * height,
                src_pitch: width / halved,
                dst_type: cuda::DEVICE,
                dst_device: self.input + part * self.pitch * height,
                dst_pitch: self.pitch / halved,
                width: width / halved,
                height,
                ..Copy2d::default()
            };
            assert_eq!(cuda::cuMemcpy2D_v2(&copy), 0);
        }
    }

    /// Encodes what was copied; the status of the call that failed, if one did.
    pub fn encode(&self, flags: u32) -> Result<(Vec<u8>, u32), u32> {
        self.encoder.encode_from(self.registered, self.buffer, |mapped| {
            let mut picture = Encoder::picture(self.size, mapped, self.buffer, flags);
            picture.put(offset_of!(NV_ENC_PIC_PARAMS, bufferFmt), IYUV);
            picture
        })
    }

    /// Releases everything in the order the vendor wants.
    pub fn end(self) {
        let _ = self.encoder.encode(&Encoder::picture(self.size, 0, 0, 8));
        assert_eq!(self.encoder.unregister(self.registered), 0);
        assert_eq!(self.encoder.destroy_bitstream(self.buffer), 0);
        assert_eq!(self.encoder.destroy(), 0);
        assert_eq!(cuda::cuMemFree_v2(self.input), 0);
        assert_eq!(cuda::cuDevicePrimaryCtxRelease_v2(0), 0);
    }
}
