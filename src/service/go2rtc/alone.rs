//! go2rtc behind the gate, with nothing to look after them: a container or systemd does that.

use super::errands::Errands;
use super::gate::{Gate, Tell};
use super::inside::Inside;
use super::keyframes::{self, Keyframes};
use super::lock;
use crate::control::Control;
use crate::error::Error;
use crate::os::process::{Child, GRACE_OF_PARENT, Orphaned};
use crate::os::sealed::Sealed;
use crate::service::streams::Streams;
use rustix::event::PollFlags;
use std::fs::File;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a config without a list of its own may start.
const PROGRAMS: [&str; 2] = ["mb-encode", "cat"];
/// Bytes of a config.
const LONGEST_CONFIG: u64 = 4 << 20;
/// go2rtc listens within a fraction of this.
const LISTENS_WITHIN: Duration = Duration::from_secs(10);

/// Runs `program` with the files `configs`, until a stop is requested. Viewers come through the gate, where `streams` says.
///
/// # Errors
/// A config cannot be read, a port is taken, go2rtc does not start or ends by itself.
pub fn run(program: &Path, configs: &[PathBuf], streams: &Streams, control: &Control) -> anyhow::Result<()> {
    // Copies: what is read here is what go2rtc reads, and it has no file that it could write.
    let configs = configs.iter().map(|config| sealed(config)).collect::<Result<Vec<_>, _>>()?;
    let folder = tempfile::Builder::new().prefix("mb-encode-gate-").tempdir()?;
    let inside = Inside::in_folder(folder.path())?;
    let keyframes = Keyframes::start(&inside)?;
    let gate = Gate::open(&streams.public(), inside.socket(), inside.rtsp, nobody_tells(), Some(keyframes.bell()))?;
    let errands = Errands::start()?;
    let mut command = Command::new(program);
    command.envs(keyframes::environment(&inside)).envs(errands.environment());
    command.arg("-config").arg(lock::lock(streams, &PROGRAMS));
    command.args(configs.iter().flat_map(|config| ["-config".into(), config.path()]));
    command.arg("-config").arg(lock::inside(&inside.socket().to_string_lossy(), inside.rtsp));
    // What it logs is for people.
    command.stdin(Stdio::null()).stdout(io::stderr().as_fd().try_clone_to_owned()?);
    let inherited: Vec<_> = configs.iter().map(Sealed::as_fd).chain([inside.folder().as_fd()]).collect();
    let mut go2rtc = Child::start(command, Orphaned::Asked, &inherited).map_err(|error| {
        Error::machine(
            "go2rtc-missing",
            format!("cannot start {}", program.display()),
            "name the program: --go2rtc /usr/local/bin/go2rtc",
        )
        .caused_by(error)
    })?;
    let begun = Instant::now();
    let mut listens = false;
    while !control.stop_requested() && !go2rtc.has_ended() {
        let look = (!listens).then_some(Duration::from_millis(50));
        control.wait(Some((go2rtc.ended(), PollFlags::IN)), look);
        if !listens && inside.answers() {
            listens = true;
            say_where(streams);
        }
        if !listens && begun.elapsed() > LISTENS_WITHIN {
            go2rtc.kill();
            return Err(Error::machine("go2rtc-silent", "go2rtc does not listen", "see what it says above").into());
        }
    }
    drop(gate);
    if control.stop_requested() {
        go2rtc.ask_to_end();
        go2rtc.end_by(Instant::now() + GRACE_OF_PARENT);
        return Ok(());
    }
    let status = go2rtc.wait()?;
    Err(Error::machine("go2rtc-ended", format!("go2rtc ended by itself: {status}"), "see what it says above").into())
}

/// Opens the gate for a go2rtc that something else runs, until a stop is requested: it listens on `socket`, and at `rtsp`.
///
/// # Errors
/// A port is taken.
pub fn open(socket: PathBuf, rtsp: SocketAddr, streams: &Streams, control: &Control) -> anyhow::Result<()> {
    let gate = Gate::open(&streams.public(), socket, rtsp, nobody_tells(), None)?;
    say_where(streams);
    control.wait(None, None);
    drop(gate);
    Ok(())
}

/// What go2rtc lists is all that is known of the streams.
fn nobody_tells() -> Arc<Tell> {
    Arc::new(|| None)
}

fn say_where(streams: &Streams) {
    let public = streams.public();
    tracing::info!("watch at http://{}/ and rtsp://{}/ID", public.web, public.rtsp);
}

/// go2rtc takes a config that it cannot read for an empty one.
fn sealed(config: &Path) -> Result<Sealed, Error> {
    let unreadable = |why: io::Error| {
        Error::input(
            "config-unreadable",
            format!("cannot read the config {}", config.display()),
            "make one: mb-encode go2rtc-config --out temp/go2rtc.yaml; it has to be readable by the user who runs this",
        )
        .caused_by(why)
    };
    let read = || {
        let file = File::open(config)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other(
                "it is no file (Docker makes an empty folder where a file that it should mount is missing: remove it)",
            ));
        }
        let mut bytes = Vec::new();
        file.take(LONGEST_CONFIG).read_to_end(&mut bytes)?;
        Sealed::copy(&bytes)
    };
    read().map_err(unreadable)
}
