//! libcuda: loading it, and the context of the GPU that a GL context draws on.

use super::calls::Calls;
use crate::error::Error;
use crate::gl::Gl;
use crate::os::dl;
use cudarc::driver::sys;
use std::ffi::{CStr, c_char, c_int, c_uint};
use std::fmt;
use std::rc::Rc;
use std::sync::OnceLock;

/// CUDA 12.1, which came with driver 530.41.03: the floor of the NVENC API that this crate speaks.
const OLDEST_VERSION: c_int = 12_010;

pub(super) const INSTALL_DRIVER: &str = "install NVIDIA driver 530.41.03 or newer; in a container start it with --gpus all \
     and NVIDIA_DRIVER_CAPABILITIES=compute,video,graphics,utility";

/// `CU_GL_DEVICE_LIST_ALL`, cudaGL.h.
const GL_DEVICE_LIST_ALL: c_uint = 1;

/// `CUDA_ERROR_NO_DEVICE`, cuda.h.
const NO_DEVICE: c_uint = 100;

/// libcuda, loaded and initialised.
#[derive(Debug)]
pub struct Driver {
    version: c_int,
    calls: Calls,
}

impl Driver {
    /// Loads libcuda and initialises it, once in a process.
    ///
    /// # Errors
    /// No driver, one that is too old or incomplete, or no GPU for it.
    pub fn load() -> Result<&'static Self, Error> {
        static DRIVER: OnceLock<Driver> = OnceLock::new();
        // Two threads may get here at once; then both load the same library and one result is kept.
        match DRIVER.get() {
            Some(driver) => Ok(driver),
            None => Self::load_now().map(|driver| DRIVER.get_or_init(|| driver)),
        }
    }

    fn load_now() -> Result<Self, Error> {
        let library = dl::open("libcuda.so.1")
            .map_err(|why| Error::machine("there is no NVIDIA driver", INSTALL_DRIVER).caused_by(why))?;
        let calls = Calls::find(library).map_err(|missing| {
            Error::machine(format!("the NVIDIA driver's libcuda.so.1 lacks {missing}"), INSTALL_DRIVER)
        })?;
        let mut version = 0;
        // SAFETY: cuDriverGetVersion may be called before cuInit and writes one int.
        check("cuDriverGetVersion", unsafe { (calls.cuDriverGetVersion)(&mut version) })?;
        if version < OLDEST_VERSION {
            return Err(Error::machine(
                format!("the NVIDIA driver is too old: it speaks CUDA {}, 12.1 is needed", show_version(version)),
                INSTALL_DRIVER,
            ));
        }
        // SAFETY: it may be called by any thread, any number of times; 0 is its only flag.
        check("cuInit", unsafe { (calls.cuInit)(0) })?;
        Ok(Self { version, calls })
    }

    /// The CUDA version that the driver speaks, as `12.1`.
    pub fn version(&self) -> String {
        show_version(self.version)
    }

    /// Names of the GPUs that CUDA shows, in its order. `CUDA_VISIBLE_DEVICES` decides which these are.
    ///
    /// # Errors
    /// The driver's.
    pub fn devices(&self) -> Result<Vec<String>, Error> {
        (0..self.count()?).map(|ordinal| self.name(self.device(ordinal)?)).collect()
    }

    fn count(&self) -> Result<c_int, Error> {
        let mut count = 0;
        // SAFETY: the driver is initialised, and writes one number.
        check("cuDeviceGetCount", unsafe { (self.calls.cuDeviceGetCount)(&mut count) })?;
        Ok(count)
    }

    fn device(&self, ordinal: c_int) -> Result<sys::CUdevice, Error> {
        let mut device = 0;
        // SAFETY: the driver is initialised, and writes one number; an ordinal that is none is refused.
        check("cuDeviceGet", unsafe { (self.calls.cuDeviceGet)(&mut device, ordinal) })?;
        Ok(device)
    }

    fn name(&self, device: sys::CUdevice) -> Result<String, Error> {
        // The last byte stays zero, whatever the driver does.
        let mut name: [c_char; 257] = [0; 257];
        // SAFETY: the driver is initialised, and writes at most the 256 characters that it is told there is room for.
        check("cuDeviceGetName", unsafe { (self.calls.cuDeviceGetName)(name.as_mut_ptr(), 256, device) })?;
        // SAFETY: the array ends with a zero.
        Ok(unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned())
    }

    /// Which GPU, as CUDA counts them, draws what `gl` draws: the driver's own answer, since EGL and CUDA need not
    /// count alike.
    ///
    /// # Errors
    /// The context is not drawn by a GPU that CUDA shows: by a software renderer, say.
    pub fn ordinal_of(&self, gl: &Gl) -> Result<u32, Error> {
        let mut devices = [0; 16];
        let mut count = 0;
        // SAFETY: `gl` exists, so its context is current on this thread. The driver writes at most the number of
        // devices that it is told there is room for.
        let status = unsafe {
            (self.calls.cuGLGetDevices_v2)(
                &mut count,
                devices.as_mut_ptr(),
                devices.len() as c_uint,
                GL_DEVICE_LIST_ALL,
            )
        };
        let hidden = |why: String| {
            Error::machine(
                format!("the GPU that draws is hidden from CUDA, or software draws: {}", gl.hardware()),
                "change or unset CUDA_VISIBLE_DEVICES, or name another GPU with --device\n\
                 if software draws, make NVIDIA's EGL known: 10_nvidia.json in /usr/share/glvnd/egl_vendor.d",
            )
            .caused_by(why)
            .examined_by_doctor()
        };
        match status {
            0 if count > 0 => {}
            0 => return Err(hidden("cuGLGetDevices names no device".to_owned())),
            // Drivers say this with different numbers, and with some that a lost GPU has too.
            _ if !gl.hardware().vendor.contains("NVIDIA") => {
                return Err(Error::machine(
                    format!("the picture is not drawn by an NVIDIA GPU but by {}", gl.hardware()),
                    "make NVIDIA's EGL known: 10_nvidia.json in /usr/share/glvnd/egl_vendor.d, and in a container \
                     NVIDIA_DRIVER_CAPABILITIES=compute,video,graphics,utility",
                )
                .caused_by(match gl.passed_over() {
                    Some(why) => format!("a GPU that EGL shows cannot be used: {why}"),
                    None => described("cuGLGetDevices", status),
                })
                .examined_by_doctor());
            }
            NO_DEVICE => return Err(hidden(described("cuGLGetDevices", status))),
            _ => return Err(failed("cuGLGetDevices", status)),
        }
        (0..self.count()?)
            .find(|&ordinal| self.device(ordinal).is_ok_and(|device| device == devices[0]))
            .map(|ordinal| ordinal as u32)
            .ok_or_else(|| hidden("cuGLGetDevices names a device that cuDeviceGet does not".to_owned()))
    }
}

fn show_version(version: c_int) -> String {
    format!("{}.{}", version / 1000, version % 1000 / 10)
}

/// The CUDA context of the GPU that draws, current on the thread that made it and bound to that thread.
#[derive(Clone)]
pub struct CudaContext(Rc<Primary>);

/// The primary context of a device, retained and current.
struct Primary {
    driver: &'static Driver,
    ordinal: u32,
    device: sys::CUdevice,
    context: sys::CUcontext,
}

impl CudaContext {
    /// Opens the context of the GPU that draws what `gl` draws.
    ///
    /// # Errors
    /// That GPU is none of CUDA's, or cannot be used.
    pub fn open(gl: &Gl) -> Result<Self, Error> {
        let driver = Driver::load()?;
        let ordinal = driver.ordinal_of(gl)?;
        let device = driver.device(ordinal as c_int)?;
        let mut context = std::ptr::null_mut();
        // SAFETY: the driver knows the device, and writes one handle.
        let status = unsafe { (driver.calls.cuDevicePrimaryCtxRetain)(&mut context, device) };
        check("cuDevicePrimaryCtxRetain", status)?;
        let primary = Primary { driver, ordinal, device, context };
        // Whatever is current already: it may be a context that has been destroyed.
        // SAFETY: the context was retained above.
        check("cuCtxSetCurrent", unsafe { (driver.calls.cuCtxSetCurrent)(primary.context) })?;
        Ok(Self(Rc::new(primary)))
    }

    /// Waits until the GPU has done all work of the default stream: for measuring.
    ///
    /// # Errors
    /// The driver's, of any work before.
    pub fn finish(&self) -> Result<(), Error> {
        // SAFETY: the context is current on this thread; the null stream is the default one.
        check("cuStreamSynchronize", unsafe { (self.calls().cuStreamSynchronize)(std::ptr::null_mut()) })
    }

    /// Which GPU it is, as CUDA counts them.
    pub fn ordinal(&self) -> u32 {
        self.0.ordinal
    }

    /// The GPU's name.
    pub fn name(&self) -> String {
        self.0.driver.name(self.0.device).unwrap_or_else(|_| "a GPU without a name".to_owned())
    }

    /// The driver's handle, for NVENC.
    pub(crate) fn raw(&self) -> sys::CUcontext {
        self.0.context
    }

    pub(crate) fn calls(&self) -> &'static Calls {
        &self.0.driver.calls
    }
}

impl Drop for Primary {
    fn drop(&mut self) {
        let calls = &self.driver.calls;
        // The last to let go of it destroys it, and the driver leaves a destroyed context current.
        // SAFETY: null takes away what is current on this thread, and everything made in the context is gone.
        let _ = unsafe { (calls.cuCtxSetCurrent)(std::ptr::null_mut()) };
        // SAFETY: retained in `open`, released only here. After the device is lost this fails, and nobody is left to tell.
        let _ = unsafe { (calls.cuDevicePrimaryCtxRelease_v2)(self.device) };
    }
}

impl fmt::Debug for CudaContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CudaContext({})", self.ordinal())
    }
}

/// `cuInit failed with CUDA_ERROR_NO_DEVICE (100)`.
fn described(function: &str, status: c_uint) -> String {
    let name = match status {
        1 => "INVALID_VALUE",
        2 => "OUT_OF_MEMORY",
        3 => "NOT_INITIALIZED",
        4 => "DEINITIALIZED",
        34 => "STUB_LIBRARY",
        46 => "DEVICE_UNAVAILABLE",
        100 => "NO_DEVICE",
        101 => "INVALID_DEVICE",
        200 => "INVALID_IMAGE",
        201 => "INVALID_CONTEXT",
        205 => "MAP_FAILED",
        206 => "UNMAP_FAILED",
        208 => "ALREADY_MAPPED",
        209 => "NO_BINARY_FOR_GPU",
        211 => "NOT_MAPPED",
        219 => "INVALID_GRAPHICS_CONTEXT",
        304 => "OPERATING_SYSTEM",
        400 => "INVALID_HANDLE",
        700 => "ILLEGAL_ADDRESS",
        719 => "LAUNCH_FAILED",
        800 => "NOT_PERMITTED",
        801 => "NOT_SUPPORTED",
        802 => "SYSTEM_NOT_READY",
        803 => "SYSTEM_DRIVER_MISMATCH",
        804 => "COMPAT_NOT_SUPPORTED_ON_DEVICE",
        999 => "UNKNOWN",
        _ => return format!("{function} failed with CUDA status {status}"),
    };
    format!("{function} failed with CUDA_ERROR_{name} ({status})")
}

/// The error for a status other than 0.
fn failed(function: &str, status: c_uint) -> Error {
    let (meaning, remedy) = match status {
        2 => ("the GPU is out of memory", "close other programs that use it, or choose a smaller picture"),
        34 => (
            "the libcuda.so.1 that was found is a stub for building, not a driver",
            "take its folder out of LD_LIBRARY_PATH, or install a driver",
        ),
        46 => ("another process has the GPU for itself", "set its compute mode back: nvidia-smi -c DEFAULT"),
        100 | 101 => (
            "CUDA shows no GPU",
            "check nvidia-smi -L and CUDA_VISIBLE_DEVICES; in a container start it with --gpus all",
        ),
        219 => (
            "GL and CUDA do not work together in this context",
            "unset __GL_THREADED_OPTIMIZATIONS, and let NVIDIA's EGL draw",
        ),
        802 => ("the GPUs are not ready yet", "wait for nvidia-fabricmanager, or start it"),
        803 => (
            "the driver's kernel module and its libraries are of different versions",
            "restart the machine after a driver update, or the container if only it is old",
        ),
        4 | 700 | 719 | 999 => (
            "the GPU was lost or its driver is in a bad state",
            "check dmesg for NVRM messages; after a suspend reload the driver: modprobe -r nvidia_uvm; modprobe nvidia_uvm",
        ),
        _ => ("the NVIDIA driver failed", "check nvidia-smi and dmesg, and use --encoder openh264 meanwhile"),
    };
    let mut error = Error::machine(meaning, remedy).caused_by(described(function, status));
    // The others name what is wrong.
    if !matches!(status, 2 | 34 | 46 | 100 | 101 | 802 | 803) {
        error = error.examined_by_doctor();
    }
    error
}

/// Turns the status of `function` into a result.
pub(crate) fn check(function: &str, status: c_uint) -> Result<(), Error> {
    if status == 0 { Ok(()) } else { Err(failed(function, status)) }
}
