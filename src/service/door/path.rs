//! The path of a FIFO as it was given, and what can be wrong with it.

use crate::error::Error;
use crate::os::others::Link;
use rustix::fs::FileType;
use rustix::io::Errno;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// A FIFO's folder, with symbolic links followed, and its name in there. Neither has to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FifoPath {
    pub folder: PathBuf,
    pub name: OsString,
}

impl FifoPath {
    /// The whole.
    pub fn whole(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// Follows the links of a path as it was given, once and for all.
    ///
    /// # Errors
    /// It cannot be a FIFO's.
    pub fn resolve(path: &Path) -> Result<Self, Error> {
        let shown = path.display();
        let unusable = |error: io::Error| {
            Error::input(
                "fifo-folder",
                format!("cannot use {shown} as a FIFO"),
                "choose a path in a folder that you may enter: mb-encode --fifo temp/streams/demo.h264",
            )
            .caused_by(error)
        };
        // Where it is none, it is not followed from here on either, should it become one.
        if Link::is_own_at(path)? {
            return match std::fs::canonicalize(path) {
                Ok(path) => Self::split(&path),
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unusable(error)),
                Err(_) => Err(Error::input(
                    "fifo-broken-link",
                    format!("{shown} is a symbolic link to nothing"),
                    format!("remove it, or make what it points to: rm {shown}"),
                )),
            };
        }
        let Self { folder, name } = Self::split(path)?;
        // Known before any folder is made for it.
        if name.len() > 255 {
            return Err(Error::input(
                "fifo-name-too-long",
                format!("cannot make the FIFO {shown}: its name is too long, more than 255 bytes"),
                "choose a shorter name: mb-encode --fifo temp/streams/demo.h264",
            ));
        }
        let folder = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder };
        match std::fs::canonicalize(&folder) {
            Ok(folder) if folder.is_dir() => Ok(Self { folder, name }),
            Ok(_) => Err(unusable(Errno::NOTDIR.into())),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unusable(error)),
            Err(_) => Ok(Self { folder: std::path::absolute(&folder).unwrap_or(folder), name }),
        }
    }

    fn split(path: &Path) -> Result<Self, Error> {
        let (Some(name), Some(folder)) = (path.file_name(), path.parent()) else {
            if path.is_dir() {
                return Err(refuse(path, FileType::Directory));
            }
            return Err(Error::input(
                "no-file-name",
                format!("'{}' names no file", path.display()),
                "write: mb-encode --fifo temp/streams/demo.h264",
            ));
        };
        Ok(Self { folder: folder.to_owned(), name: name.to_owned() })
    }
}

/// Why it cannot be made.
pub fn not_made(path: &Path, error: io::Error) -> Error {
    Error::input(
        "fifo-folder",
        format!("cannot make the FIFO {}", path.display()),
        "choose a folder that you may write to: mb-encode --fifo temp/streams/demo.h264",
    )
    .caused_by(error)
}

/// Why a FIFO that is there cannot be used.
pub fn unusable(path: &Path, errno: Errno) -> Error {
    let shown = path.display();
    Error::machine(
        "fifo-unwritable",
        format!("cannot use the FIFO {shown}"),
        "choose a path in a folder that you may enter: mb-encode --fifo temp/streams/demo.h264",
    )
    .caused_by(errno)
}

/// Why what is there is not served.
pub fn refuse(path: &Path, file_type: FileType) -> Error {
    let what = match file_type {
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a folder",
        FileType::Symlink => "a symbolic link",
        FileType::Socket => "a socket",
        _ => "a device",
    };
    let shown = path.display();
    Error::input(
        "fifo-not-a-fifo",
        format!("{shown} is {what}, not a FIFO; it was left as it is"),
        "choose another path; a file is written with mb-encode --out clip.h264",
    )
}
