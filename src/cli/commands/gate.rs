//! `mb-encode gate`: the gate by itself, for a go2rtc that no supervisor runs.

use crate::cli::addresses::AddressArgs;
use crate::control::{Control, signals};
use crate::os::process::GRACE_OF_PARENT;
use crate::service::go2rtc::alone;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Let viewers in to go2rtc, and nobody else
///
/// With a port of its own go2rtc lets whoever reaches it add, change and delete streams, connect it to anywhere and publish
/// into a stream. Behind the gate it has a socket that nobody else gets at, and viewers get the wall (a page with
/// a tile for each stream), go2rtc's player, the list of streams, WebRTC, MSE and RTSP.
#[derive(Clone, Debug, clap::Args)]
#[command(override_usage = "mb-encode gate --go2rtc <PROGRAM> --config <FILE> [OPTIONS]\n       \
                            mb-encode gate --socket <PATH> [OPTIONS]")]
pub struct GateArgs {
    /// Run this go2rtc
    #[arg(long, value_name = "PROGRAM", requires = "config", required_unless_present = "socket")]
    go2rtc: Option<PathBuf>,

    /// Its config, which has the streams; where it listens is set here. May be given again
    #[arg(long, value_name = "FILE", requires = "go2rtc")]
    config: Vec<PathBuf>,

    /// Or a go2rtc that runs already: the socket that its api.unix_listen names
    #[arg(long, value_name = "PATH", conflicts_with = "go2rtc")]
    socket: Option<PathBuf>,

    /// With --socket: the address that its rtsp.listen names
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:18554", requires = "socket")]
    inner_rtsp: SocketAddr,

    #[command(flatten)]
    addresses: AddressArgs,
}

pub fn run(args: &GateArgs) -> anyhow::Result<()> {
    args.addresses.check()?;
    let streams = args.addresses.values();
    let control = Arc::new(Control::new()?);
    signals::start(&control, GRACE_OF_PARENT + Duration::from_secs(1), || {})?;
    match (&args.socket, &args.go2rtc) {
        (Some(socket), _) => alone::open(socket.clone(), args.inner_rtsp, &streams, &control),
        (None, Some(go2rtc)) => alone::run(go2rtc, &args.config, &streams, &control),
        (None, None) => unreachable!("the grammar wants one of them"),
    }
}
