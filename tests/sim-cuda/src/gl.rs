//! The OpenGL context that is current on this thread: what its textures are, and their pixels.
//!
//! It reaches OpenGL through `libEGL.so.1` and puts back every piece of state that it touches: the
//! texture binding, the pixel-pack buffer and all pack parameters. It never draws, and leaves no GL
//! error behind that the caller did not have.

use crate::status::{INVALID_GRAPHICS_CONTEXT, Refusal, broken, failed};
use std::ffi::{CStr, c_char, c_void};
use std::sync::OnceLock;

const TEXTURE_2D: u32 = 0x0DE1;
const TEXTURE_RECTANGLE: u32 = 0x84F5;
const TEXTURE_WIDTH: u32 = 0x1000;
const TEXTURE_HEIGHT: u32 = 0x1001;
const TEXTURE_INTERNAL_FORMAT: u32 = 0x1003;
const PIXEL_PACK_BUFFER: u32 = 0x88EB;
const PIXEL_PACK_BUFFER_BINDING: u32 = 0x88ED;
const PACK_ALIGNMENT: u32 = 0x0D05;

/// Swap, LSB first, row length, skip rows, skip pixels, image height, skip images: all 0 for a read.
const PACK_ZEROED: [u32; 7] = [0x0D00, 0x0D01, 0x0D02, 0x0D03, 0x0D04, 0x806C, 0x806B];

macro_rules! gl_functions {
    ($($field:ident = $symbol:literal: fn($($type:ty),*) $(-> $result:ty)?;)*) => {
        struct Functions {
            current_context: unsafe extern "C" fn() -> *mut c_void,
            $($field: unsafe extern "C" fn($($type),*) $(-> $result)?,)*
        }

        impl Functions {
            fn load() -> Option<Functions> {
                // SAFETY: running libEGL's initialisers is what every EGL program does at its start;
                // it is never unloaded, for it goes into a static for good.
                let egl = Box::leak(Box::new(unsafe { libloading::Library::new("libEGL.so.1") }.ok()?));
                // SAFETY: this is the signature that the EGL specification gives for the name.
                let current_context = unsafe { egl.get(b"eglGetCurrentContext\0") }.ok()?;
                type Lookup = unsafe extern "C" fn(*const c_char) -> *const c_void;
                // SAFETY: as above.
                let address: Lookup = *unsafe { egl.get(b"eglGetProcAddress\0") }.ok()?;
                $(
                    // SAFETY: the name is a NUL-terminated literal.
                    let $field = unsafe { address(CStr::as_ptr($symbol)) };
                    if $field.is_null() {
                        return None;
                    }
                )*
                Some(Functions {
                    current_context: *current_context,
                    $(
                        // SAFETY: not null, so it is the GL function of that name, and the type is
                        // the signature that the OpenGL specification gives for it.
                        $field: unsafe { std::mem::transmute::<
                            *const c_void, unsafe extern "C" fn($($type),*) $(-> $result)?
                        >($field) },
                    )*
                })
            }
        }
    };
}

gl_functions! {
    is_texture = c"glIsTexture": fn(u32) -> u8;
    bind_texture = c"glBindTexture": fn(u32, u32);
    bind_buffer = c"glBindBuffer": fn(u32, u32);
    get_integer = c"glGetIntegerv": fn(u32, *mut i32);
    get_level_parameter = c"glGetTexLevelParameteriv": fn(u32, i32, u32, *mut i32);
    get_image = c"glGetTexImage": fn(u32, i32, u32, u32, *mut c_void);
    pixel_store = c"glPixelStorei": fn(u32, i32);
    finish = c"glFinish": fn();
    get_error = c"glGetError": fn() -> u32;
}

/// How a texture's texels look to CUDA and to `glGetTexImage`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Texels {
    pub(crate) channels: u32,
    /// `CUarray_format`.
    pub(crate) array_format: u32,
    bytes_per_texel: usize,
    gl_format: u32,
    gl_type: u32,
}

/// The sized formats of `cuGraphicsGLRegisterImage`: one, two or four channels, never three.
fn texels(internal_format: u32) -> Option<Texels> {
    const RED: [u32; 3] = [0x1903, 0x8227, 0x1908];
    const RED_INTEGER: [u32; 3] = [0x8D94, 0x8228, 0x8D99];
    let (channels, bytes, array_format, gl_type, names) = match internal_format {
        0x8229 => (1, 1, 0x01, 0x1401, RED),         // R8
        0x822B => (2, 1, 0x01, 0x1401, RED),         // RG8
        0x8058 => (4, 1, 0x01, 0x1401, RED),         // RGBA8
        0x822A => (1, 2, 0x02, 0x1403, RED),         // R16
        0x822C => (2, 2, 0x02, 0x1403, RED),         // RG16
        0x805B => (4, 2, 0x02, 0x1403, RED),         // RGBA16
        0x822D => (1, 2, 0x10, 0x140B, RED),         // R16F
        0x822F => (2, 2, 0x10, 0x140B, RED),         // RG16F
        0x881A => (4, 2, 0x10, 0x140B, RED),         // RGBA16F
        0x822E => (1, 4, 0x20, 0x1406, RED),         // R32F
        0x8230 => (2, 4, 0x20, 0x1406, RED),         // RG32F
        0x8814 => (4, 4, 0x20, 0x1406, RED),         // RGBA32F
        0x8232 => (1, 1, 0x01, 0x1401, RED_INTEGER), // R8UI
        0x8238 => (2, 1, 0x01, 0x1401, RED_INTEGER), // RG8UI
        0x8D7C => (4, 1, 0x01, 0x1401, RED_INTEGER), // RGBA8UI
        _ => return None,
    };
    Some(Texels {
        channels,
        array_format,
        bytes_per_texel: channels as usize * bytes,
        gl_format: names[channels as usize / 2],
        gl_type,
    })
}

/// A texture as it is now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Texture {
    pub(crate) name: u32,
    pub(crate) target: u32,
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) texels: Texels,
}

impl Texture {
    pub(crate) fn bytes(&self) -> usize {
        self.width * self.height * self.texels.bytes_per_texel
    }
}

/// Why a texture cannot be registered.
#[derive(Debug, PartialEq)]
pub(crate) enum Unfit {
    NoSuchTexture,
    OtherTarget,
    NoStorage,
    Format,
}

/// Proof that a context was current on this thread a moment ago, in the same call.
pub(crate) struct Current {
    functions: &'static Functions,
    /// The EGL context, to be compared only.
    pub(crate) context: usize,
}

/// The context of this thread, or the status of a driver call that needs one.
pub(crate) fn current() -> Result<Current, Refusal> {
    static FUNCTIONS: OnceLock<Option<Functions>> = OnceLock::new();
    let functions = FUNCTIONS.get_or_init(Functions::load).as_ref();
    let functions = functions.ok_or(failed(INVALID_GRAPHICS_CONTEXT))?;
    // SAFETY: `eglGetCurrentContext` has no preconditions.
    let context = unsafe { (functions.current_context)() } as usize;
    if context == 0 {
        return Err(broken(INVALID_GRAPHICS_CONTEXT, "no-gl-context-current"));
    }
    Ok(Current { functions, context })
}

impl Current {
    fn integer(&self, name: u32) -> i32 {
        let mut value = 0;
        // SAFETY: a context is current, and each name asked for here yields one integer.
        unsafe { (self.functions.get_integer)(name, &mut value) };
        value
    }

    fn level_parameter(&self, target: u32, name: u32) -> i32 {
        let mut value = 0;
        // SAFETY: a context is current, `target` has a texture bound, and each name yields one integer.
        unsafe { (self.functions.get_level_parameter)(target, 0, name, &mut value) };
        value
    }

    pub(crate) fn exists(&self, texture: u32) -> bool {
        // SAFETY: a context is current; `glIsTexture` takes any number.
        unsafe { (self.functions.is_texture)(texture) != 0 }
    }

    /// Runs `look` with the texture bound, and binds what was bound before. `None` if the texture
    /// is of another target.
    fn bound<T>(&self, name: u32, target: u32, look: impl FnOnce() -> T) -> Option<T> {
        let binding = if target == TEXTURE_2D { 0x8069 } else { 0x84F6 };
        let before = self.integer(binding) as u32;
        // SAFETY: a context is current; a texture of another target only raises a GL error.
        unsafe { (self.functions.bind_texture)(target, name) };
        if self.integer(binding) as u32 != name {
            // SAFETY: as above. This takes away the error that the refused binding raised.
            unsafe { (self.functions.get_error)() };
            return None;
        }
        let result = look();
        // SAFETY: as above; `before` was bound to this very target.
        unsafe { (self.functions.bind_texture)(target, before) };
        Some(result)
    }

    /// Looks at a texture's real size and format.
    pub(crate) fn texture(&self, name: u32, target: u32) -> Result<Texture, Unfit> {
        if !matches!(target, TEXTURE_2D | TEXTURE_RECTANGLE) {
            return Err(Unfit::OtherTarget);
        }
        if name == 0 || !self.exists(name) {
            return Err(Unfit::NoSuchTexture);
        }
        let [width, height, format] = self
            .bound(name, target, || {
                [TEXTURE_WIDTH, TEXTURE_HEIGHT, TEXTURE_INTERNAL_FORMAT]
                    .map(|parameter| self.level_parameter(target, parameter))
            })
            .ok_or(Unfit::OtherTarget)?;
        if width <= 0 || height <= 0 {
            return Err(Unfit::NoStorage);
        }
        Ok(Texture {
            name,
            target,
            width: width as usize,
            height: height as usize,
            texels: texels(format as u32).ok_or(Unfit::Format)?,
        })
    }

    /// Waits for all drawing and reads the texture's pixels, row 0 first, rows without gaps.
    pub(crate) fn read(&self, texture: &Texture, pixels: &mut [u8]) {
        assert_eq!(pixels.len(), texture.bytes(), "the texture was looked at just before");
        let gl = self.functions;
        let pack_buffer = self.integer(PIXEL_PACK_BUFFER_BINDING) as u32;
        let alignment = self.integer(PACK_ALIGNMENT);
        let zeroed = PACK_ZEROED.map(|name| self.integer(name));
        // SAFETY: a context is current. With no pack buffer bound, alignment 1 and every other pack
        // parameter 0, `glGetTexImage` writes exactly width * height texels, and `pixels` has that
        // size by the assertion above; the texture's size was read in this same call.
        unsafe {
            (gl.finish)();
            (gl.bind_buffer)(PIXEL_PACK_BUFFER, 0);
            (gl.pixel_store)(PACK_ALIGNMENT, 1);
            for name in PACK_ZEROED {
                (gl.pixel_store)(name, 0);
            }
        }
        self.bound(texture.name, texture.target, || {
            let Texels { gl_format, gl_type, .. } = texture.texels;
            // SAFETY: as above.
            unsafe {
                (gl.get_image)(texture.target, 0, gl_format, gl_type, pixels.as_mut_ptr().cast());
            }
        });
        // SAFETY: a context is current, and these are the values it had.
        unsafe {
            (gl.pixel_store)(PACK_ALIGNMENT, alignment);
            for (name, value) in PACK_ZEROED.into_iter().zip(zeroed) {
                (gl.pixel_store)(name, value);
            }
            (gl.bind_buffer)(PIXEL_PACK_BUFFER, pack_buffer);
        }
    }
}
