//! go2rtc in a container, by a compose file.

use super::child::Recipe;
use crate::error::Error;
use crate::os::environment::variable;
use crate::os::process::{Child, Orphaned};
use crate::service::streams::Streams;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Two seconds for the container, and as much again as compose likes to take.
const DOWN_WITHIN: Duration = Duration::from_secs(15);

/// The words that begin a call of compose for this project.
#[derive(Debug)]
pub struct Compose(Vec<OsString>);

impl Compose {
    /// For the go2rtc in `file`, and what runs it with `config` until it is ended. `temp` names the project, so that
    /// another checkout's container is not taken for this one's. `gate` is the folder in which go2rtc makes its socket,
    /// and its port for RTSP, where the gate is out here.
    pub fn new(
        file: &Path,
        temp: &Path,
        config: &Path,
        fifo_dir: Option<&Path>,
        gate: Option<(PathBuf, u16)>,
        streams: &Streams,
    ) -> anyhow::Result<(Self, Recipe)> {
        let command = variable("METABONK_DOCKER_COMPOSE").and_then(|words| words.into_string().ok());
        let command = command.unwrap_or_else(|| "docker compose".to_owned());
        let mut words: Vec<OsString> = command.split_whitespace().map(OsString::from).collect();
        let file = file.canonicalize().map_err(|error| {
            Error::input("compose-missing", format!("cannot find {}", file.display()), "").caused_by(error)
        })?;
        let project = format!(
            "mb-encode-{:08x}",
            crc::Crc::<u32>::new(&crc::CRC_32_CKSUM).checksum(temp.as_os_str().as_encoded_bytes())
        );
        words.extend(["-p".into(), project.into(), "-f".into(), file.into()]);
        let program = words.first().cloned().unwrap_or_default();
        let mut args = words[1..].to_vec();
        args.extend(["up", "--no-color"].map(OsString::from));
        let health = SocketAddr::new(streams.reached_at(), streams.api_port);
        let hosts: Vec<_> = streams.hosts.0.iter().map(ToString::to_string).collect();
        let mut envs: Vec<(_, OsString)> = vec![
            ("METABONK_GO2RTC_CONFIG", config.into()),
            ("MB_ENCODE_UID", rustix::process::getuid().as_raw().to_string().into()),
            ("MB_ENCODE_GID", rustix::process::getgid().as_raw().to_string().into()),
            ("MB_ENCODE_HEALTH_URL", format!("http://{health}/api/streams").into()),
            ("MB_ENCODE_LISTEN", streams.listen.to_string().into()),
            ("MB_ENCODE_HOST", hosts.join(",").into()),
            ("MB_ENCODE_API_PORT", streams.api_port.to_string().into()),
            ("MB_ENCODE_RTSP_PORT", streams.rtsp_port.to_string().into()),
            ("MB_ENCODE_WEBRTC_PORT", streams.webrtc_port.to_string().into()),
        ];
        if let Some((folder, port)) = gate {
            envs.push(("MB_ENCODE_GATE_DIR", folder.into()));
            envs.push(("MB_ENCODE_INNER_RTSP_PORT", port.to_string().into()));
        }
        envs.extend(fifo_dir.map(|folder| ("METABONK_STREAM_FIFO_DIR", folder.into())));
        Ok((Self(words), Recipe { program, args, envs, descriptors: Vec::new(), secret: None }))
    }

    /// Ends and removes the container, if there is one.
    pub fn down(&self) {
        let Self(words) = self;
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(["down", "--timeout", "2"]).stdin(Stdio::null()).stdout(Stdio::null());
        let down =
            Child::start(command, Orphaned::Asked, &[]).map(|mut down| down.end_by(Instant::now() + DOWN_WITHIN));
        if !matches!(down, Ok(Some(status)) if status.success()) {
            tracing::warn!("compose could not take go2rtc's container down: {down:?}");
        }
    }
}
