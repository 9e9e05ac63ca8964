//! Events: a point in a stream that can be waited for. There is no time between two of them.

use crate::caller::Out;
use crate::context::current;
use crate::copy::arrive;
use crate::driver::{Driver, Handle, driver};
use crate::status::{Answer, INVALID_HANDLE, INVALID_VALUE, Refusal, broken};
use crate::stream;

pub(crate) struct Event {
    pub(crate) context: Handle,
    recorded_in: Option<Handle>,
}

fn recorded_in(driver: &Driver, event: Handle) -> Result<Option<Handle>, Refusal> {
    current(driver)?;
    let event = driver.events.get(&event).ok_or(broken(INVALID_HANDLE, "unknown-event"))?;
    Ok(event.recorded_in)
}

fn wait(event: Handle) -> Answer {
    let mut driver = driver()?;
    if let Some(stream) = recorded_in(&driver, event)? {
        arrive(&mut driver, |late| late == stream);
    }
    Ok(())
}

fn record(event: Handle, in_stream: Handle) -> Answer {
    let mut driver = driver()?;
    current(&driver)?;
    stream::known(&driver, in_stream)?;
    let event = driver.events.get_mut(&event).ok_or(broken(INVALID_HANDLE, "unknown-event"))?;
    event.recorded_in = Some(in_stream);
    Ok(())
}

driver_call! {
    fn cuEventCreate(event: Out<Handle>, flags: u32) {
        let mut driver = driver()?;
        let context = current(&driver)?;
        if flags > 7 {
            return Err(broken(INVALID_VALUE, "event-flags"));
        }
        let handle = driver.new_handle();
        event.put(handle)?;
        driver.events.insert(handle, Event { context, recorded_in: None });
        Ok(())
    }
}

driver_call! {
    fn cuEventRecord(event: Handle, stream: Handle) { record(event, stream) }
}

driver_call! {
    fn cuEventRecordWithFlags(event: Handle, stream: Handle, flags: u32) {
        let _ = flags;
        record(event, stream)
    }
}

driver_call! {
    fn cuEventSynchronize(event: Handle) { wait(event) }
}

driver_call! {
    fn cuEventQuery(event: Handle) { wait(event) }
}

driver_call! {
    fn cuStreamWaitEvent(stream: Handle, event: Handle, flags: u32) {
        let _ = flags;
        crate::stream::known(&*driver()?, stream)?;
        wait(event)
    }
}

driver_call! {
    fn cuEventElapsedTime(milliseconds: Out<f32>, start: Handle, end: Handle) {
        let driver = driver()?;
        if recorded_in(&driver, start)?.is_none() || recorded_in(&driver, end)?.is_none() {
            return Err(broken(INVALID_HANDLE, "event-not-recorded"));
        }
        milliseconds.put(0.0)
    }
}

driver_call! {
    fn cuEventDestroy_v2(event: Handle) {
        let mut driver = driver()?;
        current(&driver)?;
        match driver.events.remove(&event) {
            Some(_) => Ok(()),
            None => Err(broken(INVALID_HANDLE, "unknown-event")),
        }
    }
}
