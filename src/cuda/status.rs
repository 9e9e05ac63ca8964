//! Statuses: what they are called, what they mean here, and what to do. They stay the numbers that they are in C.

use crate::error::Error;
use std::ffi::c_uint;

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
        219 => (
            "gl-cuda-interop",
            "GL and CUDA do not work together in this context",
            "unset __GL_THREADED_OPTIMIZATIONS, and let NVIDIA's EGL draw",
        ),
        802 => ("gpu-not-ready", "the GPUs are not ready yet", "wait for nvidia-fabricmanager, or start it"),
        803 => (
            "driver-mismatch",
            "the driver's kernel module and its libraries are of different versions",
            "restart the machine after a driver update, or the container if only it is old",
        ),
        4 | 700 | 719 | 999 => (
            "gpu-lost",
            "the GPU was lost or its driver is in a bad state",
            "check dmesg for NVRM messages; after a suspend reload the driver: modprobe -r nvidia_uvm; modprobe nvidia_uvm",
        ),
        _ => ("cuda-failed", "the NVIDIA driver failed", ""),
    };
    let error = Error::machine(code, meaning, remedy).caused_by(described(function, status));
    // The others name what is wrong.
    if matches!(status, 2 | 34 | 46 | 100 | 101 | 802 | 803) { error } else { error.examined_by_doctor() }
}

/// Turns the status of `function` into a result.
pub fn check(function: &str, status: c_uint) -> Result<(), Error> {
    if status == 0 { Ok(()) } else { Err(failed(function, status)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_keeps_its_number_and_has_a_meaning() {
        assert!(check("cuInit", 0).is_ok());
        for (status, meaning, described) in [
            (NO_DEVICE, "CUDA shows no GPU", "cuInit failed with CUDA_ERROR_NO_DEVICE (100)"),
            (
                700,
                "the GPU was lost or its driver is in a bad state",
                "cuInit failed with CUDA_ERROR_ILLEGAL_ADDRESS (700)",
            ),
            (12_345, "the NVIDIA driver failed", "cuInit failed with CUDA status 12345"),
        ] {
            assert_eq!(check("cuInit", status).unwrap_err().cause(), format!("{meaning}: {described}"));
        }
    }
}
