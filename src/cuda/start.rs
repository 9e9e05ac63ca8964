//! CUDA brought up on a thread of its own, beside whatever else takes its time meanwhile.
//!
//! A context is current on the thread that opens it alone, so the thread only warms: it initialises the driver, and retains
//! the context of a GPU, which makes every later opening of it in this process quick.

use super::driver::Driver;
use super::is_installed;
use super::status::is_dead;
use crate::error::Error;
use crate::nvidia::has_no_encoder;
use crate::os::threads;
use cudarc::driver::sys;
use std::fmt;
use std::thread::JoinHandle;

/// The driver while it comes up. Dropping it waits for that.
#[derive(Debug)]
pub struct Starting(Option<JoinHandle<Result<Started, Error>>>);

/// The driver that has come up.
#[derive(Debug)]
pub struct Started {
    pub driver: &'static Driver,
    /// `None` where none was asked for, or there is none to have.
    pub context: Option<Kept>,
}

/// What is to come up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// The driver alone.
    Driver,
    /// A context, unless it is known that the GPU has no encoder.
    Encoder,
    /// A context.
    Context,
}

impl Starting {
    /// Begins to initialise the driver, and then to open the context of the GPU that CUDA calls `ordinal`, if `wants` it
    /// to. `None`, in well under a millisecond, where no driver is installed, or no thread is left.
    pub fn begin(ordinal: u32, wants: Wants) -> Option<Self> {
        if !is_installed() {
            return None;
        }
        let start = move || {
            let driver = Driver::load()?;
            let is_there = || driver.count().is_ok_and(|count| ordinal < count);
            let is_wanted = match wants {
                Wants::Driver => false,
                Wants::Encoder => is_there() && !driver.capability(ordinal).is_ok_and(has_no_encoder),
                Wants::Context => is_there(),
            };
            let context = is_wanted.then(|| Kept::retain(driver, ordinal)).flatten();
            Ok(Started { driver, context })
        };
        threads::deep("cuda-start").spawn(start).ok().map(|thread| Self(Some(thread)))
    }

    /// Waits until the driver is up.
    ///
    /// # Errors
    /// As of [`Driver::load`].
    pub fn finish(mut self) -> Result<Started, Error> {
        let thread = self.0.take().expect("it is joined once");
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            // What it has retained is released with its result.
            let _ = thread.join();
        }
    }
}

/// A context that is there and current nowhere, on any thread.
pub struct Kept {
    driver: &'static Driver,
    device: sys::CUdevice,
    context: sys::CUcontext,
}

// SAFETY: a context may be made current on any thread.
unsafe impl Send for Kept {}

impl Kept {
    /// Of the GPU that CUDA calls `ordinal`, if it has one to give. Whoever opens it is told why not.
    fn retain(driver: &'static Driver, ordinal: u32) -> Option<Self> {
        let device = driver.device(ordinal).ok()?;
        driver.retain(device).ok().map(|context| Self { driver, device, context })
    }

    /// Has it hold no more of the GPU's memory than a stream's does, while nobody needs it.
    pub fn shrink(&self) {
        // SAFETY: the context is retained as long as `self` is there, and null is none.
        let done = unsafe {
            let made = self.driver.make_current(self.context);
            made.and_then(|()| self.driver.make_current(std::ptr::null_mut()))
        };
        if let Err(why) = done {
            tracing::debug!("a context that is kept does not shrink: {}", why.cause());
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if !is_dead() {
            self.driver.release(self.device);
        }
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kept({})", self.device)
    }
}
