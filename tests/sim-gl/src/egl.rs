//! EGL 1.5: one display without a window system, and one context. Each call hangs on request.

use crate::gl;
use sim_ledger::{Call, Ledger, gate};
use std::ffi::{CStr, c_char, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};

const TRUE: u32 = 1;
const SUCCESS: i32 = 0x3000;
const VENDOR: i32 = 0x3053;
const VERSION: i32 = 0x3054;
const EXTENSIONS: i32 = 0x3055;
const OPENGL_API: u32 = 0x30A2;

const DISPLAY: usize = 0xD1;
const CONTEXT: usize = 0xC1;

static LEDGER: Ledger = Ledger::new("gl");

/// Counts a call of the function called so, which returns unless it was ordered to hang.
macro_rules! entered {
    ($name:ident) => {
        static CALL: Call = Call::new(stringify!($name));
        let _ = LEDGER.enter(&CALL);
    };
}

/// The one context while it is current. The programs that use this library draw on one thread.
static CURRENT: AtomicUsize = AtomicUsize::new(0);

#[unsafe(no_mangle)]
extern "C" fn eglGetPlatformDisplay(_platform: u32, _native: usize, _attributes: usize) -> usize {
    entered!(eglGetPlatformDisplay);
    DISPLAY
}

#[unsafe(no_mangle)]
extern "C" fn eglGetDisplay(_native: usize) -> usize {
    entered!(eglGetDisplay);
    DISPLAY
}

/// # Safety
///
/// Both pointers are null or valid.
#[unsafe(no_mangle)]
unsafe extern "C" fn eglInitialize(_display: usize, major: *mut i32, minor: *mut i32) -> u32 {
    entered!(eglInitialize);
    for (to, number) in [(major, 1), (minor, 5)] {
        if !to.is_null() {
            // SAFETY: not null, so valid by this function's condition.
            unsafe { to.write(number) };
        }
    }
    TRUE
}

#[unsafe(no_mangle)]
extern "C" fn eglQueryString(display: usize, name: i32) -> *const c_char {
    entered!(eglQueryString);
    let text = match (name, display) {
        (EXTENSIONS, 0) => c"EGL_EXT_client_extensions EGL_EXT_platform_base EGL_MESA_platform_surfaceless",
        (EXTENSIONS, _) => c"EGL_KHR_surfaceless_context EGL_KHR_no_config_context EGL_KHR_create_context",
        (VENDOR, _) => c"simulated",
        (VERSION, _) => c"1.5 simulated",
        _ => return std::ptr::null(),
    };
    text.as_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn eglCreateContext(_display: usize, _config: usize, _share: usize, _attributes: usize) -> usize {
    entered!(eglCreateContext);
    CONTEXT
}

#[unsafe(no_mangle)]
extern "C" fn eglMakeCurrent(_display: usize, _draw: usize, _read: usize, context: usize) -> u32 {
    entered!(eglMakeCurrent);
    CURRENT.store(context, Ordering::Relaxed);
    TRUE
}

#[unsafe(no_mangle)]
extern "C" fn eglGetCurrentContext() -> usize {
    entered!(eglGetCurrentContext);
    CURRENT.load(Ordering::Relaxed)
}

#[unsafe(no_mangle)]
extern "C" fn eglGetError() -> i32 {
    entered!(eglGetError);
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn eglQueryAPI() -> u32 {
    entered!(eglQueryAPI);
    OPENGL_API
}

/// # Safety
///
/// `name` ends with a zero byte.
#[unsafe(no_mangle)]
unsafe extern "C" fn eglGetProcAddress(name: *const c_char) -> *const c_void {
    entered!(eglGetProcAddress);
    // SAFETY: this function's condition.
    let name = unsafe { CStr::from_ptr(name) };
    // SAFETY: what is called by a GL function's name takes what that one takes.
    unsafe { gate::before(&LEDGER, &name.to_string_lossy(), gl::address(name)) }
}

/// Exports functions that succeed without doing anything, under the names that loaders insist on.
macro_rules! done {
    ($($name:ident)*) => { $(
        #[unsafe(no_mangle)]
        #[allow(non_snake_case)]
        extern "C" fn $name() -> usize {
            entered!($name);
            TRUE as usize
        }
    )* };
}

done! {
    eglBindAPI eglDestroyContext eglTerminate eglReleaseThread eglWaitGL eglWaitNative eglWaitClient
    eglDestroySurface eglSwapBuffers eglSwapInterval
}

/// The same for functions whose answer is "none".
macro_rules! none {
    ($($name:ident)*) => { $(
        #[unsafe(no_mangle)]
        #[allow(non_snake_case)]
        extern "C" fn $name() -> usize {
            entered!($name);
            0
        }
    )* };
}

none! {
    eglChooseConfig eglGetConfigs eglGetConfigAttrib eglCopyBuffers eglQueryContext eglQuerySurface
    eglCreatePbufferSurface eglCreatePixmapSurface eglCreateWindowSurface eglCreatePbufferFromClientBuffer
    eglCreatePlatformWindowSurface eglCreatePlatformPixmapSurface eglGetCurrentDisplay eglGetCurrentSurface
    eglBindTexImage eglReleaseTexImage eglSurfaceAttrib eglCreateSync eglDestroySync eglClientWaitSync
    eglGetSyncAttrib eglWaitSync eglCreateImage eglDestroyImage
}
