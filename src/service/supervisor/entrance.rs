//! Where a worker's readers come: made before anything runs, kept while the worker is down, and what the worker is told of
//! it. Nobody is served here.

use super::child::Recipe;
use crate::error::Error;
use crate::os::listener;
use crate::os::process::THIS_PROGRAM;
use crate::service::door::Fifo;
use crate::service::door::http::{LONGEST_HEAD, TokenFile};
use crate::service::go2rtc::{keyframes, port_taken};
use crate::service::http::Answer;
use crate::service::streams::Streams;
use rustix::fd::OwnedFd;
use rustix::net::{SocketFlags, accept_with};
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

/// Those who are turned away at once.
const AT_ONCE: usize = 64;

/// Where a worker's readers come.
#[derive(Clone, Debug)]
pub enum Entrance {
    Fifo(PathBuf),
    /// A socket that listens, and its address.
    Http(Arc<OwnedFd>, SocketAddr),
}

impl Entrance {
    /// Listens at an address.
    ///
    /// # Errors
    /// The port is taken.
    pub fn listen(address: SocketAddr) -> Result<Self, Error> {
        let listener = listener::bind(address).map_err(|error| port_taken(address, "worker").caused_by(error))?;
        Ok(Self::Http(Arc::new(listener.into()), address))
    }

    /// The command line of the worker for stream `number`. Those who join it are `served` with keyframes where go2rtc runs
    /// here, too, and who comes by HTTP shows the `token`.
    pub fn recipe(&self, streams: &Streams, number: u16, served: bool, token: Option<&TokenFile>) -> Recipe {
        let mut envs: Vec<_> = keyframes::gop().filter(|_| served).into_iter().collect();
        let (mut args, descriptors) = match self {
            Self::Fifo(path) => (vec!["--fifo".into(), path.into()], Vec::new()),
            Self::Http(socket, address) => {
                envs.push((listener::VARIABLE, listener::for_child(socket).into()));
                (vec!["--listen".into(), address.to_string().into()], vec![Arc::clone(socket)])
            }
        };
        if let Some(token) = token {
            args.extend(["--token-file".into(), token.path().into()]);
        }
        args.extend(streams.worker_options(number).into_iter().map(OsString::from));
        Recipe { program: THIS_PROGRAM.into(), args, envs, descriptors, secret: None }
    }

    /// Sends away whoever waits for a worker that is down.
    pub fn turn_away(&self) {
        match self {
            Self::Fifo(path) => {
                let _ = Fifo::turn_away(path);
            }
            Self::Http(socket, _) => {
                let guests =
                    std::iter::from_fn(|| accept_with(socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK).ok());
                guests.take(AT_ONCE).for_each(|guest| refuse(guest.into()));
            }
        }
    }
}

/// What a guest has not sent by now is not waited for. It may then miss the answer, and sees the end of the connection.
fn refuse(mut guest: TcpStream) {
    let _ = guest.read(&mut [0; LONGEST_HEAD]);
    let answer = Answer::text("503 Service Unavailable", "the worker is down").with("Retry-After", 1);
    let _ = guest.write_all(&answer.to_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn who_waits_for_a_worker_that_is_down_is_sent_away() {
        let entrance = Entrance::listen(([127, 0, 0, 1], 0).into()).unwrap();
        let Entrance::Http(socket, _) = &entrance else { panic!("not by HTTP") };
        let address = TcpListener::from(socket.try_clone().unwrap()).local_addr().unwrap();
        assert_eq!(Entrance::listen(address).unwrap_err().code(), "port-taken");
        entrance.turn_away();
        let mut guests = [0; 3].map(|_| TcpStream::connect(address).unwrap());
        guests[0].write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        entrance.turn_away();
        for guest in &mut guests {
            let mut answer = String::new();
            guest.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("Retry-After: 1"), "{answer}");
        }
    }
}
