//! EGL displays that are initialised. EGL has one for each platform and device, which all threads of a process share, and
//! `eglTerminate` takes it from all of them at once (EGL 1.5, section 3.2). So they are counted, and the last one ends it.

use super::egl::Library;
use khronos_egl as egl;
use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many use a display, by its handle.
static IN_USE: Mutex<BTreeMap<usize, usize>> = Mutex::new(BTreeMap::new());

fn in_use() -> MutexGuard<'static, BTreeMap<usize, usize>> {
    IN_USE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A display that stays initialised until this is dropped, whatever other threads do.
pub(super) struct Display<L: Borrow<Library>> {
    egl: L,
    display: egl::Display,
}

impl<L: Borrow<Library>> Display<L> {
    /// Initialises it, with the version of EGL that its driver has.
    ///
    /// # Errors
    /// The driver does not come up.
    pub fn initialize(egl: L, display: egl::Display) -> Result<(Self, (egl::Int, egl::Int)), egl::Error> {
        // Held over the call: else another thread's last use could end between it and the count.
        let mut in_use = in_use();
        let version = egl.borrow().initialize(display)?;
        *in_use.entry(display.as_ptr().addr()).or_default() += 1;
        Ok((Self { egl, display }, version))
    }

    /// libEGL.
    pub fn egl(&self) -> &Library {
        self.egl.borrow()
    }

    /// EGL's handle.
    pub fn handle(&self) -> egl::Display {
        self.display
    }
}

impl<L: Borrow<Library>> Drop for Display<L> {
    fn drop(&mut self) {
        let mut in_use = in_use();
        let key = self.display.as_ptr().addr();
        let left = in_use.remove(&key).unwrap_or(1) - 1;
        if left > 0 {
            in_use.insert(key, left);
        } else {
            // There is nobody left to tell of an error.
            let _ = self.egl.borrow().terminate(self.display);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::gl::Gl;
    use std::sync::Barrier;

    #[test]
    fn a_context_outlives_those_of_other_threads() {
        let both = Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let gl = Gl::without_device().unwrap();
                both.wait();
                drop(gl);
                both.wait();
            });
            let gl = Gl::without_device().unwrap();
            both.wait();
            both.wait();
            let (egl, display) = gl.egl();
            let version = egl.query_string(Some(display), khronos_egl::VERSION);
            assert!(version.is_ok(), "the display was taken away: {version:?}");
        });
    }
}
