//! What this vendor says of itself before a display is opened.
//!
//! libEGL makes one list out of what its vendors say, so who asks cannot tell from whom an extension is.

use crate::mesa;
use sim_ledger::setting;
use std::ffi::{CStr, c_char};

/// `__EGL_VENDOR_STRING_PLATFORM_EXTENSIONS`, glvnd/libeglabi.h: platforms that libEGL need not know.
const PLATFORMS: i32 = 0;

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Claims {
    /// What Mesa does, and a display without a device is Mesa's.
    Mesa,
    /// Devices, and platforms for nothing else.
    Devices,
    /// Those, and a display without a device, which the first GPU gets.
    Surfaceless,
}

pub(crate) fn claims() -> Claims {
    match setting::text(setting::EGL_CLAIMS).as_deref() {
        None => Claims::Mesa,
        Some("devices") => Claims::Devices,
        Some("surfaceless") => Claims::Surfaceless,
        Some(other) => panic!("{}={other}: expected devices or surfaceless", setting::EGL_CLAIMS),
    }
}

/// What it lists for no display. As NVIDIA's drivers it leaves out EGL_EXT_device_enumeration and EGL_EXT_device_query,
/// which EGL_EXT_device_base stands for. `None`: what Mesa lists.
pub(crate) fn client_extensions() -> Option<&'static CStr> {
    match claims() {
        Claims::Mesa => None,
        Claims::Devices | Claims::Surfaceless => {
            Some(c"EGL_EXT_platform_base EGL_EXT_device_base EGL_EXT_platform_device")
        }
    }
}

/// What libEGL asks a vendor beside what EGL has a function for.
pub(crate) unsafe extern "C" fn string(name: i32) -> *const c_char {
    match (claims(), mesa().get_vendor_string) {
        (Claims::Devices, _) if name == PLATFORMS => c"EGL_EXT_platform_device".as_ptr(),
        (Claims::Surfaceless, _) if name == PLATFORMS => {
            c"EGL_EXT_platform_device EGL_MESA_platform_surfaceless".as_ptr()
        }
        // SAFETY: the parameter is libEGL's.
        (_, Some(of_mesa)) => unsafe { of_mesa(name) },
        (_, None) => std::ptr::null(),
    }
}
