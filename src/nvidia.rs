//! What NVIDIA's driver has to be. Every message that asks for a driver takes its numbers from here, and nothing here
//! touches one.

use std::path::Path;

/// The oldest driver that works, as a macro for `concat!`. It is the first one that speaks [`API_FLOOR`].
macro_rules! driver_floor {
    () => {
        "530.41.03"
    };
}

/// The setting with which a container gets all parts of the driver that a stream needs, as a macro for `concat!`.
macro_rules! driver_capabilities {
    () => {
        "NVIDIA_DRIVER_CAPABILITIES=compute,video,graphics,utility"
    };
}

pub(crate) use {driver_capabilities, driver_floor};

/// The oldest driver that works.
pub const DRIVER_FLOOR: &str = driver_floor!();
/// The environment variable that a container needs, with its value.
pub const DRIVER_CAPABILITIES: &str = driver_capabilities!();
/// The oldest version of CUDA and of the NVENC API that works, major and minor; they count alike.
pub const API_FLOOR: (u32, u32) = (12, 1);

/// What to do about a driver that is missing or too old.
pub const INSTALL_DRIVER: &str = concat!("install NVIDIA driver ", driver_floor!(), " or newer");

/// What to do about a GPU that NVIDIA's EGL shows and that does not start.
pub const LOOK_AT_GPU: &str =
    "check dmesg for NVRM messages, and with ls -l /dev/nvidia* that you may read and write there";

/// Whether a driver of this version, as `570.86.16`, is older than [`DRIVER_FLOOR`]. One that is not made of numbers is
/// not.
pub fn is_too_old(version: &str) -> bool {
    let numbers = |version: &str| version.split('.').map(|number| number.parse().ok()).collect::<Option<Vec<u32>>>();
    numbers(version).is_some_and(|version| Some(version) < numbers(DRIVER_FLOOR))
}

/// Whether it is known that no GPU of this compute capability, major and minor, has an encoder: those made to compute, GA100
/// (A100, A30) and GH100 (H100, H200). Asking the driver for a session takes it 0.26 s to refuse there, with driver
/// 580.159.04, behind 0.1 s for a context; of GPUs that are not known it is asked.
pub fn has_no_encoder(capability: (u32, u32)) -> bool {
    matches!(capability, (8 | 9, 0))
}

/// Whose libcuda it is that lies at `path`, where it is one that GL cannot share with: WSL2 draws in Windows, and the one
/// of the package cuda-compat is newer than the driver, whose GL knows nothing of it.
pub fn whose_libcuda(path: &Path) -> Option<&'static str> {
    let parts: Vec<_> = path.iter().collect();
    if parts.windows(2).any(|pair| pair[0] == "lib" && pair[1] == "wsl") {
        return Some("WSL2's");
    }
    parts.iter().any(|part| *part == "compat").then_some("cuda-compat's")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_libcuda_that_gl_cannot_share_with_is_known_by_its_place() {
        for (path, whose) in [
            ("/usr/lib/x86_64-linux-gnu/libcuda.so.570.86.16", None),
            ("/usr/lib/wsl/lib/libcuda.so.1", Some("WSL2's")),
            ("/usr/lib/wsl/drivers/nv_dispi.inf_amd64_1/libcuda.so.1.1", Some("WSL2's")),
            ("/usr/local/cuda-12.4/compat/libcuda.so.550.54.14", Some("cuda-compat's")),
            ("/usr/local/cuda/compat/lib.real/libcuda.so.550.54.14", Some("cuda-compat's")),
            ("/home/wsl/compatible/libcuda.so.1", None),
        ] {
            assert_eq!(whose_libcuda(Path::new(path)), whose, "{path}");
        }
    }

    #[test]
    fn drivers_before_the_floor_are_too_old() {
        let (branch, _) = DRIVER_FLOOR.split_once('.').unwrap();
        let branch: u32 = branch.parse().unwrap();
        for (version, too_old) in [
            (DRIVER_FLOOR.to_owned(), false),
            (format!("{branch}.41.02"), true),
            (format!("{branch}.30.02"), true),
            (format!("{branch}.100"), false),
            (format!("{}.199.02", branch - 1), true),
            (format!("{}.54", branch + 5), false),
            ("of its own kind".to_owned(), false),
        ] {
            assert_eq!(is_too_old(&version), too_old, "{version}");
        }
    }
}
