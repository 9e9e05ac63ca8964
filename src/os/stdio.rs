//! What standard output was when the process started, and what it becomes.
//!
//! Before `main`, Rust's runtime opens `/dev/null` in place of a standard stream that is closed. A stream of video
//! would then be encoded for nobody, for ever and without a word, so the question is asked before the runtime acts.

use std::sync::atomic::{AtomicBool, Ordering};

static STDOUT_WAS_CLOSED: AtomicBool = AtomicBool::new(false);

extern "C" fn note_closed_stdout() {
    // SAFETY: F_GETFD takes no argument and changes nothing, whether or not the descriptor is open.
    let flags = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) };
    STDOUT_WAS_CLOSED.store(flags == -1, Ordering::Relaxed);
}

// SAFETY: the loader calls what stands in `.init_array` once, before `main`, on the only thread; the function is of the
// type that it calls, and uses nothing that the runtime has yet to set up.
#[unsafe(link_section = ".init_array")]
#[used]
static AT_START: extern "C" fn() = note_closed_stdout;

/// Whether standard output was closed when the process started.
pub fn stdout_was_closed() -> bool {
    STDOUT_WAS_CLOSED.load(Ordering::Relaxed)
}

/// Makes standard output what `fd` is, as in a process that was started with it.
///
/// # Errors
/// The system's.
pub fn replace_stdout(fd: &impl rustix::fd::AsFd) -> std::io::Result<()> {
    Ok(rustix::stdio::dup2_stdout(fd)?)
}
