//! Producers that share memory through a socket, as GStreamer's `unixfdsink` does: the one of `examples/python`, and some
//! that are none. `scripts/docker-test` has the real element.

use crate::support::decode::{Decoder, Form, Picture, Source};
use crate::support::process::{DEADLINE, Process, mb_encode};
use mb_encode::settings::Size;
use rustix::process::Signal;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What the example draws.
const SIZE: (u32, u32) = (640, 360);
const BLUE: [u8; 3] = [24, 48, 96];
const ORANGE: [u8; 3] = [255, 160, 0];

/// Starts the example, and waits until viewers can connect.
fn producer(socket: &Path) -> Process {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/python/unixfd_producer.py");
    let process = Process::start(Command::new("python3").arg(example).arg(socket));
    let deadline = Instant::now() + DEADLINE;
    // A socket that is left behind from a killed one refuses.
    while UnixStream::connect(socket).is_err() {
        assert!(Instant::now() < deadline && process.is_running(), "it does not listen: {:?}", process.lines());
        std::thread::sleep(Duration::from_millis(10));
    }
    process
}

fn viewer(socket: &Path, arguments: &[&str]) -> Process {
    let mut command = mb_encode();
    command.arg("--stdout").arg("--input").arg(format!("unix:{}", socket.display())).args(arguments);
    Process::start(command.args(["--log-level", "info"]).stdout(Stdio::piped()))
}

fn decode(stream: Vec<u8>) -> Vec<Picture> {
    let mut decoder = Decoder::start(Source::Bytes(stream), Size::new(SIZE.0, SIZE.1).unwrap(), Form::Rgb24, None);
    let pictures = decoder.by_ref().collect();
    decoder.finish();
    pictures
}

fn is(picture: &Picture, x: u32, color: [u8; 3]) -> bool {
    // What the encoder makes of a colour.
    const NEAR: u8 = 12;
    picture.rgb(x, SIZE.1 / 2).iter().zip(color).all(|(seen, drawn)| seen.abs_diff(drawn) <= NEAR)
}

/// Where the bar begins that moves.
fn bar(picture: &Picture) -> Option<u32> {
    (0..SIZE.0).find(|x| is(picture, *x, ORANGE))
}

/// The time that a process has computed, and how often it has slept.
fn work(process: &Process) -> (String, String) {
    let read = |name| std::fs::read_to_string(format!("/proc/{}/{name}", process.id())).unwrap();
    let stat = read("stat");
    let times: Vec<_> = stat.rsplit(')').next().unwrap().split(' ').skip(12).take(2).collect();
    let status = read("status");
    let switches = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap();
    (times.join(" "), switches.to_owned())
}

/// Whether it does nothing for a second, in the end: the last viewer's connection is still to be noticed.
fn is_idle(process: &Process) -> bool {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let before = work(process);
        std::thread::sleep(Duration::from_secs(1));
        if work(process) == before {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
    }
}

#[test]
fn the_example_draws_for_any_number_of_viewers_and_for_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("frames");
    let producer = producer(&socket);
    for viewers in 1..=2 {
        assert!(is_idle(&producer), "it works though nobody watches");
        let mut watching: Vec<_> =
            (0..viewers).map(|_| viewer(&socket, &["--frames", "20", "--bitrate", "8M"])).collect();
        let streams: Vec<_> = watching.iter_mut().map(|viewer| viewer.stdout().all()).collect();
        for (viewer, stream) in watching.into_iter().zip(streams) {
            let ended = viewer.wait();
            assert_eq!(ended.code(), 0, "{}", ended.stderr);
            let pictures = decode(stream);
            let bars: Vec<_> = pictures.iter().map(|it| bar(it).expect("an orange bar")).collect();
            assert_eq!(bars.len(), 20);
            assert!(bars.windows(2).all(|pair| pair[0] <= pair[1] || pair[1] < 40), "it moves to the right: {bars:?}");
            assert!(bars.first() != bars.last(), "it moves: {bars:?}");
            assert!(pictures.iter().zip(&bars).all(|(it, bar)| is(it, (bar + 320) % SIZE.0, BLUE)), "on blue");
        }
    }
    assert!(is_idle(&producer), "it works though nobody watches any more");
}

#[test]
fn a_producer_that_is_killed_again_and_again_stops_nothing_but_its_picture() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("frames");
    let mut viewer = viewer(&socket, &["--bitrate", "8M"]);
    viewer.wait_for_line("waiting for a producer");
    let mut stream = viewer.stdout();
    let reading = std::thread::spawn(move || stream.all());
    for at in 0..12u32 {
        let producer = producer(&socket);
        if at == 0 {
            viewer.wait_for_line("640x360");
        }
        // No two moments alike.
        std::thread::sleep(Duration::from_millis(u64::from(at * 37 % 211)));
        producer.signal(Signal::KILL);
        producer.wait();
    }
    let _last = producer(&socket);
    std::thread::sleep(Duration::from_secs(3));
    assert!(viewer.is_running(), "{:?}", viewer.lines());
    viewer.signal(Signal::INT);
    let ended = viewer.wait();
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    let pictures = decode(reading.join().unwrap());
    let last: Vec<_> = pictures.iter().rev().take(20).map(|it| bar(it).expect("an orange bar")).collect();
    assert!(last.first() != last.last(), "the last producer is seen: {last:?}");
    assert!(!ended.stderr.contains("WARN"), "to be killed is no lie: {}", ended.stderr);
}

/// Listens on a socket, and does as `producer` does with the viewer that connects.
fn against(producer: impl FnOnce(UnixStream, &UnixListener) + Send) -> (Vec<u8>, String, i32) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("frames");
    let listener = UnixListener::bind(&socket).unwrap();
    let mut viewer = viewer(&socket, &["--frames", "1"]);
    std::thread::scope(|scope| {
        scope.spawn(|| producer(listener.accept().unwrap().0, &listener));
        let stream = viewer.stdout().all();
        let ended = viewer.wait();
        let code = ended.code();
        (stream, ended.stderr, code)
    })
}

fn caps(text: &str) -> Vec<u8> {
    let text = format!("{text}\0");
    [&2u32.to_ne_bytes()[..], &(text.len() as u32).to_ne_bytes(), text.as_bytes()].concat()
}

#[test]
fn what_cannot_be_shown_ends_the_stream_with_what_to_change_in_the_pipeline() {
    for (text, code, remedy) in [
        ("video/x-h264, stream-format=(string)avc", "[unixfd-format]", "decodebin"),
        ("video/x-raw, format=(string)P010_10LE, width=(int)64, height=(int)64", "[unixfd-format]", "videoconvert"),
        ("video/x-raw(memory:DMABuf), format=(string)DMA_DRM", "[unixfd-dmabuf]", "gldownload"),
    ] {
        let (stream, stderr, exit) = against(|mut viewer, _| {
            viewer.write_all(&caps(text)).unwrap();
            let _ = viewer.read_to_end(&mut Vec::new());
        });
        assert!(stream.is_empty() && exit == 2, "{text}: {stderr}");
        assert!(stderr.contains(code) && stderr.contains(remedy), "{text}: {stderr}");
    }
}

#[test]
fn who_speaks_another_protocol_is_named_once_and_the_next_one_is_shown() {
    let (stream, stderr, exit) = against(|mut viewer, listener| {
        for _ in 0..2 {
            viewer.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
            let _ = viewer.read_to_end(&mut Vec::new());
            viewer = listener.accept().unwrap().0;
        }
        // This one says nothing for a while, and then that it will never send what can be shown.
        std::thread::sleep(Duration::from_millis(2500));
        viewer.write_all(&caps("audio/x-raw")).unwrap();
        let _ = viewer.read_to_end(&mut Vec::new());
    });
    assert!(stream.is_empty() && exit == 2, "{stderr}");
    assert_eq!(stderr.matches("another protocol").count(), 1, "{stderr}");
    assert!(stderr.contains("has sent no frame yet") && stderr.contains("not raw video"), "{stderr}");
}
