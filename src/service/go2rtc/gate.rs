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
mod http;
mod ids;
mod messages;
mod offer;
mod rtsp;
mod web;

pub use admission::{Host, Hosts};

use crate::control::Control;
use crate::error::Error;
use crate::os::threads;
use connection::Inner;
use ids::Ids;
use rustix::event::PollFlags;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Connections at once, each two threads and two sockets. Whoever comes then is turned away.
const MOST_CONNECTIONS: usize = 512;
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
    doors: Vec<JoinHandle<()>>,
}

/// What every connection needs.
struct Shared {
    inner: Inner,
    ids: Ids,
    hosts: Hosts,
    connections: AtomicUsize,
}

impl Gate {
    /// Listens where `public` says, for the go2rtc behind the socket at `api` and the RTSP port at `rtsp`.
    ///
    /// # Errors
    /// A port is taken.
    pub fn open(public: &Public, api: PathBuf, rtsp: SocketAddr) -> Result<Self, Error> {
        let web = listen(public.web, "api")?;
        let players = listen(public.rtsp, "rtsp")?;
        let inner = Inner { api, rtsp };
        let shared = Shared {
            ids: Ids::of(inner.clone()),
            inner,
            hosts: public.hosts.clone(),
            connections: AtomicUsize::new(0),
        };
        let (shared, over) = (Arc::new(shared), Arc::new(Control::new()?));
        let mut gate = Self { over, doors: Vec::new() };
        gate.doors.push(gate.door("gate-web", web, Arc::clone(&shared), web::serve)?);
        gate.doors.push(gate.door("gate-rtsp", players, shared, rtsp::serve)?);
        Ok(gate)
    }

    fn door(
        &self,
        name: &str,
        listener: TcpListener,
        shared: Arc<Shared>,
        serve: fn(&Shared, TcpStream),
    ) -> Result<JoinHandle<()>, Error> {
        let over = Arc::clone(&self.over);
        let accept = move || {
            while !over.stop_requested() {
                over.wait(Some((listener.as_fd(), PollFlags::IN)), None);
                match listener.accept() {
                    Ok((viewer, _)) => let_in(&shared, viewer, serve),
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

fn let_in(shared: &Arc<Shared>, viewer: TcpStream, serve: fn(&Shared, TcpStream)) {
    let place = Place(Arc::clone(shared));
    if place.0.connections.fetch_add(1, Ordering::Relaxed) >= MOST_CONNECTIONS {
        return;
    }
    // Where no thread can be started, the viewer is turned away.
    let _ = threads::small("gate-viewer").spawn(move || {
        let _ = viewer.set_nonblocking(false);
        serve(&place.0, viewer);
    });
}

/// Counts a connection for as long as it lasts.
struct Place(Arc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// `name` is what the port's option is called by.
fn listen(address: SocketAddr, name: &str) -> Result<TcpListener, Error> {
    let bind = |address| {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    // All addresses are those of IPv6 as well, where the machine has any.
    let all = (address.ip() == IpAddr::from([0, 0, 0, 0]))
        .then(|| bind(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), address.port())).ok());
    match all.flatten() {
        Some(listener) => Ok(listener),
        None => bind(address).map_err(|error: std::io::Error| super::port_taken(address, name).caused_by(error)),
    }
}
