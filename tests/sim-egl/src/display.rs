//! Displays: one for each device, in front of Mesa's.
//!
//! A display of this vendor's has a handle of its own, which Mesa's other displays in the process know nothing of, and
//! stands for the one that Mesa draws on without a device. A broken GPU's does not initialise.

use crate::context;
use crate::device::{Device, device, devices};
use crate::dma_buf;
use crate::error::{self, BAD_PARAMETER, NOT_INITIALIZED};
use crate::vendor::{self, Claims};
use crate::{EXTENSIONS, FALSE, LEDGER, PLATFORM_SURFACELESS, mesa, mesa_function};
use sim_ledger::Call;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_void};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// `GL_VENDOR`.
const VENDOR: u32 = 0x1F00;
const EGL_VENDOR: i32 = 0x3053;
const PLATFORM_DEVICE: u32 = 0x313F;

/// One device's; its address is its handle.
struct Display {
    device: Device,
}

fn displays() -> &'static [Display] {
    static DISPLAYS: OnceLock<Vec<Display>> = OnceLock::new();
    DISPLAYS.get_or_init(|| devices().iter().map(|&device| Display { device }).collect())
}

fn display(handle: *mut c_void) -> Option<&'static Display> {
    displays().iter().find(|display| std::ptr::eq(std::ptr::from_ref(*display).cast(), handle))
}

/// The one of Mesa's that is drawn on.
static OF_MESA: AtomicUsize = AtomicUsize::new(0);

/// The display of Mesa's that a handle stands for, which may be itself.
pub(crate) fn of_mesa(handle: *mut c_void) -> *mut c_void {
    match display(handle) {
        Some(_) => OF_MESA.load(Ordering::Relaxed) as *mut c_void,
        None => handle,
    }
}

thread_local! {
    /// The machine's number of the GPU whose context is current, or -1.
    static DRAWING: Cell<i32> = const { Cell::new(-1) };
}

/// The machine's number of the GPU that draws on this thread, or -1 where none does.
#[unsafe(no_mangle)]
pub extern "C" fn mb_sim_egl_drawing() -> i32 {
    DRAWING.get()
}

/// Which display is current from now on; null for none.
pub(crate) fn draws(handle: *mut c_void) {
    DRAWING.set(match display(handle).map(|display| display.device) {
        Some(Device::Gpu(number) | Device::Broken { number, .. }) => number,
        _ => -1,
    });
}

pub(crate) unsafe extern "C" fn open(platform: u32, native: *mut c_void, attributes: *const isize) -> *mut c_void {
    static CALL: Call = Call::new("eglGetPlatformDisplay");
    let _ = LEDGER.enter(&CALL);
    let open = mesa().get_platform_display;
    let is_usable = |device: &Device| matches!(device, Device::Gpu(_) | Device::Broken { .. });
    let asked = match platform {
        PLATFORM_DEVICE => device(native).filter(|it| *it != Device::Hidden),
        PLATFORM_SURFACELESS if vendor::claims() == Claims::Surfaceless => devices().iter().copied().find(is_usable),
        // SAFETY: the parameters are those that libEGL gave.
        _ if vendor::claims() == Claims::Mesa => return unsafe { open(platform, native, attributes) },
        _ => None,
    };
    let Some(asked) = asked else {
        error::set(BAD_PARAMETER);
        return std::ptr::null_mut();
    };
    // SAFETY: the surfaceless platform takes the default display, which is null; the attributes are libEGL's.
    let of_mesa = unsafe { open(PLATFORM_SURFACELESS, std::ptr::null_mut(), attributes) };
    OF_MESA.store(of_mesa as usize, Ordering::Relaxed);
    let display = displays().iter().find(|display| display.device == asked).expect("each device has one");
    std::ptr::from_ref(display).cast_mut().cast()
}

pub(crate) fn function(name: &[u8]) -> Option<*mut c_void> {
    Some(match name {
        b"eglInitialize" => initialize as *mut c_void,
        b"eglQueryString" => query_string as *mut c_void,
        b"eglTerminate" => terminate as *mut c_void,
        b"glGetString" => get_string as *mut c_void,
        _ => return None,
    })
}

unsafe extern "C" fn initialize(handle: *mut c_void, major: *mut i32, minor: *mut i32) -> u32 {
    type Initialize = unsafe extern "C" fn(*mut c_void, *mut i32, *mut i32) -> u32;
    if let Some(Display { device: Device::Broken { after, .. } }) = display(handle) {
        static TRIED: AtomicU32 = AtomicU32::new(0);
        if TRIED.fetch_add(1, Ordering::Relaxed) >= *after {
            error::set(NOT_INITIALIZED);
            return FALSE;
        }
    }
    // SAFETY: EGL gives this type to this name, and the parameters are the caller's.
    unsafe { mesa_function::<Initialize>(c"eglInitialize")(of_mesa(handle), major, minor) }
}

unsafe extern "C" fn terminate(handle: *mut c_void) -> u32 {
    // SAFETY: EGL gives this type to this name.
    unsafe { mesa_function::<unsafe extern "C" fn(*mut c_void) -> u32>(c"eglTerminate")(of_mesa(handle)) }
}

unsafe extern "C" fn query_string(handle: *mut c_void, name: i32) -> *const c_char {
    type QueryString = unsafe extern "C" fn(*mut c_void, i32) -> *const c_char;
    if handle.is_null() && name == EXTENSIONS {
        if let Some(listed) = vendor::client_extensions() {
            return listed.as_ptr();
        }
    }
    let is_gpu = display(handle).is_some_and(|display| display.device != Device::Software);
    if is_gpu && name == EGL_VENDOR {
        return c"NVIDIA (simulated)".as_ptr();
    }
    // SAFETY: EGL gives this type to this name, and the name is the caller's.
    let told = unsafe { mesa_function::<QueryString>(c"eglQueryString")(of_mesa(handle), name) };
    if name != EXTENSIONS || handle.is_null() || told.is_null() {
        return told;
    }
    // SAFETY: EGL's strings end with a zero.
    let told = unsafe { CStr::from_ptr(told) }.to_string_lossy();
    let kept = told.split_whitespace().filter(|name| context::has(name));
    let list = kept.chain(dma_buf::extensions().iter().copied()).collect::<Vec<_>>().join(" ");
    // Static, as EGL's strings are.
    static LISTS: Mutex<BTreeMap<String, &'static CStr>> = Mutex::new(BTreeMap::new());
    let mut lists = LISTS.lock().unwrap_or_else(PoisonError::into_inner);
    let leaked = |list: &String| -> &'static CStr { Box::leak(CString::new(list.as_str()).expect("text").into()) };
    lists.entry(list).or_insert_with_key(leaked).as_ptr()
}

/// What draws calls itself NVIDIA's where a simulated GPU does.
unsafe extern "C" fn get_string(name: u32) -> *const u8 {
    if name == VENDOR && DRAWING.get() >= 0 {
        return c"NVIDIA Corporation (simulated)".as_ptr().cast();
    }
    // SAFETY: Mesa has the function, of the type that OpenGL gives to this name; the name is the caller's.
    unsafe { mesa_function::<unsafe extern "C" fn(u32) -> *const u8>(c"glGetString")(name) }
}
