//! `mb-encode supervise`: keeps the workers and go2rtc running, and ends them all with itself.
//!
//! One thread waits for everything at once: signals, ends of processes, their words, and those who ask for the status.
//! It is also the thread that starts the processes: they are tied to it (see [`super::tied`]), so that not even its
//! being killed leaves one behind.

mod child;
mod log;
mod stale_readers;
mod status;

pub use status::run as run_status;

use super::exit::Exit;
use super::worker::{Role, no_second};
use crate::os::atomic_file::replace;
use crate::os::environment::variable;
use crate::os::process::THIS_PROGRAM;
use crate::os::signals::{self, Child};
use crate::service::go2rtc::config::{Config, Source};
use crate::service::go2rtc::safe::SafePath;
use crate::service::streams::{Mode, Streams};
use crate::{Control, Error};
use anyhow::Context as _;
use child::{Member, Recipe, State};
use log::Log;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often something is looked at that no event tells of, while there is such a thing.
const LOOK: Duration = Duration::from_millis(250);
/// How long readers are looked after once something has happened to a FIFO.
const LOOK_ON: Duration = Duration::from_secs(5);
/// How long a reader may wait for a worker that waits for readers.
const LONGEST_OPEN: Duration = Duration::from_secs(1);
/// go2rtc is started when every worker serves its FIFO; the others do not wait for one that never will.
const LONGEST_START: Duration = Duration::from_secs(15);
/// What a process has from the request to end until it is killed.
const LAST_WORK: Duration = Duration::from_millis(1300);
const LAST_WORK_OF_COMPOSE: Duration = Duration::from_secs(15);

/// What a supervisor keeps running.
#[derive(Clone, Debug)]
pub struct Supervise {
    pub streams: Streams,
    /// The folder for the config, the FIFOs and the logs; one supervisor at a time.
    pub temp: PathBuf,
    /// A go2rtc to run.
    pub go2rtc: Option<PathBuf>,
    /// A compose file with a go2rtc to run.
    pub compose: Option<PathBuf>,
}

/// go2rtc as it is run here.
struct Server {
    config: String,
    config_path: PathBuf,
    /// Where it answers.
    api: SocketAddr,
    compose: Option<Compose>,
    written: bool,
}

/// The words that begin a call of compose for this project.
struct Compose(Vec<OsString>);

struct Supervisor<'a> {
    args: &'a Supervise,
    control: Arc<Control>,
    folder: File,
    socket: Option<UnixListener>,
    /// The workers, and go2rtc behind them.
    members: Vec<Member>,
    server: Option<Server>,
    begun: Instant,
    announced: bool,
    next_look: Option<Instant>,
}

pub fn run(args: &Supervise) -> anyhow::Result<()> {
    let control = Arc::new(Control::new()?);
    signals::start(&control, &Child::default())?;
    let mut supervisor = Supervisor::new(args, control)?;
    supervisor.run();
    supervisor.stop();
    Ok(())
}

impl<'a> Supervisor<'a> {
    fn new(args: &'a Supervise, control: Arc<Control>) -> anyhow::Result<Self> {
        let folder = claim(&args.temp)?;
        let temp = args.temp.canonicalize()?;
        let streams = &args.streams;
        let logs = temp.join("logs");
        std::fs::create_dir_all(&logs).map_err(|error| not_made(&logs, error))?;
        // In a container there may be another machine's program.
        if streams.mode == Mode::Fifo || args.compose.is_none() {
            rehearse(streams)?;
        }
        let mut members = Vec::new();
        let fifo_dir = match streams.mode {
            Mode::Fifo => {
                let folder = streams.fifo_dir(&temp);
                streams.make_fifos(&folder)?;
                Some(folder.canonicalize()?)
            }
            Mode::Exec => None,
        };
        let now = Instant::now();
        if let Some(folder) = &fifo_dir {
            for id in streams.ids() {
                let fifo = folder.join(streams.fifo_name(&id));
                let log = Log::new(logs.join(format!("{id}.log")));
                let recipe = worker(streams, &id, &fifo);
                members.push(Member::new(&id, Some(fifo), recipe, log, Some(now))?);
            }
        }
        let server = match (&args.go2rtc, &args.compose) {
            (None, None) if streams.mode == Mode::Exec => {
                return Err(Exit::Usage("--mode exec runs nothing without --go2rtc or --compose".to_owned()).into());
            }
            (None, None) => None,
            (go2rtc, compose) => {
                let config_path = std::path::absolute(streams.out(&temp))?;
                let config = Config { streams, source: source(streams, fifo_dir.as_deref(), compose.is_some())? };
                let (recipe, compose) = match compose {
                    Some(file) => compose_up(file, &temp, &config_path, fifo_dir.as_deref(), streams)?,
                    None => (local(go2rtc.as_deref().unwrap_or(Path::new("go2rtc")), &config, &config_path), None),
                };
                check_ports(streams).or_else(|error| {
                    // It may be a container's, left by a supervisor that was killed.
                    compose.as_ref().ok_or(error)?.down();
                    check_ports(streams)
                })?;
                let log = Log::new(logs.join("go2rtc.log"));
                members.push(Member::new("go2rtc", None, recipe, log, None)?);
                let host = match streams.listen {
                    IpAddr::V4(any) if any.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
                    IpAddr::V6(any) if any.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
                    one => one,
                };
                let api = SocketAddr::new(host, streams.api_port);
                Some(Server { config: config.to_yaml(), config_path, api, compose, written: false })
            }
        };
        if let Some(server) = &server {
            replace(&server.config_path, &server.config)?;
        }
        let socket = status::listen(&folder);
        if let Err(error) = &socket {
            tracing::warn!("`status` will not work: no socket in {}: {error}", temp.display());
        }
        let socket = socket.ok();
        Ok(Self {
            args,
            control,
            folder,
            socket,
            members,
            server,
            begun: now,
            announced: false,
            next_look: Some(now + LOOK),
        })
    }

    fn run(&mut self) {
        while !self.control.stop_requested() {
            self.wait();
            for member in &mut self.members {
                member.listen();
            }
            if let Some(socket) = &self.socket {
                status::answer(socket, || self.status());
            }
            for member in &mut self.members {
                if member.ended().is_some_and(is_readable) {
                    member.collect();
                }
            }
            if self.next_look.is_some_and(|at| at <= Instant::now()) {
                self.look();
            }
            // A stop may have come while something was looked at.
            if !self.control.stop_requested() {
                self.start_what_is_due();
            }
            let looks = self.must_look();
            self.next_look =
                self.next_look.filter(|&at| looks && at > Instant::now()).or(looks.then(|| Instant::now() + LOOK));
        }
    }

    /// Until something happens, or something is due.
    fn wait(&self) {
        let due = self.members.iter().filter_map(Member::due).chain(self.next_look).min();
        let timeout = due.map(|due| {
            // Rounded up, or the last millisecond would be spent in circles.
            let left = due.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
            Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() }
        });
        let wake = self.control.wake_fd();
        let mut fds = vec![PollFd::from_borrowed_fd(wake, PollFlags::IN)];
        fds.extend(self.socket.iter().map(|socket| PollFd::new(socket, PollFlags::IN)));
        fds.extend(self.members.iter().map(|member| PollFd::new(member.words(), PollFlags::IN)));
        fds.extend(self.members.iter().filter_map(Member::ended).map(|ended| PollFd::new(ended, PollFlags::IN)));
        // An interrupted poll is as good as one in which nothing happened.
        let _ = poll(&mut fds, timeout.as_ref());
    }

    fn workers(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.fifo.is_some())
    }

    fn go2rtc(&mut self) -> Option<(&mut Server, &mut Member)> {
        self.server.as_mut().zip(self.members.last_mut())
    }

    fn start_what_is_due(&mut self) {
        let now = Instant::now();
        let begun = self.begun;
        let settled = now > begun + LONGEST_START || self.workers().all(|worker| worker.state != State::Starting);
        if let Some((_, member)) = self.go2rtc() {
            if settled && member.restarts == 0 && member.due().is_none() && member.ended().is_none() {
                member.start_at(now);
            }
        }
        for member in self.members.iter_mut().filter(|member| member.fifo.is_some()) {
            if member.due().is_some_and(|due| due <= now) {
                member.start();
            }
        }
        if let Some((server, member)) = self.go2rtc() {
            if member.due().is_some_and(|due| due <= now) {
                match server.ensure_config() {
                    Ok(()) => member.start(),
                    Err(error) => member.try_again(error.to_string().replace('\n', " ")),
                }
            }
        }
    }

    /// Whether there is anything that no event tells of.
    fn must_look(&self) -> bool {
        let is_starting = |member: &Member| member.fifo.is_none() && member.state == State::Starting;
        let now = Instant::now();
        self.members.iter().any(|member| {
            is_starting(member) || needs_turning_away(member) || member.look_until.is_some_and(|until| until > now)
        }) || self.server.is_some() && !self.announced
    }

    fn look(&mut self) {
        let go2rtc = self.go2rtc_pid();
        let now = Instant::now();
        for member in &mut self.members {
            let Some(fifo) = member.fifo.clone() else { continue };
            if needs_turning_away(member) {
                stale_readers::turn_away(&fifo);
            }
            let waits = member.state == State::Waiting && member.look_until.is_some_and(|until| until > now);
            let found = go2rtc.filter(|_| waits).and_then(|go2rtc| stale_readers::blocked(go2rtc, &fifo));
            // A worker that waits takes a reader within milliseconds, on a busy machine a few more: one that is not
            // taken for so long waits elsewhere.
            match (found, member.blocked) {
                (Some(reader), Some((before, since))) if reader == before => {
                    member.look_until = Some(now + LOOK_ON);
                    if since.elapsed() > LONGEST_OPEN {
                        tracing::warn!("ending a reader of {} that waits on a FIFO which is gone", member.name);
                        stale_readers::end(reader, &fifo);
                    }
                }
                _ => member.blocked = found.map(|reader| (reader, now)),
            }
        }
        if let Some((server, member)) = self.go2rtc() {
            let answers = || TcpStream::connect_timeout(&server.api, Duration::from_millis(200)).is_ok();
            if member.ended().is_some() && member.state == State::Starting && answers() {
                member.state = State::Running;
                if !std::mem::replace(&mut self.announced, true) {
                    self.announce();
                }
            }
        }
    }

    /// The local one's.
    fn go2rtc_pid(&self) -> Option<Pid> {
        self.args.go2rtc.as_ref().and(self.members.last()).and_then(Member::pid)
    }

    /// Prints the addresses.
    fn announce(&self) {
        let Some(server) = &self.server else { return };
        let (web, rtsp) = (server.api, SocketAddr::new(server.api.ip(), self.args.streams.rtsp_port));
        let ids: Vec<_> = self.args.streams.ids().collect();
        let width = ids.iter().map(String::len).max().unwrap_or(0).max("everything".len());
        // What comes behind webrtc is tried where that does not get through.
        let page = |ids: &[String]| {
            let sources: Vec<_> = ids.iter().map(|id| format!("src={id}")).collect();
            format!("http://{web}/stream.html?{}&mode=webrtc,mse,mp4", sources.join("&"))
        };
        let mut text = String::new();
        for id in &ids {
            text += &format!("{id:width$}  {}  rtsp://{rtsp}/{id}\n", page(std::slice::from_ref(id)));
        }
        text += &format!("{:width$}  {}\n", "all", page(&ids));
        text += &format!("{:width$}  http://{web}/\n", "go2rtc");
        // Whoever started this may have closed it.
        let _ = std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush());
    }

    fn status(&self) -> Value {
        let now = Instant::now();
        let describe = |member: &Member| {
            let due = member.due().map(|due| due.saturating_duration_since(now));
            status::describe(&member.name, &member.state, member.restarts, due)
        };
        let trouble: Vec<_> = self.members.iter().filter_map(Member::log_failed).collect();
        let mut status =
            json!({ "members": self.members.iter().map(describe).collect::<Vec<_>>(), "trouble": trouble });
        if let (Mode::Exec, Some(server)) = (self.args.streams.mode, &self.server) {
            status["streams_at"] = server.api.to_string().into();
            status["ids"] = self.args.streams.ids().collect();
        }
        status
    }

    /// Ends everything: first what reads, or it would ask for the streams anew when they end.
    fn stop(&mut self) {
        tracing::info!("ending");
        let readers: Vec<_> = self.go2rtc_pid().map(stale_readers::children).into_iter().flatten().collect();
        let readers: Vec<_> = readers.into_iter().filter_map(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()).collect();
        let compose = self.server.as_mut().and_then(|server| server.compose.take());
        let limit = if compose.is_some() { LAST_WORK_OF_COMPOSE } else { LAST_WORK };
        let begun = Instant::now();
        if let Some((_, member)) = self.go2rtc() {
            member.signal(Signal::TERM);
            wait_for(member.ended().into_iter(), begun + Duration::from_millis(300));
        }
        for worker in self.workers() {
            worker.signal(Signal::TERM);
        }
        wait_for(self.members.iter().filter_map(Member::ended).chain(&readers), begun + limit);
        for member in &mut self.members {
            if member.ended().is_some_and(|ended| !is_readable(ended)) {
                tracing::warn!("{} does not end, it is killed", member.name);
                member.signal(Signal::KILL);
            }
            member.bury();
        }
        for reader in &readers {
            // Ends a reader that has outlived go2rtc; most have not.
            let _ = pidfd_send_signal(reader, Signal::KILL);
        }
        if let Some(compose) = compose {
            compose.down();
        }
        status::remove(&self.folder);
    }
}

/// While no worker serves the FIFO for longer than a start takes.
fn needs_turning_away(member: &Member) -> bool {
    let long_down = || member.due().is_some_and(|due| due > Instant::now() + Duration::from_secs(1));
    match member.state {
        State::Down(_) => member.restarts > 3 || long_down(),
        State::Failing(_) => true,
        _ => false,
    }
}

/// One supervisor at a time in a folder: the lock goes with the process, however that ends.
fn claim(temp: &Path) -> anyhow::Result<File> {
    std::fs::create_dir_all(temp).map_err(|error| not_made(temp, error))?;
    let folder = File::open(temp)
        .map_err(|error| Error::machine(format!("cannot open {}", temp.display()), ANOTHER_FOLDER).caused_by(error))?;
    match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(folder),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::input(
            format!("another one is running in {}", temp.display()),
            "see how it is: scripts/start status; end it with Ctrl-C where it runs, or choose another folder with --temp",
        )
        .into()),
        Err(errno) => {
            Err(Error::machine(format!("cannot lock {}", temp.display()), ANOTHER_FOLDER).caused_by(errno).into())
        }
    }
}

const ANOTHER_FOLDER: &str = "give it a folder that you may write to: --temp /tmp/mb-encode";

fn not_made(folder: &Path, error: std::io::Error) -> Error {
    Error::machine(format!("cannot make {}", folder.display()), ANOTHER_FOLDER).caused_by(error)
}

fn worker(streams: &Streams, id: &str, fifo: &Path) -> Recipe {
    let mut args = vec![OsString::from("--fifo"), fifo.into()];
    args.extend(streams.worker_options(id).into_iter().map(OsString::from));
    // As variables, so that options still win.
    let mut envs = vec![("MB_ENCODE_LOG_FORMAT", "json".into()), ("MB_ENCODE_LOG_LEVEL", "info".into())];
    if variable("MB_ENCODE_STATS").is_none() {
        envs.push(("MB_ENCODE_STATS", "2".into()));
    }
    Recipe { program: THIS_PROGRAM.into(), args, envs }
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

fn local(program: &Path, config: &Config<'_>, path: &Path) -> Recipe {
    let args = ["-config".into(), config.lock().into(), "-config".into(), path.into()];
    Recipe { program: program.into(), args: args.into(), envs: Vec::new() }
}

fn compose_up(
    file: &Path,
    temp: &Path,
    config: &Path,
    fifo_dir: Option<&Path>,
    streams: &Streams,
) -> anyhow::Result<(Recipe, Option<Compose>)> {
    let command = variable("METABONK_DOCKER_COMPOSE").and_then(|command| command.into_string().ok());
    let command = command.as_deref().unwrap_or("docker compose");
    let mut words: Vec<OsString> = command.split_whitespace().map(OsString::from).collect();
    let file = file.canonicalize().with_context(|| format!("cannot find {}", file.display()))?;
    // A name of its own for each folder, so that another checkout's container is not taken for this one's.
    let project = format!(
        "mb-encode-{:08x}",
        crc::Crc::<u32>::new(&crc::CRC_32_CKSUM).checksum(temp.as_os_str().as_encoded_bytes())
    );
    words.extend(["-p".into(), project.into(), "-f".into(), file.into()]);
    let program = words.first().cloned().unwrap_or_default();
    let mut args = words[1..].to_vec();
    args.extend(["up", "--no-color"].map(OsString::from));
    let health = SocketAddr::new(
        if streams.listen.is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { streams.listen },
        streams.api_port,
    );
    let mut envs: Vec<(_, OsString)> = vec![
        ("METABONK_GO2RTC_CONFIG", config.into()),
        ("MB_ENCODE_UID", rustix::process::getuid().as_raw().to_string().into()),
        ("MB_ENCODE_GID", rustix::process::getgid().as_raw().to_string().into()),
        ("MB_ENCODE_HEALTH_URL", format!("http://{health}/").into()),
    ];
    envs.extend(fifo_dir.map(|folder| ("METABONK_STREAM_FIFO_DIR", folder.into())));
    Ok((Recipe { program, args, envs }, Some(Compose(words))))
}

/// go2rtc goes on without a port that it cannot have; this says so before anything runs.
fn check_ports(streams: &Streams) -> Result<(), Error> {
    let ports = [("api", streams.api_port), ("rtsp", streams.rtsp_port), ("webrtc", streams.webrtc_port)];
    for (name, port) in ports {
        let address = streams.address(port);
        TcpListener::bind(address).map_err(|error| {
            Error::machine(
                format!("go2rtc cannot listen on {address}"),
                format!("choose another port with --{name}-port"),
            )
            .caused_by(error)
        })?;
    }
    Ok(())
}

/// In exec mode go2rtc would be the one to hear that this machine cannot draw, from its first viewer.
fn rehearse(streams: &Streams) -> anyhow::Result<()> {
    let mut command = Command::new(THIS_PROGRAM);
    command
        .env(Role::VARIABLE, Role::Rehearsal.value())
        .arg("--stdout")
        .args(streams.worker_options("omega-0"))
        .stdout(std::process::Stdio::null());
    match command.status().map_err(no_second)?.code() {
        Some(0) => Ok(()),
        // It has printed its reason. A worker that only the machine keeps from working may yet work, and says so itself.
        Some(code) if streams.mode == Mode::Exec || code == 2 => Err(Exit::of_child(code).into()),
        None if streams.mode == Mode::Exec => Err(Exit::Silent(1).into()),
        _ => Ok(()),
    }
}

impl Compose {
    /// Ends and removes the container, if there is one.
    fn down(&self) {
        let Self(words) = self;
        let down = Command::new(&words[0]).args(&words[1..]).args(["down", "--timeout", "2"]).output();
        if !down.as_ref().is_ok_and(|down| down.status.success()) {
            tracing::warn!("compose could not take go2rtc's container down: {down:?}");
        }
    }
}

impl Server {
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

fn is_readable(fd: &rustix::fd::OwnedFd) -> bool {
    poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
}

/// Until all of them are readable, or it is `deadline`.
fn wait_for<'a>(fds: impl Iterator<Item = &'a rustix::fd::OwnedFd>, deadline: Instant) {
    for fd in fds {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        let _ = poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&timeout));
    }
}
