//! The driver's limit on open sessions, within this process or among all that share a folder.
//!
//! The kernel gives up a process's locks when it dies, so a killed process frees its slots.

use crate::status::{GENERIC, INCOMPATIBLE_CLIENT_KEY, Refusal, failed};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use sim_ledger::setting;
use std::fs::File;
use std::path::Path;

/// The right to one session; given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    _lock: Option<File>,
}

impl Slot {
    /// Takes a slot, where `open` sessions of this process have one already.
    pub(crate) fn take(open: usize) -> Result<Slot, Refusal> {
        let limit = setting::number(setting::SESSION_LIMIT, u64::MAX);
        let status = setting::number(setting::SESSION_STATUS, INCOMPATIBLE_CLIENT_KEY.into()) as u32;
        match setting::text(setting::SESSION_DIR) {
            Some(folder) if limit != u64::MAX => {
                let folder = Path::new(&folder);
                // One at a time, as in the kernel: who found the first slot taken and the second one free is not to
                // find that one taken by whoever came in between.
                let _turn = lock(folder, "turn", FlockOperation::LockExclusive)?;
                for number in 0..limit {
                    let slot = lock(folder, &format!("session-{number}"), FlockOperation::NonBlockingLockExclusive)?;
                    if slot.is_some() {
                        return Ok(Slot { _lock: slot });
                    }
                }
                Err(failed(status))
            }
            _ if (open as u64) < limit => Ok(Slot { _lock: None }),
            _ => Err(failed(status)),
        }
    }
}

/// The lock of this name in `folder`, held as long as the file is open. `None` where it is another's.
fn lock(folder: &Path, name: &str, how: FlockOperation) -> Result<Option<File>, Refusal> {
    let file = File::options().create(true).append(true).open(folder.join(name)).map_err(|_| failed(GENERIC))?;
    loop {
        match flock(&file, how) {
            Ok(()) => return Ok(Some(file)),
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(_) => return Err(failed(GENERIC)),
        }
    }
}
