//! Files that are there whole or not at all.

use crate::Error;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Puts `text` at `path`, with the folders above it, in one step: a reader finds the old file or the new one.
/// It can be read by everybody and written by nobody, so that go2rtc, asked to by a request, does not write it either.
/// Behind a symbolic link the file that it points to is replaced, and what is no file is left as it is.
pub fn replace(path: &Path, text: &str) -> Result<(), Error> {
    let failed = |error: io::Error| {
        let remedy = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on the disk".to_owned(),
            _ if path.is_dir() => format!(
                "Docker makes an empty folder where a file that it should mount is missing: rmdir {}",
                path.display()
            ),
            _ => String::new(),
        };
        Error::machine("out-unwritable", format!("cannot write {}", path.display()), remedy).caused_by(error)
    };
    let resolved = path.canonicalize();
    let path = resolved.as_deref().unwrap_or(path);
    if let Some(kind) = std::fs::metadata(path).ok().and_then(|there| other_than_a_file(there.file_type())) {
        return Err(Error::input(
            "config-not-a-file",
            format!("{} is {kind}, which no config can replace; it was left as it is", path.display()),
            "",
        ));
    }
    let Some(name) = path.file_name() else {
        return Err(Error::input("no-file-name", format!("{} names no file", path.display()), ""));
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut fresh_name = std::ffi::OsString::from(".");
    fresh_name.push(name);
    fresh_name.push(format!(".{}", std::process::id()));
    let fresh = folder.join(fresh_name);
    // Left by a process with our id that was killed right here.
    let _ = std::fs::remove_file(&fresh);
    let written = write(&fresh, text).and_then(|()| std::fs::rename(&fresh, path));
    if let Err(error) = written {
        let _ = std::fs::remove_file(&fresh);
        return Err(failed(error));
    }
    // The new name is on the disk, too, once its folder is; not every file system can do that, and none needs it to
    // keep the file whole.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

/// A folder is not meant: the system says that better.
fn other_than_a_file(found: std::fs::FileType) -> Option<&'static str> {
    match found {
        _ if found.is_file() || found.is_dir() => None,
        _ if found.is_fifo() => Some("a FIFO"),
        _ if found.is_socket() => Some("a socket"),
        _ => Some("a device"),
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o444).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_a_file_whole_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.yaml");
        replace(&path, "one").unwrap();
        replace(&path, "two").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn replaces_what_a_link_points_to_and_no_fifo() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link, fifo) = (folder.path().join("a"), folder.path().join("link"), folder.path().join("fifo"));
        replace(&path, "one").unwrap();
        std::os::unix::fs::symlink("a", &link).unwrap();
        replace(&link, "two").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two");
        assert!(link.is_symlink());

        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let error = replace(&fifo, "x").unwrap_err().to_string();
        assert!(error.contains("is a FIFO, which no config can replace"), "{error}");
        assert!(std::fs::metadata(&fifo).unwrap().file_type().is_fifo());
    }

    #[test]
    fn leaves_what_it_cannot_replace() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.yaml");
        std::fs::create_dir_all(path.join("not empty")).unwrap();
        let error = replace(&path, "x").unwrap_err().to_string();
        assert!(error.contains("rmdir"), "{error}");
        assert!(path.join("not empty").is_dir());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "the unfinished file is gone");
    }
}
