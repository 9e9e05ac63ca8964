//! The EGL display and context: desktop OpenGL 3.3 core, no window system, no surface.

use crate::error::Error;
use crate::os::dl;
use khronos_egl as egl;
use std::cell::Cell;
use std::ffi::c_void;
use std::fmt;
use std::rc::Rc;
use std::sync::Once;

type Egl = egl::DynamicInstance<egl::EGL1_5>;

/// `EGL_PLATFORM_DEVICE_EXT`, EGL_EXT_platform_device.
const PLATFORM_DEVICE: egl::Enum = 0x313F;
/// `EGL_PLATFORM_SURFACELESS_MESA`, EGL_MESA_platform_surfaceless.
const PLATFORM_SURFACELESS: egl::Enum = 0x31DD;
/// `EGL_CUDA_DEVICE_NV`, EGL_NV_device_cuda.
const CUDA_DEVICE: egl::Int = 0x323A;

const INSTALL_EGL: &str = "install it: apt install libegl1 libgl1-mesa-dri (in a container with an NVIDIA GPU also set \
     NVIDIA_DRIVER_CAPABILITIES=compute,video,graphics,utility)";

/// A current OpenGL context, and the front door to everything drawn with it.
///
/// Clones share the context; it is destroyed with the last of them. It belongs to the thread that made it.
#[derive(Clone)]
pub struct Gl(Rc<Context>);

struct Context {
    glow: glow::Context,
    egl: Egl,
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
    /// Opens a context on the GPU that CUDA calls `device`. With `None` it takes the first NVIDIA GPU that works, else what
    /// Mesa offers, which is software rendering where there is no GPU. The context is current on this thread when it
    /// returns.
    ///
    /// # Errors
    /// No libEGL or none that works, no such GPU, or a driver without OpenGL 3.3 core.
    pub fn open(device: Option<u32>) -> Result<Self, Error> {
        let egl = load()?;
        let extensions = client_extensions(&egl)?;
        let gpus = gpus(&egl, &extensions);
        if let Some(ordinal) = device {
            let gpu = gpus.iter().find(|gpu| gpu.cuda_ordinal == Some(ordinal));
            let gpu = gpu.ok_or_else(|| no_such_gpu(ordinal, gpus.len()))?;
            return Self::open_display(PLATFORM_DEVICE, gpu.handle, None);
        }
        let mut passed_over = None;
        for gpu in &gpus {
            match Self::open_display(PLATFORM_DEVICE, gpu.handle, None) {
                Ok(gl) => return Ok(gl),
                Err(error) => {
                    tracing::debug!("a GPU that EGL shows cannot be used: {}", error.cause());
                    passed_over.get_or_insert(error);
                }
            }
        }
        if has(&extensions, "EGL_MESA_platform_surfaceless") {
            let why = passed_over.map(|error| error.cause());
            return Self::open_display(PLATFORM_SURFACELESS, egl::DEFAULT_DISPLAY, why);
        }
        Err(passed_over.unwrap_or_else(|| {
            Error::machine(
                "EGL has no driver that draws without a window system (EGL_MESA_platform_surfaceless)",
                INSTALL_EGL,
            )
            .examined_by_doctor()
        }))
    }

    /// `native` is a device that EGL has listed, or the default, which the surfaceless platform requires.
    fn open_display(platform: egl::Enum, native: *mut c_void, passed_over: Option<String>) -> Result<Self, Error> {
        let claim = Claim::take()?;
        let egl = load()?;
        // SAFETY: all callers keep to the above; the attribute list ends with EGL_NONE.
        let display = unsafe { egl.get_platform_display(platform, native, &[egl::ATTRIB_NONE]) }.map_err(|error| {
            Error::machine("EGL opens no display without a window system", INSTALL_EGL).caused_by(error)
        })?;
        let mut context = Context::open(egl, display, claim)?;
        context.passed_over = passed_over;
        Ok(Self(Rc::new(context)))
    }

    /// Opens a context on the first GPU that `is_it` agrees to. EGL's own idea of which one CUDA calls `ordinal` is tried
    /// first; it need not know of `CUDA_VISIBLE_DEVICES`.
    ///
    /// # Errors
    /// No GPU is the one, or libEGL cannot be loaded. What came of the last one that could not be used, or of which
    /// `is_it` could not tell, is the cause.
    pub fn open_gpu(ordinal: u32, is_it: impl Fn(&Self) -> Result<bool, Error>) -> Result<Self, Error> {
        let egl = load()?;
        let mut gpus = gpus(&egl, &client_extensions(&egl)?);
        gpus.sort_by_key(|gpu| gpu.cuda_ordinal != Some(ordinal));
        let mut error = no_such_gpu(ordinal, gpus.len());
        for gpu in gpus {
            let opened = Self::open_display(PLATFORM_DEVICE, gpu.handle, None);
            match opened.and_then(|gl| Ok(is_it(&gl)?.then_some(gl))) {
                Ok(Some(gl)) => return Ok(gl),
                Ok(None) => {}
                Err(why) => {
                    tracing::debug!("a GPU that EGL shows cannot be used: {}", why.cause());
                    error = error.caused_by(format!("one cannot be used: {}", why.cause()));
                }
            }
        }
        Err(error)
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

fn load() -> Result<Egl, Error> {
    // Kept until the process ends: drivers do not survive being unloaded, and take long to load.
    static KEPT: Once = Once::new();
    KEPT.call_once(|| drop(dl::open("libEGL.so.1")));
    // SAFETY: loading a library runs its initialisers; libEGL is what the user installed as the system's EGL. Nothing of
    // it is used after `Context` is dropped, which holds the library.
    unsafe { Egl::load_required() }
        .map_err(|error| Error::machine("libEGL.so.1 (EGL 1.5) cannot be loaded", INSTALL_EGL).caused_by(error))
}

fn client_extensions(egl: &Egl) -> Result<String, Error> {
    let extensions = egl.query_string(None, egl::EXTENSIONS).map_err(|error| {
        Error::machine("libEGL answers no query, so it found no driver", INSTALL_EGL)
            .caused_by(error)
            .examined_by_doctor()
    })?;
    Ok(extensions.to_string_lossy().into_owned())
}

fn has(extensions: &str, name: &str) -> bool {
    extensions.split(' ').any(|extension| extension == name)
}

/// The devices that are NVIDIA GPUs.
fn gpus(egl: &Egl, extensions: &str) -> Vec<Device> {
    let mut gpus = Vec::new();
    if has(extensions, "EGL_EXT_platform_device") && has(extensions, "EGL_EXT_device_query") {
        gpus = Device::all(egl);
        gpus.retain(|gpu| gpu.cuda_ordinal.is_some());
    }
    gpus
}

fn no_such_gpu(ordinal: u32, seen: usize) -> Error {
    let seen = match seen {
        0 => "EGL shows no NVIDIA GPU".to_owned(),
        n => format!("EGL shows {n} NVIDIA GPU(s)"),
    };
    Error::machine(
        format!("there is no GPU {ordinal}: {seen}"),
        "see which GPUs there are with nvidia-smi -L, or leave --device out to draw in software",
    )
    .examined_by_doctor()
}

/// What libEGL says of itself and of the devices that it shows, before anything is opened.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Version of the EGL that applications are given, as `1.5`.
    pub version: String,
    /// What draws, one for each device, in EGL's order. A device that answers no query is left out.
    pub devices: Vec<Surveyed>,
    /// Whether Mesa offers to draw without a device.
    pub surfaceless: bool,
}

/// One device of a [`Survey`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Surveyed {
    /// An NVIDIA GPU, by its number in EGL's own idea of how CUDA counts.
    Cuda(u32),
    /// Mesa on the processor.
    Software,
    /// Another GPU.
    Other,
}

impl Survey {
    /// Loads libEGL and asks it.
    ///
    /// # Errors
    /// There is no libEGL, or it found no driver.
    pub fn take() -> Result<Self, Error> {
        let egl = load()?;
        let extensions = client_extensions(&egl)?;
        let version = egl.query_string(None, egl::VERSION).map(|version| version.to_string_lossy().into_owned());
        let mut devices = Vec::new();
        if has(&extensions, "EGL_EXT_platform_device") && has(&extensions, "EGL_EXT_device_query") {
            devices = Device::all(&egl);
        }
        let devices = devices.into_iter().map(|device| match device.cuda_ordinal {
            Some(ordinal) => Surveyed::Cuda(ordinal),
            None if device.software => Surveyed::Software,
            None => Surveyed::Other,
        });
        Ok(Self {
            version: version.unwrap_or_else(|_| "of an unknown version".to_owned()),
            devices: devices.collect(),
            surfaceless: has(&extensions, "EGL_MESA_platform_surfaceless"),
        })
    }
}

/// One entry of EGL_EXT_device_enumeration that answers queries.
struct Device {
    handle: *mut c_void,
    cuda_ordinal: Option<u32>,
    software: bool,
}

impl Device {
    fn all(egl: &Egl) -> Vec<Self> {
        type QueryDevices = extern "system" fn(egl::Int, *mut *mut c_void, *mut egl::Int) -> egl::Boolean;
        type QueryString = extern "system" fn(*mut c_void, egl::Int) -> *const std::ffi::c_char;
        type QueryAttrib = extern "system" fn(*mut c_void, egl::Int, *mut egl::Attrib) -> egl::Boolean;
        let (Some(devices), Some(string), Some(attrib)) = (
            egl.get_proc_address("eglQueryDevicesEXT"),
            egl.get_proc_address("eglQueryDeviceStringEXT"),
            egl.get_proc_address("eglQueryDeviceAttribEXT"),
        ) else {
            return Vec::new();
        };
        // SAFETY: EGL gave these addresses for these names, and the types are those of EGL_EXT_device_base.
        let (devices, string, attrib) = unsafe {
            (
                std::mem::transmute::<extern "system" fn(), QueryDevices>(devices),
                std::mem::transmute::<extern "system" fn(), QueryString>(string),
                std::mem::transmute::<extern "system" fn(), QueryAttrib>(attrib),
            )
        };
        let mut handles = [std::ptr::null_mut(); 64];
        let mut count = 0;
        if devices(handles.len() as egl::Int, handles.as_mut_ptr(), &mut count) != egl::TRUE {
            return Vec::new();
        }
        let count = usize::try_from(count).unwrap_or(0).min(handles.len());
        let answer = |&handle: &*mut c_void| {
            // The string comes first: driver 450.80.02 crashes in the attribute query for a GPU that a container
            // hides, and its string query says so without crashing.
            let extensions = string(handle, egl::EXTENSIONS);
            if extensions.is_null() {
                return None;
            }
            // SAFETY: EGL's strings are static, zero-terminated and never freed.
            let extensions = unsafe { std::ffi::CStr::from_ptr(extensions) }.to_string_lossy();
            let mut ordinal: egl::Attrib = 0;
            let is_cuda = extensions.split(' ').any(|extension| extension == "EGL_NV_device_cuda")
                && attrib(handle, CUDA_DEVICE, &mut ordinal) == egl::TRUE;
            let cuda_ordinal = if is_cuda { u32::try_from(ordinal).ok() } else { None };
            let software = extensions.split(' ').any(|extension| extension == "EGL_MESA_device_software");
            Some(Self { handle, cuda_ordinal, software })
        };
        handles[..count].iter().filter_map(answer).collect()
    }
}

impl Context {
    fn open(egl: Egl, display: egl::Display, claim: Claim) -> Result<Self, Error> {
        egl.initialize(display).map_err(|error| {
            Error::machine("EGL found no working driver", INSTALL_EGL).caused_by(error).examined_by_doctor()
        })?;
        // From here on an early return has to terminate the display, which `Drop` does.
        let mut opening = Opening { egl: Some(egl), display };
        let egl = opening.egl.as_ref().expect("set in the line above");

        let extensions = egl
            .query_string(Some(display), egl::EXTENSIONS)
            .map_err(|error| Error::machine("the EGL driver answers no query", INSTALL_EGL).caused_by(error))?;
        let extensions = extensions.to_string_lossy();
        for needed in ["EGL_KHR_surfaceless_context", "EGL_KHR_no_config_context"] {
            if !extensions.split(' ').any(|extension| extension == needed) {
                return Err(Error::machine(format!("the EGL driver lacks {needed}"), INSTALL_EGL));
            }
        }
        egl.bind_api(egl::OPENGL_API).map_err(|error| {
            Error::machine("the EGL driver has no desktop OpenGL, only GLES", INSTALL_EGL).caused_by(error)
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
                "the driver is too old: it has no OpenGL 3.3 core",
                "update it: apt install libgl1-mesa-dri, or NVIDIA driver 530.41.03 or newer",
            )
            .caused_by(error)
        })?;
        egl.make_current(display, None, None, Some(context)).map_err(|error| {
            // The context goes with the display that `opening` terminates.
            Error::machine("the EGL context cannot be made current without a surface", INSTALL_EGL).caused_by(error)
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
    egl: Option<Egl>,
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
