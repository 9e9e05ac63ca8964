//! The errors that the driver does not get over. Of each of them the driver API says that it leaves the process in an
//! inconsistent state, that any further CUDA work returns the same error, and that the process must be terminated and
//! relaunched to go on with CUDA.
//!
//! Once a call was ordered to fail with one of them, nothing else comes of this library in this process: no call does
//! anything, releasing included, and the report counts each that is made all the same as `after_loss.<function>`, but for a
//! wait, by which a caller learns of it.

use crate::caller::LEDGER;
use crate::status::{
    CONTAINED, EXTERNAL_DEVICE, HARDWARE_STACK_ERROR, ILLEGAL_ADDRESS, ILLEGAL_INSTRUCTION, INVALID_ADDRESS_SPACE,
    INVALID_PC, LAUNCH_FAILED, LAUNCH_TIMEOUT, MISALIGNED_ADDRESS, TENSOR_MEMORY_LEAK,
};
use sim_ledger::Call;
use std::sync::atomic::{AtomicU32, Ordering};

const FOR_GOOD: [u32; 11] = [
    CONTAINED,
    ILLEGAL_ADDRESS,
    LAUNCH_TIMEOUT,
    HARDWARE_STACK_ERROR,
    ILLEGAL_INSTRUCTION,
    MISALIGNED_ADDRESS,
    INVALID_ADDRESS_SPACE,
    INVALID_PC,
    LAUNCH_FAILED,
    TENSOR_MEMORY_LEAK,
    EXTERNAL_DEVICE,
];

/// The status that every call returns, 0 while all is well.
static STATUS: AtomicU32 = AtomicU32::new(0);

/// What a call returns that comes after such an error. Names of errors are still told.
pub(crate) fn again(call: &Call) -> Option<u32> {
    let status = STATUS.load(Ordering::Relaxed);
    if status == 0 || call.name().starts_with("cuGetError") {
        return None;
    }
    // Who only waits asks how things are.
    if call.name() != "cuStreamSynchronize" {
        LEDGER.count(&format!("after_loss.{}", call.name()), 1);
        LEDGER.write("after-loss", &[]);
    }
    Some(status)
}

/// Takes an ordered status. Returns whether it is one of those that stay.
pub(crate) fn by(status: u32) -> bool {
    let stays = FOR_GOOD.contains(&status);
    if stays {
        STATUS.store(status, Ordering::Relaxed);
        LEDGER.write("lost", &[]);
    }
    stays
}
