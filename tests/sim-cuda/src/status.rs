//! CUDA's status numbers, with the names and sentences that `cuGetErrorName` and `…String` give.
//!
//! Numbers only, never a Rust enum: a test may order any number as a fault.

use crate::caller::Out;
use std::ffi::{CStr, c_char};

/// A refused call. `rule` names the rule that the caller broke; it is empty where none was.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u32,
    pub(crate) rule: &'static str,
}

pub(crate) type Answer = Result<(), Refusal>;

/// A refusal that is the caller's fault and is counted as such.
pub(crate) fn broken(status: u32, rule: &'static str) -> Refusal {
    Refusal { status, rule }
}

/// A refusal that the caller could not avoid.
pub(crate) fn failed(status: u32) -> Refusal {
    Refusal { status, rule: "" }
}

macro_rules! statuses {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        $(#[allow(dead_code)] pub(crate) const $name: u32 = $number;)*

        fn describe(status: u32) -> Option<(&'static CStr, &'static CStr)> {
            match status {
                0 => Some((c"CUDA_SUCCESS", c"no error")),
                $($number => Some((
                    const { match CStr::from_bytes_with_nul(
                        concat!("CUDA_ERROR_", stringify!($name), "\0").as_bytes()
                    ) { Ok(name) => name, Err(_) => unreachable!() } },
                    const { match CStr::from_bytes_with_nul(concat!($text, "\0").as_bytes()) {
                        Ok(text) => text, Err(_) => unreachable!()
                    } },
                )),)*
                _ => None,
            }
        }
    };
}

statuses! {
    INVALID_VALUE = 1, "invalid argument";
    OUT_OF_MEMORY = 2, "out of memory";
    NOT_INITIALIZED = 3, "initialization error";
    DEINITIALIZED = 4, "driver shutting down";
    STUB_LIBRARY = 34, "CUDA driver is a stub library";
    DEVICE_UNAVAILABLE = 46, "CUDA-capable device(s) is/are busy or unavailable";
    NO_DEVICE = 100, "no CUDA-capable device is detected";
    INVALID_DEVICE = 101, "invalid device ordinal";
    INVALID_CONTEXT = 201, "invalid device context";
    MAP_FAILED = 205, "mapping of buffer object failed";
    UNMAP_FAILED = 206, "unmapping of buffer object failed";
    ARRAY_IS_MAPPED = 207, "array is mapped";
    ALREADY_MAPPED = 208, "resource already mapped";
    NOT_MAPPED = 211, "resource not mapped";
    INVALID_GRAPHICS_CONTEXT = 219, "invalid OpenGL or DirectX context";
    CONTAINED = 226, "Invalid access of peer GPU memory over nvlink or a hardware error";
    SHARED_OBJECT_INIT_FAILED = 303, "shared object initialization failed";
    OPERATING_SYSTEM = 304, "OS call failed or operation not supported on this OS";
    INVALID_HANDLE = 400, "invalid resource handle";
    NOT_FOUND = 500, "named symbol not found";
    NOT_READY = 600, "device not ready";
    ILLEGAL_ADDRESS = 700, "an illegal memory access was encountered";
    LAUNCH_TIMEOUT = 702, "the launch timed out and was terminated";
    CONTEXT_IS_DESTROYED = 709, "context is destroyed";
    HARDWARE_STACK_ERROR = 714, "hardware stack error";
    ILLEGAL_INSTRUCTION = 715, "an illegal instruction was encountered";
    MISALIGNED_ADDRESS = 716, "misaligned address";
    INVALID_ADDRESS_SPACE = 717, "operation not supported on global/shared address space";
    INVALID_PC = 718, "invalid program counter";
    LAUNCH_FAILED = 719, "unspecified launch failure";
    TENSOR_MEMORY_LEAK = 721, "a kernel left tensor memory allocated";
    NOT_SUPPORTED = 801, "operation not supported";
    SYSTEM_DRIVER_MISMATCH = 803, "system has unsupported display driver / cuda driver combination";
    COMPAT_NOT_SUPPORTED_ON_DEVICE = 804, "forward compatibility was attempted on non supported HW";
    EXTERNAL_DEVICE = 911, "an async error has occurred in an external entity outside of CUDA";
    UNKNOWN = 999, "unknown error";
}

driver_call! {
    fn cuGetErrorName(error: u32, name: Out<*const c_char>) {
        let known = describe(error);
        name.put(known.map_or(std::ptr::null(), |(name, _)| name.as_ptr()))?;
        known.map(|_| ()).ok_or(failed(INVALID_VALUE))
    }
}

driver_call! {
    fn cuGetErrorString(error: u32, text: Out<*const c_char>) {
        let known = describe(error);
        text.put(known.map_or(std::ptr::null(), |(_, text)| text.as_ptr()))?;
        known.map(|_| ()).ok_or(failed(INVALID_VALUE))
    }
}
