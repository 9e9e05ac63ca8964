//! The simulated EGL vendor, where the process has loaded it: which GPU it draws on.

use libloading::os::unix::{Library, RTLD_NOW};

/// `RTLD_NOLOAD`, dlfcn.h: find a library that is loaded already, and load none.
const RTLD_NOLOAD: i32 = 4;

/// The machine's number of the GPU that draws. `None` where another vendor does.
pub(crate) fn drawing() -> Option<u32> {
    // SAFETY: nothing is loaded, so no initialiser runs.
    let vendor = unsafe { Library::open(Some("libEGL_sim.so.0"), RTLD_NOW | RTLD_NOLOAD) }.ok()?;
    // SAFETY: this is the type that the vendor's crate gives to this name.
    let drawing = unsafe { vendor.get::<extern "C" fn() -> i32>(b"mb_sim_egl_drawing\0") }.ok()?;
    u32::try_from(drawing()).ok()
}
