//! Where a worker's name leads, as the system's resolver has it.

use crate::os::threads;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::mpsc::{Receiver, channel};
use std::vec::IntoIter;

/// The addresses of `host` or `host:port`; without a port it is 80.
///
/// # Errors
/// There are none, or nobody answers.
pub fn addresses(authority: &str) -> io::Result<IntoIter<SocketAddr>> {
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if has_port { authority.to_socket_addrs() } else { format!("{authority}:80").to_socket_addrs() }
}

/// Asks whether a name leads to others by now than to `source`. The answer comes later: it may take seconds, and a stream
/// that goes on meanwhile has none to lose. Without one nothing is known.
pub fn ask_whether_it_leads_elsewhere(authority: &str, source: &TcpStream) -> Receiver<bool> {
    let (tell, told) = channel();
    if let Ok(peer) = source.peer_addr() {
        let authority = authority.to_owned();
        let answer = move || {
            // Nobody may want to know any more.
            let _ = tell.send(leads_elsewhere(&authority, peer.ip()));
        };
        // Where no thread can be started it is asked again.
        let _ = threads::deep("name").spawn(answer);
    }
    told
}

/// Where a name leads nowhere, nothing is known.
fn leads_elsewhere(authority: &str, peer: IpAddr) -> bool {
    let Ok(mut addresses) = addresses(authority) else { return false };
    addresses.len() > 0 && addresses.all(|address| address.ip().to_canonical() != peer.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener};

    #[test]
    fn a_port_need_not_be_named() {
        let of = |authority: &str| addresses(authority).unwrap().collect::<Vec<_>>();
        assert_eq!(of("127.0.0.1"), [SocketAddr::from(([127, 0, 0, 1], 80))]);
        assert_eq!(of("127.0.0.1:9000"), [SocketAddr::from(([127, 0, 0, 1], 9000))]);
        assert_eq!(of("[::1]:9000"), ["[::1]:9000".parse().unwrap()]);
    }

    #[test]
    fn a_name_may_lead_to_another_one_by_now() {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let source = TcpStream::connect(("127.0.0.2", port)).unwrap();
        let elsewhere = |authority: &str| ask_whether_it_leads_elsewhere(authority, &source).recv().unwrap();
        assert!(elsewhere("127.0.0.1") && elsewhere(&format!("127.0.0.3:{port}")));
        assert!(!elsewhere(&format!("127.0.0.2:{port}")));
        assert!(!elsewhere("no\0name"), "nothing is known");
    }
}
