//! A worker by HTTP from its start to its end.

use crate::door::{Door, SMALL, program};
use crate::support::http::connect;
use crate::support::process::{DEADLINE, Process, until};
use rustix::process::Signal;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

/// The address that a worker has said it listens at.
fn told(process: &Process) -> SocketAddr {
    let line = process.wait_for_line("listening at http://");
    let address = line.split_once("http://").and_then(|(_, rest)| rest.split('/').next());
    address.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("no address in {line}"))
}

#[test]
fn port_0_is_one_that_is_told_and_ipv6_is_an_address_too() {
    for ip in [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()] {
        let at = SocketAddr::new(ip, 0);
        if TcpListener::bind(at).is_err() {
            eprintln!("no {ip} here");
            continue;
        }
        let process = Process::start(program().args(SMALL).args(["--listen", &at.to_string()]));
        let address = told(&process);
        assert!(address.ip() == ip && address.port() != 0, "{address}");
        let door = Door { process, address };
        door.stream("/stream.h264").take(5);
        door.end();
    }
}

#[test]
fn an_address_that_is_not_to_be_had_ends_it_with_what_to_do() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = taken.local_addr().expect("it is bound").to_string();
    for (address, words) in [
        (address.as_str(), &["[listen-taken]", "ss -ltnp", "--listen 127.0.0.1:"][..]),
        ("127.0.0.1:99999", &["--listen"]),
        ("localhost", &["--listen"]),
        ("9000", &["--listen"]),
    ] {
        let output = program().args(SMALL).args(["--listen", address]).output().expect("it can be run");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(1 | 2)), "{stderr}");
        words.iter().for_each(|word| assert!(stderr.contains(word), "{address}: {word:?} is not in {stderr}"));
    }
    let open = ["--listen", "192.0.2.1:9000", "--insecure-no-token"];
    let output = program().args(SMALL).args(open).output().expect("it can be run");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && stderr.contains("[listen-refused]"), "{stderr}");
}

#[test]
fn a_signal_at_any_moment_ends_all_of_it() {
    for (round, signal) in [Signal::TERM, Signal::INT, Signal::TERM, Signal::INT].into_iter().enumerate() {
        let door = Door::start(&[]);
        let silent = connect(door.address);
        let mut streams = Vec::new();
        for _ in 0..round {
            let mut stream = door.stream("/stream.ts");
            stream.take(188);
            streams.push(stream);
        }
        // One of them has not begun.
        let mut starting = connect(door.address);
        crate::support::http::request(&mut starting, door.address, "/stream.h264");
        std::thread::sleep(Duration::from_millis(20 * round as u64));
        let children = door.children();
        let asked = Instant::now();
        door.process.signal(signal);
        let ended = door.process.wait();
        assert_eq!(ended.code(), 0, "{}", ended.stderr);
        assert!(asked.elapsed() < Duration::from_millis(1700), "{:?}", asked.elapsed());
        for child in children {
            until(DEADLINE, "its processes end with it", || {
                rustix::process::test_kill_process(child).is_err().then_some(())
            });
        }
        streams.into_iter().for_each(|stream| drop(stream.rest()));
        drop((silent, starting));
    }
}

#[test]
fn an_idr_is_asked_for_in_all_streams() {
    let door = Door::start(&["--gop", "3600"]);
    let mut streams = [door.stream("/stream.h264"), door.stream("/stream.h264")];
    let idrs = |bytes: &[u8]| bytes.windows(5).filter(|five| **five == [0, 0, 0, 1, 0x67]).count();
    for stream in &mut streams {
        assert_eq!(idrs(&stream.take(5)), 1);
    }
    door.process.signal(Signal::USR1);
    for stream in &mut streams {
        let mut seen = vec![0; 4];
        until(DEADLINE, "an IDR comes", || {
            seen.extend(stream.take(100));
            (idrs(&seen) > 0).then_some(())
        });
    }
    door.end();
}
