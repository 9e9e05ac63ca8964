//! What the system's files say, without loading anything.

use crate::os::environment::variable;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The NVIDIA kernel module's version, as `535.54.03`.
pub(super) fn kernel_module() -> Option<String> {
    module_version(&std::fs::read_to_string("/proc/driver/nvidia/version").ok()?)
}

/// The first line ends like `Kernel Module  535.54.03  Thu Mar 16 …`, or `Kernel Module for x86_64  …`.
fn module_version(text: &str) -> Option<String> {
    let words = text.lines().find(|line| line.starts_with("NVRM version:"))?.split_whitespace();
    let is_version = |word: &&str| word.contains('.') && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    words.into_iter().find(is_version).map(str::to_owned)
}

/// Where an NVIDIA GPU shows itself on this machine, even to a container without a driver.
pub(super) fn sign_of_nvidia_gpu() -> Option<String> {
    if kernel_module().is_some() {
        return Some("/proc/driver/nvidia/version".to_owned());
    }
    // Under WSL the GPU is no PCI device.
    if let Some(device) = ["/dev/nvidiactl", "/dev/dxg"].into_iter().find(|path| Path::new(path).exists()) {
        return Some(device.to_owned());
    }
    let read = |path: PathBuf| std::fs::read_to_string(path).unwrap_or_default();
    let is_gpu = |path: &PathBuf| {
        // Class 03: display controllers, 3D ones without a display among them.
        read(path.join("vendor")).trim() == "0x10de" && read(path.join("class")).starts_with("0x03")
    };
    let devices = std::fs::read_dir("/sys/bus/pci/devices").ok()?;
    devices.flatten().map(|entry| entry.path()).find(is_gpu).map(|path| path.display().to_string())
}

/// A file that names an EGL vendor's library to libEGL.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Vendor {
    pub file: PathBuf,
    /// Or what is wrong with the file.
    pub library: Result<String, String>,
}

/// The vendor files that libEGL reads, in its order.
pub(super) fn egl_vendors() -> Vec<Vendor> {
    let paths = |name: &str| {
        let value = variable(name)?;
        Some(std::env::split_paths(&value).collect::<Vec<_>>())
    };
    let files = paths("__EGL_VENDOR_LIBRARY_FILENAMES").unwrap_or_else(|| {
        let folders = paths("__EGL_VENDOR_LIBRARY_DIRS")
            .unwrap_or_else(|| ["/etc/glvnd/egl_vendor.d", "/usr/share/glvnd/egl_vendor.d"].map(PathBuf::from).into());
        folders.iter().flat_map(|folder| json_files(folder)).collect()
    });
    files.into_iter().map(|file| Vendor { library: vendor_library(&file), file }).collect()
}

fn json_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    files
}

fn vendor_library(file: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let value: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let library = value.pointer("/ICD/library_path").and_then(Value::as_str);
    library.map(str::to_owned).ok_or_else(|| "it has no ICD.library_path".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_modules_version_is_found_in_both_forms() {
        let open =
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.16  Release Build\nGCC version: 12.2.0";
        assert_eq!(module_version(open).as_deref(), Some("570.86.16"));
        let closed = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.54.03  Thu Mar 16 19:48:20 UTC 2023\n";
        assert_eq!(module_version(closed).as_deref(), Some("535.54.03"));
        assert_eq!(module_version("something else 1.2"), None);
    }
}
