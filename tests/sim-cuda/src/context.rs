//! Contexts: primary ones that are retained and released, own ones, and which is current on a thread.
//!
//! When a context ends, all that still belongs to it is booked as leaked and removed, so that later
//! use is refused as the real driver refuses it.

use crate::caller::{LEDGER, Out};
use crate::driver::{Driver, Handle, driver};
use crate::status::{Answer, CONTEXT_IS_DESTROYED, INVALID_CONTEXT, INVALID_DEVICE, INVALID_VALUE, Refusal, broken};
use std::cell::RefCell;

#[derive(Debug)]
pub(crate) struct Context {
    device: i32,
    /// How often a primary context was retained; `None` for one made by `cuCtxCreate`.
    retained: Option<u32>,
    flags: u32,
}

thread_local! {
    /// The thread's stack of contexts; the last is current.
    static STACK: RefCell<Vec<Handle>> = const { RefCell::new(Vec::new()) };
}

fn top() -> Handle {
    STACK.with_borrow(|stack| stack.last().copied().unwrap_or(0))
}

/// The context that is current on this thread.
pub(crate) fn current(driver: &Driver) -> Result<Handle, Refusal> {
    match top() {
        0 => Err(broken(INVALID_CONTEXT, "no-context-current")),
        context if driver.contexts.contains_key(&context) => Ok(context),
        _ => Err(broken(CONTEXT_IS_DESTROYED, "context-destroyed")),
    }
}

/// For a call that needs no context: one that was destroyed must not be current even then.
pub(crate) fn none_or_live(driver: &Driver) -> Answer {
    if top() == 0 { Ok(()) } else { current(driver).map(drop) }
}

fn known(driver: &Driver, context: Handle) -> Answer {
    match driver.contexts.contains_key(&context) {
        true => Ok(()),
        false => Err(broken(INVALID_CONTEXT, "unknown-context")),
    }
}

fn primary(driver: &Driver, device: i32) -> Result<Option<Handle>, Refusal> {
    if usize::try_from(device).is_ok_and(|ordinal| ordinal < driver.devices.len()) {
        let mut contexts = driver.contexts.iter();
        Ok(contexts.find(|(_, one)| one.device == device && one.retained.is_some()).map(|(handle, _)| *handle))
    } else {
        Err(broken(INVALID_DEVICE, "unknown-device"))
    }
}

fn end(driver: &mut Driver, context: Handle) {
    driver.contexts.remove(&context);
    driver.late_copies.clear();
    let leaked = |kind: &str, number: usize| {
        if number > 0 {
            LEDGER.count(&format!("leak.{kind}"), number as u64);
        }
    };
    macro_rules! sweep {
        ($table:ident) => {{
            let before = driver.$table.len();
            driver.$table.retain(|_, one| one.context != context);
            before - driver.$table.len()
        }};
    }
    let textures = driver.graphics.values().filter(|one| one.context == context).count();
    leaked("graphics_resources", sweep!(graphics));
    leaked("arrays", sweep!(arrays) - textures);
    leaked("allocations", sweep!(memory));
    leaked("streams", sweep!(streams));
    leaked("events", sweep!(events));
    driver.report("context");
}

driver_call! {
    fn cuDevicePrimaryCtxRetain(context: Out<Handle>, device: i32) {
        let mut driver = driver()?;
        let handle = match primary(&driver, device)? {
            Some(handle) => handle,
            None => {
                let handle = driver.new_handle();
                driver.contexts.insert(handle, Context { device, retained: Some(0), flags: 0 });
                // By the machine's number, for tests that ask which devices were used.
                LEDGER.count(&format!("device.{}", driver.devices[device as usize]), 1);
                handle
            }
        };
        context.put(handle)?;
        if let Some(Context { retained: Some(count), .. }) = driver.contexts.get_mut(&handle) {
            *count += 1;
        }
        Ok(())
    }
}

fn release(device: i32) -> Answer {
    let mut driver = driver()?;
    let handle = primary(&driver, device)?.ok_or(broken(INVALID_CONTEXT, "released-more-often-than-retained"))?;
    if let Some(Context { retained: Some(count), .. }) = driver.contexts.get_mut(&handle) {
        *count -= 1;
        if *count == 0 {
            end(&mut driver, handle);
        }
    }
    Ok(())
}

driver_call! {
    fn cuDevicePrimaryCtxRelease(device: i32) { release(device) }
}

driver_call! {
    fn cuDevicePrimaryCtxRelease_v2(device: i32) { release(device) }
}

driver_call! {
    fn cuDevicePrimaryCtxReset_v2(device: i32) {
        let mut driver = driver()?;
        if let Some(handle) = primary(&driver, device)? {
            end(&mut driver, handle);
        }
        Ok(())
    }
}

driver_call! {
    fn cuCtxSetLimit(limit: u32, value: usize) {
        let driver = driver()?;
        current(&driver)?;
        match limit {
            // STACK_SIZE, PRINTF_FIFO_SIZE, MALLOC_HEAP_SIZE
            0..=2 => LEDGER.count(&format!("limit.{limit}.{value}"), 1),
            _ => return Err(broken(INVALID_VALUE, "unknown-limit")),
        }
        Ok(())
    }
}

driver_call! {
    fn cuDevicePrimaryCtxGetState(device: i32, flags: Out<u32>, active: Out<i32>) {
        let driver = driver()?;
        let context = primary(&driver, device)?.map(|handle| &driver.contexts[&handle]);
        flags.put(context.map_or(0, |context| context.flags))?;
        active.put(i32::from(context.is_some()))
    }
}

driver_call! {
    fn cuDevicePrimaryCtxSetFlags_v2(device: i32, flags: u32) {
        let mut driver = driver()?;
        if let Some(handle) = primary(&driver, device)? {
            if let Some(context) = driver.contexts.get_mut(&handle) {
                context.flags = flags;
            }
        }
        Ok(())
    }
}

driver_call! {
    fn cuCtxCreate_v2(context: Out<Handle>, flags: u32, device: i32) {
        let mut driver = driver()?;
        primary(&driver, device)?;
        let handle = driver.new_handle();
        context.put(handle)?;
        driver.contexts.insert(handle, Context { device, retained: None, flags });
        STACK.with_borrow_mut(|stack| stack.push(handle));
        Ok(())
    }
}

driver_call! {
    fn cuCtxDestroy_v2(context: Handle) {
        let mut driver = driver()?;
        match driver.contexts.get(&context) {
            None => return Err(broken(INVALID_CONTEXT, "unknown-context")),
            Some(Context { retained: Some(_), .. }) => {
                return Err(broken(INVALID_CONTEXT, "primary-context-destroyed"));
            }
            Some(_) => end(&mut driver, context),
        }
        if top() == context {
            STACK.with_borrow_mut(Vec::pop);
        }
        Ok(())
    }
}

driver_call! {
    fn cuCtxSetCurrent(context: Handle) {
        let driver = driver()?;
        if context != 0 {
            known(&driver, context)?;
        }
        STACK.with_borrow_mut(|stack| {
            stack.pop();
            if context != 0 {
                stack.push(context);
            }
        });
        Ok(())
    }
}

driver_call! {
    fn cuCtxGetCurrent(context: Out<Handle>) {
        let _initialised = driver()?;
        context.put(top())
    }
}

driver_call! {
    fn cuCtxPushCurrent_v2(context: Handle) {
        known(&*driver()?, context)?;
        STACK.with_borrow_mut(|stack| stack.push(context));
        Ok(())
    }
}

driver_call! {
    fn cuCtxPopCurrent_v2(context: Out<Handle>) {
        let _initialised = driver()?;
        let popped = STACK.with_borrow_mut(Vec::pop);
        context.put_if_wanted(popped.ok_or(broken(INVALID_CONTEXT, "no-context-current"))?);
        Ok(())
    }
}

driver_call! {
    fn cuCtxGetDevice(device: Out<i32>) {
        let driver = driver()?;
        device.put(driver.contexts[&current(&driver)?].device)
    }
}

driver_call! {
    fn cuCtxGetFlags(flags: Out<u32>) {
        let driver = driver()?;
        flags.put(driver.contexts[&current(&driver)?].flags)
    }
}

driver_call! {
    fn cuCtxGetApiVersion(context: Handle, version: Out<u32>) {
        let driver = driver()?;
        if context == 0 { current(&driver)?; } else { known(&driver, context)?; }
        version.put(3020)
    }
}

driver_call! {
    fn cuCtxGetStreamPriorityRange(least: Out<i32>, greatest: Out<i32>) {
        let driver = driver()?;
        current(&driver)?;
        least.put_if_wanted(0);
        greatest.put_if_wanted(-5);
        Ok(())
    }
}

driver_call! {
    fn cuCtxGetLimit(value: Out<usize>, limit: u32) {
        let driver = driver()?;
        current(&driver)?;
        if limit > 6 {
            return Err(broken(INVALID_VALUE, "unknown-limit"));
        }
        value.put(1024)
    }
}

driver_call! {
    fn cuCtxSynchronize() {
        let mut driver = driver()?;
        current(&driver)?;
        crate::copy::arrive(&mut driver, |_| true);
        Ok(())
    }
}
