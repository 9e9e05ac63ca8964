//! go2rtc as it is kept running, with the gate in front: its config, its ports, and whether it listens.

use super::child::{Kept, Recipe};
use super::compose::Compose;
use super::log::Log;
use crate::Error;
use crate::os::atomic_file::replace;
use crate::os::ports;
use crate::os::sealed::Sealed;
use crate::service::exit::Exit;
use crate::service::go2rtc::config::{Config, Source};
use crate::service::go2rtc::gate::{Gate, Tell};
use crate::service::go2rtc::inside::Inside;
use crate::service::go2rtc::keyframes::{self, Keyframes};
use crate::service::go2rtc::safe::SafePath;
use crate::service::go2rtc::{lock, port_taken};
use crate::service::streams::{Mode, Streams};
use std::fs::DirBuilder;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
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
    /// Where it listens for the gate, if that is here.
    inside: Option<Inside>,
    gate: Option<Gate>,
    /// Serves those who join, where the gate is here.
    pub keyframes: Option<Keyframes>,
    ports: Vec<u16>,
    /// What a container reads.
    file: Option<ConfigFile>,
}

/// The config where it is a file: made here, and put back where somebody changes it.
#[derive(Debug)]
struct ConfigFile {
    path: PathBuf,
    text: String,
    written: bool,
}

/// Which go2rtc.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    Program(&'a Path),
    Compose(&'a Path),
}

impl Server {
    /// Prepares it: the gate is open, and the other port is free. It is started by [`Server::start`]. `tell` says on the
    /// wall how the streams are. Workers by HTTP are shown the `token`.
    ///
    /// # Errors
    /// A port is taken, or the config cannot be written.
    pub fn new(
        which: Which<'_>,
        streams: &Streams,
        temp: &Path,
        fifo_dir: Option<&Path>,
        log: Log,
        tell: Arc<Tell>,
        token: Option<&str>,
    ) -> anyhow::Result<Self> {
        let in_container = matches!(which, Which::Compose(_));
        let config = Config { streams, source: source(streams, fifo_dir, in_container, token)? };
        // In exec mode the gate is in the container, beside mb-encode.
        let has_gate = !in_container || streams.mode != Mode::Exec;
        let inside = if has_gate { Some(inside(&temp.join("gate"))?) } else { None };
        let mut ports = vec![streams.webrtc_port];
        ports.extend(inside.as_ref().map(|inside| inside.rtsp.port()));
        let (recipe, compose, file) = match which {
            Which::Program(program) => {
                let inside = inside.as_ref().expect("there is a gate");
                let mut descriptors = vec![Arc::clone(inside.folder())];
                let [lock, mut sources] = config.to_json();
                if token.is_some() {
                    // Everybody on this machine may read command lines.
                    let sealed = Sealed::copy(sources.as_bytes())?;
                    sources = sealed.path().to_string_lossy().into_owned();
                    descriptors.push(Arc::new(sealed.into_fd()));
                }
                let told = [lock, sources, told_last(inside)];
                let args = told.into_iter().flat_map(|told| ["-config".into(), told.into()]).collect();
                let envs = keyframes::environment(inside);
                let secret = token.map(str::to_owned);
                (Recipe { program: program.into(), args, envs, descriptors, secret }, None, None)
            }
            Which::Compose(file) => {
                let path = std::path::absolute(streams.out(temp))?;
                let gate = inside.as_ref().map(|inside| (temp.join("gate"), inside.rtsp.port()));
                let (compose, recipe) = Compose::new(file, temp, &path, fifo_dir, gate, streams)?;
                (recipe, Some(compose), Some(ConfigFile { path, text: config.to_yaml(), written: false }))
            }
        };
        let keyframes = inside.as_ref().map(Keyframes::start).transpose()?;
        let open = || -> Result<Option<Gate>, Error> {
            check_ports(streams, has_gate)?;
            let bell = keyframes.as_ref().map(Keyframes::bell);
            let gate =
                |inside: &Inside| Gate::open(&streams.public(), inside.socket(), inside.rtsp, Arc::clone(&tell), bell);
            inside.as_ref().map(gate).transpose()
        };
        let gate = open().or_else(|error| {
            // It may be a container's, left by a supervisor that was killed.
            compose.as_ref().ok_or(error)?.down();
            open()
        })?;
        if let Some(file) = &file {
            replace(&file.path, &file.text)?;
        }
        Ok(Self {
            kept: Kept::new("go2rtc", recipe, log, is_reason, None)?,
            state: State::Starting,
            why: None,
            compose,
            api: SocketAddr::new(streams.reached_at(), streams.api_port),
            inside,
            gate,
            keyframes,
            ports,
            file,
        })
    }

    /// Starts it, with its config as it was written.
    pub fn start(&mut self, now: Instant) {
        let started = match self.file.as_mut().map_or(Ok(()), ConfigFile::ensure) {
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
        let (listens, within) = match (&self.compose, &self.inside) {
            (None, Some(inside)) => (ports::listens_on_all(pid, &self.ports) && inside.answers(), LISTENS_WITHIN),
            // Its ports are another user's, in another namespace.
            (_, Some(inside)) => (inside.answers(), CONTAINER_WITHIN),
            (_, None) => {
                let answer = TcpStream::connect_timeout(&self.api, Duration::from_millis(200));
                (answer.is_ok(), CONTAINER_WITHIN)
            }
        };
        if listens {
            self.state = State::Running;
        } else if age > within {
            // It goes on without a port that it could not have, and nobody could watch.
            let ports = self.ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
            tracing::error!(
                "go2rtc does not listen on all of its ports ({ports}); something else may have one [port-taken]"
            );
            self.move_rtsp();
            self.kept.signal(rustix::process::Signal::TERM);
        }
        listens
    }

    /// Has the next go2rtc take another port for the gate: that one is nobody's business, and may be taken for good.
    fn move_rtsp(&mut self) {
        if let (None, Some(inside), Some(gate)) = (&self.compose, &mut self.inside, &self.gate) {
            if let Err(error) = inside.move_rtsp() {
                tracing::warn!("no other port is free for go2rtc: {error}");
                return;
            }
            self.kept.tell_last(told_last(inside).into());
            gate.move_rtsp(inside.rtsp);
            self.ports.pop();
            self.ports.push(inside.rtsp.port());
        }
    }
}

/// The part of go2rtc's config that says where it meets the gate. It stands last.
fn told_last(inside: &Inside) -> String {
    lock::inside(&inside.socket().to_string_lossy(), inside.rtsp)
}

impl ConfigFile {
    /// Puts the config in its place where it is not there as it was written.
    fn ensure(&mut self) -> Result<(), Error> {
        let there = std::fs::read(&self.path);
        if there.as_ref().is_ok_and(|there| there == self.text.as_bytes()) {
            self.written = true;
            return Ok(());
        }
        if std::mem::replace(&mut self.written, true) {
            let shown = self.path.display();
            let mut kept = self.path.clone().into_os_string();
            kept.push(".changed");
            let kept = if std::fs::rename(&self.path, kept).is_ok() { ", kept as .changed" } else { "" };
            tracing::warn!("{shown} was changed{kept}; go2rtc gets the one that was made");
        }
        replace(&self.path, &self.text)
    }
}

/// Whether go2rtc says with a line why it ends: at a level that it gives to errors, or with Go's last words.
fn is_reason(line: &str) -> bool {
    [" ERR ", " FTL "].iter().any(|level| line.contains(level)) || line.starts_with("panic:")
}

fn source(
    streams: &Streams,
    fifo_dir: Option<&Path>,
    in_container: bool,
    token: Option<&str>,
) -> anyhow::Result<Source> {
    match fifo_dir {
        None if streams.mode == Mode::Http => {
            let token = token.map(|token| token.parse().expect("a legal word"));
            Ok(Source::workers(streams, token))
        }
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

/// Makes the folder in which go2rtc and the gate meet, for this user alone.
fn inside(folder: &Path) -> Result<Inside, Error> {
    let made = match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Inside::in_folder(folder),
    };
    made.map_err(|error| {
        let shown = folder.display();
        Error::machine("temp-folder", format!("cannot make {shown}"), "choose a folder of your own with --temp")
            .caused_by(error)
    })
}

/// go2rtc goes on without a port that it cannot have; this says so before anything runs. The gate has its own already.
fn check_ports(streams: &Streams, has_gate: bool) -> Result<(), Error> {
    let all = [("webrtc", streams.webrtc_port), ("api", streams.api_port), ("rtsp", streams.rtsp_port)];
    for (name, port) in &all[..if has_gate { 1 } else { 3 }] {
        let address = streams.address(*port);
        TcpListener::bind(address).map_err(|error| port_taken(address, name).caused_by(error))?;
    }
    Ok(())
}
