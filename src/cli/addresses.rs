//! The options that say where streams can be watched.

use super::number::within;
use crate::service::exit::Exit;
use crate::service::go2rtc::gate::{Host, Hosts};
use crate::service::streams::Streams;
use std::net::IpAddr;

/// Where streams can be watched.
#[derive(Clone, Debug, clap::Args)]
pub struct AddressArgs {
    /// The address of this machine to be watched at; 0.0.0.0 is all of them, and then anybody who reaches it can watch
    #[arg(long, env = "MB_ENCODE_LISTEN", hide_env_values = true, value_name = "ADDRESS")]
    #[arg(default_value_t = Streams::default().listen, help_heading = "Addresses")]
    listen: IpAddr,

    /// A name that this machine is called by, beside its host name and its addresses; may be given again
    #[arg(long, env = "MB_ENCODE_HOST", hide_env_values = true, value_name = "NAME", value_delimiter = ',')]
    #[arg(help_heading = "Addresses")]
    host: Vec<Host>,

    /// Port of the pages
    #[arg(long, env = "MB_ENCODE_API_PORT", hide_env_values = true, value_name = "PORT")]
    #[arg(default_value_t = Streams::default().api_port)]
    #[arg(value_parser = within(1..=u16::MAX), help_heading = "Addresses")]
    api_port: u16,

    /// Port for RTSP players
    #[arg(long, env = "MB_ENCODE_RTSP_PORT", hide_env_values = true, value_name = "PORT")]
    #[arg(default_value_t = Streams::default().rtsp_port)]
    #[arg(value_parser = within(1..=u16::MAX), help_heading = "Addresses")]
    rtsp_port: u16,

    /// Port for WebRTC, TCP and UDP
    #[arg(long, env = "MB_ENCODE_WEBRTC_PORT", hide_env_values = true, value_name = "PORT")]
    #[arg(default_value_t = Streams::default().webrtc_port)]
    #[arg(value_parser = within(1..=u16::MAX), help_heading = "Addresses")]
    webrtc_port: u16,
}

impl AddressArgs {
    /// Checks what no option can tell by itself.
    ///
    /// # Errors
    /// Two ports are the same.
    pub fn check(&self) -> anyhow::Result<()> {
        let ports =
            [("--api-port", self.api_port), ("--rtsp-port", self.rtsp_port), ("--webrtc-port", self.webrtc_port)];
        for (one, other) in [(0, 1), (0, 2), (1, 2)] {
            if ports[one].1 == ports[other].1 {
                let ((one, port), (other, _)) = (ports[one], ports[other]);
                let message = format!("{one} and {other} are both {port}: give each a port of its own");
                return Err(Exit::Usage(message).into());
            }
        }
        Ok(())
    }

    /// Streams with these addresses, and otherwise as they are by default.
    pub fn values(&self) -> Streams {
        Streams {
            listen: self.listen,
            hosts: Hosts(self.host.clone()),
            api_port: self.api_port,
            rtsp_port: self.rtsp_port,
            webrtc_port: self.webrtc_port,
            ..Streams::default()
        }
    }
}
