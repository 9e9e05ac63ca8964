//! Becomes another program that ends with the process that started it, however that ends.
//!
//! The kernel's parent death signal is set here, between `fork` and `exec`, where `Command` gives no safe way to; it
//! outlasts the `exec`.

use anyhow::Context as _;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// Not its path: the file may have been replaced by a newer one since.
pub const THIS_PROGRAM: &str = "/proc/self/exe";

/// Does not return while all is well.
pub fn run(parent: i32, command: &[OsString]) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::TERM)).context("cannot ask for the parent's end to be told")?;
    // It may have ended before there was anybody to tell.
    if getppid() != Pid::from_raw(parent) {
        return Ok(());
    }
    let program = Path::new(&command[0]);
    let name = if program == Path::new(THIS_PROGRAM) { Path::new("mb-encode") } else { program };
    let error = Command::new(program).arg0(name).args(&command[1..]).exec();
    Err(error).with_context(|| format!("cannot run {}", program.display()))
}

/// A command that runs `program` tied to this process. It must be started by a thread that lasts: the signal comes at
/// that thread's end.
pub fn command(program: &OsStr) -> Command {
    let mut command = Command::new(THIS_PROGRAM);
    command.arg0("mb-encode").arg("tied").arg(std::process::id().to_string()).arg("--").arg(program);
    command
}
