//! The socket in a supervisor's folder, by which it is asked how everything is.

use rustix::fd::{AsFd, AsRawFd as _};
use std::fs::File;
use std::io;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

const NAME: &str = "status.sock";

/// A socket's path holds 107 bytes; the way through the open folder is short, wherever that is.
pub(super) fn path(folder: &impl AsFd) -> PathBuf {
    format!("/proc/self/fd/{}/{NAME}", folder.as_fd().as_raw_fd()).into()
}

/// The socket in `folder`, in the place of one that an earlier run left.
pub fn listen(folder: &File) -> io::Result<UnixListener> {
    let path = path(folder);
    let _ = std::fs::remove_file(&path);
    let socket = UnixListener::bind(path)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

pub fn remove(folder: &File) {
    let _ = std::fs::remove_file(path(folder));
}
