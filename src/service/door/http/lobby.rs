//! Connections from their first byte to their answer. One thread looks after all of them and waits for none: whoever sends
//! its head byte by byte, or nothing at all, costs a descriptor for a few seconds.
//!
//! Who asks for a stream leaves here with its socket, and comes back for the end of its connection.

use super::asking::{Asked, LONGEST_HEAD, asked};
use crate::error::Error;
use crate::os::{listener, poll};
use crate::service::http::{Answer, Request};
use rustix::event::PollFlags;
use rustix::net::sockopt;
use rustix::process::{Resource, getrlimit};
use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// A head has to be there within this, whole.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// An answer has to be taken within this.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// What somebody still sends behind its request is waited for so long and up to so many bytes, or the system would take
/// back the answer with the connection.
const LINGER: Duration = Duration::from_millis(500);
const LONGEST_REST: usize = 64 * 1024;
/// Connections at once. The oldest one that has not asked for anything makes way.
const MOST: usize = 256;
/// At the least, however few descriptors there are.
const LEAST: usize = 8;
/// How long nobody is let in where descriptors are short and nobody can make way.
const SHORTAGE: Duration = Duration::from_millis(100);
/// Those who are let in at once, before anybody is looked after again.
const AT_ONCE: usize = 64;

/// A connection.
#[derive(Debug)]
pub struct Guest {
    pub socket: TcpStream,
    pub from: SocketAddr,
}

/// What is done about a request.
#[derive(Debug)]
pub enum Reply<S> {
    /// It is answered; by the head alone where that was asked for.
    Answer(Answer, bool),
    /// It gets this head.
    Head(Vec<u8>),
    /// It stands in line until this, for a stream.
    Line(S, Instant),
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spot {
    Door,
    Guest(usize),
}

#[derive(Debug)]
struct Visit<S> {
    guest: Guest,
    state: State<S>,
    until: Instant,
}

#[derive(Debug)]
enum State<S> {
    /// So much of its head has come.
    Asking(Vec<u8>),
    /// It stands in line for this.
    InLine(S),
    /// So much of its answer is still to be sent.
    Answering(Vec<u8>),
    /// It has its answer, and may send so many bytes more.
    Leaving(usize),
}

/// All connections that have no stream.
#[derive(Debug)]
pub struct Lobby<S> {
    listener: TcpListener,
    most: usize,
    visits: VecDeque<Visit<S>>,
    /// Nobody is let in before this.
    closed_until: Option<Instant>,
}

impl<S: Copy> Lobby<S> {
    /// Listens at an address, on the parent's socket if it has passed one on. So many descriptors are kept free for others.
    ///
    /// # Errors
    /// It is not to be had.
    pub fn open(address: SocketAddr, kept_free: usize) -> Result<Self, Error> {
        let listener = listener::of_this_process(address).map_or_else(|| listener::bind(address), Ok);
        let listener = listener.map_err(|error| cannot_listen(address, error))?;
        let limit = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| limit as usize);
        let most = limit.saturating_sub(kept_free).clamp(LEAST, MOST);
        Ok(Self { listener, most, visits: VecDeque::new(), closed_until: None })
    }

    /// Where it listens, with the port that the system chose.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Adds all that is waited for.
    pub fn watch<'fd, K: Copy>(&'fd self, fds: &mut poll::Set<'fd, K>, key: impl Fn(Spot) -> K) {
        if self.closed_until.is_none() {
            fds.add(key(Spot::Door), &self.listener);
        }
        for (at, visit) in self.visits.iter().enumerate() {
            let events = match visit.state {
                State::Asking(_) | State::Leaving(_) => PollFlags::IN,
                State::InLine(_) => PollFlags::RDHUP,
                State::Answering(_) => PollFlags::OUT,
            };
            fds.add_for(key(Spot::Guest(at)), &visit.guest.socket, events);
        }
    }

    /// When something is due.
    pub fn due(&self) -> Option<Instant> {
        self.visits.iter().map(|visit| visit.until).chain(self.closed_until).min()
    }

    /// Looks after whom something is reported of, and after those whose time is over. What is asked for is `decide`d;
    /// who has stood in line too long gets `in_vain`.
    pub fn tend(
        &mut self,
        spots: &[Spot],
        now: Instant,
        decide: &mut dyn FnMut(&Request, SocketAddr) -> Reply<S>,
        in_vain: &dyn Fn() -> Answer,
    ) {
        self.closed_until = self.closed_until.filter(|&until| until > now);
        let mut reported = vec![false; self.visits.len()];
        for spot in spots {
            if let Spot::Guest(at) = *spot {
                reported[at] = true;
            }
        }
        let visits = std::mem::take(&mut self.visits);
        for (visit, is_reported) in visits.into_iter().zip(reported) {
            let visit = if is_reported { look_after(visit, now, decide) } else { Some(visit) };
            let visit =
                visit.and_then(|visit| if visit.until <= now { out_of_time(visit, now, in_vain) } else { Some(visit) });
            self.visits.extend(visit);
        }
        if spots.contains(&Spot::Door) {
            self.let_in(now, decide);
        }
    }

    /// Lets in who has come.
    fn let_in(&mut self, now: Instant, decide: &mut dyn FnMut(&Request, SocketAddr) -> Reply<S>) {
        for _ in 0..AT_ONCE {
            let (socket, from) = match self.listener.accept() {
                Ok(come) => come,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if is_shortage(&error) => {
                    if !self.make_way() {
                        self.closed_until = Some(now + SHORTAGE);
                        return;
                    }
                    continue;
                }
                // It has left again.
                Err(_) => continue,
            };
            if self.visits.len() >= self.most && !self.make_way() {
                continue;
            }
            if socket.set_nonblocking(true).is_err() || sockopt::set_tcp_nodelay(&socket, true).is_err() {
                continue;
            }
            let guest = Guest { socket, from };
            let visit = Visit { guest, state: State::Asking(Vec::new()), until: now + HEAD_WITHIN };
            // Most have sent their head by now.
            self.visits.extend(look_after(visit, now, decide));
        }
    }

    /// Ends the connection that is the least loss. Returns whether there was one.
    fn make_way(&mut self) -> bool {
        let leaves = |visit: &Visit<S>| matches!(visit.state, State::Leaving(_));
        let asks = |visit: &Visit<S>| matches!(visit.state, State::Asking(_));
        let at = self.visits.iter().position(leaves).or_else(|| self.visits.iter().position(asks));
        at.and_then(|at| self.visits.remove(at)).is_some()
    }

    /// Takes the first one in line.
    pub fn next_in_line(&mut self) -> Option<(Guest, S)> {
        let at = self.visits.iter().position(|visit| matches!(visit.state, State::InLine(_)))?;
        let visit = self.visits.remove(at)?;
        match visit.state {
            State::InLine(stream) => Some((visit.guest, stream)),
            _ => None,
        }
    }

    /// Answers everybody in line.
    pub fn answer_line(&mut self, now: Instant, answer: &Answer) {
        let visits = std::mem::take(&mut self.visits);
        for visit in visits {
            match visit.state {
                State::InLine(_) => self.visits.extend(answered(visit.guest, answer.to_bytes(), now)),
                _ => self.visits.push_back(visit),
            }
        }
    }

    /// Takes back one whose stream is over: with an answer where there was no stream, else for the end alone.
    pub fn take_back(&mut self, guest: Guest, answer: Option<&Answer>, now: Instant) {
        self.visits.extend(answered(guest, answer.map(Answer::to_bytes).unwrap_or_default(), now));
    }
}

/// Goes on with one visit as far as that is possible now. `None` where it is over.
fn look_after<S>(
    mut visit: Visit<S>,
    now: Instant,
    decide: &mut dyn FnMut(&Request, SocketAddr) -> Reply<S>,
) -> Option<Visit<S>> {
    match &mut visit.state {
        State::Asking(come) => {
            let more =
                read(&mut visit.guest.socket, LONGEST_HEAD + 1 - come.len(), |bytes| come.extend_from_slice(bytes));
            let request = match asked(come) {
                Asked::Request(request) => request,
                Asked::Nonsense(answer) => return answered(visit.guest, answer.to_bytes(), now),
                Asked::NotYet => return (more == Read::All).then_some(visit),
            };
            match decide(&request, visit.guest.from) {
                Reply::Answer(answer, true) => answered(visit.guest, answer.head(), now),
                Reply::Answer(answer, false) => answered(visit.guest, answer.to_bytes(), now),
                Reply::Head(head) => answered(visit.guest, head, now),
                Reply::Line(stream, until) => Some(Visit { state: State::InLine(stream), until, ..visit }),
            }
        }
        // It has hung up.
        State::InLine(_) => None,
        State::Answering(rest) => {
            let rest = std::mem::take(rest);
            send(visit.guest, rest, visit.until, now)
        }
        State::Leaving(left) => {
            let more = read(&mut visit.guest.socket, *left, |bytes| *left -= bytes.len());
            (more == Read::All && *left > 0).then_some(visit)
        }
    }
}

/// What becomes of a visit that takes too long.
fn out_of_time<S>(visit: Visit<S>, now: Instant, in_vain: &dyn Fn() -> Answer) -> Option<Visit<S>> {
    match visit.state {
        State::Asking(_) => {
            let answer = Answer::text("408 Request Timeout", "no request has come");
            answered(visit.guest, answer.to_bytes(), now)
        }
        State::InLine(_) => answered(visit.guest, in_vain().to_bytes(), now),
        State::Answering(_) | State::Leaving(_) => None,
    }
}

fn answered<S>(guest: Guest, bytes: Vec<u8>, now: Instant) -> Option<Visit<S>> {
    send(guest, bytes, now + ANSWERED_WITHIN, now)
}

/// Sends what the socket takes, and ends this direction behind the last byte.
fn send<S>(mut guest: Guest, mut bytes: Vec<u8>, until: Instant, now: Instant) -> Option<Visit<S>> {
    while !bytes.is_empty() {
        match guest.socket.write(&bytes) {
            Ok(sent) => drop(bytes.drain(..sent)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Some(Visit { guest, state: State::Answering(bytes), until });
            }
            Err(_) => return None,
        }
    }
    guest.socket.shutdown(Shutdown::Write).ok()?;
    Some(Visit { guest, state: State::Leaving(LONGEST_REST), until: now + LINGER })
}

/// How far a socket was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    /// Everything that has come, or as much as was asked for.
    All,
    /// To its end, or it is broken.
    End,
}

/// Reads up to so many bytes.
fn read(socket: &mut TcpStream, mut most: usize, mut take: impl FnMut(&[u8])) -> Read {
    let mut chunk = [0; 2048];
    while most > 0 {
        let room = chunk.len().min(most);
        match socket.read(&mut chunk[..room]) {
            Ok(0) => return Read::End,
            Ok(bytes) => {
                take(&chunk[..bytes]);
                most -= bytes;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(_) => return Read::End,
        }
    }
    Read::All
}

fn is_shortage(error: &io::Error) -> bool {
    [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM].map(Some).contains(&error.raw_os_error())
}

fn cannot_listen(address: SocketAddr, error: io::Error) -> Error {
    if error.kind() != io::ErrorKind::AddrInUse {
        return Error::machine("listen-refused", format!("cannot listen at {address}"), "").caused_by(error);
    }
    let port = address.port();
    let other = SocketAddr::new(address.ip(), port.checked_add(1).unwrap_or(9000));
    Error::machine(
        "listen-taken",
        format!("cannot listen at {address}: something else does"),
        format!("see what: ss -ltnp 'sport = :{port}'; or take another port: --listen {other}"),
    )
}
