//! Device memory, played by host memory: allocation, release, filling, and who owns an address.
//!
//! Fresh memory is filled with 0xCD, so that a picture which nobody wrote is seen to be one.

use crate::caller::Out;
use crate::context::current;
use crate::driver::{Driver, Handle, driver, moves_no_pixels};
use crate::status::{Answer, INVALID_VALUE, OUT_OF_MEMORY, Refusal, broken, failed};
use sim_ledger::setting;

/// The alignment of every allocation, as the real driver promises at least 256.
#[repr(align(512))]
#[derive(Clone)]
struct Page(#[allow(dead_code)] [u8; 512]);

pub(crate) struct Memory {
    pub(crate) context: Handle,
    pub(crate) bytes: usize,
    /// Never resized, so the address that the caller holds stays good until it is freed.
    pages: Vec<Page>,
}

const FRESH: Page = Page([0xCD; 512]);

/// More than this in one piece is out of memory, as it would be on a small device.
const LARGEST: usize = 4 << 30;

fn allocate(driver: &mut Driver, bytes: usize) -> Result<usize, Refusal> {
    let context = current(driver)?;
    if bytes == 0 {
        return Err(broken(INVALID_VALUE, "zero-size"));
    }
    if bytes > LARGEST {
        return Err(failed(OUT_OF_MEMORY));
    }
    let mut pages = vec![FRESH; bytes.div_ceil(512)];
    let base = pages.as_mut_ptr() as usize;
    driver.memory.insert(base, Memory { context, bytes, pages });
    Ok(base)
}

impl Driver {
    /// The allocation that holds this address, with its base.
    pub(crate) fn memory_at(&self, address: usize) -> Option<(usize, &Memory)> {
        let (base, memory) = self.memory.range(..=address).next_back()?;
        (address < base + memory.bytes).then_some((*base, memory))
    }

    /// A pointer to `bytes` bytes of device memory, if they lie in one allocation.
    pub(crate) fn device_bytes(&mut self, address: usize, bytes: usize) -> Option<*mut u8> {
        let (base, memory) = self.memory.range_mut(..=address).next_back()?;
        let start = address - base;
        let end = start.checked_add(bytes)?;
        // SAFETY: `start <= end <= bytes`, and `pages` covers `bytes` bytes in one piece.
        (end <= memory.bytes).then(|| unsafe { memory.pages.as_mut_ptr().cast::<u8>().add(start) })
    }
}

/// Rounds a row up as `MB_SIM_PITCH_ALIGN` says.
fn pitch_of(width: usize) -> usize {
    let rule = setting::text(setting::PITCH_ALIGN).unwrap_or_else(|| "512".to_owned());
    let (align, extra) = rule.split_once('+').unwrap_or((&rule, "0"));
    let read = |text: &str| -> usize {
        text.parse().unwrap_or_else(|_| panic!("{}={rule}: expected 512 or 512+4", setting::PITCH_ALIGN))
    };
    width.next_multiple_of(read(align).max(1)) + read(extra)
}

driver_call! {
    fn cuMemAlloc_v2(address: Out<usize>, bytes: usize) {
        let mut driver = driver()?;
        let base = allocate(&mut driver, bytes)?;
        address.put(base)
    }
}

driver_call! {
    fn cuMemAllocPitch_v2(address: Out<usize>, pitch: Out<usize>, width: usize, height: usize, element: u32) {
        let mut driver = driver()?;
        if !matches!(element, 4 | 8 | 16) {
            return Err(broken(INVALID_VALUE, "element-size-not-4-8-16"));
        }
        let row = pitch_of(width);
        let bytes = row.checked_mul(height).filter(|_| width > 0);
        let base = allocate(&mut driver, bytes.unwrap_or(0))?;
        pitch.put(row)?;
        address.put(base)
    }
}

driver_call! {
    fn cuMemFree_v2(address: usize) {
        let mut driver = driver()?;
        current(&driver)?;
        if address == 0 {
            return Ok(());
        }
        // The real call waits for the device first.
        crate::copy::arrive(&mut driver, |_| true);
        match driver.memory.remove(&address) {
            Some(_) => Ok(()),
            None => Err(broken(INVALID_VALUE, "not-an-allocation")),
        }
    }
}

driver_call! {
    fn cuMemGetAddressRange_v2(base: Out<usize>, bytes: Out<usize>, address: usize) {
        let driver = driver()?;
        current(&driver)?;
        let (start, memory) = driver.memory_at(address).ok_or(failed(crate::status::NOT_FOUND))?;
        base.put_if_wanted(start);
        bytes.put_if_wanted(memory.bytes);
        Ok(())
    }
}

driver_call! {
    fn cuMemGetInfo_v2(free: Out<usize>, total: Out<usize>) {
        let driver = driver()?;
        current(&driver)?;
        let used: usize = driver.memory.values().map(|memory| memory.bytes).sum();
        free.put((8_usize << 30).saturating_sub(used))?;
        total.put(8 << 30)
    }
}

fn fill(address: usize, pitch: usize, value: u8, width: usize, height: usize) -> Answer {
    let mut driver = driver()?;
    current(&driver)?;
    if width == 0 || height == 0 {
        return Ok(());
    }
    if height > 1 && pitch < width {
        return Err(broken(INVALID_VALUE, "pitch-below-width"));
    }
    let bytes = pitch.saturating_mul(height - 1).saturating_add(width);
    let start = driver.device_bytes(address, bytes).ok_or(broken(INVALID_VALUE, "outside-the-allocation"))?;
    if moves_no_pixels() {
        return Ok(());
    }
    for row in 0..height {
        // SAFETY: `device_bytes` found `pitch * (height - 1) + width` bytes at `start`, and the
        // driver is locked, so nothing is freed meanwhile.
        unsafe { start.add(row * pitch).write_bytes(value, width) };
    }
    Ok(())
}

driver_call! {
    fn cuMemsetD8_v2(address: usize, value: u8, bytes: usize) { fill(address, bytes, value, bytes, 1) }
}

driver_call! {
    fn cuMemsetD8Async(address: usize, value: u8, bytes: usize, stream: Handle) {
        crate::stream::known(&*driver()?, stream)?;
        fill(address, bytes, value, bytes, 1)
    }
}

driver_call! {
    fn cuMemsetD2D8_v2(address: usize, pitch: usize, value: u8, width: usize, height: usize) {
        fill(address, pitch, value, width, height)
    }
}

driver_call! {
    fn cuMemsetD2D8Async(
        address: usize, pitch: usize, value: u8, width: usize, height: usize, stream: Handle,
    ) {
        crate::stream::known(&*driver()?, stream)?;
        fill(address, pitch, value, width, height)
    }
}
