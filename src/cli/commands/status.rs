//! `mb-encode status`: how everything is that a supervisor keeps running.

use crate::Error;
use crate::cli::print::print;
use crate::service::supervisor::asking;
use std::path::PathBuf;

/// Show the state of supervised workers
///
/// Ends with exit code 1 where one of them is down, or no supervisor is running.
#[derive(Clone, Debug, clap::Args)]
pub struct StatusArgs {
    /// The folder that the supervisor was given
    #[arg(long, env = "MB_ENCODE_TEMP", hide_env_values = true, value_name = "FOLDER", default_value = "temp")]
    temp: PathBuf,

    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

pub fn run(args: &StatusArgs) -> anyhow::Result<()> {
    let status = asking::ask(&args.temp)?;
    let text = if args.json { format!("{:#}\n", serde_json::to_value(&status)?) } else { status.table() };
    print(text.as_bytes())?;
    match status.is_bad() {
        true => Err(Error::machine("members-down", "not everything is running", "temp/logs says more").into()),
        false => Ok(()),
    }
}
