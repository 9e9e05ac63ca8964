//! Readers that nobody serves.
//!
//! go2rtc reads a FIFO through `cat`, and while that blocks in its `open`, go2rtc holds a lock that every later viewer
//! of the stream waits for, without a limit. Two things must not last, therefore: a FIFO without a worker, and a `cat`
//! that waits on a FIFO which has been removed. The same goes for a port on which no worker answers.

use super::entrance::Entrance;
use super::worker::Worker;
use crate::service::account::{LOOK_ON, State};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a reader may wait for a worker that waits for readers.
const LONGEST_OPEN: Duration = Duration::from_secs(1);

/// Sees to it that nobody waits for `worker` in vain. `go2rtc` is the local one's process.
pub fn look_after(worker: &mut Worker, go2rtc: Option<Pid>, now: Instant) {
    if worker.needs_turning_away(now) {
        worker.entrance.turn_away();
    }
    let Entrance::Fifo(fifo) = &worker.entrance else { return };
    let account = &mut worker.account;
    let waits = account.state == State::Waiting && account.look_until.is_some_and(|until| until > now);
    let found = go2rtc.filter(|_| waits).and_then(|go2rtc| blocked(go2rtc, fifo));
    // A worker that waits takes a reader within milliseconds, on a busy machine a few more: one that is not taken for so
    // long waits elsewhere.
    match (found, worker.blocked) {
        (Some(reader), Some((before, since))) if reader == before => {
            account.look_until = Some(now + LOOK_ON);
            if now.saturating_duration_since(since) > LONGEST_OPEN {
                tracing::warn!("ending a reader of {} that waits on a FIFO which is gone", worker.kept.name);
                end(reader, fifo);
            }
        }
        _ => worker.blocked = found.map(|reader| (reader, now)),
    }
}

/// The processes that `parent` has started.
pub fn children(parent: Pid) -> Vec<Pid> {
    let threads = std::fs::read_dir(format!("/proc/{}/task", parent.as_raw_nonzero())).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|id| Pid::from_raw(id.parse().ok()?)).collect::<Vec<_>>())
        .collect()
}

/// The `cat` on `fifo` among the children of `go2rtc` that has not got it open.
fn blocked(go2rtc: Pid, fifo: &Path) -> Option<Pid> {
    children(go2rtc).into_iter().find(|&pid| is_blocked(pid, fifo))
}

fn is_blocked(pid: Pid, fifo: &Path) -> bool {
    let folder = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
    let reads_it = std::fs::read(folder.join("cmdline")).is_ok_and(|line| {
        let mut words = line.split(|&b| b == 0);
        words.next() == Some(b"cat") && words.next() == Some(fifo.as_os_str().as_bytes())
    });
    // What it has open cannot be told by its name, which another FIFO takes over for the next reader. A FIFO on the same
    // file system it must be; pipes without a name are on one of their own.
    let device = |path: &Path| std::fs::metadata(path).map(|path| path.dev());
    let (Some(Ok(device)), Ok(open)) = (fifo.parent().map(device), std::fs::read_dir(folder.join("fd"))) else {
        return false;
    };
    let is_one = |path: PathBuf| std::fs::metadata(path).is_ok_and(|it| it.file_type().is_fifo() && it.dev() == device);
    reads_it && !open.flatten().any(|fd| is_one(fd.path()))
}

/// Ends it, if it is blocked still. go2rtc starts another one, which finds the FIFO that is there now.
fn end(pid: Pid, fifo: &Path) {
    if let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) {
        // Looked at once more: what the descriptor names cannot change any longer.
        if is_blocked(pid, fifo) {
            let _ = pidfd_send_signal(process, Signal::TERM);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::door::Fifo;
    use std::process::{Child, Command, Stdio};

    struct Killed(Child);

    impl Drop for Killed {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn a_blocked_reader_is_found_turned_away_and_ended() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("omega-0.h264");
        Fifo::make(&fifo, Default::default()).unwrap();
        let this = Pid::from_raw(std::process::id() as i32).unwrap();
        for by_turning_away in [true, false] {
            let cat = Command::new("cat").arg(&fifo).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
            let mut cat = Killed(cat);
            let deadline = Instant::now() + Duration::from_secs(20);
            while blocked(this, &fifo) != Some(Pid::from_child(&cat.0)) {
                assert!(Instant::now() < deadline, "cat is not seen");
                std::thread::yield_now();
            }
            while cat.0.try_wait().unwrap().is_none() {
                if by_turning_away {
                    let _ = Fifo::turn_away(&fifo);
                } else {
                    end(Pid::from_child(&cat.0), &fifo)
                }
                assert!(Instant::now() < deadline, "cat does not end");
                std::thread::yield_now();
            }
            assert_eq!(blocked(this, &fifo), None);
        }
    }
}
