//! Preloaded into a program (`LD_PRELOAD`), it sends that program a signal right behind one call into libc: at the
//! moments at which a program that is about to catch signals could lose one.
//!
//! `MB_SIM_SIGNAL=15:sigaction@1` sends signal 15 when the first `sigaction` returns that sets a handler for it. The
//! calls are `sigaction`, `pthread_sigmask` and `sigprocmask` that concern the signal, and any `signalfd` and
//! `pthread_create`. The first process of all that comes there makes the file `MB_SIM_SIGNAL_SENT`, writes its id into
//! it, and is sent the signal; no other one is.
//!
//! It changes nothing else, and it never prints.

use libc::{c_int, c_void, pthread_attr_t, pthread_t, sigset_t};
use std::ffi::CStr;
use std::io::Write as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where the signal is to come.
struct Order {
    signal: c_int,
    function: String,
    at: u64,
    sent: String,
}

fn order() -> Option<&'static Order> {
    static ORDER: OnceLock<Option<Order>> = OnceLock::new();
    ORDER
        .get_or_init(|| {
            let order = std::env::var("MB_SIM_SIGNAL").ok()?;
            let sent = std::env::var("MB_SIM_SIGNAL_SENT").ok()?;
            let (signal, point) = order.split_once(':')?;
            let (function, at) = point.split_once('@')?;
            Some(Order { signal: signal.parse().ok()?, function: function.to_owned(), at: at.parse().ok()?, sent })
        })
        .as_ref()
}

/// One of the functions that are stood in front of.
struct Point {
    name: &'static CStr,
    next: OnceLock<usize>,
    calls: AtomicU64,
}

impl Point {
    const fn new(name: &'static CStr) -> Point {
        Point { name, next: OnceLock::new(), calls: AtomicU64::new(0) }
    }

    /// The address of libc's own function.
    fn next(&self) -> usize {
        // SAFETY: the name is zero-terminated.
        *self.next.get_or_init(|| unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) } as usize)
    }

    /// Counts a call that `concerns` the signal, and sends it where it is time.
    fn passed(&self, concerns: impl FnOnce(c_int) -> bool) {
        let Some(order) = order().filter(|order| self.name.to_bytes() == order.function.as_bytes()) else { return };
        if !concerns(order.signal) || self.calls.fetch_add(1, Ordering::Relaxed) + 1 != order.at {
            return;
        }
        let Ok(mut sent) = std::fs::File::create_new(&order.sent) else { return };
        let _ = write!(sent, "{}", std::process::id());
        drop(sent);
        // SAFETY: only sends a signal. It has arrived when this returns, in a thread that does not block it.
        unsafe { libc::kill(libc::getpid(), order.signal) };
    }
}

/// Whether a set of signals is there and holds `signal`.
///
/// # Safety
///
/// `set` is null or valid.
unsafe fn holds(set: *const sigset_t, signal: c_int) -> bool {
    // SAFETY: not null, so valid by this function's condition.
    !set.is_null() && unsafe { libc::sigismember(set, signal) } == 1
}

/// # Safety
///
/// As for libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigaction(signal: c_int, new: *const libc::sigaction, old: *mut libc::sigaction) -> c_int {
    static POINT: Point = Point::new(c"sigaction");
    type Next = unsafe extern "C" fn(c_int, *const libc::sigaction, *mut libc::sigaction) -> c_int;
    // SAFETY: libc's function of this name has this type, and the parameters are the caller's.
    let done = unsafe { std::mem::transmute::<usize, Next>(POINT.next())(signal, new, old) };
    // SAFETY: not null, so valid by the caller's promise.
    let handler = if new.is_null() { libc::SIG_DFL } else { unsafe { (*new).sa_sigaction } };
    POINT.passed(|wanted| signal == wanted && handler != libc::SIG_DFL && handler != libc::SIG_IGN);
    done
}

/// # Safety
///
/// As for libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_sigmask(how: c_int, set: *const sigset_t, old: *mut sigset_t) -> c_int {
    static POINT: Point = Point::new(c"pthread_sigmask");
    // SAFETY: handed on as they came.
    unsafe { mask(&POINT, how, set, old) }
}

/// # Safety
///
/// As for libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigprocmask(how: c_int, set: *const sigset_t, old: *mut sigset_t) -> c_int {
    static POINT: Point = Point::new(c"sigprocmask");
    // SAFETY: handed on as they came.
    unsafe { mask(&POINT, how, set, old) }
}

/// # Safety
///
/// The parameters are such as libc's functions of the two names above take.
unsafe fn mask(point: &Point, how: c_int, set: *const sigset_t, old: *mut sigset_t) -> c_int {
    type Next = unsafe extern "C" fn(c_int, *const sigset_t, *mut sigset_t) -> c_int;
    // SAFETY: libc's function of this name has this type, and the parameters are the caller's.
    let done = unsafe { std::mem::transmute::<usize, Next>(point.next())(how, set, old) };
    // SAFETY: null or valid by the caller's promise.
    point.passed(|signal| unsafe { holds(set, signal) });
    done
}

/// # Safety
///
/// As for libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn signalfd(fd: c_int, set: *const sigset_t, flags: c_int) -> c_int {
    static POINT: Point = Point::new(c"signalfd");
    type Next = unsafe extern "C" fn(c_int, *const sigset_t, c_int) -> c_int;
    // SAFETY: libc's function of this name has this type, and the parameters are the caller's.
    let done = unsafe { std::mem::transmute::<usize, Next>(POINT.next())(fd, set, flags) };
    POINT.passed(|_| true);
    done
}

/// # Safety
///
/// As for libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_create(
    thread: *mut pthread_t,
    attributes: *const pthread_attr_t,
    start: extern "C" fn(*mut c_void) -> *mut c_void,
    argument: *mut c_void,
) -> c_int {
    static POINT: Point = Point::new(c"pthread_create");
    type Next = unsafe extern "C" fn(
        *mut pthread_t,
        *const pthread_attr_t,
        extern "C" fn(*mut c_void) -> *mut c_void,
        *mut c_void,
    ) -> c_int;
    // SAFETY: libc's function of this name has this type, and the parameters are the caller's.
    let done = unsafe { std::mem::transmute::<usize, Next>(POINT.next())(thread, attributes, start, argument) };
    POINT.passed(|_| true);
    done
}
