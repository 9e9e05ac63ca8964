//! go2rtc as it is kept running: its config, its ports, and whether it listens.

use super::child::{Kept, Recipe};
use super::compose::Compose;
use super::log::Log;
use crate::Error;
use crate::os::atomic_file::replace;
use crate::os::ports;
use crate::service::exit::Exit;
use crate::service::go2rtc::config::{Config, Source};
use crate::service::go2rtc::safe::SafePath;
use crate::service::streams::Streams;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// go2rtc listens within a fraction of this, on every port that it can have, and goes on without the others.
const LISTENS_WITHIN: Duration = Duration::from_secs(10);
/// The same for a container, which may have to be fetched first.
const CONTAINER_WITHIN: Duration = Duration::from_secs(600);

/// What go2rtc is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Starting,
    /// It listens.
    Running,
    Down,
}

/// One go2rtc.
#[derive(Debug)]
pub struct Server {
    pub kept: Kept,
    pub state: State,
    pub why: Option<String>,
    pub compose: Option<Compose>,
    /// Where it answers.
    pub api: SocketAddr,
    ports: [u16; 3],
    config: String,
    config_path: PathBuf,
    written: bool,
}

/// Which go2rtc.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    Program(&'a Path),
    Compose(&'a Path),
}

impl Server {
    /// Prepares it: its config is written, and its ports are free. It is started by [`Server::start`].
    ///
    /// # Errors
    /// A port is taken, or the config cannot be written.
    pub fn new(
        which: Which<'_>,
        streams: &Streams,
        temp: &Path,
        fifo_dir: Option<&Path>,
        log: Log,
    ) -> anyhow::Result<Self> {
        let config_path = std::path::absolute(streams.out(temp))?;
        let config = Config { streams, source: source(streams, fifo_dir, matches!(which, Which::Compose(_)))? };
        let (recipe, compose) = match which {
            Which::Program(program) => {
                let args = ["-config".into(), config.lock().into(), "-config".into(), config_path.clone().into()];
                (Recipe { program: program.into(), args: args.into(), envs: Vec::new() }, None)
            }
            Which::Compose(file) => {
                let (compose, recipe) = Compose::new(file, temp, &config_path, fifo_dir, streams)?;
                (recipe, Some(compose))
            }
        };
        check_ports(streams).or_else(|error| {
            // It may be a container's, left by a supervisor that was killed.
            compose.as_ref().ok_or(error)?.down();
            check_ports(streams)
        })?;
        let config = config.to_yaml();
        replace(&config_path, &config)?;
        let host = match streams.listen {
            IpAddr::V4(any) if any.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(any) if any.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            one => one,
        };
        Ok(Self {
            kept: Kept::new("go2rtc", recipe, log, is_reason, None)?,
            state: State::Starting,
            why: None,
            compose,
            api: SocketAddr::new(host, streams.api_port),
            ports: [streams.api_port, streams.rtsp_port, streams.webrtc_port],
            config,
            config_path,
            written: false,
        })
    }

    /// Starts it, with its config as it was written.
    pub fn start(&mut self, now: Instant) {
        let started = match self.ensure_config() {
            Ok(()) => self.kept.start(None, now),
            Err(error) => {
                let why = error.cause();
                self.kept.try_again(&why, now);
                Err(why)
            }
        };
        (self.state, self.why) = match started {
            Ok(()) => (State::Starting, None),
            Err(why) => (State::Down, Some(why)),
        };
    }

    /// Reaps it if it has ended.
    pub fn collect(&mut self, now: Instant) {
        if self.kept.process().is_some_and(|process| process.has_ended()) {
            if let Some((how, reason)) = self.kept.reap(now) {
                let why = reason.map_or(how.clone(), |reason| format!("{how}: {reason}"));
                self.kept.try_again(&why, now);
                (self.state, self.why) = (State::Down, Some(why));
            }
        }
    }

    /// Looks whether one that was started listens by now. Returns whether it has just turned out to.
    pub fn look(&mut self, now: Instant) -> bool {
        let (State::Starting, Some(age), Some(pid)) = (self.state, self.kept.age(now), self.kept.pid()) else {
            return false;
        };
        let (listens, within) = match &self.compose {
            None => (ports::listens_on_all(pid, &self.ports), LISTENS_WITHIN),
            // Its sockets are another user's, in another namespace.
            Some(_) => {
                let answer = TcpStream::connect_timeout(&self.api, Duration::from_millis(200));
                (answer.is_ok(), CONTAINER_WITHIN)
            }
        };
        if listens {
            self.state = State::Running;
        } else if age > within {
            // It goes on without a port that it could not have, and nobody could watch.
            let ports = self.ports.map(|port| port.to_string()).join(", ");
            tracing::error!(
                "go2rtc does not listen on all of its ports ({ports}); something else may have one [port-taken]"
            );
            self.kept.signal(rustix::process::Signal::TERM);
        }
        listens
    }

    /// Puts the config in its place where it is not there as it was written.
    fn ensure_config(&mut self) -> Result<(), Error> {
        let there = std::fs::read(&self.config_path);
        if there.as_ref().is_ok_and(|there| there == self.config.as_bytes()) {
            self.written = true;
            return Ok(());
        }
        if std::mem::replace(&mut self.written, true) {
            let shown = self.config_path.display();
            let mut kept = self.config_path.clone().into_os_string();
            kept.push(".changed");
            let kept = if std::fs::rename(&self.config_path, kept).is_ok() { ", kept as .changed" } else { "" };
            tracing::warn!("{shown} was changed{kept}; go2rtc gets the one that was made");
        }
        replace(&self.config_path, &self.config)
    }
}

/// Whether go2rtc says with a line why it ends: at a level that it gives to errors, or with Go's last words.
fn is_reason(line: &str) -> bool {
    [" ERR ", " FTL "].iter().any(|level| line.contains(level)) || line.starts_with("panic:")
}

fn source(streams: &Streams, fifo_dir: Option<&Path>, in_container: bool) -> anyhow::Result<Source> {
    match fifo_dir {
        Some(_) if in_container => Ok(Source::Fifo { folder: "/streams".parse().expect("a legal path") }),
        Some(folder) => {
            let folder = SafePath::of(folder).map_err(|legal| {
                let shown = folder.display();
                Exit::Usage(format!("go2rtc cannot read FIFOs in {shown}: the folder's path {legal}; see --fifo-dir"))
            })?;
            Ok(Source::Fifo { folder })
        }
        None if in_container => Source::exec(Some("mb-encode".parse().expect("a legal name")), streams),
        None => Source::exec(None, streams),
    }
}

/// go2rtc goes on without a port that it cannot have; this says so before anything runs.
fn check_ports(streams: &Streams) -> Result<(), Error> {
    let ports = [("api", streams.api_port), ("rtsp", streams.rtsp_port), ("webrtc", streams.webrtc_port)];
    for (name, port) in ports {
        let address = streams.address(port);
        TcpListener::bind(address).map_err(|error| {
            Error::machine(
                "port-taken",
                format!("go2rtc cannot listen on {address}"),
                format!("choose another port with --{name}-port"),
            )
            .caused_by(error)
        })?;
    }
    Ok(())
}
