//! The book a simulated driver keeps: calls by function, rules broken, faults and hangs shown, things leaked.
//!
//! It only counts. What is a rule and what is a leak is known to the drivers.

use crate::{fault::Fault, hang, once, setting, start};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// One exported function: made once, in a `static` inside it.
#[derive(Debug)]
pub struct Call {
    name: &'static str,
    count: AtomicU64,
    /// What was ordered for this function; looked up at the first call.
    orders: OnceLock<Orders>,
}

#[derive(Debug)]
struct Orders {
    faults: Vec<&'static Fault>,
    /// The call, counted from 1, from which on none returns.
    hang: Option<u64>,
    start: start::Start,
}

impl Call {
    /// A function by the name it has in the report and in `MB_SIM_CRASH`.
    pub const fn new(name: &'static str) -> Call {
        Call { name, count: AtomicU64::new(0), orders: OnceLock::new() }
    }

    /// Whether the function gives something back. A fault ordered there leaves nothing behind, since nobody can give a
    /// thing back twice.
    pub fn releases(&self) -> bool {
        ["Unlock", "Unmap", "Unregister", "Destroy", "Free", "Release"].iter().any(|word| self.name.contains(word))
    }

    /// The function's name.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// The book of one driver library.
#[derive(Debug)]
pub struct Ledger {
    library: &'static str,
    calls: Mutex<Vec<&'static Call>>,
    counts: Mutex<BTreeMap<String, u64>>,
    faults: OnceLock<Vec<Fault>>,
    /// Whether this process is one that may show them.
    shows_faults: OnceLock<bool>,
}

impl Ledger {
    /// An empty book; `library` is `cuda`, `nvenc`, `egl` or `gl`.
    pub const fn new(library: &'static str) -> Ledger {
        Ledger {
            library,
            calls: Mutex::new(Vec::new()),
            counts: Mutex::new(BTreeMap::new()),
            faults: OnceLock::new(),
            shows_faults: OnceLock::new(),
        }
    }

    /// Counts a call that belongs to no session. `Some(status)` is a fault to return at once.
    pub fn enter(&'static self, call: &'static Call) -> Option<u32> {
        self.enter_in(call, 0)
    }

    /// Counts a call in one session's life (a number that is never used again, and never 0). Where a hang was ordered it
    /// does not return.
    pub fn enter_in(&'static self, call: &'static Call, life: u64) -> Option<u32> {
        let orders = call.orders.get_or_init(|| self.first_call(call));
        let number = call.count.fetch_add(1, Ordering::Relaxed) + 1;
        if orders.hang.is_some_and(|at| number >= at) && hang::is_this_process() {
            self.count(&format!("hang.{}", call.name), 1);
            self.write("hang", &[]);
            hang::for_ever();
        }
        orders.start.take_time();
        let status = orders.faults.iter().find_map(|fault| fault.strike(life))?;
        if !self.shows_faults.get_or_init(|| once::is_first(setting::FAULT_ONCE)) {
            return None;
        }
        self.count(&format!("fault.{}", call.name), 1);
        Some(status)
    }

    fn first_call(&'static self, call: &'static Call) -> Orders {
        if setting::is(setting::CRASH, call.name) {
            std::process::abort();
        }
        unpoisoned(&self.calls).push(call);
        let faults = self
            .faults
            .get_or_init(|| {
                let order = setting::text(setting::FAULT).unwrap_or_default();
                Fault::parse_all(&order).unwrap_or_else(|problem| panic!("{}: {problem}", setting::FAULT))
            })
            .iter()
            .filter(|fault| fault.concerns(self.library, call.name))
            .collect();
        Orders { faults, hang: hang::ordered(call.name), start: start::Start::of(call.name) }
    }

    /// Adds to a count of the report.
    pub fn count(&self, what: &str, amount: u64) {
        let mut counts = unpoisoned(&self.counts);
        match counts.get_mut(what) {
            Some(count) => *count += amount,
            None => {
                counts.insert(what.to_owned(), amount);
            }
        }
    }

    /// Raises a count of the report to `level`, if it is lower.
    pub fn peak(&self, what: &str, level: u64) {
        let mut counts = unpoisoned(&self.counts);
        match counts.get_mut(what) {
            Some(count) => *count = level.max(*count),
            None => {
                counts.insert(what.to_owned(), level);
            }
        }
    }

    /// Puts a number into the report in place of the one that was there.
    pub fn set(&self, what: &str, value: u64) {
        unpoisoned(&self.counts).insert(what.to_owned(), value);
    }

    /// Counts a broken rule: `violation.<function>.<rule>`.
    pub fn violation(&self, call: &Call, rule: &str) {
        self.count(&format!("violation.{}.{rule}", call.name), 1);
    }

    /// Appends one line to the report, if one was asked for. `live` is what exists at this moment.
    pub fn write(&self, event: &str, live: &[(&str, u64)]) {
        let Some(path) = setting::text(setting::REPORT) else {
            return;
        };
        let mut line =
            format!("{{\"library\":\"{}\",\"pid\":{},\"event\":\"{event}\"", self.library, std::process::id());
        let mut put = |key: &str, value: u64| {
            write!(line, ",\"{key}\":{value}").expect("a String takes everything");
        };
        for (kind, count) in live {
            put(&format!("live.{kind}"), *count);
        }
        for (what, count) in unpoisoned(&self.counts).iter() {
            put(what, *count);
        }
        for call in unpoisoned(&self.calls).iter() {
            put(&format!("call.{}", call.name), call.count.load(Ordering::Relaxed));
        }
        line.push_str("}\n");
        // One write of one line in append mode: lines of several processes do not mix. A report
        // that cannot be written is missed by the test that reads it.
        let _ = std::fs::File::options()
            .append(true)
            .create(true)
            .open(path)
            .and_then(|mut file| file.write_all(line.as_bytes()));
    }
}

/// A count stays right whatever a panicking thread was doing, and at exit nobody may panic.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
