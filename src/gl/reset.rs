//! Resets of the GPU, which take a context and everything in it: contexts that are told of one, and asking them.
//!
//! A context that is not told goes on as if nothing had happened, and draws black. Asking once a picture is no cost that
//! shows: with Mesa's llvmpipe 7 ns, and a picture takes as long as in a context that is not told (20.3 ms of CPU at 720p
//! either way). What NVIDIA's driver takes for it, hardware has to confirm.

use super::egl::{Library, has};
use crate::error::Error;
use glow::HasContext;
use khronos_egl as egl;
use std::cell::Cell;
use std::fmt;

/// EGL_EXT_create_context_robustness has names of its own for what EGL 1.5 took over.
const EXTENSION: &str = "EGL_EXT_create_context_robustness";
const ROBUST_ACCESS_EXT: egl::Int = 0x30BF;
const STRATEGY_EXT: egl::Int = 0x3138;

/// `GL_RESET_NOTIFICATION_STRATEGY` and `GL_LOSE_CONTEXT_ON_RESET`, GL_KHR_robustness.
const STRATEGY: u32 = 0x8256;
const LOSE_CONTEXT: i32 = 0x8252;

const NO_ERROR: u32 = 0;

/// What a context is asked to be beside the rest, on a display of this version with these extensions. Robust access comes
/// with it: there are drivers that take the one only with the other.
pub(super) fn attributes((major, minor): (egl::Int, egl::Int), extensions: &str) -> Option<[egl::Int; 4]> {
    const TRUE: egl::Int = egl::TRUE as egl::Int;
    if (major, minor) >= (1, 5) {
        let strategy = [egl::CONTEXT_OPENGL_RESET_NOTIFICATION_STRATEGY, egl::LOSE_CONTEXT_ON_RESET];
        return Some([egl::CONTEXT_OPENGL_ROBUST_ACCESS, TRUE, strategy[0], strategy[1]]);
    }
    has(extensions, EXTENSION).then_some([ROBUST_ACCESS_EXT, TRUE, STRATEGY_EXT, egl::LOSE_CONTEXT_ON_RESET])
}

type Status = extern "system" fn() -> u32;

/// Asks one context whether it is lost.
pub(super) struct Watch {
    /// `None` where the context is never told.
    status: Option<Status>,
    /// How it was lost. A driver tells that once.
    lost: Cell<u32>,
}

impl Watch {
    /// For the context that is current, whose functions `gl` has.
    pub(super) fn new(gl: &glow::Context, egl: &Library) -> Self {
        let (version, extensions) = (gl.version(), gl.supported_extensions());
        // A name is no proof: libEGL has an address for each.
        let is_core = !version.is_embedded && (version.major, version.minor) >= (4, 5);
        let name = if is_core || extensions.contains("GL_KHR_robustness") {
            Some("glGetGraphicsResetStatus")
        } else {
            extensions.contains("GL_ARB_robustness").then_some("glGetGraphicsResetStatusARB")
        };
        // SAFETY: the context is current, and one of the above has this name.
        let is_told = |_: &&str| unsafe { gl.get_parameter_i32(STRATEGY) } == LOSE_CONTEXT;
        let function = name.filter(is_told).and_then(|name| egl.get_proc_address(name));
        // SAFETY: EGL gave this address for this name, and the type is that of all three extensions.
        let status = function.map(|function| unsafe { std::mem::transmute::<extern "system" fn(), Status>(function) });
        Self { status, lost: Cell::new(NO_ERROR) }
    }

    /// Whether the context is told of resets.
    pub(super) fn is_told(&self) -> bool {
        self.status.is_some()
    }

    /// Asks the driver. The context is current.
    ///
    /// # Errors
    /// The context is lost, now or since an earlier call.
    pub(super) fn check(&self) -> Result<(), Error> {
        let Some(status) = self.status else { return Ok(()) };
        if self.lost.get() == NO_ERROR {
            self.lost.set(status());
        }
        match self.lost.get() {
            NO_ERROR => Ok(()),
            how => Err(Error::machine("gl-lost", "the GPU was reset, and the GL context with it is lost", "")
                .caused_by(format!("glGetGraphicsResetStatus says {}", described(how)))
                .examined_by_doctor()),
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("is_told", &self.is_told()).field("lost", &self.lost).finish()
    }
}

fn described(status: u32) -> String {
    let name = match status {
        0x8253 => "GL_GUILTY_CONTEXT_RESET",
        0x8254 => "GL_INNOCENT_CONTEXT_RESET",
        0x8255 => "GL_UNKNOWN_CONTEXT_RESET",
        0x92BB => "GL_PURGED_CONTEXT_RESET_NV",
        _ => return format!("{status:#x}"),
    };
    format!("{name} ({status:#x})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_asked_for_as_the_display_knows_it() {
        let of_1_5 = Some([0x31B2, 1, 0x31BD, 0x31BF]);
        assert_eq!(attributes((1, 5), ""), of_1_5);
        assert_eq!(attributes((1, 5), EXTENSION), of_1_5);
        assert_eq!(attributes((1, 4), EXTENSION), Some([0x30BF, 1, 0x3138, 0x31BF]));
        assert_eq!(attributes((1, 4), "EGL_KHR_create_context"), None);
    }

    #[test]
    fn a_status_that_is_told_once_is_kept() {
        extern "system" fn once() -> u32 {
            thread_local!(static TOLD: Cell<bool> = const { Cell::new(false) });
            if TOLD.replace(true) { NO_ERROR } else { 0x8253 }
        }
        let watch = Watch { status: Some(once), lost: Cell::new(NO_ERROR) };
        for _ in 0..2 {
            let error = watch.check().unwrap_err();
            assert!(error.cause().ends_with("says GL_GUILTY_CONTEXT_RESET (0x8253)"), "{error}");
        }
        let untold = Watch { status: None, lost: Cell::new(NO_ERROR) };
        assert!(untold.check().is_ok() && !untold.is_told());
        assert_eq!(described(7), "0x7");
    }
}
