//! Starts this very program once more, as a part of what it is.

use super::role::Role;
use crate::error::Error;
use crate::os::link::Link;
use crate::os::process::{Child, Orphaned};
use rustix::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

/// A process, and the line to it.
pub type Started = (Child, Link);

/// Starts `command`, which is this very program, in a `role`. The thread that does so has to last as long as it.
///
/// # Errors
/// The system's.
pub fn start(mut command: Command, role: Role) -> Result<Started, Error> {
    let (link, theirs) = Link::pair().map_err(cannot_start)?;
    command.env(Role::VARIABLE, role.value()).env(Link::VARIABLE, theirs.for_child()).stdin(Stdio::null());
    // Ctrl-C in a terminal goes to the whole group, and this process passes it on already.
    command.process_group(0);
    let child = Child::start(command, Orphaned::Killed, &[theirs.as_fd()]).map_err(cannot_start)?;
    Ok((child, link))
}

/// Why this very program cannot be started once more.
pub fn cannot_start(error: std::io::Error) -> Error {
    let remedy = match error.kind() {
        std::io::ErrorKind::NotFound => "it starts itself by /proc/self/exe: mount /proc",
        _ => "make room for processes and open files: ulimit -u, ulimit -n, in a container --pids-limit",
    };
    Error::machine("too-many-processes", "cannot start the encoder process", remedy).caused_by(error)
}
