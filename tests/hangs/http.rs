//! `--listen`: whoever asks for a stream whose driver hangs gets an HTTP error within the time of a start, or the end of
//! the connection, and never silence.

use crate::rig::{
    CALLS, DEADLINE, LIMITS, Machine, SLACK, assert_carried_over, assert_told, at_once, limit, until, up_to_last_frame,
    watch,
};
use crate::support::go2rtc::free_ports;
use crate::support::http::{Stream, connect, get, request};
use crate::support::process::{Process, ready};
use rustix::event::PollFlags;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

fn start(machine: &Machine, options: &[&str]) -> (Process, SocketAddr) {
    let [port] = free_ports();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let worker = machine.stream(&["--listen", &address.to_string()], options);
    until(DEADLINE, "it listens", || {
        assert!(worker.is_running(), "{:?}", worker.lines());
        TcpStream::connect(address).ok()
    });
    (worker, address)
}

#[test]
fn a_hang_before_the_first_frame_is_an_http_error() {
    at_once(&CALLS[..2], |(call, stage)| {
        let machine = Machine::new(call).role("reader").once();
        let (worker, address) = start(&machine, &LIMITS);
        let asked = Instant::now();
        let stream = Stream::open(address, "/stream.ts");
        assert!(
            asked.elapsed() < Duration::from_secs(limit(stage).into()) + SLACK,
            "{call}: told after {:?}",
            asked.elapsed()
        );
        assert_eq!(stream.head.status, 503, "{call}: {:?}", stream.head);
        stream.head.assert_exact();
        assert_eq!(stream.head.header("retry-after"), Some("1"));
        let words = String::from_utf8(stream.rest()).expect("text");
        assert!(
            words.contains(&format!("no progress for {} s", limit(stage))) && words.contains(stage),
            "{call}: {words}"
        );
        // For a moment it says what was wrong, and then all is well again.
        let health = get(address, "/healthz");
        if health.status != 200 {
            assert!(health.status == 503 && health.text().contains("no progress for "), "{call}: {health:?}");
        }
        until(DEADLINE, "it takes readers again", || (get(address, "/healthz").status == 200).then_some(()));
        Stream::open(address, "/stream.ts").take(188 * 20);
        assert_eq!(machine.hung().len(), 1, "{call}");
        assert!(worker.is_running(), "{call}");
    });
}

#[test]
fn a_reader_is_carried_over_a_hang() {
    at_once(&CALLS[2..], |(call, stage)| {
        let machine = Machine::new(call).role("reader").once();
        let (worker, address) = start(&machine, &[&LIMITS[..], &["--gop", "3600"]].concat());
        let mut stream = Stream::open(address, "/stream.h264");
        assert_eq!(stream.head.status, 200, "{call}: {:?}", stream.head);
        let hung = watch(machine.wait_until_hung(1, &worker));
        let mut bytes = Vec::new();
        let is_killed = || ready(hung.as_fd(), PollFlags::IN, Duration::ZERO);
        until(Duration::from_secs(1) + SLACK, "it is killed", || is_killed().then_some(()));
        let whole = loop {
            bytes.extend(stream.take(1000));
            if let Some(whole) = up_to_last_frame(&bytes, 80) {
                break whole;
            }
        };
        assert_carried_over(whole, 80, call);
        let told: Vec<_> = worker.lines().into_iter().filter(|line| line.contains("no progress for")).collect();
        assert!(told.len() == 1 && told[0].contains("starting over"), "{told:?}");
        assert_told(&told[0], 1, stage);
        assert_eq!(get(address, "/healthz").status, 200, "{call}");
    });
}

#[test]
fn a_reader_that_leaves_a_hanging_driver_takes_the_process_with_it() {
    let machine = Machine::new("eglInitialize@1").role("reader").once();
    let (worker, address) = start(&machine, &[]);
    let mut socket = connect(address);
    request(&mut socket, address, "/stream.h264");
    let hung = watch(machine.wait_until_hung(1, &worker));
    let left = Instant::now();
    drop(socket);
    assert!(ready(hung.as_fd(), PollFlags::IN, DEADLINE), "it stays");
    assert!(left.elapsed() <= Duration::from_millis(300), "{:?} after its reader", left.elapsed());
    Stream::open(address, "/stream.ts").take(188);
}

#[test]
fn who_comes_while_it_holds_back_is_told_at_once() {
    let machine = Machine::new("glReadPixels@1").role("reader");
    let (worker, address) = start(&machine, &LIMITS);
    for round in 1..=3u64 {
        let stream = Stream::open(address, "/stream.ts");
        assert_eq!(stream.head.status, 503, "{round}: {:?}", stream.head);
        let asked = Instant::now();
        let again = Stream::open(address, "/stream.h264");
        assert_eq!(again.head.status, 503);
        assert!(asked.elapsed() < SLACK, "{round}: {:?}", asked.elapsed());
        let wait: u64 = again.head.header("retry-after").and_then(|text| text.parse().ok()).expect("seconds");
        assert!((1..=1 << (round - 1)).contains(&wait), "{round}: {wait} s");
        until(DEADLINE, "it takes readers again", || (get(address, "/healthz").status == 200).then_some(()));
    }
    assert_eq!(machine.hung().len(), 3);
    assert!(worker.is_running());
}

#[test]
fn a_stop_ends_a_worker_whose_drivers_hang() {
    let machine = Machine::new("eglInitialize@1").role("reader");
    let (worker, address) = start(&machine, &[]);
    let sockets: Vec<_> = (1..=3)
        .map(|count| {
            let mut socket = connect(address);
            request(&mut socket, address, "/stream.h264");
            machine.wait_until_hung(count, &worker);
            socket
        })
        .collect();
    worker.signal(rustix::process::Signal::TERM);
    assert_eq!(worker.wait_for(crate::rig::LAST_WORK).code(), 0);
    machine.assert_all_gone(Duration::from_secs(1));
    drop(sockets);
}
