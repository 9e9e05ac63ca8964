//! libEGL: loading it, and what it says of itself and of its devices before a display is opened.

use crate::error::Error;
use crate::nvidia::driver_capabilities;
use crate::os::dl;
use khronos_egl as egl;
use std::ffi::c_void;
use std::sync::Once;

pub(super) type Library = egl::DynamicInstance<egl::EGL1_5>;

/// `EGL_CUDA_DEVICE_NV`, EGL_NV_device_cuda.
const CUDA_DEVICE: egl::Int = 0x323A;

/// What to do where no EGL is found that works.
pub const INSTALL_EGL: &str = concat!(
    "install it: apt install libegl1 libgl1-mesa-dri (in a container with an NVIDIA GPU also set ",
    driver_capabilities!(),
    ")"
);

pub(super) fn load() -> Result<Library, Error> {
    // Kept until the process ends: drivers do not survive being unloaded, and take long to load.
    static KEPT: Once = Once::new();
    KEPT.call_once(|| drop(dl::open("libEGL.so.1")));
    // SAFETY: loading a library runs its initialisers; libEGL is what the user installed as the system's EGL. Nothing of
    // it is used after the instance is dropped, which holds the library.
    unsafe { Library::load_required() }.map_err(|error| {
        Error::machine("no-egl", "libEGL.so.1 (EGL 1.5) cannot be loaded", INSTALL_EGL).caused_by(error)
    })
}

/// Whether an extension is in a list of them.
pub(super) fn has(extensions: &str, name: &str) -> bool {
    extensions.split(' ').any(|extension| extension == name)
}

/// What libEGL says of itself and of the devices that it shows, before anything is opened.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Version of the EGL that applications are given, as `1.5`.
    pub version: String,
    /// What draws, in EGL's order. A device that answers no query is left out.
    pub devices: Vec<Device>,
    /// Whether Mesa offers to draw without a device.
    pub surfaceless: bool,
}

impl Survey {
    /// Loads libEGL and asks it.
    ///
    /// # Errors
    /// There is no libEGL, or it found no driver.
    pub fn take() -> Result<Self, Error> {
        let library = load()?;
        let extensions = library.query_string(None, egl::EXTENSIONS).map_err(|error| {
            Error::machine("no-egl-driver", "libEGL answers no query, so it found no driver", INSTALL_EGL)
                .caused_by(error)
                .examined_by_doctor()
        })?;
        let extensions = extensions.to_string_lossy();
        let version = library.query_string(None, egl::VERSION).map(|version| version.to_string_lossy().into_owned());
        let mut devices = Vec::new();
        if has(&extensions, "EGL_EXT_platform_device") && has(&extensions, "EGL_EXT_device_query") {
            devices = Device::all(&library);
        }
        Ok(Self {
            version: version.unwrap_or_else(|_| "of an unknown version".to_owned()),
            devices,
            surfaceless: has(&extensions, "EGL_MESA_platform_surfaceless"),
        })
    }

    /// The devices that are NVIDIA GPUs.
    pub fn gpus(&self) -> Vec<&Device> {
        self.devices.iter().filter(|device| device.cuda_ordinal.is_some()).collect()
    }
}

/// One entry of EGL_EXT_device_enumeration that answers queries.
#[derive(Clone, Debug)]
pub struct Device {
    // Valid until the process ends, as the library is kept.
    handle: *mut c_void,
    /// The number that an NVIDIA GPU has in EGL's own idea of how CUDA counts.
    pub cuda_ordinal: Option<u32>,
    /// Mesa on the processor.
    pub is_software: bool,
}

impl Device {
    fn all(library: &Library) -> Vec<Self> {
        type QueryDevices = extern "system" fn(egl::Int, *mut *mut c_void, *mut egl::Int) -> egl::Boolean;
        type QueryString = extern "system" fn(*mut c_void, egl::Int) -> *const std::ffi::c_char;
        type QueryAttrib = extern "system" fn(*mut c_void, egl::Int, *mut egl::Attrib) -> egl::Boolean;
        let (Some(devices), Some(string), Some(attrib)) = (
            library.get_proc_address("eglQueryDevicesEXT"),
            library.get_proc_address("eglQueryDeviceStringEXT"),
            library.get_proc_address("eglQueryDeviceAttribEXT"),
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
            let is_cuda =
                has(&extensions, "EGL_NV_device_cuda") && attrib(handle, CUDA_DEVICE, &mut ordinal) == egl::TRUE;
            let cuda_ordinal = if is_cuda { u32::try_from(ordinal).ok() } else { None };
            Some(Self { handle, cuda_ordinal, is_software: has(&extensions, "EGL_MESA_device_software") })
        };
        handles[..count].iter().filter_map(answer).collect()
    }

    /// EGL's handle, for opening a display on it.
    pub(super) fn handle(&self) -> *mut c_void {
        self.handle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_is_known_by_its_whole_name() {
        let listed = "EGL_EXT_device_base EGL_EXT_device_query_name EGL_EXT_platform_device";
        assert!(has(listed, "EGL_EXT_platform_device"));
        assert!(!has(listed, "EGL_EXT_device_query"));
        assert!(!has("", "EGL_EXT_device_query"));
    }

    #[test]
    fn only_devices_that_cuda_counts_are_gpus_of_nvidia() {
        let device = |cuda_ordinal, is_software| Device { handle: std::ptr::null_mut(), cuda_ordinal, is_software };
        let devices = vec![device(Some(1), false), device(None, true), device(Some(0), false), device(None, false)];
        let survey = Survey { version: "1.5".to_owned(), devices, surfaceless: true };
        let ordinals: Vec<_> = survey.gpus().iter().map(|gpu| gpu.cuda_ordinal).collect();
        assert_eq!(ordinals, [Some(1), Some(0)], "in EGL's order");
    }
}
