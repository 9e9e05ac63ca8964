//! Copies between host, device and arrays, every one of them checked against the bounds of both ends.
//!
//! Copies happen at once. With `MB_SIM_ASYNC=late` the far end of an async copy on a non-blocking
//! stream is written only when that stream is waited for, so that a missing wait shows as wrong pixels.

use crate::caller::In;
use crate::context::current;
use crate::driver::{Driver, Handle, driver, moves_no_pixels};
use crate::status::{Answer, INVALID_HANDLE, INVALID_VALUE, Refusal, broken};
use crate::stream;
use sim_ledger::setting;

const HOST: u32 = 1;
const DEVICE: u32 = 2;
const ARRAY: u32 = 3;
const UNIFIED: u32 = 4;

/// One side of `CUDA_MEMCPY2D`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct End {
    x_in_bytes: usize,
    y: usize,
    memory_type: u32,
    host: usize,
    device: usize,
    array: Handle,
    pitch: usize,
}

/// `CUDA_MEMCPY2D`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Copy2d {
    source: End,
    target: End,
    width_in_bytes: usize,
    height: usize,
}

/// A copy whose target is still to be written.
pub(crate) struct LateCopy {
    stream: Handle,
    rows: Vec<u8>,
    copy: Copy2d,
}

/// Where the rows of one side lie.
#[derive(Clone, Copy)]
struct Rows {
    first: *mut u8,
    pitch: usize,
}

fn rows(driver: &mut Driver, end: &End, width: usize, height: usize) -> Result<Rows, Refusal> {
    let linear = |start: usize| -> Result<(usize, usize), Refusal> {
        let reach = end.x_in_bytes.checked_add(width);
        if height > 1 && reach.is_none_or(|reach| end.pitch < reach) {
            return Err(broken(INVALID_VALUE, "pitch-below-width"));
        }
        let overflow = || broken(INVALID_VALUE, "address-overflow");
        let offset = end.y.checked_mul(end.pitch).and_then(|rows| rows.checked_add(end.x_in_bytes));
        let first = offset.and_then(|offset| start.checked_add(offset)).ok_or_else(overflow)?;
        let bytes = end.pitch.checked_mul(height - 1).and_then(|rows| rows.checked_add(width));
        Ok((first, bytes.ok_or_else(overflow)?))
    };
    match end.memory_type {
        UNIFIED if driver.memory_at(end.device).is_none() => {
            let (first, _) = linear(end.device)?;
            Ok(Rows { first: first as *mut u8, pitch: end.pitch })
        }
        DEVICE | UNIFIED => {
            let (first, bytes) = linear(end.device)?;
            let first = driver.device_bytes(first, bytes).ok_or(broken(INVALID_VALUE, "outside-the-allocation"))?;
            Ok(Rows { first, pitch: end.pitch })
        }
        HOST => {
            if end.host == 0 {
                return Err(broken(INVALID_VALUE, "null-pointer"));
            }
            let (first, _) = linear(end.host)?;
            Ok(Rows { first: first as *mut u8, pitch: end.pitch })
        }
        ARRAY => {
            let array = driver
                .arrays
                .get_mut(&end.array)
                .filter(|array| array.accessible)
                .ok_or(broken(INVALID_HANDLE, "not-an-accessible-array"))?;
            let pitch = array.descriptor.row_bytes();
            let inside =
                |start: usize, length: usize, limit: usize| start.checked_add(length).is_some_and(|end| end <= limit);
            if !inside(end.x_in_bytes, width, pitch) || !inside(end.y, height, array.descriptor.height.max(1)) {
                return Err(broken(INVALID_VALUE, "outside-the-array"));
            }
            let start = end.y * pitch + end.x_in_bytes;
            Ok(Rows { first: array.pixels[start..].as_mut_ptr(), pitch })
        }
        _ => Err(broken(INVALID_VALUE, "unknown-memory-type")),
    }
}

fn move_rows(source: Rows, target: Rows, width: usize, height: usize) {
    for row in 0..height {
        // SAFETY: `rows` found `height` rows of `width` bytes inside one allocation or array of the
        // locked driver, for each side that is ours; for host memory the caller of the exported
        // copy promised them. `copy` allows for a caller who copies within one buffer.
        unsafe {
            std::ptr::copy(source.first.add(row * source.pitch), target.first.add(row * target.pitch), width);
        }
    }
}

/// Copies now. `driver` is locked by the caller, and a context is current.
fn copy_now(driver: &mut Driver, copy: &Copy2d) -> Answer {
    let Copy2d { source, target, width_in_bytes: width, height } = *copy;
    if width == 0 || height == 0 {
        return Ok(());
    }
    let from = rows(driver, &source, width, height)?;
    let to = rows(driver, &target, width, height)?;
    if !moves_no_pixels() {
        move_rows(from, to, width, height);
    }
    Ok(())
}

fn copy_in_order(copy: &Copy2d) -> Answer {
    let mut driver = driver()?;
    current(&driver)?;
    // The null stream waits for every stream that is not "non-blocking".
    arrive_for_null_stream(&mut driver);
    copy_now(&mut driver, copy)
}

fn copy_on(copy: &Copy2d, stream: Handle) -> Answer {
    let mut driver = driver()?;
    current(&driver)?;
    stream::known(&driver, stream)?;
    let Copy2d { source, width_in_bytes: width, height, .. } = *copy;
    if !late() || !stream::is_non_blocking(&driver, stream) || width == 0 || height == 0 {
        return copy_now(&mut driver, copy);
    }
    // Both ends are checked now; the source is read now; the target is written when waited for.
    rows(&mut driver, &copy.target, width, height)?;
    let from = rows(&mut driver, &source, width, height)?;
    let mut staged = vec![0; width * height];
    move_rows(from, Rows { first: staged.as_mut_ptr(), pitch: width }, width, height);
    driver.late_copies.push(LateCopy { stream, rows: staged, copy: *copy });
    Ok(())
}

fn late() -> bool {
    static LATE: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *LATE.get_or_init(|| setting::is(setting::ASYNC, "late"))
}

/// Lets the late copies of the chosen streams arrive, in order.
pub(crate) fn arrive(driver: &mut Driver, chosen: impl Fn(Handle) -> bool) {
    if driver.late_copies.is_empty() {
        return;
    }
    let (due, still_late) =
        std::mem::take(&mut driver.late_copies).into_iter().partition::<Vec<_>, _>(|late| chosen(late.stream));
    driver.late_copies = still_late;
    for mut late in due {
        let Copy2d { target, width_in_bytes: width, height, .. } = late.copy;
        // A target that is gone by now is left alone: the caller freed it with the copy under way.
        if let Ok(to) = rows(driver, &target, width, height) {
            let from = Rows { first: late.rows.as_mut_ptr(), pitch: width };
            move_rows(from, to, width, height);
        }
    }
}

fn arrive_for_null_stream(driver: &mut Driver) {
    let blocking: Vec<Handle> = driver
        .late_copies
        .iter()
        .map(|late| late.stream)
        .filter(|stream| !stream::is_non_blocking(driver, *stream))
        .collect();
    arrive(driver, |stream| blocking.contains(&stream));
}

fn line(source: End, target: End, bytes: usize) -> Copy2d {
    Copy2d { source, target, width_in_bytes: bytes, height: 1 }
}

fn host(address: usize) -> End {
    End { memory_type: HOST, host: address, ..End::default() }
}

fn device(address: usize) -> End {
    End { memory_type: DEVICE, device: address, ..End::default() }
}

driver_call! {
    fn cuMemcpy2D_v2(copy: In<Copy2d>) { copy_in_order(&copy.get()?) }
}

driver_call! {
    fn cuMemcpy2DUnaligned_v2(copy: In<Copy2d>) { copy_in_order(&copy.get()?) }
}

driver_call! {
    fn cuMemcpy2DAsync_v2(copy: In<Copy2d>, stream: Handle) { copy_on(&copy.get()?, stream) }
}

driver_call! {
    fn cuMemcpyHtoD_v2(to: usize, from: usize, bytes: usize) {
        copy_in_order(&line(host(from), device(to), bytes))
    }
}

driver_call! {
    fn cuMemcpyDtoH_v2(to: usize, from: usize, bytes: usize) {
        copy_in_order(&line(device(from), host(to), bytes))
    }
}

driver_call! {
    fn cuMemcpyDtoD_v2(to: usize, from: usize, bytes: usize) {
        copy_in_order(&line(device(from), device(to), bytes))
    }
}

driver_call! {
    fn cuMemcpyHtoDAsync_v2(to: usize, from: usize, bytes: usize, stream: Handle) {
        copy_on(&line(host(from), device(to), bytes), stream)
    }
}

driver_call! {
    fn cuMemcpyDtoHAsync_v2(to: usize, from: usize, bytes: usize, stream: Handle) {
        copy_on(&line(device(from), host(to), bytes), stream)
    }
}

driver_call! {
    fn cuMemcpyDtoDAsync_v2(to: usize, from: usize, bytes: usize, stream: Handle) {
        copy_on(&line(device(from), device(to), bytes), stream)
    }
}
