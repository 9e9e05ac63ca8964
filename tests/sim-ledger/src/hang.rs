//! A hang that a test ordered: which function never returns, and from which call on.
//!
//! Orders are looked up once a function, at its first call. What a thread held when it called is held for ever; the
//! simulated driver itself holds no lock, so that only who waits for this thread hangs with it.

use crate::setting;
use std::sync::OnceLock;
use std::time::Duration;

/// How the program tells a child what it is: `<pid>` for a rehearsal, `<pid> <number>` for a reader's process, and
/// `<pid> spare` for one that is to become a reader's.
const PROGRAMS_ROLE: &str = "MB_ENCODE_WORKERS_CHILD";

/// What every function that can hang begins with.
const PREFIXES: [&str; 5] = ["nvEnc", "NvEnc", "cu", "egl", "gl"];

/// One entry of the order.
#[derive(Debug, PartialEq)]
struct Hang {
    function: String,
    at: u64,
}

impl Hang {
    /// Reads the whole order, in the grammar of [`setting::HANG`].
    fn parse_all(order: &str) -> Result<Vec<Hang>, String> {
        order
            .split([',', ';'])
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .map(|entry| Hang::parse(entry).ok_or_else(|| format!("cannot read the hang {entry:?}")))
            .collect()
    }

    fn parse(entry: &str) -> Option<Hang> {
        let (function, at) = match entry.split_once('@') {
            Some((function, at)) => (function, at.parse().ok().filter(|&at| at > 0)?),
            None => (entry, 1),
        };
        is_function(function).then(|| Hang { function: function.to_owned(), at })
    }

    fn concerns(&self, function: &str) -> bool {
        is_same(&self.function, function)
    }
}

/// Whether an order may name this function.
pub(crate) fn is_function(name: &str) -> bool {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    plain && PREFIXES.iter().any(|prefix| name.len() > prefix.len() && name.starts_with(prefix))
}

/// Whether an order for `ordered` is one for `function`. The encoder's functions have two names in nvEncodeAPI.h:
/// `nvEncLockBitstream` is the entry of the function list, `NvEncLockBitstream` the prototype.
pub(crate) fn is_same(ordered: &str, function: &str) -> bool {
    let short = ordered.strip_prefix("nvEnc").or(ordered.strip_prefix("NvEnc"));
    match (short, function.strip_prefix("NvEnc")) {
        (Some(short), Some(function)) => short == function,
        _ => ordered == function,
    }
}

/// The call of `function`, the first being 1, from which on none returns in this process. `None`: all return.
pub(crate) fn ordered(function: &str) -> Option<u64> {
    static ORDERS: OnceLock<Vec<Hang>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let order = setting::text(setting::HANG).unwrap_or_default();
        let orders = Hang::parse_all(&order).unwrap_or_else(|problem| panic!("{}: {problem}", setting::HANG));
        let wanted = setting::text(setting::HANG_ROLE).unwrap_or_else(|| "any".to_owned());
        let role = std::env::var(PROGRAMS_ROLE).ok();
        match is_meant(&wanted, role.as_deref()) {
            Some(true) => orders,
            Some(false) => Vec::new(),
            None => panic!("{}: there is no role {wanted:?}", setting::HANG_ROLE),
        }
    });
    orders.iter().filter(|hang| hang.concerns(function)).map(|hang| hang.at).min()
}

/// Whether an order for `wanted` is for a process with this value of [`PROGRAMS_ROLE`].
fn is_meant(wanted: &str, role: Option<&str>) -> Option<bool> {
    let spare = role.is_some_and(|role| role.ends_with(" spare"));
    let reader = !spare && role.is_some_and(|role| role.contains(' '));
    match wanted {
        "any" => Some(true),
        "reader" => Some(reader),
        "spare" => Some(spare),
        "rehearsal" => Some(role.is_some() && !reader && !spare),
        _ => None,
    }
}

/// Whether this is the process that may hang, where [`setting::HANG_ONCE`] allows one alone.
pub(crate) fn is_this_process() -> bool {
    static DECIDED: OnceLock<bool> = OnceLock::new();
    *DECIDED.get_or_init(|| crate::once::is_first(setting::HANG_ONCE))
}

/// Never returns, uses no processor time, and goes on after every signal handler. `exit` does not get through either:
/// a driver's own end waits for its threads.
pub(crate) fn for_ever() -> ! {
    unsafe extern "C" {
        fn atexit(function: extern "C" fn()) -> i32;
    }
    extern "C" fn at_exit() {
        sleep()
    }
    // SAFETY: the function needs nothing that could be gone when the process ends; drivers are never unloaded before.
    let _ = unsafe { atexit(at_exit) };
    sleep()
}

fn sleep() -> ! {
    loop {
        // Goes on with the rest where a handler interrupted it.
        std::thread::sleep(Duration::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::{Hang, is_meant};

    fn only(order: &str) -> Hang {
        let mut hangs = Hang::parse_all(order).expect("a readable order");
        assert_eq!(hangs.len(), 1);
        hangs.remove(0)
    }

    #[test]
    fn a_function_is_named_as_its_header_names_it() {
        for order in ["nvEncLockBitstream@37", "NvEncLockBitstream@37"] {
            let hang = only(order);
            assert!(hang.concerns("NvEncLockBitstream") && hang.at == 37, "{order}");
            assert!(!hang.concerns("NvEncUnlockBitstream"), "{order}");
        }
        assert!(only("cuMemAllocPitch_v2@2").concerns("cuMemAllocPitch_v2"));
        assert!(!only("cuMemAllocPitch@2").concerns("cuMemAllocPitch_v2"));
        assert!(only("NvEncodeAPICreateInstance").concerns("NvEncodeAPICreateInstance"));
        assert!(only("glReadPixels@30").concerns("glReadPixels"));
    }

    #[test]
    fn without_a_number_it_is_the_first_call() {
        assert_eq!(only("eglInitialize"), only("eglInitialize@1"));
    }

    #[test]
    fn an_unreadable_order_is_refused() {
        for order in ["cuInit@", "cuInit@0", "cuInit@x", "@3", "cu", "encode@3", "cuInit:3", "gl Finish"] {
            assert!(Hang::parse_all(order).is_err(), "{order}");
        }
        assert_eq!(Hang::parse_all("cuInit@1, glFinish@3;eglInitialize").map(|hangs| hangs.len()), Ok(3));
        assert_eq!(Hang::parse_all(""), Ok(Vec::new()));
    }

    #[test]
    fn a_role_is_read_as_the_program_writes_it() {
        let roles = [None, Some("4711"), Some("4711 1"), Some("4711 spare")];
        assert_eq!(roles.map(|role| is_meant("any", role)), [Some(true); 4]);
        assert_eq!(roles.map(|role| is_meant("reader", role)), [false, false, true, false].map(Some));
        assert_eq!(roles.map(|role| is_meant("rehearsal", role)), [false, true, false, false].map(Some));
        assert_eq!(roles.map(|role| is_meant("spare", role)), [false, false, false, true].map(Some));
        assert_eq!(is_meant("worker", None), None);
    }
}
