//! libcuda: loading it, and the context of the GPU that a GL context draws on.

use crate::dl;
use crate::error::Error;
use crate::gl::Gl;
use cudarc::driver::{DriverError, result, sys};
use std::ffi::{c_int, c_uint};
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};

/// CUDA 12.1, which came with driver 530.41.03: the floor of the NVENC API that this crate speaks.
const OLDEST_VERSION: c_int = 12_010;

pub(super) const INSTALL_DRIVER: &str = "install NVIDIA driver 530.41.03 or newer; in a container start it with --gpus all \
     and NVIDIA_DRIVER_CAPABILITIES=compute,video,graphics,utility";

/// `CU_GL_DEVICE_LIST_ALL`, cudaGL.h.
const GL_DEVICE_LIST_ALL: c_uint = 1;

/// `CUDA_ERROR_NO_DEVICE` and `CUDA_ERROR_INVALID_GRAPHICS_CONTEXT`, cuda.h.
const NO_DEVICE: c_uint = 100;
const INVALID_GRAPHICS_CONTEXT: c_uint = 219;

type GlGetDevices = unsafe extern "C" fn(*mut c_uint, *mut sys::CUdevice, c_uint, c_uint) -> c_uint;
pub(super) type GlRegisterImage = unsafe extern "C" fn(*mut sys::CUgraphicsResource, c_uint, c_uint, c_uint) -> c_uint;
type DriverGetVersion = unsafe extern "C" fn(*mut c_int) -> c_uint;

/// libcuda, loaded and initialised.
#[derive(Debug)]
pub struct Driver {
    version: c_int,
    gl_get_devices: GlGetDevices,
    pub(super) gl_register_image: GlRegisterImage,
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
        // What cudarc lacks, and what it calls here: it would panic over a missing symbol.
        let [version, gl_get_devices, gl_register_image, ..] = dl::symbols(
            library,
            [
                "cuDriverGetVersion",
                "cuGLGetDevices_v2",
                "cuGraphicsGLRegisterImage",
                "cuInit",
                "cuDeviceGet",
                "cuDeviceGetAttribute",
                "cuDeviceGetCount",
                "cuDeviceGetName",
                "cuDevicePrimaryCtxRetain",
                "cuDevicePrimaryCtxRelease_v2",
                "cuCtxGetCurrent",
                "cuCtxSetCurrent",
                "cuMemAllocPitch_v2",
                "cuMemFree_v2",
                "cuMemcpy2D_v2",
                "cuStreamSynchronize",
                "cuGraphicsMapResources",
                "cuGraphicsUnmapResources",
                "cuGraphicsSubResourceGetMappedArray",
                "cuGraphicsUnregisterResource",
            ],
        )
        .map_err(|missing| {
            Error::machine(format!("the NVIDIA driver's libcuda.so.1 lacks {missing}"), INSTALL_DRIVER)
        })?;
        // SAFETY: the addresses were found under these names, and the types are those of cuda.h and cudaGL.h, with
        // each status as the number that it is in C.
        let (get_version, gl_get_devices, gl_register_image) = unsafe {
            (
                std::mem::transmute::<std::ptr::NonNull<std::ffi::c_void>, DriverGetVersion>(version),
                std::mem::transmute::<std::ptr::NonNull<std::ffi::c_void>, GlGetDevices>(gl_get_devices),
                std::mem::transmute::<std::ptr::NonNull<std::ffi::c_void>, GlRegisterImage>(gl_register_image),
            )
        };
        let mut version = 0;
        // SAFETY: cuDriverGetVersion may be called before cuInit and writes one int.
        let status = unsafe { get_version(&mut version) };
        if status != 0 {
            return Err(failed("cuDriverGetVersion", status));
        }
        if version < OLDEST_VERSION {
            return Err(Error::machine(
                format!("the NVIDIA driver is too old: it speaks CUDA {}, 12.1 is needed", show_version(version)),
                INSTALL_DRIVER,
            ));
        }
        result::init().map_err(|error| cuda_failed("cuInit", error))?;
        Ok(Self { version, gl_get_devices, gl_register_image })
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
        let count = result::device::get_count().map_err(|error| cuda_failed("cuDeviceGetCount", error))?;
        let name = |ordinal| result::device::get_name(result::device::get(ordinal)?);
        (0..count).map(|ordinal| name(ordinal).map_err(|error| cuda_failed("cuDeviceGetName", error))).collect()
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
            (self.gl_get_devices)(&mut count, devices.as_mut_ptr(), devices.len() as c_uint, GL_DEVICE_LIST_ALL)
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
            NO_DEVICE => return Err(hidden(described("cuGLGetDevices", status))),
            INVALID_GRAPHICS_CONTEXT => {
                return Err(Error::machine(
                    format!("the picture is not drawn by an NVIDIA GPU but by {}", gl.hardware()),
                    "make NVIDIA's EGL known: 10_nvidia.json in /usr/share/glvnd/egl_vendor.d, and in a container \
                     NVIDIA_DRIVER_CAPABILITIES=compute,video,graphics,utility",
                )
                .caused_by(described("cuGLGetDevices", status))
                .examined_by_doctor());
            }
            _ => return Err(failed("cuGLGetDevices", status)),
        }
        let all = result::device::get_count().map_err(|error| cuda_failed("cuDeviceGetCount", error))?;
        (0..all)
            .find(|&ordinal| result::device::get(ordinal).is_ok_and(|device| device == devices[0]))
            .map(|ordinal| ordinal as u32)
            .ok_or_else(|| hidden("cuGLGetDevices names a device that cuDeviceGet does not".to_owned()))
    }
}

fn show_version(version: c_int) -> String {
    format!("{}.{}", version / 1000, version % 1000 / 10)
}

/// The CUDA context of the GPU that draws, current on the thread that made it and bound to that thread.
#[derive(Clone)]
pub struct CudaContext {
    inner: Arc<cudarc::driver::CudaContext>,
    driver: &'static Driver,
    /// Not `Send`: the context is current on one thread.
    _thread: PhantomData<*const ()>,
}

impl CudaContext {
    /// Opens the context of the GPU that draws what `gl` draws.
    ///
    /// # Errors
    /// That GPU is none of CUDA's, or cannot be used.
    pub fn open(gl: &Gl) -> Result<Self, Error> {
        let driver = Driver::load()?;
        let ordinal = driver.ordinal_of(gl)?;
        let inner = cudarc::driver::CudaContext::new(ordinal as usize)
            .map_err(|error| cuda_failed("cuDevicePrimaryCtxRetain", error))?;
        Ok(Self { inner, driver, _thread: PhantomData })
    }

    /// Waits until the GPU has done all work of the default stream: for measuring.
    ///
    /// # Errors
    /// The driver's, of any work before.
    pub fn finish(&self) -> Result<(), Error> {
        // SAFETY: the context is current on this thread; the null stream is the default one.
        check("cuStreamSynchronize", unsafe { sys::cuStreamSynchronize(std::ptr::null_mut()) })
    }

    /// Which GPU it is, as CUDA counts them.
    pub fn ordinal(&self) -> u32 {
        self.inner.ordinal() as u32
    }

    /// The GPU's name.
    pub fn name(&self) -> String {
        self.inner.name().unwrap_or_else(|_| "a GPU without a name".to_owned())
    }

    /// The driver's handle, for NVENC.
    pub(crate) fn raw(&self) -> sys::CUcontext {
        self.inner.cu_ctx()
    }

    pub(super) fn driver(&self) -> &'static Driver {
        self.driver
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

/// The error for a status of one of our own calls.
pub(super) fn failed(function: &str, status: c_uint) -> Error {
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
    // A context that such an error was seen in is spoiled, and so is everything made in it.
    if matches!(status, 4 | 46 | 700 | 719 | 999) { error.device_was_lost() } else { error }
}

/// The error for a failed call through cudarc.
pub(super) fn cuda_failed(function: &str, error: DriverError) -> Error {
    failed(function, error.0 as c_uint)
}

/// Turns cudarc's status of `function` into a result.
pub(super) fn check(function: &str, status: sys::CUresult) -> Result<(), Error> {
    status.result().map_err(|error| cuda_failed(function, error))
}
