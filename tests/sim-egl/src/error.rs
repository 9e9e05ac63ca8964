//! What `eglGetError` says, where it is not Mesa that failed.

use crate::mesa_function;
use std::cell::Cell;
use std::ffi::c_void;

const SUCCESS: i32 = 0x3000;
pub(crate) const NOT_INITIALIZED: i32 = 0x3001;
pub(crate) const BAD_ATTRIBUTE: i32 = 0x3004;
pub(crate) const BAD_PARAMETER: i32 = 0x300C;

thread_local! {
    /// In place of what Mesa would say.
    static ERROR: Cell<i32> = const { Cell::new(SUCCESS) };
}

/// The next one who asks is told of this.
pub(crate) fn set(error: i32) {
    ERROR.set(error);
}

pub(crate) fn function(name: &[u8]) -> Option<*mut c_void> {
    (name == b"eglGetError").then_some(get_error as *mut c_void)
}

unsafe extern "C" fn get_error() -> i32 {
    match ERROR.replace(SUCCESS) {
        // SAFETY: EGL gives this type to this name.
        SUCCESS => unsafe { mesa_function::<unsafe extern "C" fn() -> i32>(c"eglGetError")() },
        error => error,
    }
}
