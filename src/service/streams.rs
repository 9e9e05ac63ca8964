//! Which streams are served, and where they can be watched: plain values that the command line has checked.
//!
//! go2rtc's config and the supervisor both work from these. Nothing here parses an option or knows where one came from.

use super::door::Fifo;
use super::go2rtc::gate::{Hosts, Public};
use super::go2rtc::safe::{Prefix, Url};
use crate::Error;
use crate::settings::{EncoderChoice, FifoMode, Limits, Named};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// A number of streams that differ in their ids alone.
#[derive(Clone, Debug)]
pub struct Streams {
    /// How many, from 1.
    pub workers: u16,
    /// What their ids begin with.
    pub prefix: Prefix,
    pub mode: Mode,
    pub format: Format,
    /// Every stream runs, watched or not.
    pub preload: bool,
    /// Where viewers come.
    pub listen: IpAddr,
    /// Names that this machine is called by.
    pub hosts: Hosts,
    pub api_port: u16,
    pub rtsp_port: u16,
    pub webrtc_port: u16,
    /// Where the first worker listens in [`Mode::Http`]; each of the others has the port behind the one before it.
    pub worker_port: u16,
    /// The folder of the FIFOs, if it is not the usual one; see [`Streams::fifo_dir`].
    pub fifo_dir: Option<PathBuf>,
    /// Permissions of FIFOs that are made.
    pub fifo_mode: FifoMode,
    /// How long a stream may take for a step.
    pub limits: Limits,
    /// go2rtc's config, if it is not the usual one; see [`Streams::out`].
    pub out: Option<PathBuf>,
    /// The GPUs that they are spread over, as CUDA counts them. Without any each takes the first one that works.
    pub devices: Vec<u32>,
    /// The encoder that they ask for.
    pub encoder: EncoderChoice,
    /// Options of mb-encode for every stream; its grammar takes them.
    pub options: Vec<String>,
}

/// How go2rtc gets the streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Fifo,
    Exec,
    Http,
}

impl Named for Mode {
    const ALL: &'static [(Self, &'static str, &'static str)] = &[
        (Self::Fifo, "fifo", "From a FIFO each, which a worker serves (mb-encode --fifo)"),
        (Self::Exec, "exec", "By starting mb-encode itself, where somebody watches"),
        (Self::Http, "http", "By HTTP from a worker each (mb-encode --listen); it can start no program then"),
    ];
}

/// What the streams are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    H264,
    Mpegts,
}

impl Mode {
    /// What streams are made of where nobody says it. Times of its own cost nothing by HTTP.
    pub fn usual_format(self) -> Format {
        match self {
            Self::Fifo | Self::Exec => Format::H264,
            Self::Http => Format::Mpegts,
        }
    }
}

impl Named for Format {
    const ALL: &'static [(Self, &'static str, &'static str)] =
        &[(Self::H264, "h264", "Raw H.264"), (Self::Mpegts, "mpegts", "H.264 in MPEG-TS")];
}

/// What stands for a stream's id in the options of all.
const ID: &str = "{id}";

impl Default for Streams {
    /// Six raw streams through FIFOs, on this machine alone and on go2rtc's own ports.
    fn default() -> Self {
        Self {
            workers: 6,
            prefix: Prefix::default(),
            mode: Mode::default(),
            format: Format::default(),
            preload: false,
            listen: Ipv4Addr::LOCALHOST.into(),
            hosts: Hosts::default(),
            api_port: 1984,
            rtsp_port: 8554,
            webrtc_port: 8555,
            worker_port: 9000,
            fifo_dir: None,
            fifo_mode: FifoMode::default(),
            limits: Limits::default(),
            out: None,
            devices: Vec::new(),
            encoder: EncoderChoice::default(),
            options: Vec::new(),
        }
    }
}

impl Streams {
    /// The ids of the streams.
    pub fn ids(&self) -> impl Iterator<Item = String> + '_ {
        (0..self.workers).map(|number| self.prefix.id(number))
    }

    /// The folder of the FIFOs, where everything goes under `temp` that is not told otherwise.
    pub fn fifo_dir(&self, temp: &Path) -> PathBuf {
        self.fifo_dir.clone().unwrap_or_else(|| temp.join("streams"))
    }

    /// The config's path, likewise.
    pub fn out(&self, temp: &Path) -> PathBuf {
        self.out.clone().unwrap_or_else(|| temp.join("go2rtc.yaml"))
    }

    /// The name of a stream's FIFO.
    pub fn fifo_name(&self, id: &str) -> String {
        match self.format {
            Format::H264 => format!("{id}.h264"),
            Format::Mpegts => format!("{id}.ts"),
        }
    }

    /// Where worker `number` listens in [`Mode::Http`], for this machine alone.
    pub fn worker_address(&self, number: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.worker_port.saturating_add(number)).into()
    }

    /// What worker `number` is asked for there.
    pub fn worker_url(&self, number: u16) -> Url {
        let path = match self.format {
            Format::H264 => "stream.h264",
            Format::Mpegts => "stream.ts",
        };
        let url = format!("http://{}/{path}", self.worker_address(number));
        url.parse().expect("an address and a path make a legal one")
    }

    /// The GPU of stream `number`, where they are spread over some: in turn, and always the same one.
    pub fn device(&self, number: u16) -> Option<u32> {
        let at = usize::from(number).checked_rem(self.devices.len())?;
        Some(self.devices[at])
    }

    /// The options of mb-encode for stream `number`, but for where it writes to. `{id}` in them stands for its id.
    pub fn worker_options(&self, number: u16) -> Vec<String> {
        let id = self.prefix.id(number);
        let given = |name: &str| self.options.iter().any(|word| word == name || word.starts_with(&format!("{name}=")));
        let mut words = Vec::new();
        if !given("--label") {
            words.extend(["--label".to_owned(), id.clone()]);
        }
        if let Some(device) = self.device(number) {
            words.extend(["--device".to_owned(), device.to_string()]);
        }
        // By HTTP whoever asks says which it is to be.
        if self.format == Format::Mpegts && self.mode != Mode::Http && !given("--mpegts") {
            words.push("--mpegts".to_owned());
        }
        words.extend(self.options.iter().map(|word| word.replace(ID, &id)));
        words
    }

    /// Makes the FIFOs that are missing in `folder`, and the folder.
    ///
    /// # Errors
    /// What stands at one of their paths is no FIFO, or the file system makes none.
    pub fn make_fifos(&self, folder: &Path) -> Result<(), Error> {
        self.ids().try_for_each(|id| Fifo::make(&folder.join(self.fifo_name(&id)), self.fifo_mode))
    }

    /// Where the gate listens.
    pub fn public(&self) -> Public {
        Public { web: self.address(self.api_port), rtsp: self.address(self.rtsp_port), hosts: self.hosts.clone() }
    }

    /// The address at which this machine itself reaches what listens.
    pub fn reached_at(&self) -> IpAddr {
        match self.listen {
            IpAddr::V4(any) if any.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(any) if any.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            one => one,
        }
    }

    /// Where a port is listened on.
    pub fn address(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.listen, port)
    }
}
