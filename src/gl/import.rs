//! Images in the memory of a device, drawn into memory of the program's own.
//!
//! A plane of luma or chroma is imported as an image of one or two parts, and RGB as what it is: no driver converts colours
//! here, which each does in its own way, and the plainest formats are those that most drivers take. They are drawn, not read,
//! since a device may lay memory out as it likes.

use super::context::Gl;
use super::egl::has;
use super::program::{Program, WHOLE_TARGET};
use super::texture::Texture;
use crate::error::Error;
use glow::HasContext;
use khronos_egl as egl;
use rustix::fd::{AsRawFd as _, BorrowedFd};
use std::ffi::c_void;
use std::fmt;

/// `EGL_LINUX_DMA_BUF_EXT` and its attributes, EGL_EXT_image_dma_buf_import.
const LINUX_DMA_BUF: egl::Enum = 0x3270;
const LINUX_DRM_FOURCC: egl::Attrib = 0x3271;
/// File descriptor, offset and pitch of each plane, then the halves of its modifier, of
/// EGL_EXT_image_dma_buf_import_modifiers.
const PLANES: [[egl::Attrib; 5]; 4] = [
    [0x3272, 0x3273, 0x3274, 0x3443, 0x3444],
    [0x3275, 0x3276, 0x3277, 0x3445, 0x3446],
    [0x3278, 0x3279, 0x327A, 0x3447, 0x3448],
    [0x3440, 0x3441, 0x3442, 0x3449, 0x344A],
];

const IMPORT: &str = "EGL_EXT_image_dma_buf_import";
const MODIFIERS: &str = "EGL_EXT_image_dma_buf_import_modifiers";

/// The layout that is rows one below the other, drm_fourcc.h.
pub const LINEAR: u64 = 0;

/// Copies are drawn into as many textures as a picture has planes, kept for the next one.
const KEPT: usize = 3;

/// A plane in the memory of a device.
#[derive(Clone, Copy, Debug)]
pub struct DevicePlane<'a> {
    pub fd: BorrowedFd<'a>,
    /// Bytes from the start of the memory.
    pub offset: u32,
    /// Bytes from one row to the next, as the layout counts them.
    pub pitch: u32,
}

/// An image in the memory of a device. Its top row is its first one.
#[derive(Clone, Copy, Debug)]
pub struct DeviceImage<'a> {
    pub width: u32,
    pub height: u32,
    /// Its format as drm_fourcc.h names it.
    pub fourcc: [u8; 4],
    /// How it lies there, by drm_fourcc.h. `None` is what the driver takes it for.
    pub modifier: Option<u64>,
    /// At least one, and at most four: a layout may have more than its format.
    pub planes: &'a [DevicePlane<'a>],
}

type ImageTargetTexture = extern "system" fn(u32, *mut c_void);

/// Imports images in one GL context.
pub struct Importer {
    gl: Gl,
    image_target_texture: ImageTargetTexture,
    has_modifiers: bool,
    copying: Program,
    /// What copies were drawn into lately, with the bytes of a pixel.
    kept: Vec<(u32, Texture)>,
}

impl Importer {
    /// For the context of `gl`.
    ///
    /// # Errors
    /// The driver does not import. It says what it lacks.
    pub fn new(gl: Gl) -> Result<Self, String> {
        let (library, display) = gl.egl();
        let offered = library.query_string(Some(display), egl::EXTENSIONS).map_err(|error| error.to_string())?;
        let offered = offered.to_string_lossy();
        if !has(&offered, IMPORT) {
            return Err(format!("the driver lacks {IMPORT}"));
        }
        let has_modifiers = has(&offered, MODIFIERS);
        let draws_images = gl.glow().supported_extensions().contains("GL_OES_EGL_image");
        let function = library.get_proc_address("glEGLImageTargetTexture2DOES").filter(|_| draws_images);
        let function = function.ok_or("the driver lacks GL_OES_EGL_image")?;
        // SAFETY: EGL gave this address for this name, and the type is that of GL_OES_EGL_image.
        let image_target_texture = unsafe { std::mem::transmute::<extern "system" fn(), ImageTargetTexture>(function) };
        let copying = copying(&gl).map_err(|error| error.cause())?;
        Ok(Self { gl, image_target_texture, has_modifiers, copying, kept: Vec::new() })
    }

    /// What draws.
    pub fn renderer(&self) -> &str {
        &self.gl.hardware().renderer
    }

    /// Draws `image` and reads it into `into`, one, two or four bytes a pixel, in the order of GL's R, RG and RGBA: rows
    /// without padding, the top one first. The image is not used any more when this returns.
    ///
    /// # Errors
    /// The driver's: it does not import this image.
    ///
    /// # Panics
    /// `into` has another number of bytes a pixel, or there are no planes or too many.
    pub fn copy(&mut self, image: &DeviceImage<'_>, into: &mut [u8]) -> Result<(), String> {
        let &DeviceImage { width, height, .. } = image;
        let pixels = width as usize * height as usize;
        let bytes = u32::try_from(into.len() / pixels.max(1)).unwrap_or(0);
        let (internal, format) = match bytes {
            1 => (glow::R8, glow::RED),
            2 => (glow::RG8, glow::RG),
            4 => (glow::RGBA8, glow::RGBA),
            _ => panic!("one, two or four bytes a pixel, not {bytes}"),
        };
        assert_eq!(pixels * bytes as usize, into.len(), "whole pixels");
        let is_it = |(of, kept): &(u32, Texture)| (*of, kept.width, kept.height) == (bytes, width, height);
        let at = match self.kept.iter().position(is_it) {
            Some(at) => at,
            None => {
                let drawn = Texture::with_format(&self.gl, width, height, (internal, format))?;
                if self.kept.len() == KEPT {
                    self.kept.remove(0);
                }
                self.kept.push((bytes, drawn));
                self.kept.len() - 1
            }
        };
        let imported = self.import(image)?;
        let raw = self.gl.glow();
        let (width, height) = (width as i32, height as i32);
        // SAFETY: the context is current, and both textures and the framebuffer live. GL writes as many bytes as there are,
        // since rows are packed without padding, and no pixel pack buffer is ever bound in this context.
        unsafe {
            raw.bind_framebuffer(glow::FRAMEBUFFER, Some(self.kept[at].1.framebuffer));
            raw.viewport(0, 0, width, height);
            raw.bind_texture(glow::TEXTURE_2D, Some(imported.texture));
            self.copying.draw(3);
            raw.pixel_store_i32(glow::PACK_ALIGNMENT, 1);
            let into = glow::PixelPackData::Slice(Some(into));
            raw.read_pixels(0, 0, width, height, format, glow::UNSIGNED_BYTE, into);
            raw.bind_texture(glow::TEXTURE_2D, None);
        }
        self.gl.check_lost().map_err(|lost| lost.cause())?;
        self.check()
    }

    /// Whether the GPU was reset, after which nothing is drawn here any more.
    pub fn is_lost(&self) -> bool {
        self.gl.check_lost().is_err()
    }

    fn import(&self, image: &DeviceImage<'_>) -> Result<Imported<'_>, String> {
        let attributes = self.attributes(image)?;
        let (library, display) = self.gl.egl();
        // SAFETY: an image of this kind takes no context and no buffer, and both null values stand for none.
        let (context, buffer) =
            unsafe { (egl::Context::from_ptr(egl::NO_CONTEXT), egl::ClientBuffer::from_ptr(std::ptr::null_mut())) };
        let refused = |error| format!("the driver does not import it: {error}");
        let made = library.create_image(display, context, LINUX_DMA_BUF, buffer, &attributes).map_err(refused)?;
        let raw = self.gl.glow();
        // SAFETY: the context is current.
        let texture = unsafe { raw.create_texture() };
        let imported = texture.map(|texture| {
            // SAFETY: the context is current; the texture and the image live, and an image of EGL's makes the storage of the
            // texture, or an error of GL's.
            unsafe {
                raw.bind_texture(glow::TEXTURE_2D, Some(texture));
                raw.tex_parameter_i32(glow::TEXTURE_2D, glow::TEXTURE_MAX_LEVEL, 0);
                raw.tex_parameter_i32(glow::TEXTURE_2D, glow::TEXTURE_MIN_FILTER, glow::NEAREST as i32);
                raw.tex_parameter_i32(glow::TEXTURE_2D, glow::TEXTURE_MAG_FILTER, glow::NEAREST as i32);
            }
            (self.image_target_texture)(glow::TEXTURE_2D, made.as_ptr());
            Imported { gl: &self.gl, texture }
        });
        // The texture has what it needs.
        let _ = library.destroy_image(display, made);
        let imported = imported?;
        self.check().map(|()| imported)
    }

    /// What EGL is told of an image.
    fn attributes(&self, image: &DeviceImage<'_>) -> Result<Vec<egl::Attrib>, String> {
        let number = |value: u32| i32::try_from(value).map(|value| value as egl::Attrib);
        let (Ok(width), Ok(height)) = (number(image.width), number(image.height)) else {
            return Err("the driver does not import images of this size".to_owned());
        };
        let modifier = match image.modifier {
            Some(LINEAR) | None if !self.has_modifiers => None,
            Some(_) if !self.has_modifiers => return Err(format!("the driver lacks {MODIFIERS}")),
            modifier => modifier,
        };
        let fourcc = u32::from_le_bytes(image.fourcc) as egl::Attrib;
        let mut attributes =
            vec![egl::WIDTH as egl::Attrib, width, egl::HEIGHT as egl::Attrib, height, LINUX_DRM_FOURCC, fourcc];
        assert!((1..=PLANES.len()).contains(&image.planes.len()), "an image of one to four planes");
        for (plane, [fd, offset, pitch, low, high]) in image.planes.iter().zip(PLANES) {
            let (Ok(begin), Ok(step)) = (number(plane.offset), number(plane.pitch)) else {
                return Err("the driver does not import images that lie so far apart".to_owned());
            };
            attributes.extend([fd, plane.fd.as_raw_fd() as egl::Attrib, offset, begin, pitch, step]);
            if let Some(modifier) = modifier {
                let half = |bits: u64| bits as u32 as egl::Attrib;
                attributes.extend([low, half(modifier), high, half(modifier >> 32)]);
            }
        }
        attributes.push(egl::ATTRIB_NONE);
        Ok(attributes)
    }

    /// Whether GL has taken what it was told since the last time.
    fn check(&self) -> Result<(), String> {
        // SAFETY: the context is current.
        let next = || unsafe { self.gl.glow().get_error() };
        match next() {
            glow::NO_ERROR => Ok(()),
            error => {
                // GL keeps one error of each kind, and a context that is lost says so for ever.
                (0..8).take_while(|_| next() != glow::NO_ERROR).for_each(drop);
                Err(format!("the driver does not draw it: GL error {error:#x}"))
            }
        }
    }
}

/// Copies texels as they are.
fn copying(gl: &Gl) -> Result<Program, Error> {
    let program = Program::new(
        gl,
        WHOLE_TARGET,
        "#version 330 core
uniform sampler2D image;
out vec4 texel;
void main() {
    texel = texelFetch(image, ivec2(gl_FragCoord.xy), 0);
}
",
    )?;
    program.set_int("image", 0);
    Ok(program)
}

/// A texture that is an image of another program's.
struct Imported<'a> {
    gl: &'a Gl,
    texture: glow::Texture,
}

impl Drop for Imported<'_> {
    fn drop(&mut self) {
        // SAFETY: made in this context, and deleted only here.
        unsafe { self.gl.glow().delete_texture(self.texture) }
    }
}

impl fmt::Debug for Importer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Importer({})", self.renderer())
    }
}
