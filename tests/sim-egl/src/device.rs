//! EGL devices: which there are, and what each says of itself by string and by number.

use crate::{EXTENSIONS, FALSE, TRUE};
use sim_ledger::setting;
use std::ffi::{c_char, c_void};
use std::sync::OnceLock;

const CUDA_DEVICE: i32 = 0x323A;

/// One EGL device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Device {
    /// The machine's number of a GPU.
    Gpu(i32),
    /// The machine's number of a GPU whose displays do not initialise, but for so many of the first.
    Broken { number: i32, after: u32 },
    /// A GPU that the process may not use: some drivers crash when they are asked for its number.
    Hidden,
    /// What Mesa lists for its software renderer.
    Software,
}

pub(crate) fn devices() -> &'static [Device] {
    static DEVICES: OnceLock<Vec<Device>> = OnceLock::new();
    DEVICES.get_or_init(|| {
        let list = setting::text(setting::EGL_DEVICES).unwrap_or_default();
        let device = |entry: &str| match entry.trim() {
            "hidden" => Device::Hidden,
            "software" => Device::Software,
            entry => {
                let (number, after) = match entry.split_once(':') {
                    Some(("broken", number)) => (number, Some(0)),
                    Some(("once", number)) => (number, Some(1)),
                    _ => (entry, None),
                };
                match (number.parse(), after) {
                    (Ok(number), None) => Device::Gpu(number),
                    (Ok(number), Some(after)) => Device::Broken { number, after },
                    _ => panic!("{}: cannot read {entry:?}", setting::EGL_DEVICES),
                }
            }
        };
        list.split(',').filter(|entry| !entry.trim().is_empty()).map(device).collect()
    })
}

/// The device behind a handle: the address of its place in the list.
pub(crate) fn device(handle: *mut c_void) -> Option<Device> {
    devices().iter().find(|device| std::ptr::eq(std::ptr::from_ref(*device).cast(), handle)).copied()
}

pub(crate) fn function(name: &[u8]) -> Option<*mut c_void> {
    Some(match name {
        b"eglQueryDevicesEXT" => query_devices as *mut c_void,
        b"eglQueryDeviceStringEXT" => query_string as *mut c_void,
        b"eglQueryDeviceAttribEXT" => query_attribute as *mut c_void,
        _ => return None,
    })
}

unsafe extern "C" fn query_devices(capacity: i32, handles: *mut *mut c_void, count: *mut i32) -> u32 {
    let all = devices();
    let mut number = all.len();
    if !handles.is_null() {
        number = number.min(usize::try_from(capacity).unwrap_or(0));
        for (at, device) in all[..number].iter().enumerate() {
            // SAFETY: libEGL gives room for `capacity` handles.
            unsafe { handles.add(at).write(std::ptr::from_ref(device).cast_mut().cast()) };
        }
    }
    // SAFETY: libEGL gives room for one number.
    unsafe { count.write(number as i32) };
    TRUE
}

unsafe extern "C" fn query_string(handle: *mut c_void, name: i32) -> *const c_char {
    match device(handle) {
        Some(Device::Gpu(_) | Device::Broken { .. }) if name == EXTENSIONS => {
            c"EGL_NV_device_cuda EGL_EXT_device_drm".as_ptr()
        }
        Some(Device::Software) if name == EXTENSIONS => c"EGL_MESA_device_software".as_ptr(),
        // EGL_BAD_DEVICE_EXT, to the caller.
        _ => std::ptr::null(),
    }
}

unsafe extern "C" fn query_attribute(handle: *mut c_void, attribute: i32, value: *mut isize) -> u32 {
    match device(handle) {
        Some(Device::Gpu(number) | Device::Broken { number, .. }) if attribute == CUDA_DEVICE => {
            // SAFETY: libEGL gives room for one value.
            unsafe { value.write(number as isize) };
            TRUE
        }
        // As driver 450.80.02 does.
        Some(Device::Hidden) => std::process::abort(),
        _ => FALSE,
    }
}
