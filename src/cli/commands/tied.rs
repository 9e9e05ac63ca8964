//! `mb-encode tied`: what this program starts for itself, to end with it.

use crate::os::process;
use std::ffi::OsString;

#[derive(Clone, Debug, clap::Args)]
pub struct TiedArgs {
    /// Whose end is this one's, too
    parent: i32,
    /// What to run
    #[arg(required = true, last = true)]
    command: Vec<OsString>,
}

/// Does not return while all is well.
pub fn run(args: &TiedArgs) -> anyhow::Result<()> {
    process::run(args.parent, &args.command)
}
