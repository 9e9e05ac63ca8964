//! Streams: handles whose work is done at once, or late where a test asked for that.

use crate::caller::Out;
use crate::context::current;
use crate::copy::arrive;
use crate::driver::{Driver, Handle, driver};
use crate::status::{Answer, INVALID_HANDLE, INVALID_VALUE, broken};

pub(crate) struct Stream {
    pub(crate) context: Handle,
    flags: u32,
}

/// The null stream, the legacy one and the one per thread exist without being created.
const BUILT_IN: std::ops::RangeInclusive<Handle> = 0..=2;
const NON_BLOCKING: u32 = 1;

pub(crate) fn known(driver: &Driver, stream: Handle) -> Answer {
    match BUILT_IN.contains(&stream) || driver.streams.contains_key(&stream) {
        true => Ok(()),
        false => Err(broken(INVALID_HANDLE, "unknown-stream")),
    }
}

pub(crate) fn is_non_blocking(driver: &Driver, stream: Handle) -> bool {
    driver.streams.get(&stream).is_some_and(|stream| stream.flags & NON_BLOCKING != 0)
}

fn create(stream: &Out<Handle>, flags: u32) -> Answer {
    let mut driver = driver()?;
    let context = current(&driver)?;
    if flags > NON_BLOCKING {
        return Err(broken(INVALID_VALUE, "stream-flags"));
    }
    let handle = driver.new_handle();
    stream.put(handle)?;
    driver.streams.insert(handle, Stream { context, flags });
    Ok(())
}

driver_call! {
    fn cuStreamCreate(stream: Out<Handle>, flags: u32) { create(&stream, flags) }
}

driver_call! {
    fn cuStreamCreateWithPriority(stream: Out<Handle>, flags: u32, priority: i32) {
        let _ = priority;
        create(&stream, flags)
    }
}

driver_call! {
    fn cuStreamDestroy_v2(stream: Handle) {
        let mut driver = driver()?;
        current(&driver)?;
        arrive(&mut driver, |late| late == stream);
        match driver.streams.remove(&stream) {
            Some(_) => Ok(()),
            None => Err(broken(INVALID_HANDLE, "unknown-stream")),
        }
    }
}

driver_call! {
    fn cuStreamSynchronize(stream: Handle) {
        let mut driver = driver()?;
        current(&driver)?;
        known(&driver, stream)?;
        arrive(&mut driver, |late| late == stream);
        Ok(())
    }
}

driver_call! {
    fn cuStreamQuery(stream: Handle) {
        let mut driver = driver()?;
        current(&driver)?;
        known(&driver, stream)?;
        arrive(&mut driver, |late| late == stream);
        Ok(())
    }
}

driver_call! {
    fn cuStreamGetFlags(stream: Handle, flags: Out<u32>) {
        let driver = driver()?;
        known(&driver, stream)?;
        flags.put(driver.streams.get(&stream).map_or(0, |stream| stream.flags))
    }
}

driver_call! {
    fn cuStreamGetCtx(stream: Handle, context: Out<Handle>) {
        let driver = driver()?;
        known(&driver, stream)?;
        let current = current(&driver)?;
        context.put(driver.streams.get(&stream).map_or(current, |stream| stream.context))
    }
}
