//! A test-only EGL vendor library: simulated GPUs as EGL devices, for which Mesa's software renderer draws.
//!
//! libEGL (of libglvnd) loads it as it loads the real vendors', by a JSON file. It hands its caller Mesa's own functions
//! and puts itself in front of five of them: the list of devices, what one says of itself by string and by number, the
//! display that is opened on one, and the name of the vendor that GL gives then. `MB_SIM_EGL_DEVICES` says which devices there are, in which order.
//! With `MB_SIM_DMA_BUF` it also imports memory as images, which Mesa's software renderer may not: see [`dma_buf`].
//! Any function of EGL or GL hangs on request (`MB_SIM_HANG`); without devices, Mesa draws as it does without this library.
//!
//! It never draws, and it does not know CUDA. Which GPU the display was opened on last is what the simulated
//! `cuGLGetDevices_v2` asks it.

mod dma_buf;

use sim_ledger::{Call, Ledger, gate, setting};
use std::ffi::{CStr, c_char, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

const TRUE: u32 = 1;
const FALSE: u32 = 0;
const EXTENSIONS: i32 = 0x3055;
const CUDA_DEVICE: i32 = 0x323A;
/// `GL_VENDOR`.
const VENDOR: u32 = 0x1F00;
const PLATFORM_DEVICE: u32 = 0x313F;
const PLATFORM_SURFACELESS: u32 = 0x31DD;

static LEDGER: Ledger = Ledger::new("egl");

type Main = unsafe extern "C" fn(u32, *const c_void, *mut c_void, *mut Imports) -> u32;
type GetPlatformDisplay = unsafe extern "C" fn(u32, *mut c_void, *const isize) -> *mut c_void;
type GetProcAddress = unsafe extern "C" fn(*const c_char) -> *mut c_void;

/// The head of `__EGLapiImports`, glvnd/libeglabi.h: what a vendor hands to libEGL. What follows stays Mesa's.
#[repr(C)]
pub struct Imports {
    get_platform_display: Option<GetPlatformDisplay>,
    _get_supports_api: *const c_void,
    _get_vendor_string: *const c_void,
    get_proc_address: Option<GetProcAddress>,
}

/// What Mesa handed out under the two names that are replaced.
struct Mesa {
    get_platform_display: GetPlatformDisplay,
    get_proc_address: GetProcAddress,
}

static MESA: OnceLock<Mesa> = OnceLock::new();

/// One EGL device.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Device {
    /// The machine's number of a GPU.
    Gpu(i32),
    /// The machine's number of a GPU whose displays do not initialise, but for so many of the first.
    Broken { number: i32, after: u32 },
    /// A GPU that the process may not use: some drivers crash when they are asked for its number.
    Hidden,
    /// What Mesa lists for its software renderer.
    Software,
}

fn devices() -> &'static [Device] {
    static DEVICES: OnceLock<Vec<Device>> = OnceLock::new();
    DEVICES.get_or_init(|| {
        let list = setting::text(setting::EGL_DEVICES).unwrap_or_default();
        let device = |entry: &str| match entry.trim() {
            "hidden" => Device::Hidden,
            "software" => Device::Software,
            entry => {
                let (number, after) = match entry.split_once(':') {
                    Some(("broken", number)) => (number, Some(0)),
                    Some(("once", number)) => (number, Some(1)),
                    _ => (entry, None),
                };
                match (number.parse(), after) {
                    (Ok(number), None) => Device::Gpu(number),
                    (Ok(number), Some(after)) => Device::Broken { number, after },
                    _ => panic!("{}: cannot read {entry:?}", setting::EGL_DEVICES),
                }
            }
        };
        list.split(',').filter(|entry| !entry.trim().is_empty()).map(device).collect()
    })
}

/// The device behind a handle: the address of its place in the list.
fn device(handle: *mut c_void) -> Option<Device> {
    devices().iter().find(|device| std::ptr::eq(std::ptr::from_ref(*device).cast(), handle)).copied()
}

/// The GPU whose display was opened last, by the machine's number.
static DRAWING: AtomicI32 = AtomicI32::new(-1);

/// The machine's number of the GPU that draws, or -1 where none does.
#[unsafe(no_mangle)]
pub extern "C" fn mb_sim_egl_drawing() -> i32 {
    DRAWING.load(Ordering::Relaxed)
}

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
    let _ = MESA.set(Mesa { get_platform_display, get_proc_address });
    imports.get_platform_display = Some(platform_display);
    imports.get_proc_address = Some(proc_address);
    TRUE
}

fn mesa() -> &'static Mesa {
    MESA.get().expect("__egl_Main went before")
}

/// A display on one of the devices above, or one of Mesa's.
unsafe extern "C" fn platform_display(platform: u32, native: *mut c_void, attributes: *const isize) -> *mut c_void {
    static CALL: Call = Call::new("eglGetPlatformDisplay");
    let _ = LEDGER.enter(&CALL);
    let open = mesa().get_platform_display;
    let drawing = match (platform, device(native)) {
        (PLATFORM_DEVICE, Some(Device::Gpu(number))) => number,
        (PLATFORM_DEVICE, Some(Device::Broken { number, after })) => {
            static OPENED: AtomicU32 = AtomicU32::new(0);
            if OPENED.fetch_add(1, Ordering::Relaxed) >= after {
                // A display that Mesa does not know: its own eglInitialize refuses it.
                return native;
            }
            number
        }
        (PLATFORM_DEVICE, _) => return std::ptr::null_mut(),
        _ => -1,
    };
    DRAWING.store(drawing, Ordering::Relaxed);
    if drawing < 0 {
        // SAFETY: the parameters are those that libEGL gave.
        return unsafe { open(platform, native, attributes) };
    }
    // SAFETY: the surfaceless platform takes the default display, which is null; the attributes are libEGL's.
    unsafe { open(PLATFORM_SURFACELESS, std::ptr::null_mut(), attributes) }
}

unsafe extern "C" fn proc_address(name: *const c_char) -> *mut c_void {
    // SAFETY: libEGL gives the name of a function.
    let text = unsafe { CStr::from_ptr(name) };
    let function = match text.to_bytes() {
        b"eglQueryDevicesEXT" => query_devices as *mut c_void,
        b"eglQueryDeviceStringEXT" => query_string as *mut c_void,
        b"eglQueryDeviceAttribEXT" => query_attribute as *mut c_void,
        b"glGetString" => get_string as *mut c_void,
        other => dma_buf::function(other).unwrap_or_else(|| {
            // SAFETY: as above.
            unsafe { (mesa().get_proc_address)(name) }
        }),
    };
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

/// What draws calls itself NVIDIA's where a simulated GPU does.
unsafe extern "C" fn get_string(name: u32) -> *const u8 {
    if name == VENDOR && DRAWING.load(Ordering::Relaxed) >= 0 {
        return c"NVIDIA Corporation (simulated)".as_ptr().cast();
    }
    // SAFETY: Mesa has the function, of the type that OpenGL gives to this name; the name is the caller's.
    unsafe { mesa_function::<unsafe extern "C" fn(u32) -> *const u8>(c"glGetString")(name) }
}

unsafe extern "C" fn query_devices(capacity: i32, handles: *mut *mut c_void, count: *mut i32) -> u32 {
    let all = devices();
    let mut number = all.len();
    if !handles.is_null() {
        number = number.min(usize::try_from(capacity).unwrap_or(0));
        for (at, device) in all[..number].iter().enumerate() {
            // SAFETY: libEGL gives room for `capacity` handles.
            unsafe { handles.add(at).write(std::ptr::from_ref(device).cast_mut().cast()) };
        }
    }
    // SAFETY: libEGL gives room for one number.
    unsafe { count.write(number as i32) };
    TRUE
}

unsafe extern "C" fn query_string(handle: *mut c_void, name: i32) -> *const c_char {
    match device(handle) {
        Some(Device::Gpu(_) | Device::Broken { .. }) if name == EXTENSIONS => {
            c"EGL_NV_device_cuda EGL_EXT_device_drm".as_ptr()
        }
        Some(Device::Software) if name == EXTENSIONS => c"EGL_MESA_device_software".as_ptr(),
        // EGL_BAD_DEVICE_EXT, to the caller.
        _ => std::ptr::null(),
    }
}

unsafe extern "C" fn query_attribute(handle: *mut c_void, attribute: i32, value: *mut isize) -> u32 {
    match device(handle) {
        Some(Device::Gpu(number) | Device::Broken { number, .. }) if attribute == CUDA_DEVICE => {
            // SAFETY: libEGL gives room for one value.
            unsafe { value.write(number as isize) };
            TRUE
        }
        // As driver 450.80.02 does.
        Some(Device::Hidden) => std::process::abort(),
        _ => FALSE,
    }
}
