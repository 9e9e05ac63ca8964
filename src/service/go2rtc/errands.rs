//! What go2rtc fetches by HTTP, fetched for it: as its HTTP proxy.
//!
//! A worker that goes and comes back, in a new pod or as a new process, is away for a second or two. go2rtc asks again at
//! once, then after a second, and after five tries every five seconds: its viewers wait for that, and not for the worker. So
//! whoever was cut off waits here, and gets its stream 50 ms after the worker is back. Who asks for what has not run here lately
//! is told at once that nobody is there.
//!
//! Nothing is changed on the way: a request goes on as it came, but for what is between go2rtc and here, and an answer as well.
//! This is for go2rtc alone, which shows a password that is in nobody else's environment.

use super::names::{addresses, ask_whether_it_leads_elsewhere};
use crate::control::Control;
use crate::error::Error;
use crate::os::environment::variable;
use crate::os::{listener, poll, threads};
use crate::service::http::{Answer, Request, split_head};
use base64::Engine as _;
use rustix::event::PollFlags;
use rustix::net::sockopt;
use rustix::rand::{GetRandomFlags, getrandom};
use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq as _;

/// What go2rtc's libraries look for.
const VARIABLE: &str = "HTTP_PROXY";
/// Whoever was cut off waits so long with one request; go2rtc asks again then.
const PATIENCE: Duration = Duration::from_secs(10);
/// And is waited with for so long after its stream was cut off.
const LATELY: Duration = Duration::from_secs(120);
/// From one try to the next.
const BETWEEN: Duration = Duration::from_millis(50);
/// A try. Of a pod that has just gone the address may still be told, and nobody answers there.
const CONNECTS_WITHIN: Duration = Duration::from_millis(500);
/// A stream that has sent nothing for so long is cut off, though nobody says so: its machine is gone, or a cable. One that
/// runs has a frame a second.
const SILENT: Duration = Duration::from_secs(10);
/// One that has sent nothing for so long may have been replaced, its last words lost on the way: then its name leads to
/// another one, which is asked for, again and again.
const QUIET: Duration = Duration::from_millis(1500);
const ASKED: Duration = Duration::from_millis(200);
/// A pod that goes takes its network with it, and no word comes of a connection that it had. Before an answer has begun,
/// which may take an encoder's start, whoever does not confirm for so long that it is there is gone.
const ALIVE_WITHIN: Duration = Duration::from_secs(2);
/// go2rtc sends its head at once, and takes what comes.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
const STUCK: Duration = Duration::from_secs(30);
const LONGEST_HEAD: usize = 16 * 1024;
const CHUNK: usize = 64 * 1024;
/// Headers that are between go2rtc and here.
const OURS: [&str; 3] = ["proxy-authorization", "proxy-connection", "connection"];

/// Runs go2rtc's errands until it is dropped. Streams that run go on until either end is gone.
#[derive(Debug)]
pub struct Errands {
    over: Arc<Control>,
    address: SocketAddr,
    password: String,
    door: Option<JoinHandle<()>>,
}

/// When streams were cut off, by whom they came from.
type Lost = Mutex<HashMap<String, Instant>>;

/// How a try ended.
enum Tried {
    /// The stream ran, and its source ended it.
    CutOff,
    /// go2rtc has had enough, or was told that there is no stream.
    Left,
    /// Nothing came, for this reason.
    Nobody(io::Error),
}

impl Errands {
    /// Listens on loopback.
    ///
    /// # Errors
    /// No port or no thread is to be had, or no random numbers.
    pub fn start() -> anyhow::Result<Self> {
        let mut random = [0u8; 16];
        getrandom(&mut random, GetRandomFlags::empty())?;
        let password: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let listener = listener::bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let address = listener.local_addr()?;
        let over = Arc::new(Control::new()?);
        let door = Self::door(listener, Arc::clone(&over), credentials(&password))?;
        Ok(Self { over, address, password, door: Some(door) })
    }

    /// What go2rtc needs in its environment; nothing where somebody has named another proxy.
    pub fn environment(&self) -> Option<(&'static str, String)> {
        let named = [VARIABLE, "http_proxy"].into_iter().any(|name| variable(name).is_some());
        (!named).then(|| (VARIABLE, format!("http://gate:{}@{}", self.password, self.address)))
    }

    fn door(listener: TcpListener, over: Arc<Control>, shown: String) -> Result<JoinHandle<()>, Error> {
        let (shown, lost) = (Arc::new(shown), Arc::new(Lost::default()));
        let accept = move || {
            while !over.stop_requested() {
                over.wait(Some((listener.as_fd(), PollFlags::IN)), None);
                let Ok((guest, _)) = listener.accept() else { continue };
                let (over, shown, lost) = (Arc::clone(&over), Arc::clone(&shown), Arc::clone(&lost));
                // Names are looked up by libraries of the system's. Where no thread can be started, go2rtc is turned away and asks again.
                let _ = threads::deep("errand").spawn(move || {
                    let _ = run(guest, &over, &shown, &lost);
                });
            }
        };
        threads::small("errands").spawn(accept).map_err(threads::cannot_start)
    }
}

impl Drop for Errands {
    fn drop(&mut self) {
        self.over.request_stop();
        if let Some(door) = self.door.take() {
            let _ = door.join();
        }
    }
}

/// The header that shows a password.
fn credentials(password: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("gate:{password}")))
}

/// One request, from its head to the end of its answer.
fn run(mut guest: TcpStream, over: &Control, shown: &str, lost: &Lost) -> io::Result<()> {
    guest.set_nonblocking(false)?;
    guest.set_nodelay(true)?;
    guest.set_read_timeout(Some(HEAD_WITHIN))?;
    guest.set_write_timeout(Some(STUCK))?;
    let Some(request) = head_of(&mut guest)? else { return Ok(()) };
    let (authority, head) = match errand(&request, shown) {
        Ok(errand) => errand,
        Err(answer) => return guest.write_all(&answer.to_bytes()),
    };
    let until = Instant::now() + PATIENCE;
    loop {
        let why = match attempt(&authority, &head, &mut guest) {
            Tried::CutOff => {
                remember(lost, authority);
                return Ok(());
            }
            Tried::Left => return Ok(()),
            Tried::Nobody(why) => why,
        };
        let waits = was_lost_lately(lost, &authority) && Instant::now() < until && !over.stop_requested();
        if !waits {
            return guest.write_all(&Answer::text("502 Bad Gateway", &why.to_string()).to_bytes());
        }
        if has_left(&guest, BETWEEN) {
            return Ok(());
        }
    }
}

fn head_of(guest: &mut TcpStream) -> io::Result<Option<Request>> {
    let (mut come, mut chunk) = (Vec::new(), [0u8; 4096]);
    while come.len() <= LONGEST_HEAD {
        match guest.read(&mut chunk)? {
            0 => return Ok(None),
            bytes => come.extend_from_slice(&chunk[..bytes]),
        }
        if let Some(head) = split_head(&mut come) {
            return Ok(Request::parse(&head));
        }
    }
    Ok(None)
}

/// Whom a request is for, and what is sent there.
fn errand(request: &Request, shown: &str) -> Result<(String, Vec<u8>), Answer> {
    let password = request.headers.only("proxy-authorization").unwrap_or_default();
    if !bool::from(password.as_bytes().ct_eq(shown.as_bytes())) {
        return Err(Answer::text("407 Proxy Authentication Required", "this is for go2rtc alone"));
    }
    let named = request.target.strip_prefix("http://").filter(|_| request.method == "GET");
    let Some(named) = named else {
        return Err(Answer::text("405 Method Not Allowed", "streams are fetched here, by GET of http:// addresses"));
    };
    let (authority, path) = named.split_at(named.find(['/', '?']).unwrap_or(named.len()));
    let slash = if path.starts_with('/') { "" } else { "/" };
    let mut head = format!("GET {slash}{path} HTTP/1.1\r\nConnection: close\r\n");
    for (name, value) in request.headers.0.iter().filter(|(name, _)| !OURS.contains(&name.as_str())) {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    Ok((authority.to_owned(), head.into_bytes()))
}

fn attempt(authority: &str, head: &[u8], guest: &mut TcpStream) -> Tried {
    let mut source = match connect(authority) {
        Ok(source) => source,
        Err(why) => return Tried::Nobody(why),
    };
    if let Err(why) = source.write_all(head) {
        return Tried::Nobody(why);
    }
    let mut chunk = vec![0u8; CHUNK];
    let (mut has_begun, mut streams, mut heard) = (false, false, Instant::now());
    let mut question = None;
    loop {
        let mut fds = poll::Set::default();
        fds.add("source", &source);
        fds.add_for("guest", &*guest, PollFlags::RDHUP);
        let reported: Vec<_> =
            fds.wait(streams.then_some(if question.is_some() { ASKED } else { QUIET })).map(|(who, _)| who).collect();
        if reported.contains(&"guest") {
            return Tried::Left;
        }
        if reported.is_empty() {
            if streams {
                let answer = question.as_ref().map_or(Err(TryRecvError::Disconnected), Receiver::try_recv);
                if answer == Ok(true) || heard.elapsed() >= SILENT {
                    return Tried::CutOff;
                }
                if answer != Err(TryRecvError::Empty) {
                    question = Some(ask_whether_it_leads_elsewhere(authority, &source));
                }
            }
            continue;
        }
        question = None;
        heard = Instant::now();
        match source.read(&mut chunk) {
            Ok(bytes) if bytes > 0 => {
                if !std::mem::replace(&mut has_begun, true) {
                    streams = chunk.get(8..13) == Some(b" 200 ");
                    // Also over a cable that is out for a moment.
                    let _ = sockopt::set_tcp_user_timeout(&source, SILENT.as_millis() as u32);
                }
                if guest.write_all(&chunk[..bytes]).is_err() {
                    return Tried::Left;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ if streams => return Tried::CutOff,
            _ if has_begun => return Tried::Left,
            Ok(_) => return Tried::Nobody(io::ErrorKind::UnexpectedEof.into()),
            Err(why) => return Tried::Nobody(why),
        }
    }
}

fn connect(authority: &str) -> io::Result<TcpStream> {
    let mut why = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses(authority)? {
        match TcpStream::connect_timeout(&address, CONNECTS_WITHIN) {
            Ok(source) => {
                source.set_nodelay(true)?;
                source.set_write_timeout(Some(STUCK))?;
                sockopt::set_socket_keepalive(&source, true)?;
                sockopt::set_tcp_keepidle(&source, Duration::from_secs(1))?;
                sockopt::set_tcp_keepintvl(&source, Duration::from_secs(1))?;
                sockopt::set_tcp_user_timeout(&source, ALIVE_WITHIN.as_millis() as u32)?;
                return Ok(source);
            }
            Err(error) => why = error,
        }
    }
    Err(why)
}

fn remember(lost: &Lost, authority: String) {
    let now = Instant::now();
    let mut lost = lost.lock().unwrap_or_else(PoisonError::into_inner);
    lost.retain(|_, when| now < *when + LATELY);
    lost.insert(authority, now);
}

fn was_lost_lately(lost: &Lost, authority: &str) -> bool {
    let lost = lost.lock().unwrap_or_else(PoisonError::into_inner);
    lost.get(authority).is_some_and(|when| when.elapsed() < LATELY)
}

/// Whether the one who asks hangs up within `wait`.
fn has_left(guest: &TcpStream, wait: Duration) -> bool {
    !poll::wait_for(guest, PollFlags::RDHUP, Some(wait)).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serve(listener: &TcpListener, words: &str) {
        let (mut socket, _) = listener.accept().unwrap();
        let request = head_of(&mut socket).unwrap().unwrap();
        assert_eq!((request.method.as_str(), request.target.as_str()), ("GET", "/stream.ts"));
        assert_eq!(request.headers.only("authorization"), Some("Bearer token"));
        assert!(!request.headers.has("proxy-authorization"), "{request:?}");
        write!(socket, "HTTP/1.1 200 OK\r\n\r\n{words}").unwrap();
    }

    fn ask(errands: &Errands, target: &str) -> TcpStream {
        let mut socket = TcpStream::connect(errands.address).unwrap();
        let shown = credentials(&errands.password);
        let headers = format!("Host: x\r\nAuthorization: Bearer token\r\nProxy-Authorization: {shown}\r\n");
        write!(socket, "GET {target} HTTP/1.1\r\n{headers}\r\n").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket
    }

    fn all(mut socket: TcpStream) -> String {
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn who_was_cut_off_waits_for_its_source_and_nobody_else_does() {
        let errands = Errands::start().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let target = format!("http://{address}/stream.ts");
        let first = ask(&errands, &target);
        serve(&listener, "one");
        drop(listener);
        assert_eq!(all(first), "HTTP/1.1 200 OK\r\n\r\none");
        let second = ask(&errands, &target);
        // Nobody listens yet.
        std::thread::sleep(3 * BETWEEN);
        let listener = TcpListener::bind(address).unwrap();
        serve(&listener, "two");
        assert_eq!(all(second), "HTTP/1.1 200 OK\r\n\r\ntwo");

        let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let begun = Instant::now();
        assert!(all(ask(&errands, &format!("http://{other}/stream.ts"))).starts_with("HTTP/1.1 502 "));
        assert!(begun.elapsed() < PATIENCE / 2, "nothing ran there");
    }

    #[test]
    fn who_leaves_ends_its_stream() {
        let errands = Errands::start().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let guest = ask(&errands, &format!("http://{}/stream.ts", listener.local_addr().unwrap()));
        let (mut source, _) = listener.accept().unwrap();
        head_of(&mut source).unwrap().unwrap();
        drop(guest);
        source.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        assert_eq!(source.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn strangers_get_nothing() {
        let errands = Errands::start().unwrap();
        for (line, status) in [
            ("GET http://127.0.0.1:1/ HTTP/1.1\r\n", "407"),
            ("GET http://127.0.0.1:1/ HTTP/1.1\r\nProxy-Authorization: Basic Z2F0ZTo=\r\n", "407"),
            ("CONNECT 127.0.0.1:1 HTTP/1.1\r\n", "407"),
        ] {
            let mut socket = TcpStream::connect(errands.address).unwrap();
            write!(socket, "{line}\r\n").unwrap();
            assert!(all(socket).starts_with(&format!("HTTP/1.1 {status} ")), "{line}");
        }
        let shown = credentials(&errands.password);
        for line in ["POST http://127.0.0.1:1/ HTTP/1.1", "CONNECT 127.0.0.1:1 HTTP/1.1", "GET / HTTP/1.1"] {
            let mut socket = TcpStream::connect(errands.address).unwrap();
            write!(socket, "{line}\r\nProxy-Authorization: {shown}\r\n\r\n").unwrap();
            assert!(all(socket).starts_with("HTTP/1.1 405 "), "{line}");
        }
    }
}
