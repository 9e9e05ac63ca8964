//! The product's sequence: two textures, mapped and copied for each picture, encoded and fetched.

use super::cuda::{self, Copy2d};
use super::egl::Context;
use super::nvenc::{Encoder, Settings};

const TEXTURE_2D: u32 = 0x0DE1;
const READ_ONLY: u32 = 1;

/// Textures, their CUDA resources, the encoder's input, and the encoder.
pub struct Live {
    pub gl: Context,
    pub size: (u32, u32),
    textures: [glow::Texture; 2],
    pub resources: [usize; 2],
    pub input: usize,
    pub pitch: usize,
    pub encoder: Encoder,
    pub registered: usize,
    pub buffer: usize,
    pub array_input: bool,
    pub stream: usize,
}

/// NV12 test pictures: moving gradients with every value in them, rows without gaps.
pub fn picture(size: (u32, u32), number: u32) -> Vec<u8> {
    let (width, height) = size;
    let luma = (0..height).flat_map(|y| (0..width).map(move |x| (x * 3 + y * 7 + number * 11) as u8));
    // Long runs of zeros, too: they need emulation prevention.
    let luma = luma.enumerate().map(|(at, value)| if at % 256 < 24 { (at % 3) as u8 } else { value });
    let chroma = (0..height / 2).flat_map(move |y| (0..width).map(move |x| (x * 5 + y * 2 + number * 3) as u8));
    luma.chain(chroma).collect()
}

impl Live {
    /// Everything up to the first picture, with the encoder initialised as `change` wants it.
    pub fn start(size: (u32, u32), array_input: bool, change: impl FnOnce(&mut Settings)) -> Live {
        let gl = Context::new();
        let context = cuda::start();
        let half = (size.0 / 2, size.1 / 2);
        let textures = [gl.texture(glow::R8, size, Some(&[])), gl.texture(glow::RG8, half, Some(&[]))];
        let mut resources = [0; 2];
        for (texture, resource) in textures.iter().zip(&mut resources) {
            let status = cuda::cuGraphicsGLRegisterImage(resource, texture.0.get(), TEXTURE_2D, READ_ONLY);
            assert_eq!(status, 0);
        }
        let (mut input, mut pitch) = (0, size.0.next_multiple_of(4) as usize);
        let (width, rows) = (size.0 as usize, (size.1 + size.1 / 2) as usize);
        if array_input {
            let descriptor =
                cuda::ArrayDescriptor { width: pitch, height: rows, depth: 0, format: 1, channels: 1, flags: 2 };
            assert_eq!(cuda::cuArray3DCreate_v2(&mut input, &descriptor), 0);
        } else {
            assert_eq!(cuda::cuMemAllocPitch_v2(&mut input, &mut pitch, width, rows, 16), 0);
        }
        let encoder = Encoder::open(context).expect("a session");
        let mut settings = Settings::live(&encoder, size);
        change(&mut settings);
        assert_eq!(encoder.initialize(&settings.init), 0, "{}", encoder.last_error());
        let kind = if array_input { 2 } else { 1 };
        let (status, registered) = encoder.register(input, kind, size, pitch as u32);
        assert_eq!(status, 0, "{}", encoder.last_error());
        let (status, buffer) = encoder.create_bitstream();
        assert_eq!(status, 0);
        Live { gl, size, textures, resources, input, pitch, encoder, registered, buffer, array_input, stream: 0 }
    }

    /// Draws an NV12 picture into the two textures.
    pub fn draw(&self, nv12: &[u8]) {
        let (width, height) = self.size;
        let (luma, chroma) = nv12.split_at((width * height) as usize);
        self.gl.draw(self.textures[0], glow::RED, self.size, luma);
        self.gl.draw(self.textures[1], glow::RG, (width / 2, height / 2), chroma);
    }

    /// Maps the textures, copies them into the encoder's input, and unmaps them.
    pub fn copy(&self) {
        assert_eq!(cuda::cuGraphicsMapResources(2, &self.resources, self.stream), 0);
        let (width, height) = (self.size.0 as usize, self.size.1 as usize);
        for (index, rows) in [height, height / 2].into_iter().enumerate() {
            let mut array = 0;
            let resource = self.resources[index];
            assert_eq!(cuda::cuGraphicsSubResourceGetMappedArray(&mut array, resource, 0, 0), 0);
            let copy = Copy2d {
                src_type: cuda::ARRAY,
                src_array: array,
                dst_y: index * height,
                dst_type: if self.array_input { cuda::ARRAY } else { cuda::DEVICE },
                dst_device: self.input,
                dst_array: self.input,
                dst_pitch: self.pitch,
                width,
                height: rows,
                ..Copy2d::default()
            };
            assert_eq!(cuda::cuMemcpy2DAsync_v2(&copy, self.stream), 0);
        }
        assert_eq!(cuda::cuGraphicsUnmapResources(2, &self.resources, self.stream), 0);
    }

    /// Encodes what was copied; the status of the call that failed, if one did.
    pub fn encode(&self, flags: u32) -> Result<(Vec<u8>, u32), u32> {
        let picture = |mapped| Encoder::picture(self.size, mapped, self.buffer, flags);
        self.encoder.encode_from(self.registered, self.buffer, picture)
    }

    /// One picture the whole way.
    pub fn push(&self, nv12: &[u8], flags: u32) -> Result<(Vec<u8>, u32), u32> {
        self.draw(nv12);
        self.copy();
        self.encode(flags)
    }

    /// Releases everything in the order the vendor wants.
    pub fn end(self) {
        // The end of the stream, which a lost device refuses.
        let _ = self.encoder.encode(&Encoder::picture(self.size, 0, 0, 8));
        assert_eq!(self.encoder.unregister(self.registered), 0);
        assert_eq!(self.encoder.destroy_bitstream(self.buffer), 0);
        assert_eq!(self.encoder.destroy(), 0);
        for resource in self.resources {
            assert_eq!(cuda::cuGraphicsUnregisterResource(resource), 0);
        }
        match self.array_input {
            true => assert_eq!(cuda::cuArrayDestroy(self.input), 0),
            false => assert_eq!(cuda::cuMemFree_v2(self.input), 0),
        }
        assert_eq!(cuda::cuDevicePrimaryCtxRelease_v2(0), 0);
    }
}
