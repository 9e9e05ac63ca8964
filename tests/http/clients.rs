//! Clients that are slow, silent, rude or many.

use crate::door::{Door, SMALL, program};
use crate::support::http::{Answer, connect, get};
use crate::support::process::{DEADLINE, pass_environment, until};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn a_head_has_five_seconds_in_all() {
    let door = Door::start(&[]);
    let rest = |mut socket: TcpStream| {
        let mut bytes = Vec::new();
        let _ = socket.read_to_end(&mut bytes);
        Answer::of(&bytes)
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let begun = Instant::now();
            let answer = rest(connect(door.address)).expect("an answer");
            answer.assert_exact();
            let took = begun.elapsed();
            assert_eq!(answer.status, 408, "who says nothing");
            assert!(took >= Duration::from_secs(5) && took < Duration::from_secs(7), "{took:?}");
        });
        scope.spawn(|| {
            let begun = Instant::now();
            let mut socket = connect(door.address);
            let sender = socket.try_clone().expect("a descriptor");
            std::thread::spawn(move || {
                // A byte now and then keeps nothing alive.
                while (&sender).write_all(b"x").is_ok() {
                    std::thread::sleep(Duration::from_millis(100));
                }
            });
            let mut bytes = Vec::new();
            let _ = socket.read_to_end(&mut bytes);
            assert!(bytes.is_empty() || bytes.starts_with(b"HTTP/1.1 408 "), "{:?}", String::from_utf8_lossy(&bytes));
            assert!(begun.elapsed() < Duration::from_secs(7), "{:?}", begun.elapsed());
        });
        scope.spawn(|| {
            // In single bytes, and in time.
            let mut socket = connect(door.address);
            for byte in format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", door.address).bytes() {
                socket.write_all(&[byte]).expect("it takes every byte");
                std::thread::sleep(Duration::from_millis(2));
            }
            assert_eq!(rest(socket).map(|answer| answer.status), Some(200));
        });
        scope.spawn(|| {
            // It has said what it wants and no more: as `nc -N` does.
            let mut socket = connect(door.address);
            socket.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").expect("room");
            socket.shutdown(Shutdown::Write).expect("it is open");
            assert_eq!(rest(socket).map(|answer| answer.status), Some(200));
        });
    });
    door.end();
}

#[test]
fn two_hundred_who_say_nothing_harm_nobody() {
    let door = Door::start(&[]);
    let idle: Vec<_> = (0..200).map(|_| connect(door.address)).collect();
    let begun = Instant::now();
    assert_eq!(get(door.address, "/healthz").status, 200);
    assert_eq!(door.stream("/stream.h264").take(5), [0, 0, 0, 1, 0x67]);
    assert!(begun.elapsed() < Duration::from_secs(4), "before their time is over: {:?}", begun.elapsed());
    // More than there is room for, and still somebody with a wish gets in: the oldest make way.
    let more: Vec<_> = (0..200).map(|_| connect(door.address)).collect();
    assert_eq!(get(door.address, "/healthz").status, 200);
    assert!(door.holds().0 < 300, "{:?} descriptors", door.holds());
    drop((idle, more));
    until(DEADLINE, "nothing of them is left", || (door.holds().0 < 20).then_some(()));
    door.end();
}

#[test]
fn one_that_is_short_of_descriptors_goes_on_without_spinning() {
    let program = program();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""]).arg(program.get_program()).stdin(Stdio::null());
    pass_environment(&program, &mut command);
    let door = Door::start_as(command.args(SMALL), &[]);
    let idle: Vec<_> = (0..100).map(|_| connect(door.address)).collect();
    assert_eq!(get(door.address, "/healthz").status, 200, "the oldest make way");
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", door.process.id())).expect("it runs");
        let fields: Vec<_> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap_or(0) + fields[12].parse::<u64>().unwrap_or(0)
    };
    let before = ticks();
    std::thread::sleep(Duration::from_secs(1));
    assert!(ticks() - before < 20, "{} ticks in a second", ticks() - before);
    drop(idle);
    assert_eq!(door.stream("/stream.h264").take(5), [0, 0, 0, 1, 0x67]);
    door.end();
}
