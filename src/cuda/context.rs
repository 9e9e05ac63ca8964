//! The context of one GPU, which everything else is made in.

use super::calls::Calls;
use super::driver::Driver;
use super::status::{check, is_dead};
use crate::error::Error;
use cudarc::driver::sys;
use std::fmt;
use std::rc::Rc;

/// The CUDA context of one GPU, current on the thread that made it and bound to that thread.
#[derive(Clone)]
pub struct CudaContext(Rc<Primary>);

/// The primary context of a device, retained and current.
struct Primary {
    driver: &'static Driver,
    ordinal: u32,
    device: sys::CUdevice,
    context: sys::CUcontext,
}

impl CudaContext {
    /// Opens the context of the GPU that CUDA calls `ordinal`.
    ///
    /// # Errors
    /// The GPU cannot be used.
    pub(crate) fn open(driver: &'static Driver, ordinal: u32) -> Result<Self, Error> {
        let device = driver.device(ordinal)?;
        let context = driver.retain(device)?;
        let primary = Primary { driver, ordinal, device, context };
        // Whatever is current already: it may be a context that has been destroyed.
        // SAFETY: the context was retained above.
        unsafe { driver.make_current(primary.context) }?;
        Ok(Self(Rc::new(primary)))
    }

    /// Waits until the GPU has done all work of the default stream: for measuring.
    ///
    /// # Errors
    /// The driver's, of any work before.
    pub fn finish(&self) -> Result<(), Error> {
        // SAFETY: the context is current on this thread; the null stream is the default one.
        check("cuStreamSynchronize", unsafe { (self.calls().cuStreamSynchronize)(std::ptr::null_mut()) })
    }

    /// Which GPU it is, as CUDA counts them.
    pub fn ordinal(&self) -> u32 {
        self.0.ordinal
    }

    /// The GPU's name.
    pub fn name(&self) -> String {
        self.0.driver.name(self.0.device).unwrap_or_else(|_| "a GPU without a name".to_owned())
    }

    /// The driver's handle, for NVENC.
    pub(crate) fn raw(&self) -> sys::CUcontext {
        self.0.context
    }

    pub(crate) fn calls(&self) -> &'static Calls {
        self.0.driver.calls()
    }

    pub(crate) fn driver(&self) -> &'static Driver {
        self.0.driver
    }
}

impl Drop for Primary {
    fn drop(&mut self) {
        if is_dead() {
            return;
        }
        // The last to let go of it destroys it, and the driver leaves a destroyed context current.
        // SAFETY: null takes away what is current on this thread, and everything made in the context is gone.
        let _ = unsafe { self.driver.make_current(std::ptr::null_mut()) };
        self.driver.release(self.device);
    }
}

impl fmt::Debug for CudaContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CudaContext({})", self.ordinal())
    }
}
