//! The EGL display and context: desktop OpenGL 3.3 core, no window system, no surface. Which device it is opened on is
//! decided by the caller.

use super::display::Display;
use super::egl::{Device, INSTALL_EGL, Library, PLATFORM_DEVICE, PLATFORM_SURFACELESS, has, load};
use super::reset::{self, Watch};
use crate::error::Error;
use crate::nvidia::driver_floor;
use khronos_egl as egl;
use std::cell::Cell;
use std::ffi::c_void;
use std::fmt;
use std::rc::Rc;

/// A current OpenGL context, and the front door to everything drawn with it.
///
/// Clones share the context; it is destroyed with the last of them. It belongs to the thread that made it.
#[derive(Clone)]
pub struct Gl(Rc<Context>);

struct Context {
    glow: glow::Context,
    display: Display<Library>,
    context: egl::Context,
    hardware: Hardware,
    vendor: String,
    passed_over: Vec<PassedOver>,
    watch: Watch,
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

impl Hardware {
    /// Whether NVIDIA's driver draws.
    pub(crate) fn is_nvidia(&self) -> bool {
        self.vendor.contains("NVIDIA")
    }

    /// What the names of the threads begin with that draw, where the processor does by threads of its own.
    pub(crate) fn threads(&self) -> Option<&'static str> {
        self.renderer.contains("llvmpipe").then_some("llvmpipe-")
    }

    /// Whether the processor draws, by one of Mesa's renderers.
    pub(crate) fn is_software(&self) -> bool {
        ["llvmpipe", "softpipe", "swrast"].iter().any(|name| self.renderer.contains(name))
    }
}

impl fmt::Display for Hardware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, GL {}", self.renderer, self.version)
    }
}

/// What was tried before something draws.
#[derive(Clone, Debug)]
pub(crate) struct PassedOver {
    /// Whether it is a GPU that NVIDIA's EGL shows.
    pub is_nvidia: bool,
    /// What it is, and why it does not draw.
    pub why: String,
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl Gl {
    /// Opens a context on `device`. The context is current on this thread when it returns.
    ///
    /// # Errors
    /// The driver does not work, or has no OpenGL 3.3 core.
    pub(crate) fn on_device(device: &Device) -> Result<Self, Error> {
        Self::open_display(PLATFORM_DEVICE, device.handle())
    }

    /// Opens a context on whatever draws where no device is named, which is Mesa's choice unless another vendor comes
    /// first. The context is current on this thread.
    ///
    /// # Errors
    /// As of [`Gl::on_device`].
    pub(crate) fn without_device() -> Result<Self, Error> {
        Self::open_display(PLATFORM_SURFACELESS, egl::DEFAULT_DISPLAY)
    }

    /// `native` is a device that EGL has listed, or the default, which the surfaceless platform requires.
    fn open_display(platform: egl::Enum, native: *mut c_void) -> Result<Self, Error> {
        let claim = Claim::take()?;
        let egl = load()?;
        // SAFETY: all callers keep to the above; the attribute list ends with EGL_NONE.
        let display = unsafe { egl.get_platform_display(platform, native, &[egl::ATTRIB_NONE]) }.map_err(|error| {
            Error::machine("no-egl-driver", "EGL opens no display without a window system", INSTALL_EGL)
                .caused_by(error)
        })?;
        Ok(Self(Rc::new(Context::open(egl, display, claim)?)))
    }

    /// The same context, with what was tried before it and why that was none.
    ///
    /// # Panics
    /// The context is in use already.
    pub(crate) fn after(mut self, passed_over: Vec<PassedOver>) -> Self {
        Rc::get_mut(&mut self.0).expect("a context that was just opened").passed_over = passed_over;
        self
    }

    /// The GL functions, for renderers that draw with their own calls. The context is current on this thread.
    pub fn glow(&self) -> &glow::Context {
        &self.0.glow
    }

    /// Has everything drawn that was asked for, and does not wait for it.
    pub(crate) fn flush(&self) {
        use glow::HasContext;
        // SAFETY: the context is current on this thread.
        unsafe { self.0.glow.flush() }
    }

    /// Waits until everything is drawn, which a stream never does by itself: for measuring.
    pub fn finish(&self) {
        use glow::HasContext;
        // SAFETY: the context is current on this thread.
        unsafe { self.0.glow.finish() }
    }

    /// Tells the driver that nothing is compiled for now, so that it lets go of what it needs for that: Mesa of the whole
    /// library of GLSL's functions. Compiling again is legal and brings it back (OpenGL 4.6 core, section 7.2). Does nothing
    /// where the driver is older than that call.
    pub(crate) fn release_compiler(&self) {
        if let Some(release) = self.0.display.egl().get_proc_address("glReleaseShaderCompiler") {
            release();
        }
    }

    /// What draws.
    pub fn hardware(&self) -> &Hardware {
        &self.0.hardware
    }

    /// libEGL, and the display that the context is of.
    pub(super) fn egl(&self) -> (&Library, egl::Display) {
        (self.0.display.egl(), self.0.display.handle())
    }

    /// Who makes the EGL that this context is of, as that says itself.
    pub(crate) fn vendor(&self) -> &str {
        &self.0.vendor
    }

    /// What was tried before, each with why it does not draw.
    pub(crate) fn passed_over(&self) -> &[PassedOver] {
        &self.0.passed_over
    }

    /// Whether the context is told of a reset of the GPU, which takes it. Otherwise it goes on, and draws nothing.
    pub(crate) fn is_told_of_resets(&self) -> bool {
        self.0.watch.is_told()
    }

    /// Asks whether the context is still there. It waits for nothing that is being drawn.
    ///
    /// # Errors
    /// It is lost, and nothing that was made in it is of any use.
    pub(crate) fn check_lost(&self) -> Result<(), Error> {
        self.0.watch.check()
    }
}

impl fmt::Debug for Gl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gl").field(&self.0.hardware).finish()
    }
}

impl Context {
    fn open(egl: Library, display: egl::Display, claim: Claim) -> Result<Self, Error> {
        let (initialized, version) = Display::initialize(egl, display).map_err(|error| {
            Error::machine("no-egl-driver", "EGL found no working driver", INSTALL_EGL)
                .caused_by(error)
                .examined_by_doctor()
        })?;
        let egl = initialized.egl();
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
        let wanted = [
            egl::CONTEXT_MAJOR_VERSION,
            3,
            egl::CONTEXT_MINOR_VERSION,
            3,
            egl::CONTEXT_OPENGL_PROFILE_MASK,
            egl::CONTEXT_OPENGL_CORE_PROFILE_BIT,
        ];
        // SAFETY: EGL_KHR_no_config_context, checked above, makes a null config legal in eglCreateContext.
        let no_config = unsafe { egl::Config::from_ptr(std::ptr::null_mut()) };
        let create =
            |more: &[egl::Int]| egl.create_context(display, no_config, None, &[&wanted, more, &[egl::NONE]].concat());
        // Not every driver that knows of robust contexts has them.
        let robust = reset::attributes(version, &extensions).and_then(|more| create(&more).ok());
        let context = robust.map_or_else(|| create(&[]), Ok).map_err(|error| {
            Error::machine(
                "egl-too-old",
                "the driver is too old: it has no OpenGL 3.3 core",
                concat!("update it: apt install libgl1-mesa-dri, or NVIDIA driver ", driver_floor!(), " or newer"),
            )
            .caused_by(error)
        })?;
        egl.make_current(display, None, None, Some(context)).map_err(|error| {
            let _ = egl.destroy_context(display, context);
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
        let vendor = egl.query_string(Some(display), egl::VENDOR).map(|vendor| vendor.to_string_lossy().into_owned());
        let vendor = vendor.unwrap_or_default();
        let watch = Watch::new(&glow, egl);
        Ok(Self {
            glow,
            display: initialized,
            context,
            hardware,
            vendor,
            passed_over: Vec::new(),
            watch,
            _claim: claim,
        })
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // Every GL object holds an `Rc` of this, so they are gone by now. Errors have nobody left to tell.
        let (egl, display) = (self.display.egl(), self.display.handle());
        let _ = egl.make_current(display, None, None, None);
        let _ = egl.destroy_context(display, self.context);
        let _ = egl.release_thread();
    }
}
