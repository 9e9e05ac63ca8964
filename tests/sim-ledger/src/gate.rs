//! Stands in front of a function of another library whose parameters nobody here knows, so that it can hang or take
//! its time.
//!
//! Only a function that was ordered to do so gets one; all others are called directly. A gate passes on what it was
//! called with: up to 16 integers and pointers, and up to 8 floats. That is more than any call of EGL or GL has.

use crate::{Call, Ledger, hang, start};
use std::ffi::c_void;
use std::sync::OnceLock;

/// So many functions can be ordered so at once.
const ROOM: usize = 8;

/// The calling conventions of Linux put integers and floats into registers of their own, each kind in its order, and
/// further integers on the stack in their order. So this type takes what any mix of them is called with.
type Any = unsafe extern "C" fn(
    usize,
    usize,
    usize,
    usize,
    usize,
    usize,
    usize,
    usize,
    usize,
    usize,
    usize,
    usize,
    usize,
    usize,
    usize,
    usize,
    f64,
    f64,
    f64,
    f64,
    f64,
    f64,
    f64,
    f64,
) -> usize;

struct Gate {
    name: String,
    ledger: &'static Ledger,
    call: &'static Call,
    beyond: Any,
}

static GATES: [OnceLock<Gate>; ROOM] = [const { OnceLock::new() }; ROOM];

const ENTRANCES: [Any; ROOM] =
    [enter::<0>, enter::<1>, enter::<2>, enter::<3>, enter::<4>, enter::<5>, enter::<6>, enter::<7>];

/// What to hand out in place of `function`, which is called `name` and may be null: itself, unless it was ordered to
/// hang or to take its time.
///
/// # Safety
///
/// `function` is null or a C function of at most 16 integers and pointers and 8 floats, which stays where it is.
pub unsafe fn before(ledger: &'static Ledger, name: &str, function: *const c_void) -> *const c_void {
    if function.is_null() || hang::ordered(name).is_none() && start::ordered(name).is_none() {
        return function;
    }
    for (gate, entrance) in GATES.iter().zip(ENTRANCES) {
        let gate = gate.get_or_init(|| Gate {
            name: name.to_owned(),
            ledger,
            call: Box::leak(Box::new(Call::new(name.to_owned().leak()))),
            // SAFETY: not null; that more is passed on than it takes does not matter to a C function.
            beyond: unsafe { std::mem::transmute::<*const c_void, Any>(function) },
        });
        if gate.name == name {
            return entrance as *const c_void;
        }
    }
    panic!("more than {ROOM} functions are to hang or to take their time");
}

/// # Safety
///
/// As for the function beyond the gate.
#[allow(clippy::too_many_arguments)]
unsafe extern "C" fn enter<const AT: usize>(
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
    g: usize,
    h: usize,
    i: usize,
    j: usize,
    k: usize,
    l: usize,
    m: usize,
    n: usize,
    o: usize,
    p: usize,
    s: f64,
    t: f64,
    u: f64,
    v: f64,
    w: f64,
    x: f64,
    y: f64,
    z: f64,
) -> usize {
    let Gate { ledger, call, beyond, .. } = GATES[AT].get().expect("handed out once it is there");
    // Faults are for the drivers that are played here.
    let _ = ledger.enter(call);
    // SAFETY: promised by the caller, and by who asked for the gate.
    unsafe { beyond(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, s, t, u, v, w, x, y, z) }
}
