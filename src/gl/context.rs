//! The EGL display and context: desktop OpenGL 3.3 core, no window system, no surface. Which device it is opened on is
//! decided by the caller.

use super::egl::{Device, INSTALL_EGL, Library, has, load};
use crate::error::Error;
use crate::nvidia::driver_floor;
use khronos_egl as egl;
use std::cell::Cell;
use std::ffi::c_void;
use std::fmt;
use std::rc::Rc;

/// `EGL_PLATFORM_DEVICE_EXT`, EGL_EXT_platform_device.
const PLATFORM_DEVICE: egl::Enum = 0x313F;
/// `EGL_PLATFORM_SURFACELESS_MESA`, EGL_MESA_platform_surfaceless.
const PLATFORM_SURFACELESS: egl::Enum = 0x31DD;

/// A current OpenGL context, and the front door to everything drawn with it.
///
/// Clones share the context; it is destroyed with the last of them. It belongs to the thread that made it.
#[derive(Clone)]
pub struct Gl(Rc<Context>);

struct Context {
    glow: glow::Context,
    egl: Library,
    display: egl::Display,
    context: egl::Context,
    hardware: Hardware,
    passed_over: Option<String>,
    _claim: Claim,
}

/// One context a thread: a second one would become current in place of the first, under all its objects.
struct Claim;

thread_local! {
    static CLAIMED: Cell<bool> = const { Cell::new(false) };
}

impl Claim {
    fn take() -> Result<Self, Error> {
        if CLAIMED.replace(true) {
            return Err(Error::input(
                "two-contexts",
                "this thread already has a GL context",
                "drop the first one, or open the second one on a thread of its own",
            ));
        }
        Ok(Self)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        CLAIMED.set(false);
    }
}

/// What draws.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hardware {
    /// `GL_VENDOR`.
    pub vendor: String,
    /// `GL_RENDERER`.
    pub renderer: String,
    /// `GL_VERSION`.
    pub version: String,
}

impl fmt::Display for Hardware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, GL {}", self.renderer, self.version)
    }
}

impl Gl {
    /// Opens a context on `device`. The context is current on this thread when it returns.
    ///
    /// # Errors
    /// The driver does not work, or has no OpenGL 3.3 core.
    pub(crate) fn on_device(device: &Device) -> Result<Self, Error> {
        Self::open_display(PLATFORM_DEVICE, device.handle(), None)
    }

    /// Opens a context on whatever Mesa draws with where no device is named. `passed_over` says why no GPU was taken. The
    /// context is current on this thread when it returns.
    ///
    /// # Errors
    /// As of [`Gl::on_device`].
    pub(crate) fn without_device(passed_over: Option<String>) -> Result<Self, Error> {
        Self::open_display(PLATFORM_SURFACELESS, egl::DEFAULT_DISPLAY, passed_over)
    }

    /// `native` is a device that EGL has listed, or the default, which the surfaceless platform requires.
    fn open_display(platform: egl::Enum, native: *mut c_void, passed_over: Option<String>) -> Result<Self, Error> {
        let claim = Claim::take()?;
        let egl = load()?;
        // SAFETY: all callers keep to the above; the attribute list ends with EGL_NONE.
        let display = unsafe { egl.get_platform_display(platform, native, &[egl::ATTRIB_NONE]) }.map_err(|error| {
            Error::machine("no-egl-driver", "EGL opens no display without a window system", INSTALL_EGL)
                .caused_by(error)
        })?;
        let mut context = Context::open(egl, display, claim)?;
        context.passed_over = passed_over;
        Ok(Self(Rc::new(context)))
    }

    /// The GL functions, for renderers that draw with their own calls. The context is current on this thread.
    pub fn glow(&self) -> &glow::Context {
        &self.0.glow
    }

    /// Waits until everything is drawn, which a stream never does by itself: for measuring.
    pub fn finish(&self) {
        use glow::HasContext;
        // SAFETY: the context is current on this thread.
        unsafe { self.0.glow.finish() }
    }

    /// What draws.
    pub fn hardware(&self) -> &Hardware {
        &self.0.hardware
    }

    /// libEGL, and the display that the context is of.
    pub(super) fn egl(&self) -> (&Library, egl::Display) {
        (&self.0.egl, self.0.display)
    }

    /// Why the first GPU that EGL shows does not draw, where software draws in the place of one.
    pub(crate) fn passed_over(&self) -> Option<&str> {
        self.0.passed_over.as_deref()
    }
}

impl fmt::Debug for Gl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gl").field(&self.0.hardware).finish()
    }
}

impl Context {
    fn open(egl: Library, display: egl::Display, claim: Claim) -> Result<Self, Error> {
        egl.initialize(display).map_err(|error| {
            Error::machine("no-egl-driver", "EGL found no working driver", INSTALL_EGL)
                .caused_by(error)
                .examined_by_doctor()
        })?;
        // From here on an early return has to terminate the display, which `Drop` does.
        let mut opening = Opening { egl: Some(egl), display };
        let egl = opening.egl.as_ref().expect("set in the line above");

        let extensions = egl.query_string(Some(display), egl::EXTENSIONS).map_err(|error| {
            Error::machine("egl-too-old", "the EGL driver answers no query", INSTALL_EGL).caused_by(error)
        })?;
        let extensions = extensions.to_string_lossy();
        for needed in ["EGL_KHR_surfaceless_context", "EGL_KHR_no_config_context"] {
            if !has(&extensions, needed) {
                return Err(Error::machine("egl-too-old", format!("the EGL driver lacks {needed}"), INSTALL_EGL));
            }
        }
        egl.bind_api(egl::OPENGL_API).map_err(|error| {
            Error::machine("egl-too-old", "the EGL driver has no desktop OpenGL, only GLES", INSTALL_EGL)
                .caused_by(error)
        })?;
        let attributes = [
            egl::CONTEXT_MAJOR_VERSION,
            3,
            egl::CONTEXT_MINOR_VERSION,
            3,
            egl::CONTEXT_OPENGL_PROFILE_MASK,
            egl::CONTEXT_OPENGL_CORE_PROFILE_BIT,
            egl::NONE,
        ];
        // SAFETY: EGL_KHR_no_config_context, checked above, makes a null config legal in eglCreateContext.
        let no_config = unsafe { egl::Config::from_ptr(std::ptr::null_mut()) };
        let context = egl.create_context(display, no_config, None, &attributes).map_err(|error| {
            Error::machine(
                "egl-too-old",
                "the driver is too old: it has no OpenGL 3.3 core",
                concat!("update it: apt install libgl1-mesa-dri, or NVIDIA driver ", driver_floor!(), " or newer"),
            )
            .caused_by(error)
        })?;
        egl.make_current(display, None, None, Some(context)).map_err(|error| {
            // The context goes with the display that `opening` terminates.
            Error::machine("egl-too-old", "the EGL context cannot be made current without a surface", INSTALL_EGL)
                .caused_by(error)
        })?;
        // SAFETY: the context made current above answers for these names, and stays current on this thread as long
        // as `Context` lives: nothing else in this crate makes another one current, and `Gl` is not `Send`.
        let glow = unsafe {
            glow::Context::from_loader_function(|name| match egl.get_proc_address(name) {
                Some(function) => function as *const c_void,
                None => std::ptr::null(),
            })
        };
        use glow::HasContext;
        // SAFETY: a context is current on this thread.
        let hardware = unsafe {
            Hardware {
                vendor: glow.get_parameter_string(glow::VENDOR),
                renderer: glow.get_parameter_string(glow::RENDERER),
                version: glow.get_parameter_string(glow::VERSION),
            }
        };
        let egl = opening.egl.take().expect("taken only here");
        Ok(Self { glow, egl, display, context, hardware, passed_over: None, _claim: claim })
    }
}

/// An initialised display that no `Context` owns yet.
struct Opening {
    egl: Option<Library>,
    display: egl::Display,
}

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(egl) = &self.egl {
            let _ = egl.terminate(self.display);
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // Every GL object holds an `Rc` of this, so they are gone by now. Errors have nobody left to tell.
        let _ = self.egl.make_current(self.display, None, None, None);
        let _ = self.egl.destroy_context(self.display, self.context);
        let _ = self.egl.terminate(self.display);
        let _ = self.egl.release_thread();
    }
}
