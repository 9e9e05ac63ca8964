//! Statuses: what they are called, what they mean here, and what to do. They stay the numbers that they are in C.
//!
//! Some of them are for good: cuda.h says of each that it "leaves the process in an inconsistent state and any further CUDA
//! work will return the same error. To continue using CUDA, the process must be terminated and relaunched." From the first
//! of them on nothing is given back to the driver any more: what it holds goes with the process.

use crate::error::Error;
use crate::os::process;
use std::ffi::c_uint;

/// Whether CUDA is of no use any more in this process, so that nothing is to be asked of it, and nothing given back.
pub fn is_dead() -> bool {
    process::is_in_ruins()
}

/// `CUDA_ERROR_NO_DEVICE`, cuda.h.
pub const NO_DEVICE: c_uint = 100;

/// `cuInit failed with CUDA_ERROR_NO_DEVICE (100)`.
pub fn described(function: &str, status: c_uint) -> String {
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
        226 => "CONTAINED",
        304 => "OPERATING_SYSTEM",
        400 => "INVALID_HANDLE",
        700 => "ILLEGAL_ADDRESS",
        702 => "LAUNCH_TIMEOUT",
        714 => "HARDWARE_STACK_ERROR",
        715 => "ILLEGAL_INSTRUCTION",
        716 => "MISALIGNED_ADDRESS",
        717 => "INVALID_ADDRESS_SPACE",
        718 => "INVALID_PC",
        719 => "LAUNCH_FAILED",
        721 => "TENSOR_MEMORY_LEAK",
        800 => "NOT_PERMITTED",
        801 => "NOT_SUPPORTED",
        802 => "SYSTEM_NOT_READY",
        803 => "SYSTEM_DRIVER_MISMATCH",
        804 => "COMPAT_NOT_SUPPORTED_ON_DEVICE",
        911 => "EXTERNAL_DEVICE",
        999 => "UNKNOWN",
        _ => return format!("{function} failed with CUDA status {status}"),
    };
    format!("{function} failed with CUDA_ERROR_{name} ({status})")
}

/// Whether `function` says by `status` that this driver does not share with this GL. Under other functions the same
/// numbers have other meanings.
fn is_apart(function: &str, status: c_uint) -> bool {
    match status {
        219 => true,
        304 | 801 | 999 => matches!(function, "cuGLGetDevices" | "cuGraphicsGLRegisterImage"),
        _ => false,
    }
}

/// Whether no later call of this process gets anything else, by cuda.h.
fn is_for_good(status: c_uint) -> bool {
    matches!(status, 226 | 700 | 702 | 714..=719 | 721 | 911)
}

/// The error for a status other than 0.
pub fn failed(function: &str, status: c_uint) -> Error {
    let (code, meaning, remedy) = match status {
        2 => {
            ("gpu-memory", "the GPU is out of memory", "close other programs that use it, or choose a smaller picture")
        }
        34 => (
            "stub-library",
            "the libcuda.so.1 that was found is a stub for building, not a driver",
            "take its folder out of LD_LIBRARY_PATH, or install a driver",
        ),
        46 => (
            "gpu-exclusive",
            "another process has the GPU for itself",
            "set its compute mode back: nvidia-smi -c DEFAULT",
        ),
        100 | 101 => (
            "cuda-no-gpu",
            "CUDA shows no GPU",
            "check nvidia-smi -L and CUDA_VISIBLE_DEVICES; in a container start it with --gpus all",
        ),
        _ if is_apart(function, status) => (
            "gl-cuda-interop",
            "GL and CUDA do not work together here",
            "WSL2 and cuda-compat's libcuda cannot; elsewhere unset __GL_THREADED_OPTIMIZATIONS and let NVIDIA's EGL draw",
        ),
        802 => ("gpu-not-ready", "the GPUs are not ready yet", "wait for nvidia-fabricmanager, or start it"),
        803 => (
            "driver-mismatch",
            "the driver's kernel module and its libraries are of different versions",
            "restart the machine after a driver update, or the container if only it is old",
        ),
        status if is_for_good(status) => (
            "gpu-fault",
            "the GPU met a fault that CUDA does not get over in this process",
            "see what the kernel says of it: dmesg | grep -i xid",
        ),
        4 | 999 => (
            "gpu-lost",
            "the GPU was lost or its driver is in a bad state",
            "check dmesg for NVRM messages; after a suspend reload the driver: modprobe -r nvidia_uvm; modprobe nvidia_uvm",
        ),
        _ => ("cuda-failed", "the NVIDIA driver failed", ""),
    };
    let error = Error::machine(code, meaning, remedy).caused_by(described(function, status));
    let error = if is_for_good(status) { error.for_good() } else { error };
    // The others name what is wrong.
    if matches!(status, 2 | 34 | 46 | 100 | 101 | 802 | 803) { error } else { error.examined_by_doctor() }
}

/// Turns the status of `function` into a result.
pub fn check(function: &str, status: c_uint) -> Result<(), Error> {
    if status == 0 {
        return Ok(());
    }
    note(status);
    Err(failed(function, status))
}

/// Takes the status of a call that gives something back, and whose failure nobody is told of.
pub fn note(status: c_uint) {
    if is_for_good(status) {
        process::leave_in_ruins();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_keeps_its_number_and_has_a_meaning() {
        assert!(check("cuInit", 0).is_ok());
        for (status, meaning, described) in [
            (NO_DEVICE, "CUDA shows no GPU", "cuInit failed with CUDA_ERROR_NO_DEVICE (100)"),
            (999, "the GPU was lost or its driver is in a bad state", "cuInit failed with CUDA_ERROR_UNKNOWN (999)"),
            (12_345, "the NVIDIA driver failed", "cuInit failed with CUDA status 12345"),
        ] {
            assert_eq!(check("cuInit", status).unwrap_err().cause(), format!("{meaning}: {described}"));
        }
    }
    #[test]
    fn what_says_that_gl_is_apart_says_something_else_elsewhere() {
        let code = |function: &str, status| check(function, status).unwrap_err().code();
        for function in ["cuGLGetDevices", "cuGraphicsGLRegisterImage"] {
            assert_eq!([219, 304, 801, 999].map(|status| code(function, status)), ["gl-cuda-interop"; 4], "{function}");
            assert_eq!([700, 719, 721].map(|status| code(function, status)), ["gpu-fault"; 3]);
        }
        let elsewhere = [219, 304, 801, 999].map(|status| code("cuGraphicsMapResources", status));
        assert_eq!(elsewhere, ["gl-cuda-interop", "cuda-failed", "cuda-failed", "gpu-lost"]);
    }

    #[test]
    fn what_cuda_does_not_get_over_is_told_from_what_it_does() {
        for status in [226, 700, 702, 714, 715, 716, 717, 718, 719, 721, 911] {
            let error = failed("cuMemcpy2D", status);
            assert!(error.is_for_good() && error.code() == "gpu-fault", "{error}");
            assert!(error.cause().contains("CUDA_ERROR_"), "it has a name: {error}");
        }
        for status in [2, 4, 46, 201, 701, 709, 720, 801, 999, 7777] {
            assert!(!failed("cuMemcpy2D", status).is_for_good(), "{status}");
        }
    }
}
