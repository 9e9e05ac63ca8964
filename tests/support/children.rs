//! The processes that another process has started.

use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// The children of `parent` that are there now, dead ones that it has not yet reaped among them.
pub fn of(parent: u32) -> Vec<Pid> {
    let parent = parent.to_string();
    let processes = std::fs::read_dir("/proc").expect("/proc");
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|id: &i32| {
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            // "1 (name) S 0 …": a name can hold anything, so the fields are counted from its end.
            let fields = stat.rsplit_once(')').map(|(_, fields)| fields.split_whitespace());
            fields.and_then(|mut fields| fields.nth(1)) == Some(&parent)
        })
        .filter_map(Pid::from_raw)
        .collect()
}

/// The same as descriptors, each readable once its process has ended.
pub fn watch(parent: u32) -> Vec<OwnedFd> {
    of(parent).into_iter().filter_map(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()).collect()
}
