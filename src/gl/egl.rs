//! libEGL: loading it, and what it says of itself and of its devices before a display is opened.

use crate::error::Error;
use crate::nvidia::driver_capabilities;
use crate::os::dl;
use khronos_egl as egl;
use std::ffi::{CStr, c_char, c_void};
use std::fmt;
use std::sync::Once;

pub(super) type Library = egl::DynamicInstance<egl::EGL1_5>;

/// `EGL_PLATFORM_DEVICE_EXT`, EGL_EXT_platform_device.
pub(super) const PLATFORM_DEVICE: egl::Enum = 0x313F;
/// `EGL_PLATFORM_SURFACELESS_MESA`, EGL_MESA_platform_surfaceless.
pub(super) const PLATFORM_SURFACELESS: egl::Enum = 0x31DD;
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

/// Whether devices can be listed and opened. EGL_EXT_device_base is the older name of what was cut in two later: Mesa
/// lists all three, NVIDIA's driver that one alone.
fn lists_devices(extensions: &str) -> bool {
    let has = |name| has(extensions, name);
    let by_halves = has("EGL_EXT_device_enumeration") && has("EGL_EXT_device_query");
    has("EGL_EXT_platform_device") && (has("EGL_EXT_device_base") || by_halves)
}

/// What libEGL says of itself and of the devices that it shows, before anything is opened.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Version of the EGL that applications are given, as `1.5`.
    pub version: String,
    /// What draws, in EGL's order. A device that answers no query is left out.
    pub devices: Vec<Device>,
    /// Whether a vendor, mostly Mesa, offers to draw without a device.
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
        let devices = if lists_devices(&extensions) { Device::all(&library) } else { Vec::new() };
        Ok(Self {
            version: version.unwrap_or_else(|_| "of an unknown version".to_owned()),
            devices,
            surfaceless: has(&extensions, "EGL_MESA_platform_surfaceless"),
        })
    }

    /// The devices that are NVIDIA GPUs.
    pub fn gpus(&self) -> Vec<&Device> {
        self.devices.iter().filter(|device| device.is_nvidia()).collect()
    }
}

type QueryDevices = extern "system" fn(egl::Int, *mut *mut c_void, *mut egl::Int) -> egl::Boolean;
type QueryString = extern "system" fn(*mut c_void, egl::Int) -> *const c_char;
type QueryAttrib = extern "system" fn(*mut c_void, egl::Int, *mut egl::Attrib) -> egl::Boolean;

/// The functions of EGL_EXT_device_base.
pub(super) struct DeviceQueries {
    devices: QueryDevices,
    string: QueryString,
    attrib: QueryAttrib,
}

impl DeviceQueries {
    /// `None` where there are none.
    pub(super) fn of(library: &Library) -> Option<Self> {
        let devices = library.get_proc_address("eglQueryDevicesEXT")?;
        let string = library.get_proc_address("eglQueryDeviceStringEXT")?;
        let attrib = library.get_proc_address("eglQueryDeviceAttribEXT")?;
        // SAFETY: EGL gave these addresses for these names, and the types are those of the extension.
        unsafe {
            Some(Self {
                devices: std::mem::transmute::<extern "system" fn(), QueryDevices>(devices),
                string: std::mem::transmute::<extern "system" fn(), QueryString>(string),
                attrib: std::mem::transmute::<extern "system" fn(), QueryAttrib>(attrib),
            })
        }
    }

    /// Every device that is listed; `None` where EGL refuses, and has set its error.
    pub(super) fn handles(&self) -> Option<Vec<*mut c_void>> {
        let mut handles = [std::ptr::null_mut(); 64];
        let mut count = 0;
        let is_told = (self.devices)(handles.len() as egl::Int, handles.as_mut_ptr(), &mut count) == egl::TRUE;
        let count = usize::try_from(count).unwrap_or(0).min(handles.len());
        is_told.then(|| handles[..count].to_vec())
    }

    /// One string of a device that is listed; `None` where it does not answer.
    pub(super) fn text(&self, handle: *mut c_void, name: egl::Int) -> Option<String> {
        let text = (self.string)(handle, name);
        // SAFETY: EGL's strings are static, zero-terminated and never freed.
        (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
    }

    /// The number of a device with these `extensions`, in EGL's own idea of how CUDA counts. They have been asked for first:
    /// driver 450.80.02 crashes in this query for a GPU that a container hides, and does not answer that one.
    pub(super) fn cuda_ordinal(&self, handle: *mut c_void, extensions: &str) -> Option<egl::Attrib> {
        let mut ordinal: egl::Attrib = 0;
        let is_cuda =
            has(extensions, "EGL_NV_device_cuda") && (self.attrib)(handle, CUDA_DEVICE, &mut ordinal) == egl::TRUE;
        is_cuda.then_some(ordinal)
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
        let Some(queries) = DeviceQueries::of(library) else { return Vec::new() };
        let answer = |handle| {
            let extensions = queries.text(handle, egl::EXTENSIONS)?;
            let cuda_ordinal = queries.cuda_ordinal(handle, &extensions).and_then(|number| u32::try_from(number).ok());
            Some(Self { handle, cuda_ordinal, is_software: has(&extensions, "EGL_MESA_device_software") })
        };
        queries.handles().unwrap_or_default().into_iter().filter_map(answer).collect()
    }

    /// Whether CUDA counts it.
    pub fn is_nvidia(&self) -> bool {
        self.cuda_ordinal.is_some()
    }

    /// EGL's handle, for opening a display on it.
    pub(super) fn handle(&self) -> *mut c_void {
        self.handle
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cuda_ordinal {
            Some(ordinal) => write!(f, "NVIDIA GPU (CUDA {ordinal})"),
            None if self.is_software => f.write_str("software"),
            None => f.write_str("another GPU"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_listed_by_the_one_old_name_or_by_both_new_ones() {
        let base = "EGL_EXT_platform_base EGL_EXT_device_base EGL_EXT_platform_device";
        let halves = "EGL_EXT_device_enumeration EGL_EXT_device_query EGL_EXT_platform_device";
        assert!(lists_devices(base) && lists_devices(halves));
        for lacking in ["EGL_EXT_device_base", "EGL_EXT_device_query EGL_EXT_platform_device", &halves[27..], ""] {
            assert!(!lists_devices(lacking), "{lacking}");
        }
    }

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
