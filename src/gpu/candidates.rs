//! The GPUs that may encode, by CUDA alone.

use crate::cuda::{CudaContext, Driver, NO_DEVICE, failed};
use crate::error::Error;

/// A GPU that CUDA shows, before anything is opened on it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    driver: &'static Driver,
    ordinal: u32,
}

impl Candidate {
    pub(super) fn new(driver: &'static Driver, ordinal: u32) -> Self {
        Self { driver, ordinal }
    }

    /// Which one it is, as CUDA counts them.
    pub fn ordinal(self) -> u32 {
        self.ordinal
    }

    /// Its compute capability, major and minor.
    ///
    /// # Errors
    /// The driver's.
    pub fn capability(self) -> Result<(u32, u32), Error> {
        self.driver.capability(self.ordinal)
    }

    /// Opens its context, which is current on this thread then.
    ///
    /// # Errors
    /// The GPU cannot be used.
    pub fn open(self) -> Result<CudaContext, Error> {
        CudaContext::open(self.driver, self.ordinal)
    }
}

/// The one that was asked for, else all in CUDA's order. There is at least one.
///
/// # Errors
/// No driver, or no such GPU.
pub fn candidates(device: Option<u32>) -> Result<impl Iterator<Item = Candidate>, Error> {
    let driver = Driver::load()?;
    let count = driver.count()?;
    let ordinals = match device {
        None if count == 0 => return Err(failed("cuDeviceGetCount", NO_DEVICE)),
        None => 0..count,
        Some(ordinal) if ordinal < count => ordinal..ordinal + 1,
        Some(ordinal) => return Err(no_such_gpu(ordinal, &format!("CUDA shows {count}"))),
    };
    Ok(ordinals.map(move |ordinal| Candidate::new(driver, ordinal)))
}

pub(super) fn no_such_gpu(ordinal: u32, seen: &str) -> Error {
    Error::machine("no-such-gpu", format!("there is no GPU {ordinal}: {seen}"), "").examined_by_doctor()
}
