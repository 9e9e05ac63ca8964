//! The driver's limit on open sessions, within this process or among all that share a folder.
//!
//! The kernel gives up a process's locks when it dies, so a killed process frees its slots.

use crate::status::{GENERIC, INCOMPATIBLE_CLIENT_KEY, Refusal, failed};
use rustix::fs::{FlockOperation, flock};
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
                for number in 0..limit {
                    if let Some(lock) = lock(Path::new(&folder), number)? {
                        return Ok(Slot { _lock: Some(lock) });
                    }
                }
                Err(failed(status))
            }
            _ if (open as u64) < limit => Ok(Slot { _lock: None }),
            _ => Err(failed(status)),
        }
    }
}

fn lock(folder: &Path, number: u64) -> Result<Option<File>, Refusal> {
    let path = folder.join(format!("session-{number}"));
    let file = File::options().create(true).append(true).open(path);
    let file = file.map_err(|_| failed(GENERIC))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(_) => Ok(None),
    }
}
