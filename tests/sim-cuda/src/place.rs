//! Where this library lies, and what follows from that: two of NVIDIA's libcuda cannot share with OpenGL.
//!
//! WSL2's lies in `/usr/lib/wsl`; there OpenGL is drawn by Windows. The one of the package cuda-compat, in a folder
//! `compat` of the toolkit, is newer than the driver below it, and has no part in the driver's OpenGL. In a path that
//! says neither, a test orders the refusal of a single call: `MB_SIM_FAULT=cuda:cuGLGetDevices_v2:999`.

use crate::status::{Answer, NOT_SUPPORTED, OPERATING_SYSTEM, failed};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Whether what OpenGL draws can be shared with this library.
pub(crate) fn shares_with_gl() -> Answer {
    static STATUS: OnceLock<Option<u32>> = OnceLock::new();
    let refused = STATUS.get_or_init(|| own_file().and_then(|file| refusal(&file)));
    refused.map_or(Ok(()), |status| Err(failed(status)))
}

fn refusal(file: &Path) -> Option<u32> {
    let folder = file.parent()?;
    if folder.to_str()?.contains("/lib/wsl/") {
        return Some(OPERATING_SYSTEM);
    }
    (folder.file_name()? == "compat").then_some(NOT_SUPPORTED)
}

/// The file whose code runs here: links are resolved by whoever maps it.
fn own_file() -> Option<PathBuf> {
    let here = own_file as *const () as usize;
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|line| {
        let address = |text| usize::from_str_radix(text, 16).ok();
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        range.and_then(|(start, end)| Some(address(start)?..address(end)?)).is_some_and(|range| range.contains(&here))
    })?;
    Some(PathBuf::from(line.get(line.find('/')?..)?))
}
