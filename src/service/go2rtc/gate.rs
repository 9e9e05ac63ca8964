//! The gate in front of go2rtc, which lets viewers in and nobody else.
//!
//! go2rtc's own lock knows paths but no methods, and its modules open sources as well as outputs: with nothing in front, a
//! viewer adds and deletes streams, has go2rtc connect anywhere, and publishes into a stream. So go2rtc listens where only
//! its user gets ([`Inside`](super::inside::Inside)), and what it is sent comes from here.
//!
//! Not a proxy: nothing that a stranger wrote is passed on as it is. A request is parsed, held against what a viewer needs,
//! and written anew; there is one request a connection, so nothing can hide behind another. What go2rtc answers goes back
//! untouched.

mod admission;
mod connection;
#[cfg(fuzzing)]
pub mod fuzz;
mod http;
mod ids;
mod known;
mod messages;
mod offer;
mod places;
mod rtsp;
mod wall;
mod web;

pub use admission::{Host, Hosts};
pub use wall::{Tell, Tile, Told};

use super::keyframes::Bell;
use crate::control::Control;
use crate::error::Error;
use crate::os::{listener, threads};
use connection::Inner;
use known::Known;
use places::{Place, Places};
use rustix::event::PollFlags;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long it is waited for descriptors that there is a shortage of.
const SHORTAGE: Duration = Duration::from_millis(100);

/// Where viewers come, and by which names.
#[derive(Clone, Debug)]
pub struct Public {
    /// Pages, WebSocket, WHEP.
    pub web: SocketAddr,
    /// RTSP.
    pub rtsp: SocketAddr,
    /// Names that this machine is called by.
    pub hosts: Hosts,
}

/// An open gate. Dropping it closes it; viewers who are through stay until go2rtc ends.
pub struct Gate {
    over: Arc<Control>,
    rtsp: Arc<Mutex<SocketAddr>>,
    doors: Vec<JoinHandle<()>>,
}

impl Gate {
    /// Listens where `public` says, for the go2rtc behind the socket at `api` and the RTSP port at `rtsp`. `tell` says how
    /// the streams are, and the `bell` is rung for whoever comes in.
    ///
    /// # Errors
    /// A port is taken.
    pub fn open(
        public: &Public,
        api: PathBuf,
        rtsp: SocketAddr,
        tell: Arc<Tell>,
        bell: Option<Bell>,
    ) -> Result<Self, Error> {
        let web = listen(public.web, "api")?;
        let players = listen(public.rtsp, "rtsp")?;
        let rtsp = Arc::new(Mutex::new(rtsp));
        let inner = Inner { api, rtsp: Arc::clone(&rtsp) };
        let known = Arc::new(Known::of(inner, public.hosts.clone(), tell, bell));
        let places = Arc::new(Places::default());
        let mut gate = Self { over: Arc::new(Control::new()?), rtsp, doors: Vec::new() };
        gate.doors.push(gate.door("gate-web", web, (&known, &places), web::serve)?);
        gate.doors.push(gate.door("gate-rtsp", players, (&known, &places), rtsp::serve)?);
        Ok(gate)
    }

    /// go2rtc's RTSP is there from now on.
    pub fn move_rtsp(&self, rtsp: SocketAddr) {
        *self.rtsp.lock().unwrap_or_else(PoisonError::into_inner) = rtsp;
    }

    fn door(
        &self,
        name: &str,
        listener: TcpListener,
        (known, places): (&Arc<Known>, &Arc<Places>),
        serve: fn(&Known, TcpStream),
    ) -> Result<JoinHandle<()>, Error> {
        let (known, places, over) = (Arc::clone(known), Arc::clone(places), Arc::clone(&self.over));
        let accept = move || {
            while !over.stop_requested() {
                over.wait(Some((listener.as_fd(), PollFlags::IN)), None);
                match listener.accept() {
                    Ok((viewer, from)) => let_in(&known, Places::take(&places, from.ip()), viewer, serve),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    // Mostly a shortage of descriptors, which ends when somebody leaves.
                    Err(_) => drop(over.wait(None, Some(SHORTAGE))),
                }
            }
        };
        threads::small(name).spawn(accept).map_err(threads::cannot_start)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.over.request_stop();
        for door in self.doors.drain(..) {
            let _ = door.join();
        }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

fn let_in(known: &Arc<Known>, place: Option<Place>, viewer: TcpStream, serve: fn(&Known, TcpStream)) {
    let Some(place) = place else { return };
    let known = Arc::clone(known);
    // Where no thread can be started, the viewer is turned away.
    let _ = threads::small("gate-viewer").spawn(move || {
        let _place = place;
        let _ = viewer.set_nonblocking(false);
        serve(&known, viewer);
    });
}

/// `name` is what the port's option is called by.
fn listen(address: SocketAddr, name: &str) -> Result<TcpListener, Error> {
    // All addresses are those of IPv6 as well, where the machine has any.
    let all = (address.ip() == IpAddr::from([0, 0, 0, 0]))
        .then(|| listener::bind(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), address.port())).ok());
    match all.flatten() {
        Some(listener) => Ok(listener),
        None => listener::bind(address).map_err(|error| super::port_taken(address, name).caused_by(error)),
    }
}
