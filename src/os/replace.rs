//! This very program once more, in this process's place: whoever started it, reads from it or sends it signals does not
//! notice. A driver that the process loaded is gone with everything that it held, whatever state it is in.

use super::process::{self, THIS_PROGRAM};
use rustix::fd::BorrowedFd;
use rustix::fs::FileType;
use rustix::io::FdFlags;
use rustix::process::{Signal, parent_process_death_signal, set_parent_process_death_signal};
use std::ffi::{CString, OsString};
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::sync::OnceLock;

/// The signal that this process gets when its parent ends.
static TIE: OnceLock<Option<Signal>> = OnceLock::new();

/// Notes what ties this process to its parent. Call it on the first thread: the tie is that thread's, and any thread may
/// call [`replace`].
pub fn note_tie() {
    let _ = TIE.set(parent_process_death_signal().unwrap_or_default());
}

/// Starts this program with the words that it was started with, and `variable` in its environment. It keeps the standard
/// streams, the descriptors in `kept`, the signals that this thread keeps back and those that wait. Returns only where that
/// fails.
pub fn replace(variable: (&str, String), kept: &[BorrowedFd<'_>]) -> io::Error {
    match try_to(variable, kept) {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

fn try_to((name, value): (&str, String), kept: &[BorrowedFd<'_>]) -> io::Result<std::convert::Infallible> {
    let words = std::env::args_os().map(c_string).collect::<io::Result<Vec<_>>>()?;
    let others = std::env::vars_os().filter(|(other, _)| other != name);
    let variables = others
        .chain([(name.into(), value.into())])
        .map(|(name, value)| c_string([name, value].join(std::ffi::OsStr::new("="))));
    let variables = variables.collect::<io::Result<Vec<_>>>()?;
    let program = c_string(THIS_PROGRAM.into())?;
    // Killed only by the end of a process.
    process::end_tied();
    leave_devices();
    for fd in kept {
        rustix::io::fcntl_setfd(fd, FdFlags::empty())?;
    }
    // Of another thread than the first one the kernel forgets it.
    let _ = set_parent_process_death_signal(TIE.get().copied().flatten());
    let pointers = |strings: &[CString]| {
        let pointers = strings.iter().map(|string| string.as_ptr());
        pointers.chain([std::ptr::null()]).collect::<Vec<_>>()
    };
    // SAFETY: both lists end with a null pointer, and their strings are alive.
    unsafe { libc::execve(program.as_ptr(), pointers(&words).as_ptr(), pointers(&variables).as_ptr()) };
    Err(io::Error::last_os_error())
}

fn c_string(text: OsString) -> io::Result<CString> {
    CString::new(text.into_vec()).map_err(io::Error::other)
}

/// Has no device stay open: a driver may open its own without a thought of this, and then what it held there would stay.
fn leave_devices() {
    for entry in std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten() {
        let Some(number) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        if number <= 2 {
            continue;
        }
        // SAFETY: borrowed for two calls; a number that is not open any more is answered with an error.
        let fd = unsafe { BorrowedFd::borrow_raw(number) };
        if rustix::fs::fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_char_device()) {
            let _ = rustix::io::fcntl_setfd(fd, FdFlags::CLOEXEC);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_passed_on_is_an_error() {
        // So nothing was given up for it.
        assert_eq!(replace(("NAME", "a\0b".to_owned()), &[]).kind(), io::ErrorKind::Other);
    }
}
