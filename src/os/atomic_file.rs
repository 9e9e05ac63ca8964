//! Files that are there whole or not at all.

use super::others::Link;
use crate::Error;
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

/// Puts `text` at `path`, with the folders above it, in one step: a reader finds the old file or the new one.
/// It can be read by everybody and written by nobody, so that go2rtc, asked to by a request, does not write it either.
/// Behind a symbolic link the file that it points to is replaced, unless somebody else may have put the link there; and
/// what is no file is left as it is.
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
    let followed = if Link::is_own_at(path)? { path.canonicalize().ok() } else { None };
    let path = followed.as_deref().unwrap_or(path);
    if let Some(kind) = std::fs::metadata(path).ok().and_then(|there| other_than_a_file(there.file_type())) {
        return Err(Error::input(
            "config-not-a-file",
            format!("{} is {kind}, which no config can replace; it was left as it is", path.display()),
            "",
        ));
    }
    let Some(name) = path.file_name() else {
        return Err(Error::input("no-file-name", format!("'{}' names no file", path.display()), ""));
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let folder: OwnedFd = File::open(folder).map_err(failed)?.into();
    clear(&folder, name);
    let fresh = fresh_name(name);
    let written = write(&folder, &fresh, text).and_then(|()| Ok(rustix::fs::renameat(&folder, &fresh, &folder, name)?));
    if let Err(error) = written {
        let _ = rustix::fs::unlinkat(&folder, &fresh, AtFlags::empty());
        return Err(failed(error));
    }
    // The new name is on the disk, too, once its folder is; not every file system can do that, and none needs it to
    // keep the file whole.
    let _ = rustix::fs::fsync(&folder);
    Ok(())
}

/// `.NAME.PID.RANDOM`: nobody can take it first.
fn fresh_name(name: &OsStr) -> OsString {
    let mut fresh = prefix(name);
    fresh.push(format!("{}.{:016x}", std::process::id(), RandomState::new().hash_one(0)));
    fresh
}

/// Shorter than the name where that is as long as names can be.
fn prefix(name: &OsStr) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(OsStr::from_bytes(&name.as_bytes()[..name.len().min(200)]));
    prefix.push(".");
    prefix
}

/// Removes what a process that was killed right here has left.
fn clear(folder: &OwnedFd, name: &OsStr) {
    let (prefix, us) = (prefix(name), rustix::process::geteuid().as_raw());
    for entry in Dir::read_from(folder).into_iter().flatten().flatten() {
        let left = entry.file_name();
        let maker = left.to_bytes().strip_prefix(prefix.as_bytes()).and_then(maker);
        let is_ours = || {
            rustix::fs::statat(folder, left, AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|it| FileType::from_raw_mode(it.st_mode) == FileType::RegularFile && it.st_uid == us)
        };
        // One that has this process's id had it before this one.
        let has_ended = |pid| pid == std::process::id() || !Path::new(&format!("/proc/{pid}")).exists();
        if maker.is_some_and(has_ended) && is_ours() {
            let _ = rustix::fs::unlinkat(folder, left, AtFlags::empty());
        }
    }
}

/// The process in what stands behind the prefix, which may have no number behind it yet.
fn maker(rest: &[u8]) -> Option<u32> {
    let rest = std::str::from_utf8(rest).ok()?;
    let (pid, random) = rest.split_once('.').unwrap_or((rest, "0"));
    u64::from_str_radix(random, 16).ok()?;
    pid.parse().ok()
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

fn write(folder: &OwnedFd, name: &OsStr, text: &str) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(folder.as_fd(), name, flags, Mode::from_raw_mode(0o444))?);
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
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let gone = [".a.yaml.4194999", ".a.yaml.4194999.00ff", &format!(".a.yaml.{}.12", std::process::id())].map(at);
        let kept = [".a.yaml.1.12", ".a.yaml.4194999.x", ".b.yaml.4194999", "a.yaml.4194999"].map(at);
        gone.iter().chain(&kept).for_each(|path| std::fs::write(path, "").unwrap());
        replace(&at("a.yaml"), "one").unwrap();
        assert!(kept.iter().all(|path| path.exists()) && !gone.iter().any(|path| path.exists()));
        let longest = at(&"n".repeat(255));
        replace(&longest, "two").unwrap();
        assert_eq!(std::fs::read_to_string(longest).unwrap(), "two");
    }

    #[test]
    fn a_link_that_somebody_else_may_have_put_there_is_not_followed() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (shared, victim) = (folder.path().join("shared"), folder.path().join("victim"));
        std::fs::create_dir(&shared).unwrap();
        std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o777)).unwrap();
        std::fs::write(&victim, "mine").unwrap();
        std::os::unix::fs::symlink(&victim, shared.join("go2rtc.yaml")).unwrap();
        assert_eq!(replace(&shared.join("go2rtc.yaml"), "x").unwrap_err().code(), "link-of-others");
        assert_eq!(std::fs::read_to_string(victim).unwrap(), "mine");
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
