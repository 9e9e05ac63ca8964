//! The one driver of the process: everything that has a handle lives in its tables.
//!
//! A handle is a number that was never an address; looking it up is the only thing done with it, so
//! a wild handle from the caller is refused and never followed. The last report is written from here
//! when the process ends.

use crate::array::Array;
use crate::caller::{LEDGER, Out};
use crate::context::{self, Context};
use crate::copy::LateCopy;
use crate::event::Event;
use crate::graphics::GraphicsResource;
use crate::memory::Memory;
use crate::status::{INVALID_VALUE, NO_DEVICE, NOT_INITIALIZED, Refusal, broken, failed};
use crate::stream::Stream;
use crate::{device, gl, place};
use sim_ledger::setting;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A number that stands for an object, as the caller holds it.
pub(crate) type Handle = usize;

const FIRST_HANDLE: Handle = 0x7_5100_0000;

pub(crate) struct Driver {
    /// The machine's numbers of the visible devices; empty until `cuInit`.
    pub(crate) devices: Vec<u32>,
    pub(crate) contexts: BTreeMap<Handle, Context>,
    /// By base address.
    pub(crate) memory: BTreeMap<usize, Memory>,
    pub(crate) arrays: BTreeMap<Handle, Array>,
    pub(crate) graphics: BTreeMap<Handle, GraphicsResource>,
    pub(crate) streams: BTreeMap<Handle, Stream>,
    pub(crate) events: BTreeMap<Handle, Event>,
    pub(crate) late_copies: Vec<LateCopy>,
    last_handle: Handle,
}

static DRIVER: Mutex<Driver> = Mutex::new(Driver {
    devices: Vec::new(),
    contexts: BTreeMap::new(),
    memory: BTreeMap::new(),
    arrays: BTreeMap::new(),
    graphics: BTreeMap::new(),
    streams: BTreeMap::new(),
    events: BTreeMap::new(),
    late_copies: Vec::new(),
    last_handle: FIRST_HANDLE,
});

/// The driver, if `cuInit` went before.
pub(crate) fn driver() -> Result<MutexGuard<'static, Driver>, Refusal> {
    let driver = lock();
    if driver.devices.is_empty() {
        return Err(broken(NOT_INITIALIZED, "before-cuInit"));
    }
    Ok(driver)
}

fn lock() -> MutexGuard<'static, Driver> {
    DRIVER.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Driver {
    pub(crate) fn new_handle(&mut self) -> Handle {
        self.last_handle += 0x40;
        self.last_handle
    }

    /// Everything that exists now, for the report.
    fn live(&self) -> [(&'static str, u64); 7] {
        let count = |number: usize| number as u64;
        [
            ("contexts", count(self.contexts.len())),
            ("allocations", count(self.memory.len())),
            ("arrays", count(self.arrays.values().filter(|array| !array.of_texture).count())),
            ("graphics_resources", count(self.graphics.len())),
            ("mapped_resources", count(self.graphics.values().filter(|one| one.mapped).count())),
            ("streams", count(self.streams.len())),
            ("events", count(self.events.len())),
        ]
    }

    pub(crate) fn report(&self, event: &str) {
        LEDGER.write(event, &self.live());
    }
}

/// Whether pixels stay where they are, so that the time of everything else can be measured.
pub(crate) fn moves_no_pixels() -> bool {
    static NULL: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *NULL.get_or_init(|| setting::is(setting::ENCODE, "null"))
}

driver_call! {
    fn cuInit(flags: u32) {
        if flags != 0 {
            return Err(broken(INVALID_VALUE, "flags-not-zero"));
        }
        let visible = device::visible();
        if visible.is_empty() {
            return Err(failed(NO_DEVICE));
        }
        lock().devices = visible;
        // The real driver reads it here.
        let connections = std::env::var("CUDA_DEVICE_MAX_CONNECTIONS").unwrap_or_else(|_| "unset".to_owned());
        LEDGER.count(&format!("connections.{connections}"), 1);
        Ok(())
    }
}

driver_call! {
    fn cuDriverGetVersion(version: Out<i32>) {
        version.put(setting::number(setting::DRIVER_VERSION, 12020) as i32)
    }
}

driver_call! {
    fn cuGLGetDevices_v2(count: Out<u32>, devices: crate::caller::List<i32>, capacity: u32, list: u32) {
        let driver = driver()?;
        if !(1..=3).contains(&list) {
            return Err(broken(INVALID_VALUE, "unknown-device-list"));
        }
        context::none_or_live(&driver)?;
        gl::current()?;
        place::shares_with_gl()?;
        let drawing = device::drawing().ok_or(failed(crate::status::INVALID_GRAPHICS_CONTEXT))?;
        let Some(ordinal) = driver.devices.iter().position(|device| *device == drawing) else {
            count.put(0)?;
            return Err(failed(NO_DEVICE));
        };
        count.put(1)?;
        if capacity > 0 {
            devices.put(0, ordinal as i32)?;
        }
        Ok(())
    }
}

/// Runs when the process ends or the library is unloaded.
extern "C" fn write_last_report() {
    lock().report("exit");
}

// SAFETY: the loader calls each entry of `.fini_array` once, with no arguments that matter to a
// function without parameters, before this library's memory goes away.
#[used]
#[unsafe(link_section = ".fini_array")]
static AT_EXIT: extern "C" fn() = write_last_report;
