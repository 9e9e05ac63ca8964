//! The options that say where the video goes: to exactly one of three places.

use crate::service::door::FifoPlace;
use crate::service::exit::Exit;
use crate::settings::{FifoMode, PipeSize};
use std::path::PathBuf;

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Output (exactly one)")]
pub struct OutputArgs {
    /// Write to standard output, for go2rtc's exec: or a pipe
    #[arg(long)]
    stdout: bool,

    /// Write to a FIFO, made if missing; encodes only while a reader is connected
    #[arg(long, value_name = "PATH")]
    fifo: Option<PathBuf>,

    /// Write to a file
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,

    /// Permissions of a FIFO that is made, in octal
    #[arg(long, env = "MB_ENCODE_FIFO_MODE", hide_env_values = true, value_name = "MODE", default_value_t)]
    pub fifo_mode: FifoMode,

    /// Capacity of the FIFO's pipe, 4k to 1M bytes [default: the system's, 64k]
    #[arg(long, env = "MB_ENCODE_PIPE_SIZE", hide_env_values = true, value_name = "BYTES")]
    pipe_size: Option<PipeSize>,
}

/// The one output that was asked for.
#[derive(Debug)]
pub enum Destination {
    Stdout,
    File(PathBuf),
    Fifo(FifoPlace),
}

impl OutputArgs {
    /// The one output that was asked for.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub fn destination(&self) -> Result<Destination, Exit> {
        match (self.stdout, &self.fifo, &self.out) {
            (true, None, None) => Ok(Destination::Stdout),
            (false, Some(path), None) => {
                Ok(Destination::Fifo(FifoPlace { path: path.clone(), mode: self.fifo_mode, pipe_size: self.pipe_size }))
            }
            (false, None, Some(path)) => Ok(Destination::File(path.clone())),
            (stdout, fifo, out) => {
                let given: Vec<_> = [(stdout, "--stdout"), (fifo.is_some(), "--fifo"), (out.is_some(), "--out")]
                    .into_iter()
                    .filter_map(|(given, name)| given.then_some(name))
                    .collect();
                let seen = match given.len() {
                    0 => "none of --stdout, --fifo and --out was given".to_owned(),
                    _ => format!("{} were given", given.join(" and ")),
                };
                Err(Exit::Usage(format!(
                    "{seen}; give exactly one, for example: mb-encode --out clip.h264 --frames 240"
                )))
            }
        }
    }

    /// Whether the video goes to a FIFO.
    pub fn is_fifo(&self) -> bool {
        self.fifo.is_some()
    }

    /// Whether the video goes to standard output.
    pub fn is_stdout(&self) -> bool {
        self.stdout
    }
}
