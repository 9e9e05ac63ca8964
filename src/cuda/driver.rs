//! libcuda: loading it, and the GPUs that it shows.

use super::calls::Calls;
use super::status::{check, note};
use crate::error::Error;
use crate::nvidia::{API_FLOOR, driver_capabilities, driver_floor};
use crate::os::{dedicated, dl};
use cudarc::driver::sys;
use std::ffi::{CStr, c_char, c_int};
use std::path::PathBuf;
use std::sync::OnceLock;

/// As `cuDriverGetVersion` counts.
const OLDEST_VERSION: c_int = (API_FLOOR.0 * 1000 + API_FLOOR.1 * 10) as c_int;

/// Bytes of stack for each thread of a kernel, of which no kernel runs here; the driver takes more for one that needs it. By
/// itself it keeps 1 KiB for each of as many threads as the GPU can run at once, which are 198 MiB of an H200's.
const STACK: usize = 256;

const INSTALL_DRIVER: &str = concat!(
    "install NVIDIA driver ",
    driver_floor!(),
    " or newer; in a container start it with --gpus all and ",
    driver_capabilities!()
);

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
        let library = dl::open("libcuda.so.1").map_err(|why| {
            Error::machine("no-nvidia-driver", "there is no NVIDIA driver", INSTALL_DRIVER).caused_by(why)
        })?;
        let calls = Calls::find(library).map_err(|missing| {
            Error::machine(
                "nvidia-driver-old",
                format!("the NVIDIA driver's libcuda.so.1 lacks {missing}"),
                INSTALL_DRIVER,
            )
        })?;
        let mut version = 0;
        // SAFETY: cuDriverGetVersion may be called before cuInit and writes one int.
        check("cuDriverGetVersion", unsafe { (calls.cuDriverGetVersion)(&mut version) })?;
        if version < OLDEST_VERSION {
            return Err(Error::machine(
                "nvidia-driver-old",
                format!(
                    "the NVIDIA driver is too old: it speaks CUDA {}, {} is needed",
                    show_version(version),
                    show_version(OLDEST_VERSION)
                ),
                INSTALL_DRIVER,
            ));
        }
        // SAFETY: it may be called by any thread, any number of times; 0 is its only flag.
        check("cuInit", unsafe { (calls.cuInit)(0) })?;
        Ok(Self { version, calls })
    }

    /// The CUDA version that the driver speaks, as `12.4`.
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

    /// How many GPUs CUDA shows.
    ///
    /// # Errors
    /// The driver's.
    pub fn count(&self) -> Result<u32, Error> {
        let mut count = 0;
        // SAFETY: the driver is initialised, and writes one number.
        check("cuDeviceGetCount", unsafe { (self.calls.cuDeviceGetCount)(&mut count) })?;
        Ok(count.max(0) as u32)
    }

    pub(super) fn device(&self, ordinal: u32) -> Result<sys::CUdevice, Error> {
        let mut device = 0;
        // SAFETY: the driver is initialised, and writes one number; an ordinal that is none is refused.
        check("cuDeviceGet", unsafe { (self.calls.cuDeviceGet)(&mut device, ordinal as c_int) })?;
        Ok(device)
    }

    /// Retains the primary context of a GPU, which all of this process share. Makes it where nobody has retained it yet.
    ///
    /// # Errors
    /// The GPU cannot be used.
    pub(super) fn retain(&self, device: sys::CUdevice) -> Result<sys::CUcontext, Error> {
        let mut context = std::ptr::null_mut();
        // SAFETY: the driver knows the device, and writes one handle.
        check("cuDevicePrimaryCtxRetain", unsafe { (self.calls.cuDevicePrimaryCtxRetain)(&mut context, device) })?;
        Ok(context)
    }

    /// Makes `context` current on this thread, or with null none. In a process that does nothing else with it, it keeps no
    /// more of the GPU's memory than it needs.
    ///
    /// # Errors
    /// The driver's.
    ///
    /// # Safety
    /// The context was retained and lives, or is null.
    pub(super) unsafe fn make_current(&self, context: sys::CUcontext) -> Result<(), Error> {
        // SAFETY: as the caller promises.
        check("cuCtxSetCurrent", unsafe { (self.calls.cuCtxSetCurrent)(context) })?;
        if dedicated::is() && !context.is_null() {
            // SAFETY: a context is current, whose limit it sets. It is none of ours that a driver refuses.
            note(unsafe { (self.calls.cuCtxSetLimit)(sys::CUlimit::CU_LIMIT_STACK_SIZE, STACK) });
        }
        Ok(())
    }

    /// Lets go of a context that was retained, which the last to do so destroys. After the device is lost this fails, and
    /// nobody is left to tell.
    pub(super) fn release(&self, device: sys::CUdevice) {
        // SAFETY: whoever calls this has retained it, and lets go of it once.
        note(unsafe { (self.calls.cuDevicePrimaryCtxRelease_v2)(device) });
    }

    pub(super) fn name(&self, device: sys::CUdevice) -> Result<String, Error> {
        // The last byte stays zero, whatever the driver does.
        let mut name: [c_char; 257] = [0; 257];
        // SAFETY: the driver is initialised, and writes at most the 256 characters that it is told there is room for.
        check("cuDeviceGetName", unsafe { (self.calls.cuDeviceGetName)(name.as_mut_ptr(), 256, device) })?;
        // SAFETY: the array ends with a zero.
        Ok(unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned())
    }

    /// The compute capability of the GPU that CUDA calls `ordinal`, major and minor.
    ///
    /// # Errors
    /// The driver's.
    pub fn capability(&self, ordinal: u32) -> Result<(u32, u32), Error> {
        use sys::CUdevice_attribute::{
            CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR as MAJOR,
            CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR as MINOR,
        };
        let device = self.device(ordinal)?;
        let part = |attribute| {
            let mut value = 0;
            // SAFETY: the driver knows the device, and writes one number.
            let status = unsafe { (self.calls.cuDeviceGetAttribute)(&mut value, attribute, device) };
            check("cuDeviceGetAttribute", status).map(|()| value.max(0) as u32)
        };
        Ok((part(MAJOR)?, part(MINOR)?))
    }

    /// Which number `device` has here; `None` where CUDA does not show it.
    ///
    /// # Errors
    /// The driver's.
    pub fn find(&self, device: sys::CUdevice) -> Result<Option<u32>, Error> {
        Ok((0..self.count()?).find(|&ordinal| self.device(ordinal).is_ok_and(|its| its == device)))
    }

    /// The file of libcuda that was loaded, with its links resolved. `None` where the system does not say.
    pub fn file(&self) -> Option<PathBuf> {
        dl::file_of(self.calls.cuInit as *const ())
    }

    pub(crate) fn calls(&self) -> &Calls {
        &self.calls
    }
}

fn show_version(version: c_int) -> String {
    format!("{}.{}", version / 1000, version % 1000 / 10)
}
