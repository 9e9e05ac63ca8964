//! Keeps the workers and go2rtc running, and ends them all with itself.
//!
//! One thread waits for everything at once: signals, ends of processes, their events, and those who ask for the status.
//! It is also the thread that starts the processes: they are tied to it (see `os/process.rs`), so that not even its being
//! killed leaves one behind.

pub mod asking;
mod child;
mod compose;
mod entrance;
mod folder;
mod log;
mod server;
mod socket;
mod stale_readers;
pub mod status;
mod wall;
mod worker;

use super::account::State;
use super::door::http::TokenFile;
use super::exit::WRONG_USE;
use super::streams::{Mode, Streams};
use super::watched::{Ended, Watched, Watcher};
use crate::Control;
use crate::doctor::Gpu;
use crate::os::claim::Claim;
use crate::os::poll;
use crate::os::process::{self, GRACE_OF_PARENT};
use crate::settings::EncoderChoice;
use child::Kept;
use entrance::Entrance;
use folder::{claim, make_token, own_folder};
use log::Log;
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use server::{Server, Which};
use stale_readers::look_after;
use status::Device;
use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};
use worker::Worker;

/// How often something is looked at that no event tells of, while there is such a thing.
const LOOK: Duration = Duration::from_millis(250);
/// go2rtc is started when every worker serves readers; the others do not wait for one that never will.
const LONGEST_START: Duration = Duration::from_secs(15);
/// go2rtc ends before the workers, or it would ask for their streams anew; the workers do not wait longer for it.
const HEAD_START: Duration = Duration::from_millis(250);
const GRACE_OF_COMPOSE: Duration = Duration::from_secs(15);

/// What a supervisor keeps running.
#[derive(Clone, Debug)]
pub struct Supervise {
    pub streams: Streams,
    /// Those of the GPUs that they are spread over, where somebody has looked.
    pub gpus: Vec<Gpu>,
    /// The folder for the config, the FIFOs and the logs; one supervisor at a time.
    pub temp: PathBuf,
    /// A go2rtc to run.
    pub go2rtc: Option<PathBuf>,
    /// A compose file with a go2rtc to run.
    pub compose: Option<PathBuf>,
}

impl Supervise {
    /// The GPU that stream `number` is given, if it is given one.
    fn gpu(&self, number: u16) -> Option<Device> {
        let number = self.streams.device(number)?;
        let gpu = self.gpus.iter().find(|gpu| gpu.number == number);
        Some(Device { number, name: gpu.map(|gpu| gpu.name.clone()) })
    }
}

/// Keeps everything running until a stop is requested.
///
/// # Errors
/// Something is wrong from the start: another supervisor is there, a port is taken, the rehearsal fails.
pub fn run(args: &Supervise, control: &Control) -> anyhow::Result<()> {
    let Some(mut supervisor) = Supervisor::new(args, control)? else { return Ok(()) };
    supervisor.run();
    supervisor.stop();
    Ok(())
}

struct Supervisor<'a> {
    args: &'a Supervise,
    control: &'a Control,
    folder: File,
    /// What workers by HTTP want to be shown.
    token: Option<TokenFile>,
    /// Held until everything has ended.
    _claim: Claim,
    socket: Option<UnixListener>,
    workers: Vec<Worker>,
    server: Option<Server>,
    begun: Instant,
    announced: bool,
    next_look: Option<Instant>,
}

impl<'a> Supervisor<'a> {
    /// `None` where a stop came first.
    fn new(args: &'a Supervise, control: &'a Control) -> anyhow::Result<Option<Self>> {
        let (temp, folder, claim) = claim(&args.temp)?;
        let streams = &args.streams;
        // It may be older than the look at the folder around it, or a link to another one.
        let logs = own_folder(&temp.join("logs"))?;
        // In a container there may be another machine's program.
        if streams.mode != Mode::Exec || args.compose.is_none() {
            rehearse(args, control)?;
        }
        if control.stop_requested() {
            return Ok(None);
        }
        let fifo_dir = match streams.mode {
            Mode::Fifo => {
                let folder = streams.fifo_dir(&temp);
                streams.make_fifos(&folder)?;
                Some(folder.canonicalize()?)
            }
            Mode::Exec | Mode::Http => None,
        };
        let now = Instant::now();
        let mut workers = Vec::new();
        // A go2rtc that somebody else runs has none to show.
        let token = match streams.mode {
            Mode::Http if args.go2rtc.is_some() => Some(make_token(&temp)?),
            _ => None,
        };
        for (number, id) in (0..).zip(streams.ids()) {
            let entrance = match (streams.mode, &fifo_dir) {
                (Mode::Fifo, Some(folder)) => Entrance::Fifo(folder.join(streams.fifo_name(&id))),
                (Mode::Http, _) => Entrance::listen(streams.worker_address(number))?,
                _ => break,
            };
            let log = Log::new(logs.join(format!("{id}.log")));
            let served = args.go2rtc.is_some() || args.compose.is_some();
            let recipe = entrance.recipe(streams, number, served, token.as_ref().map(|(file, _)| file));
            let kept = Kept::new(&id, recipe, log, worker::is_reason, Some(now))?;
            workers.push(Worker::new(kept, entrance));
        }
        let which = match (&args.go2rtc, &args.compose) {
            (Some(program), _) => Some(Which::Program(program)),
            (None, Some(file)) => Some(Which::Compose(file)),
            (None, None) => None,
        };
        let log = Log::new(logs.join("go2rtc.log"));
        let shown = token.as_ref().map(|(_, token)| token.as_str());
        let tell = wall::teller(&folder)?;
        let server = |which| Server::new(which, streams, &temp, fifo_dir.as_deref(), log, tell, shown);
        let server = which.map(server).transpose()?;
        let socket = socket::listen(&folder);
        if let Err(error) = &socket {
            tracing::warn!("`status` will not work: no socket in {}: {error}", temp.display());
        }
        let socket = socket.ok();
        let next_look = Some(now + LOOK);
        Ok(Some(Self {
            args,
            control,
            folder,
            token: token.map(|(file, _)| file),
            _claim: claim,
            socket,
            workers,
            server,
            begun: now,
            announced: false,
            next_look,
        }))
    }

    fn run(&mut self) {
        while !self.control.stop_requested() {
            self.wait();
            let now = Instant::now();
            for worker in &mut self.workers {
                worker.listen(now);
            }
            if let Some(server) = &mut self.server {
                server.kept.listen();
            }
            if let Some(socket) = &self.socket {
                status::answer(socket, || self.status(now));
            }
            self.workers.iter_mut().for_each(|worker| worker.collect(now));
            if let Some(keyframes) = self.server.as_ref().and_then(|server| server.keyframes.as_ref()) {
                self.workers.iter_mut().for_each(|worker| worker.tell(keyframes));
            }
            self.server.iter_mut().for_each(|server| server.collect(now));
            if self.next_look.is_some_and(|at| at <= now) {
                self.look(now);
            }
            // A stop may have come while something was looked at.
            if !self.control.stop_requested() {
                self.start_what_is_due(Instant::now());
            }
            let looks = self.must_look(now);
            self.next_look = self.next_look.filter(|&at| looks && at > now).or(looks.then(|| now + LOOK));
        }
    }

    /// Until something happens, or something is due.
    fn wait(&self) {
        let due = self.kept().filter_map(Kept::due).chain(self.next_look).min();
        // Rounded up, or the last millisecond would be spent in circles.
        let timeout = due.map(|due| due.saturating_duration_since(Instant::now()) + Duration::from_millis(1));
        let wake = self.control.wake_fd();
        let ended: Vec<_> = self.kept().filter_map(Kept::process).map(process::Child::ended).collect();
        let mut fds = poll::Set::default();
        fds.add((), &wake);
        self.socket.iter().for_each(|socket| fds.add((), socket));
        self.kept().for_each(|kept| fds.add((), kept.words()));
        self.workers.iter().filter_map(Worker::link).for_each(|link| fds.add((), link));
        ended.iter().for_each(|ended| fds.add((), ended));
        // Everything is looked at after each wait.
        let _ = fds.wait(timeout).count();
    }

    fn kept(&self) -> impl Iterator<Item = &Kept> {
        self.workers.iter().map(|worker| &worker.kept).chain(self.server.iter().map(|server| &server.kept))
    }

    fn start_what_is_due(&mut self, now: Instant) {
        let is_due = |kept: &Kept| kept.due().is_some_and(|due| due <= now);
        self.workers.iter_mut().filter(|worker| is_due(&worker.kept)).for_each(|worker| worker.start(now));
        let settled = now > self.begun + LONGEST_START
            || self.workers.iter().all(|worker| worker.account.state != State::Starting);
        if let Some(server) = &mut self.server {
            if settled && server.kept.restarts == 0 && !server.kept.is_up_or_due() {
                server.kept.start_at(now);
            }
            if is_due(&server.kept) {
                server.start(now);
            }
        }
    }

    /// Whether there is anything that no event tells of.
    fn must_look(&self, now: Instant) -> bool {
        let of_worker = |worker: &Worker| {
            worker.needs_turning_away(now) || worker.account.look_until.is_some_and(|until| until > now)
        };
        let of_server = |server: &Server| server.state == server::State::Starting || !self.announced;
        self.workers.iter().any(of_worker) || self.server.as_ref().is_some_and(of_server)
    }

    fn look(&mut self, now: Instant) {
        // The local one's.
        let go2rtc = self.args.go2rtc.as_ref().and(self.server.as_ref()).and_then(|server| server.kept.pid());
        self.workers.iter_mut().for_each(|worker| look_after(worker, go2rtc, now));
        if self.server.as_mut().is_some_and(|server| server.look(now)) && !std::mem::replace(&mut self.announced, true)
        {
            self.announce();
        }
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
        let mut text = format!("{:width$}  http://{web}/\n", "wall");
        for id in &ids {
            text += &format!("{id:width$}  {}  rtsp://{rtsp}/{id}\n", page(std::slice::from_ref(id)));
        }
        text += &format!("{:width$}  {}\n", "all", page(&ids));
        text += &format!("{:width$}  http://{web}/index.html\n", "go2rtc");
        // The process that started this may have closed it.
        let _ = std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush());
    }

    fn status(&self, now: Instant) -> status::Status {
        let members = self.server.iter().map(|server| status::of_server(server, now));
        let of_worker = |(number, worker)| status::of_worker(worker, self.args.gpu(number), now);
        let members = (0..).zip(&self.workers).map(of_worker).chain(members).collect();
        let trouble = self.kept().filter_map(Kept::log_failed).map(str::to_owned).collect();
        let streams = &self.args.streams;
        let elsewhere = self.server.as_ref().filter(|_| streams.mode == Mode::Exec);
        let elsewhere = elsewhere.map(|server| status::Elsewhere {
            api: server.api.to_string(),
            ids: streams.ids().collect(),
            gpus: (0..streams.workers).map(|number| self.args.gpu(number)).collect(),
            chosen: streams.ids().map(|id| server.keyframes.as_ref()?.chosen(&id)).collect(),
        });
        status::Status { members, trouble, elsewhere }
    }

    /// Ends everything: first what reads, or it would ask for the streams anew when they end.
    fn stop(&mut self) {
        tracing::info!("ending");
        let begun = Instant::now();
        let go2rtc = self.args.go2rtc.as_ref().and(self.server.as_ref()).and_then(|server| server.kept.pid());
        let readers: Vec<_> = go2rtc.map(stale_readers::children).into_iter().flatten().collect();
        let readers: Vec<_> = readers.into_iter().filter_map(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()).collect();
        let compose = self.server.as_mut().and_then(|server| server.compose.take());
        if let Some(server) = &self.server {
            server.kept.signal(Signal::TERM);
            if let Some(process) = server.kept.process() {
                poll::readable_until(&process.ended(), begun + HEAD_START);
            }
        }
        self.workers.iter().for_each(Worker::stop);
        let deadline = begun + HEAD_START + GRACE_OF_PARENT;
        self.workers.iter_mut().for_each(|worker| worker.kept.end_by(deadline));
        for reader in &readers {
            // Ends a reader that has outlived go2rtc; most have not.
            if !poll::readable_until(reader, deadline) {
                let _ = pidfd_send_signal(reader, Signal::KILL);
            }
        }
        let limit = if compose.is_some() { begun + GRACE_OF_COMPOSE } else { deadline };
        self.server.iter_mut().for_each(|server| server.kept.end_by(limit));
        if let Some(compose) = compose {
            compose.down();
        }
        socket::remove(&self.folder);
        self.token.iter().for_each(|token| drop(std::fs::remove_file(token.path())));
    }
}

/// In exec mode go2rtc would be the one to hear that this machine cannot draw, from its first viewer: each GPU is tried. All
/// else the workers find out by themselves, but for what is wrong with the options of all.
fn rehearse(args: &Supervise, control: &Control) -> anyhow::Result<()> {
    let streams = &args.streams;
    let is_exec = streams.mode == Mode::Exec;
    let different = if is_exec { streams.devices.len().clamp(1, streams.workers.into()) } else { 1 };
    for number in (0..).take(different) {
        let command = || {
            let mut command = process::this_program();
            command.arg("--stdout").args(streams.worker_options(number)).stdout(Stdio::null());
            command
        };
        let watcher = Watcher { control, limits: streams.limits, tell: &|_| {} };
        let Watched { ended, in_nvenc, .. } = super::rehearsal::rehearse(&watcher, command, &|| {})?;
        let wrong_use = matches!(&ended, Ended::Failed(status, _) if status.code() == Some(WRONG_USE.into()));
        let goes_on = in_nvenc && streams.encoder == EncoderChoice::Auto;
        if let (Ended::Hung(hang), true, true) = (&ended, is_exec, goes_on) {
            tracing::warn!("each stream is OpenH264's behind a hang of NVENC: {}", hang.in_a_line());
        } else if is_exec || wrong_use {
            super::rehearsal::rehearsed(ended)?;
        } else if let Ended::Hung(hang) = ended {
            // A worker that only the machine keeps from working may yet work, and says so itself.
            tracing::error!("{hang}");
        }
    }
    Ok(())
}
