//! The options that say where the video goes: to exactly one of four places.

use super::named::{self, named};
use super::number::within;
use crate::error::Error;
use crate::service::door::FifoPlace;
use crate::service::door::http::{HttpPlace, TokenFile, is_local};
use crate::service::exit::Exit;
use crate::settings::{FifoMode, Linger, PipeSize, Spare, SpareIdle};
use std::net::SocketAddr;
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

    /// Serve readers by HTTP here: /stream.ts and /stream.h264; encodes only while one is connected
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = parse_address)]
    listen: Option<SocketAddr>,

    /// Readers by HTTP at once, each with an encoder of its own: 1 to 64
    #[arg(long, env = "MB_ENCODE_MAX_READERS", hide_env_values = true, value_name = "N", default_value_t = 4)]
    #[arg(value_parser = within(1..=64u16))]
    max_readers: u16,

    /// Let in by HTTP only who shows the token in this file
    #[arg(long, env = "MB_ENCODE_TOKEN_FILE", hide_env_values = true, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// Let in by HTTP whoever reaches the address, although it is none of this machine alone
    #[arg(long, conflicts_with = "token_file")]
    insecure_no_token: bool,

    /// Once asked to stop, stream on by HTTP to those who watch, for so long at most: 0s to 60s
    #[arg(long, env = "MB_ENCODE_LINGER", hide_env_values = true, value_name = "TIME", default_value_t)]
    linger: Linger,

    /// Permissions of a FIFO that is made, in octal
    #[arg(long, env = "MB_ENCODE_FIFO_MODE", hide_env_values = true, value_name = "MODE", default_value_t)]
    pub fifo_mode: FifoMode,

    /// Keep a process ready for the next reader, with the drivers up and no NVENC session
    #[arg(long, env = "MB_ENCODE_SPARE", hide_env_values = true, value_name = "WHEN")]
    #[arg(default_value = named::default::<Spare>(), value_parser = named::<Spare>())]
    pub spare: Spare,

    /// Let the ready process go when nobody has come for so long: 1s to 24h
    #[arg(long, env = "MB_ENCODE_SPARE_IDLE", hide_env_values = true, value_name = "TIME", default_value_t)]
    pub spare_idle: SpareIdle,

    /// Capacity of the FIFO's pipe, 4k to 1M bytes [default: the system's, 64k]
    #[arg(long, env = "MB_ENCODE_PIPE_SIZE", hide_env_values = true, value_name = "BYTES")]
    pipe_size: Option<PipeSize>,
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let how = "must be an address and a port, such as 127.0.0.1:9000, [::1]:9000, or 0.0.0.0:9000 for all addresses";
    text.parse().map_err(|_| how.to_owned())
}

/// The one output that was asked for.
#[derive(Debug)]
pub enum Destination {
    Stdout,
    File(PathBuf),
    Fifo(FifoPlace),
    Http(HttpPlace),
}

impl OutputArgs {
    /// The one output that was asked for.
    ///
    /// # Errors
    /// There is none, or more than one, or it cannot be used.
    pub fn destination(&self) -> anyhow::Result<Destination> {
        match (self.stdout, &self.fifo, &self.out, self.listen) {
            (true, None, None, None) => Ok(Destination::Stdout),
            (false, Some(path), None, None) => {
                Ok(Destination::Fifo(FifoPlace { path: path.clone(), mode: self.fifo_mode, pipe_size: self.pipe_size }))
            }
            (false, None, Some(path), None) => Ok(Destination::File(path.clone())),
            (false, None, None, Some(address)) => Ok(Destination::Http(self.http(address)?)),
            (stdout, fifo, out, listen) => {
                let given: Vec<_> = [
                    (stdout, "--stdout"),
                    (fifo.is_some(), "--fifo"),
                    (out.is_some(), "--out"),
                    (listen.is_some(), "--listen"),
                ]
                .into_iter()
                .filter_map(|(given, name)| given.then_some(name))
                .collect();
                let seen = match given.len() {
                    0 => "none of --stdout, --fifo, --out and --listen was given".to_owned(),
                    _ => format!("{} were given", given.join(" and ")),
                };
                Err(Exit::Usage(format!(
                    "{seen}; give exactly one, for example: mb-encode --out clip.h264 --frames 240"
                ))
                .into())
            }
        }
    }

    fn http(&self, address: SocketAddr) -> Result<HttpPlace, Error> {
        let token = self.token_file.clone().map(TokenFile::at).transpose()?;
        if token.is_none() && !is_local(address) && !self.insecure_no_token {
            return Err(Error::input(
                "listen-open",
                format!("--listen {address} is for everybody who reaches this machine, and nothing asks who they are"),
                "",
            ));
        }
        Ok(HttpPlace {
            address,
            most_readers: self.max_readers.into(),
            for_one: None,
            token,
            linger: self.linger.time(),
        })
    }

    /// Whether one worker serves many readers.
    pub fn is_for_many(&self) -> bool {
        self.fifo.is_some() || self.listen.is_some()
    }

    /// Whether the video goes to standard output.
    pub fn is_stdout(&self) -> bool {
        self.stdout
    }
}
