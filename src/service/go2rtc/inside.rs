//! Where go2rtc listens for the gate alone.

use rustix::fs::{Mode, OFlags};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Its name in the folder.
pub const SOCKET: &str = "go2rtc.sock";
/// Where streams that go2rtc has started come to hear of keyframes.
const KEYFRAMES: &str = "keyframes.sock";

/// A folder with go2rtc's socket and another one, and a port for its RTSP, which knows no other kind.
#[derive(Debug)]
pub struct Inside {
    folder: Arc<OwnedFd>,
    pub rtsp: SocketAddr,
}

impl Inside {
    /// In `folder`, which from now on only this process's user may enter.
    ///
    /// # Errors
    /// The folder is somebody else's or a link, or no port on loopback is free.
    pub fn in_folder(folder: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = Arc::new(rustix::fs::open(folder, flags, Mode::empty())?);
        if rustix::fs::fstat(&folder)?.st_uid != rustix::process::geteuid().as_raw() {
            return Err(io::Error::other("it belongs to somebody else"));
        }
        rustix::fs::fchmod(&folder, Mode::RWXU)?;
        Ok(Self { folder, rtsp: free_port()? })
    }

    /// Chooses another port. Whoever takes one before go2rtc does keeps that from listening.
    ///
    /// # Errors
    /// No port on loopback is free.
    pub fn move_rtsp(&mut self) -> io::Result<()> {
        self.rtsp = free_port()?;
        Ok(())
    }

    /// The socket's path, in this process and in one that inherits [`Inside::folder`]. A socket's path holds 107 bytes;
    /// this one is short, wherever the folder is.
    pub fn socket(&self) -> PathBuf {
        format!("/proc/self/fd/{}/{SOCKET}", self.folder.as_raw_fd()).into()
    }

    /// The other socket's path, in the same processes and in what go2rtc starts.
    pub fn keyframes(&self) -> PathBuf {
        format!("/proc/self/fd/{}/{KEYFRAMES}", self.folder.as_raw_fd()).into()
    }

    /// What go2rtc has to inherit.
    pub fn folder(&self) -> &Arc<OwnedFd> {
        &self.folder
    }

    /// Whether go2rtc listens on the socket.
    pub fn answers(&self) -> bool {
        UnixStream::connect(self.socket()).is_ok()
    }
}

fn free_port() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

impl Drop for Inside {
    fn drop(&mut self) {
        // go2rtc leaves it where it was killed.
        for name in [SOCKET, KEYFRAMES] {
            let _ = rustix::fs::unlinkat(&self.folder, name, rustix::fs::AtFlags::empty());
        }
    }
}
