//! Contexts that a reset of the GPU loses, as GL_KHR_robustness says, where one is ordered.
//!
//! Mesa makes and draws with them as with any other. What is robust about them is played here: no Mesa need know of it.

use crate::display::{draws, of_mesa};
use crate::error::{self, BAD_ATTRIBUTE};
use crate::{FALSE, LEDGER, mesa_function};
use sim_ledger::{Call, setting};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::{CStr, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};

const EXTENSION: &str = "EGL_EXT_create_context_robustness";

const NONE: i32 = 0x3038;
/// Robust access, of EGL 1.5 and of the extension.
const ROBUST_ACCESS: [i32; 2] = [0x31B2, 0x30BF];
/// The strategy on a reset, of EGL 1.5 and of the extension.
const STRATEGY: [i32; 2] = [0x31BD, 0x3138];
const LOSE_CONTEXT: i32 = 0x31BF;

const RESET_NOTIFICATION_STRATEGY: u32 = 0x8256;
const LOSE_CONTEXT_ON_RESET: i32 = 0x8252;
const NO_RESET_NOTIFICATION: i32 = 0x8261;
const NO_ERROR: u32 = 0;
const CONTEXT_LOST: u32 = 0x0507;

const PIXEL_PACK_BUFFER_BINDING: u32 = 0x88ED;

#[derive(Clone, Copy, PartialEq)]
enum Robust {
    Yes,
    No,
    Ignored,
}

fn robust() -> Robust {
    match setting::text(setting::EGL_ROBUST).as_deref() {
        None => Robust::Yes,
        Some("no") => Robust::No,
        Some("ignored") => Robust::Ignored,
        Some(other) => panic!("{}={other}: expected no or ignored", setting::EGL_ROBUST),
    }
}

/// Whether anything is played: otherwise all is Mesa's.
fn is_played() -> bool {
    robust() != Robust::Yes || setting::text(setting::FAULT).is_some_and(|order| order.contains("egl:"))
}

/// Whether a display lists this extension of those that Mesa does.
pub(crate) fn has(extension: &str) -> bool {
    extension != EXTENSION || robust() != Robust::No
}

struct Context {
    /// Never used again, and never 0.
    life: u64,
    /// Whether it was asked to be told of resets.
    is_robust: bool,
    lost: Lost,
}

#[derive(Clone, Copy, PartialEq)]
enum Lost {
    No,
    /// By a reset of this kind, of which nobody was told yet.
    Untold(u32),
    Told,
}

/// By Mesa's handle.
static CONTEXTS: Mutex<BTreeMap<usize, Context>> = Mutex::new(BTreeMap::new());

fn contexts() -> MutexGuard<'static, BTreeMap<usize, Context>> {
    CONTEXTS.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

pub(crate) fn function(name: &[u8]) -> Option<*mut c_void> {
    Some(match name {
        b"eglCreateContext" => create as *mut c_void,
        b"eglDestroyContext" => destroy as *mut c_void,
        b"eglMakeCurrent" => make_current as *mut c_void,
        _ if !is_played() => return None,
        b"glGetGraphicsResetStatus" | b"glGetGraphicsResetStatusARB" | b"glGetGraphicsResetStatusKHR" => {
            reset_status as *mut c_void
        }
        b"glGetIntegerv" => get_integer as *mut c_void,
        b"glGetError" => get_error as *mut c_void,
        b"glReadPixels" => read_pixels as *mut c_void,
        b"glGetTexImage" => get_texture as *mut c_void,
        _ => return None,
    })
}

unsafe extern "C" fn create(
    display: *mut c_void,
    config: *mut c_void,
    share: *mut c_void,
    attributes: *const i32,
) -> *mut c_void {
    static CALL: Call = Call::new("eglCreateContext");
    type Create = unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_void, *const i32) -> *mut c_void;
    let _ = LEDGER.enter(&CALL);
    // SAFETY: EGL gives this type to this name.
    let create = unsafe { mesa_function::<Create>(c"eglCreateContext") };
    if !is_played() {
        // SAFETY: the parameters are the caller's.
        return unsafe { create(of_mesa(display), config, share, attributes) };
    }
    let (mut kept, mut is_robust) = (Vec::new(), false);
    // SAFETY: EGL's lists are names with their values, and end with this one in the place of a name.
    unsafe {
        let mut at = attributes;
        while *at != NONE {
            let (name, value) = (*at, *at.add(1));
            at = at.add(2);
            match name {
                _ if !ROBUST_ACCESS.contains(&name) && !STRATEGY.contains(&name) => kept.extend([name, value]),
                _ if robust() == Robust::No => {
                    error::set(BAD_ATTRIBUTE);
                    return std::ptr::null_mut();
                }
                _ => is_robust |= STRATEGY.contains(&name) && value == LOSE_CONTEXT && robust() == Robust::Yes,
            }
        }
    }
    kept.push(NONE);
    // SAFETY: as above, with a list that ends as EGL's do.
    let context = unsafe { create(of_mesa(display), config, share, kept.as_ptr()) };
    if !context.is_null() {
        static LIVES: Mutex<u64> = Mutex::new(0);
        let mut lives = LIVES.lock().unwrap_or_else(PoisonError::into_inner);
        *lives += 1;
        let mut contexts = contexts();
        contexts.insert(context as usize, Context { life: *lives, is_robust, lost: Lost::No });
        LEDGER.set("live.contexts", contexts.len() as u64);
        LEDGER.count(if is_robust { "contexts.robust" } else { "contexts.plain" }, 1);
    }
    context
}

unsafe extern "C" fn destroy(display: *mut c_void, context: *mut c_void) -> u32 {
    type Destroy = unsafe extern "C" fn(*mut c_void, *mut c_void) -> u32;
    let mut contexts = contexts();
    if contexts.remove(&(context as usize)).is_some() {
        LEDGER.set("live.contexts", contexts.len() as u64);
        LEDGER.write("context", &[]);
    }
    drop(contexts);
    // SAFETY: EGL gives this type to this name, and the parameters are the caller's.
    unsafe { mesa_function::<Destroy>(c"eglDestroyContext")(of_mesa(display), context) }
}

unsafe extern "C" fn make_current(
    display: *mut c_void,
    draw: *mut c_void,
    read: *mut c_void,
    context: *mut c_void,
) -> u32 {
    type MakeCurrent = unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_void, *mut c_void) -> u32;
    // SAFETY: EGL gives this type to this name, and the parameters are the caller's.
    let done = unsafe { mesa_function::<MakeCurrent>(c"eglMakeCurrent")(of_mesa(display), draw, read, context) };
    if done != FALSE {
        CURRENT.set(context as usize);
        draws(if context.is_null() { std::ptr::null_mut() } else { display });
    }
    done
}

/// Whether the current context is lost, after a call of this function in its life.
fn is_lost_at(call: &'static Call) -> bool {
    let mut contexts = contexts();
    let Some(context) = contexts.get_mut(&CURRENT.get()) else { return false };
    if let Some(kind) = LEDGER.enter_in(call, context.life).filter(|_| context.lost == Lost::No) {
        context.lost = Lost::Untold(kind);
        LEDGER.count("resets", 1);
    }
    context.lost != Lost::No
}

/// It is told once: by then the reset is over, and the context stays lost.
unsafe extern "C" fn reset_status() -> u32 {
    static CALL: Call = Call::new("glGetGraphicsResetStatus");
    let _ = LEDGER.enter(&CALL);
    match contexts().get_mut(&CURRENT.get()) {
        Some(Context { is_robust: true, lost, .. }) => match std::mem::replace(lost, Lost::Told) {
            Lost::Untold(kind) => kind,
            before => {
                *lost = before;
                NO_ERROR
            }
        },
        _ => NO_ERROR,
    }
}

unsafe extern "C" fn get_error() -> u32 {
    match contexts().get(&CURRENT.get()) {
        Some(Context { is_robust: true, lost: Lost::Untold(_) | Lost::Told, .. }) => CONTEXT_LOST,
        // SAFETY: GL gives this type to this name.
        _ => unsafe { mesa_function::<unsafe extern "C" fn() -> u32>(c"glGetError")() },
    }
}

/// Mesa's answer.
fn integer(name: u32, value: *mut i32) {
    type GetInteger = unsafe extern "C" fn(u32, *mut i32);
    const NAME: &CStr = c"glGetIntegerv";
    // SAFETY: GL gives this type to this name; the caller of GL gave room for what the name has.
    unsafe { mesa_function::<GetInteger>(NAME)(name, value) }
}

unsafe extern "C" fn get_integer(name: u32, value: *mut i32) {
    if name != RESET_NOTIFICATION_STRATEGY {
        return integer(name, value);
    }
    let is_robust = contexts().get(&CURRENT.get()).is_some_and(|context| context.is_robust);
    // SAFETY: GL's caller gives room for one value.
    unsafe { value.write(if is_robust { LOSE_CONTEXT_ON_RESET } else { NO_RESET_NOTIFICATION }) }
}

/// Bytes of what is read, without padding: of a red, a red and green, or an RGBA picture of bytes.
fn bytes(width: i32, height: i32, format: u32, kind: u32) -> usize {
    let parts = match format {
        0x1903 | 0x8D94 => 1,
        0x8227 | 0x8228 => 2,
        _ => 4,
    };
    let each = match kind {
        0x1400 | 0x1401 => 1,
        0x1402 | 0x1403 | 0x140B => 2,
        _ => 4,
    };
    width as usize * height as usize * parts * each
}

/// Makes zeros of what was read into memory of the caller's.
///
/// # Safety
///
/// `into` is what GL was given for so many bytes: where they go, or a place in the bound buffer.
unsafe fn blacken(into: *mut c_void, bytes: usize) {
    let mut buffer = 0;
    integer(PIXEL_PACK_BUFFER_BINDING, &mut buffer);
    assert_eq!(buffer, 0, "what is read into a buffer of GL's cannot be lost here");
    // SAFETY: no buffer is bound, so the caller gave room for them.
    unsafe { into.cast::<u8>().write_bytes(0, bytes) }
}

unsafe extern "C" fn read_pixels(x: i32, y: i32, width: i32, height: i32, format: u32, kind: u32, into: *mut c_void) {
    static CALL: Call = Call::new("glReadPixels");
    type ReadPixels = unsafe extern "C" fn(i32, i32, i32, i32, u32, u32, *mut c_void);
    let is_lost = is_lost_at(&CALL);
    // SAFETY: GL gives this type to this name, and the parameters are the caller's.
    unsafe { mesa_function::<ReadPixels>(c"glReadPixels")(x, y, width, height, format, kind, into) };
    if is_lost {
        // SAFETY: what was read went there.
        unsafe { blacken(into, bytes(width, height, format, kind)) }
    }
}

unsafe extern "C" fn get_texture(target: u32, level: i32, format: u32, kind: u32, into: *mut c_void) {
    static CALL: Call = Call::new("glGetTexImage");
    type GetTexture = unsafe extern "C" fn(u32, i32, u32, u32, *mut c_void);
    type GetParameter = unsafe extern "C" fn(u32, i32, u32, *mut i32);
    const SIDES: [u32; 2] = [0x1000, 0x1001];
    let is_lost = is_lost_at(&CALL);
    // SAFETY: GL gives this type to this name, and the parameters are the caller's.
    unsafe { mesa_function::<GetTexture>(c"glGetTexImage")(target, level, format, kind, into) };
    if is_lost {
        let [width, height] = SIDES.map(|side| {
            let mut value = 0;
            // SAFETY: GL gives this type to this name, and there is room for one value.
            unsafe { mesa_function::<GetParameter>(c"glGetTexLevelParameteriv")(target, level, side, &mut value) };
            value
        });
        // SAFETY: what was read went there.
        unsafe { blacken(into, bytes(width, height, format, kind)) }
    }
}
