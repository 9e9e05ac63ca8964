//! A test-only EGL vendor library: simulated GPUs as EGL devices, for which Mesa's software renderer draws.
//!
//! libEGL (of libglvnd) loads it as it loads the real vendors', by a JSON file. It hands its caller Mesa's own functions
//! and puts itself in front of those that a driver of NVIDIA's answers otherwise: what it says of itself
//! ([`vendor`]), its [`device`]s, the [`display`]s that are opened on them, and [`context`]s that a reset of the GPU loses.
//! `MB_SIM_EGL_DEVICES` says which devices there are, in which order. With `MB_SIM_DMA_BUF` it also imports memory as
//! images, which Mesa's software renderer may not: see [`dma_buf`]. Any function of EGL or GL hangs on request
//! (`MB_SIM_HANG`); without devices, Mesa draws as it does without this library.
//!
//! It never draws, and it does not know CUDA. Which GPU draws is what the simulated `cuGLGetDevices_v2` asks it.

mod context;
mod device;
mod display;
mod dma_buf;
mod error;
mod vendor;

use sim_ledger::{Ledger, gate};
use std::ffi::{CStr, c_char, c_void};
use std::sync::OnceLock;

const TRUE: u32 = 1;
const FALSE: u32 = 0;
const EXTENSIONS: i32 = 0x3055;
const PLATFORM_SURFACELESS: u32 = 0x31DD;

static LEDGER: Ledger = Ledger::new("egl");

type Main = unsafe extern "C" fn(u32, *const c_void, *mut c_void, *mut Imports) -> u32;
type GetPlatformDisplay = unsafe extern "C" fn(u32, *mut c_void, *const isize) -> *mut c_void;
type GetVendorString = unsafe extern "C" fn(i32) -> *const c_char;
type GetProcAddress = unsafe extern "C" fn(*const c_char) -> *mut c_void;

/// The head of `__EGLapiImports`, glvnd/libeglabi.h: what a vendor hands to libEGL. What follows stays Mesa's.
#[repr(C)]
pub struct Imports {
    get_platform_display: Option<GetPlatformDisplay>,
    _get_supports_api: *const c_void,
    get_vendor_string: Option<GetVendorString>,
    get_proc_address: Option<GetProcAddress>,
}

/// What Mesa handed out under the names that are replaced.
struct Mesa {
    get_platform_display: GetPlatformDisplay,
    get_vendor_string: Option<GetVendorString>,
    get_proc_address: GetProcAddress,
}

static MESA: OnceLock<Mesa> = OnceLock::new();

/// What libEGL calls when it loads a vendor.
///
/// # Safety
///
/// `imports` is a whole `__EGLapiImports`, and the other parameters are what libglvnd's ABI says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __egl_Main(
    version: u32,
    exports: *const c_void,
    vendor: *mut c_void,
    imports: *mut Imports,
) -> u32 {
    // SAFETY: Mesa's vendor library is loaded by libEGL everywhere in this way.
    let Ok(mesa) = (unsafe { libloading::Library::new("libEGL_mesa.so.0") }) else { return FALSE };
    // Drivers do not survive being unloaded.
    let mesa = Box::leak(Box::new(mesa));
    // SAFETY: this is the type that libglvnd's ABI gives to this name.
    let Ok(main) = (unsafe { mesa.get::<Main>(b"__egl_Main\0") }) else { return FALSE };
    // SAFETY: the parameters are those that this function was given, by the same ABI.
    if unsafe { main(version, exports, vendor, imports) } != TRUE {
        return FALSE;
    }
    // SAFETY: promised by the caller; Mesa has filled it.
    let imports = unsafe { &mut *imports };
    let (Some(get_platform_display), Some(get_proc_address)) = (imports.get_platform_display, imports.get_proc_address)
    else {
        return FALSE;
    };
    let _ = MESA.set(Mesa { get_platform_display, get_vendor_string: imports.get_vendor_string, get_proc_address });
    imports.get_platform_display = Some(display::open);
    imports.get_vendor_string = Some(vendor::string);
    imports.get_proc_address = Some(proc_address);
    TRUE
}

fn mesa() -> &'static Mesa {
    MESA.get().expect("__egl_Main went before")
}

unsafe extern "C" fn proc_address(name: *const c_char) -> *mut c_void {
    // SAFETY: libEGL gives the name of a function.
    let text = unsafe { CStr::from_ptr(name) };
    let bytes = text.to_bytes();
    let function = device::function(bytes)
        .or_else(|| dma_buf::function(bytes))
        .or_else(|| context::function(bytes))
        .or_else(|| display::function(bytes))
        .or_else(|| error::function(bytes))
        .unwrap_or_else(|| {
            // SAFETY: as above.
            unsafe { (mesa().get_proc_address)(name) }
        });
    // SAFETY: it is a function of EGL or GL, of which none takes more; neither library is ever unloaded.
    unsafe { gate::before(&LEDGER, &text.to_string_lossy(), function) }.cast_mut()
}

/// Mesa's own function of this name.
///
/// # Safety
///
/// Mesa has it, and `F` is the type of a pointer to it.
unsafe fn mesa_function<F: Copy>(name: &CStr) -> F {
    // SAFETY: Mesa is asked for the function of this name.
    let address = unsafe { (mesa().get_proc_address)(name.as_ptr()) };
    assert!(!address.is_null(), "Mesa has {name:?}");
    // SAFETY: a pointer to a function is as large as any; the rest is this function's condition.
    unsafe { std::mem::transmute_copy(&address) }
}

/// Runs when the process ends or the library is unloaded.
extern "C" fn write_last_report() {
    LEDGER.write("exit", &[]);
}

// SAFETY: the loader calls each entry of `.fini_array` once, with no arguments that matter to a
// function without parameters, before this library's memory goes away.
#[used]
#[unsafe(link_section = ".fini_array")]
static AT_EXIT: extern "C" fn() = write_last_report;
