//! Thousands of connections that end at random moments. `MB_CONNECTIONS` sets how many.

use crate::door::Door;
use crate::support::http::{connect, get};
use crate::support::process::{DEADLINE, until};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const AT_ONCE: u64 = 8;

/// Numbers that look random and are the same each time (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn wait(&mut self, most_ms: u64) {
        std::thread::sleep(Duration::from_micros(self.roll(most_ms * 1000)));
    }
}

/// Has the connection be reset when it is dropped, as that of a process on a machine that has lost its power would be.
fn reset(socket: &TcpStream) {
    rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO)).expect("it is a socket");
}

/// One connection, of any kind.
fn visit(address: SocketAddr, dice: &mut Dice) {
    let mut socket = connect(address);
    let path = ["/stream.ts", "/stream.h264", "/", "/healthz", "/metrics", "/status", "/no"][dice.roll(7) as usize];
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let kind = dice.roll(9);
    if dice.roll(2) == 0 {
        reset(&socket);
    }
    match kind {
        // Silent.
        0 => dice.wait(30),
        // Half a head.
        1 => {
            let _ = socket.write_all(&request.as_bytes()[..dice.roll(request.len() as u64) as usize]);
            dice.wait(30);
        }
        // Single bytes.
        2 => {
            for byte in request.bytes() {
                if socket.write_all(&[byte]).is_err() || dice.roll(60) == 0 {
                    return;
                }
            }
            dice.wait(50);
        }
        // Noise.
        3 => {
            let noise: Vec<_> = (0..dice.roll(12_000)).map(|_| dice.roll(256) as u8).collect();
            let _ = socket.write_all(&noise);
            let _ = socket.write_all(b"\r\n\r\n");
            dice.wait(20);
        }
        // It says that it has no more to say.
        4 => {
            let _ = socket.write_all(request.as_bytes());
            let _ = socket.shutdown(Shutdown::Write);
            let _ = socket.set_read_timeout(Some(Duration::from_millis(200)));
            let _ = socket.read(&mut [0; 4096]);
        }
        // It takes a little, slowly.
        5 => {
            let _ = socket.write_all(request.as_bytes());
            let _ = socket.set_read_timeout(Some(Duration::from_millis(50)));
            for _ in 0..dice.roll(8) {
                let _ = socket.read(&mut [0; 7]);
                dice.wait(20);
            }
        }
        // It leaves whenever it likes.
        _ => {
            let _ = socket.write_all(request.as_bytes());
            dice.wait(300);
        }
    }
}

#[test]
fn nothing_grows_whatever_comes() {
    let tries = std::env::var("MB_CONNECTIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(600);
    let door = Door::start(&["--log-level", "off"]);
    // What is loaded once is loaded now.
    for path in ["/stream.ts", "/stream.h264"] {
        door.stream(path).take(188);
    }
    get(door.address, "/metrics");
    door.wait_until_alone();
    let settled = |what: &str, descriptors: usize| {
        until(DEADLINE, what, || (door.children().is_empty() && door.holds().0 <= descriptors).then_some(()));
        door.holds()
    };
    // Whoever was answered may linger for half a second.
    let before = until(DEADLINE, "the first ones have gone", || {
        let (descriptors, threads, _) = door.holds();
        std::thread::sleep(Duration::from_millis(700));
        let later = door.holds();
        (threads <= 2 && (later.0, later.1) == (descriptors, threads)).then_some(later)
    });
    let next = AtomicU64::new(0);
    let crowd = |from: u64, to: u64| {
        next.store(from, Ordering::Relaxed);
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= to {
                            return;
                        }
                        visit(door.address, &mut Dice(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1));
                    }
                });
            }
        });
        settled("everything of them ends", before.0)
    };
    let half = crowd(0, tries / 2);
    let all = crowd(tries / 2, tries);
    eprintln!("descriptors, threads, KiB: {before:?} before, {half:?} after half of {tries}, {all:?} after all");
    assert_eq!((all.0, all.1), (before.0, before.1), "descriptors and threads");
    assert!(all.2 <= half.2 + 512, "memory grows: {half:?}, then {all:?}");
    assert_eq!(get(door.address, "/healthz").status, 200, "{}", get(door.address, "/healthz").text());
    assert_eq!(door.stream("/stream.h264").take(5), [0, 0, 0, 1, 0x67]);
    assert_eq!(door.metric("mb_encode_ends_total{cause=\"failed\"}"), 0.0);
    door.end();
}
