//! A real OpenGL context without a window, and textures with known pixels in it.

#![allow(dead_code)] // Every test program uses its own part.

use glow::HasContext;
use khronos_egl as egl;

type Instance = egl::DynamicInstance<egl::EGL1_5>;

/// An OpenGL 3.3 core context, current on the thread that made it.
pub struct Context {
    egl: Instance,
    display: egl::Display,
    context: egl::Context,
    pub gl: glow::Context,
}

const PLATFORM_SURFACELESS: u32 = 0x31DD;

impl Context {
    pub fn new() -> Context {
        // SAFETY: the system's libEGL is made to be loaded.
        let egl = unsafe { Instance::load_required() }.expect("libEGL 1.5");
        // SAFETY: the surfaceless platform takes the default display only.
        let display =
            unsafe { egl.get_platform_display(PLATFORM_SURFACELESS, egl::DEFAULT_DISPLAY, &[egl::ATTRIB_NONE]) }
                .expect("the surfaceless platform");
        egl.initialize(display).expect("a display");
        egl.bind_api(egl::OPENGL_API).expect("desktop OpenGL");
        let wanted = [egl::RENDERABLE_TYPE, egl::OPENGL_BIT, egl::SURFACE_TYPE, 0, egl::NONE];
        let config = egl.choose_first_config(display, &wanted).expect("configs");
        let version = [egl::CONTEXT_MAJOR_VERSION, 3, egl::CONTEXT_MINOR_VERSION, 3, egl::NONE];
        let context = egl.create_context(display, config.expect("a config"), None, &version).expect("a context");
        egl.make_current(display, None, None, Some(context)).expect("a current context");
        let address = |name: &str| egl.get_proc_address(name).map_or(std::ptr::null(), |f| f as *const _);
        // SAFETY: the context is current, and the addresses are those EGL gives for it.
        let gl = unsafe { glow::Context::from_loader_function(address) };
        Context { egl, display, context, gl }
    }

    pub fn release(&self) {
        self.egl.make_current(self.display, None, None, None).expect("nothing current");
    }

    pub fn make_current(&self) {
        self.egl.make_current(self.display, None, None, Some(self.context)).expect("a current context");
    }

    /// A second context on the same display, current at once in place of this one.
    pub fn make_other_current(&self) {
        let wanted = [egl::RENDERABLE_TYPE, egl::OPENGL_BIT, egl::SURFACE_TYPE, 0, egl::NONE];
        let config = self.egl.choose_first_config(self.display, &wanted).expect("configs");
        let other = self
            .egl
            .create_context(self.display, config.expect("a config"), None, &[egl::NONE])
            .expect("a second context");
        self.egl.make_current(self.display, None, None, Some(other)).expect("a current context");
    }

    /// A texture of a sized format with these pixels (`None`: no storage at all).
    pub fn texture(&self, internal: u32, size: (u32, u32), pixels: Option<&[u8]>) -> glow::Texture {
        // SAFETY: the context is current on this thread, for as long as the value is used there.
        unsafe {
            let texture = self.gl.create_texture().expect("a texture");
            self.gl.bind_texture(glow::TEXTURE_2D, Some(texture));
            if let Some(pixels) = pixels {
                self.gl.tex_storage_2d(glow::TEXTURE_2D, 1, internal, size.0 as i32, size.1 as i32);
                self.gl.bind_texture(glow::TEXTURE_2D, None);
                if !pixels.is_empty() {
                    self.draw(texture, format_of(internal), size, pixels);
                }
            }
            self.gl.bind_texture(glow::TEXTURE_2D, None);
            texture
        }
    }

    /// Puts new pixels, rows without gaps, into a texture.
    pub fn draw(&self, texture: glow::Texture, format: u32, size: (u32, u32), pixels: &[u8]) {
        // SAFETY: the context is current on this thread, and `pixels` covers the whole texture.
        unsafe {
            self.gl.bind_texture(glow::TEXTURE_2D, Some(texture));
            self.gl.pixel_store_i32(glow::UNPACK_ALIGNMENT, 1);
            self.gl.tex_sub_image_2d(
                glow::TEXTURE_2D,
                0,
                0,
                0,
                size.0 as i32,
                size.1 as i32,
                format,
                glow::UNSIGNED_BYTE,
                glow::PixelUnpackData::Slice(Some(pixels)),
            );
            self.gl.bind_texture(glow::TEXTURE_2D, None);
        }
    }
}

/// The pixel format that goes with a sized format.
pub fn format_of(internal: u32) -> u32 {
    match internal {
        glow::R8 => glow::RED,
        glow::RG8 => glow::RG,
        glow::RGB8 => glow::RGB,
        _ => glow::RGBA,
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        let _ = self.egl.make_current(self.display, None, None, None);
        let _ = self.egl.destroy_context(self.display, self.context);
        let _ = self.egl.terminate(self.display);
    }
}
