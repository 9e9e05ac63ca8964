//! GL 3.3 without pixels: names, and the sizes of textures.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_void};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

const NO_ERROR: usize = 0;
const FRAMEBUFFER_COMPLETE: u32 = 0x8CD5;
const TEXTURE_BINDING_2D: u32 = 0x8069;
const MAJOR_VERSION: u32 = 0x821B;
const MINOR_VERSION: u32 = 0x821C;
const COMPILE_STATUS: u32 = 0x8B81;
const LINK_STATUS: u32 = 0x8B82;
const TEXTURE_WIDTH: u32 = 0x1000;
const TEXTURE_HEIGHT: u32 = 0x1001;
const TEXTURE_INTERNAL_FORMAT: u32 = 0x1003;

static LAST_NAME: AtomicU32 = AtomicU32::new(0);
static BOUND_TEXTURE: AtomicU32 = AtomicU32::new(0);
/// Width, height and format of each texture that was given storage.
static TEXTURES: Mutex<BTreeMap<u32, [i32; 3]>> = Mutex::new(BTreeMap::new());

/// The function called `name`. One that this GL does not know does nothing: in C's calling conventions here, who calls
/// takes care of the arguments, so a function that takes none may be given any.
pub(crate) fn address(name: &CStr) -> *const c_void {
    match name.to_bytes() {
        b"glGetString" => get_string as *const c_void,
        b"glGetIntegerv" => get_integer as *const c_void,
        b"glGenTextures" | b"glGenFramebuffers" | b"glGenVertexArrays" | b"glGenBuffers" => generate as *const c_void,
        b"glCreateProgram" | b"glCreateShader" => create as *const c_void,
        b"glGetShaderiv" | b"glGetProgramiv" => get_status as *const c_void,
        b"glCheckFramebufferStatus" => framebuffer_status as *const c_void,
        b"glBindTexture" => bind_texture as *const c_void,
        b"glTexImage2D" => texture_image as *const c_void,
        b"glIsTexture" => is_texture as *const c_void,
        b"glGetTexLevelParameteriv" => get_level_parameter as *const c_void,
        other if other.starts_with(b"gl") => nothing as *const c_void,
        _ => std::ptr::null(),
    }
}

extern "C" fn nothing() -> usize {
    NO_ERROR
}

extern "C" fn get_string(name: u32) -> *const c_char {
    match name {
        0x1F00 => c"simulated".as_ptr(),
        0x1F01 => c"a GL that draws nothing".as_ptr(),
        0x8B8C => c"3.30".as_ptr(),
        _ => c"3.3 simulated".as_ptr(),
    }
}

/// # Safety
///
/// `value` is valid.
unsafe extern "C" fn get_integer(name: u32, value: *mut i32) {
    let answer = match name {
        MAJOR_VERSION | MINOR_VERSION => 3,
        TEXTURE_BINDING_2D => BOUND_TEXTURE.load(Ordering::Relaxed) as i32,
        _ => 0,
    };
    // SAFETY: this function's condition.
    unsafe { value.write(answer) };
}

/// # Safety
///
/// `names` has room for `count` names.
unsafe extern "C" fn generate(count: i32, names: *mut u32) {
    for at in 0..usize::try_from(count).unwrap_or(0) {
        // SAFETY: this function's condition.
        unsafe { names.add(at).write(create()) };
    }
}

extern "C" fn create() -> u32 {
    LAST_NAME.fetch_add(1, Ordering::Relaxed) + 1
}

/// # Safety
///
/// `value` is valid.
unsafe extern "C" fn get_status(_object: u32, name: u32, value: *mut i32) {
    // SAFETY: this function's condition.
    unsafe { value.write(i32::from(matches!(name, COMPILE_STATUS | LINK_STATUS))) };
}

extern "C" fn framebuffer_status(_target: u32) -> u32 {
    FRAMEBUFFER_COMPLETE
}

extern "C" fn bind_texture(_target: u32, name: u32) {
    BOUND_TEXTURE.store(name, Ordering::Relaxed);
}

extern "C" fn texture_image(_target: u32, _level: i32, format: i32, width: i32, height: i32) {
    let bound = BOUND_TEXTURE.load(Ordering::Relaxed);
    TEXTURES.lock().unwrap_or_else(PoisonError::into_inner).insert(bound, [width, height, format]);
}

extern "C" fn is_texture(name: u32) -> u8 {
    TEXTURES.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&name).into()
}

/// # Safety
///
/// `value` is valid.
unsafe extern "C" fn get_level_parameter(_target: u32, _level: i32, name: u32, value: *mut i32) {
    let bound = BOUND_TEXTURE.load(Ordering::Relaxed);
    let textures = TEXTURES.lock().unwrap_or_else(PoisonError::into_inner);
    let [width, height, format] = textures.get(&bound).copied().unwrap_or_default();
    let answer = match name {
        TEXTURE_WIDTH => width,
        TEXTURE_HEIGHT => height,
        TEXTURE_INTERNAL_FORMAT => format,
        _ => 0,
    };
    // SAFETY: this function's condition.
    unsafe { value.write(answer) };
}
