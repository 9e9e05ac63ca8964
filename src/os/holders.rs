//! Who has a file open, as far as `/proc` shows it to this user.

use rustix::fd::AsFd;
use rustix::process::Pid;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Names an open file for as long as anybody has it open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// Of an open file; `None` where the system does not tell.
    pub fn of(file: impl AsFd) -> Option<Self> {
        let stat = rustix::fs::fstat(file).ok()?;
        Some(Self { device: stat.st_dev, inode: stat.st_ino })
    }
}

/// A process other than this one that has the file open to read from it, and its name.
pub fn reader_of(file: FileId) -> Option<(Pid, String)> {
    let processes = std::fs::read_dir("/proc").ok()?;
    let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let others = ids.filter(|&id: &i32| id as u32 != std::process::id());
    others.filter_map(Pid::from_raw).find_map(|pid| {
        let process = Path::new("/proc").join(pid.as_raw_nonzero().to_string());
        let mut open = std::fs::read_dir(process.join("fd")).ok()?.flatten();
        open.find(|fd| {
            let is_it =
                std::fs::metadata(fd.path()).is_ok_and(|it| FileId { device: it.dev(), inode: it.ino() } == file);
            is_it && is_read_only(&process.join("fdinfo").join(fd.file_name()))
        })?;
        let name = std::fs::read_to_string(process.join("comm")).ok()?;
        Some((pid, name.trim_end().to_owned()))
    })
}

/// By proc_pid_fdinfo(5).
fn is_read_only(fdinfo: &Path) -> bool {
    let text = std::fs::read_to_string(fdinfo).unwrap_or_default();
    let flags = text.lines().find_map(|line| i32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
    flags.is_some_and(|flags| flags & (libc::O_ACCMODE | libc::O_PATH) == libc::O_RDONLY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn who_reads_a_pipe_is_found_and_who_writes_is_not() {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let file = FileId::of(&writer).unwrap();
        assert_eq!(reader_of(file), None, "this process alone");
        let mut sleep = Command::new("sleep").arg("60").stdin(Stdio::null()).stdout(writer).spawn().unwrap();
        let mut cat = Command::new("cat").stdin(reader).stdout(Stdio::null()).spawn().unwrap();
        let found = reader_of(file);
        for child in [&mut sleep, &mut cat] {
            let _ = child.kill();
            let _ = child.wait();
        }
        let (pid, _) = found.unwrap();
        assert_eq!(pid, Pid::from_child(&cat));
    }
}
