//! A real MediaMTX with `examples/mediamtx.yml`: it pages a worker with its readers.

use crate::place::{Group, Place};
use crate::rig::until;
use crate::support::browser::Browser;
use crate::support::decode::{Decoder, Form, Source};
use crate::support::go2rtc::free_ports;
use crate::support::process::DEADLINE;
use crate::worker::{Worker, command, find, link, replaced, size};
use std::net::TcpStream;
use std::time::Instant;

#[test]
fn mediamtx_runs_an_encoder_from_its_first_reader_to_its_last() {
    let _alone = crate::alone();
    let worker = Worker::start(&[]);
    let place = Place::new();
    link(&place, "mediamtx", &find("MEDIAMTX", "mediamtx"));
    let [rtsp, web, ice]: [u16; 3] = free_ports();
    // The path's digit is the port's last one.
    let (ports, path) = (worker.address.port() / 10, format!("omega-{}", worker.address.port() % 10));
    let local = |port: u16| format!("127.0.0.1:{port}");
    let config = std::fs::read_to_string(place.path("examples/mediamtx.yml")).expect("it is there");
    let moved = [
        ("127.0.0.1:8554", local(rtsp)),
        ("127.0.0.1:8889", local(web)),
        ("127.0.0.1:8189", local(ice)),
        ("127.0.0.1:900$G1", format!("127.0.0.1:{ports}$G1")),
    ];
    let moved = moved.each_ref().map(|(from, to)| (*from, to.as_str()));
    std::fs::write(place.path("mediamtx.yml"), replaced(&config, &moved)).expect("a folder to write to");
    let line = command("mediamtx ").replace("examples/", "");
    let mut server = Group::start(&mut place.shell(&format!("exec {line} >mediamtx.log")));
    let log = || std::fs::read_to_string(place.path("mediamtx.log")).unwrap_or_default();
    for port in [rtsp, web] {
        until(DEADLINE, "MediaMTX listens", || {
            assert!(server.process().is_running(), "{}", log());
            TcpStream::connect(local(port)).ok()
        });
    }
    assert_eq!(worker.encoders(), [], "nobody watches");

    for round in 0..2 {
        let begun = Instant::now();
        let address = format!("rtsp://{}/{path}", local(rtsp));
        let mut reader = Decoder::start(Source::Rtsp(&address), size(), Form::Yuv420p, None);
        let marks = reader.take_marks(10);
        let seen = begun.elapsed();
        assert!(marks.windows(2).all(|pair| pair[1].frame > pair[0].frame), "{marks:?}\n{}", log());
        assert!(marks[0].frame < 150, "round {round}: a fresh stream: {:?}", marks[0]);
        assert_eq!(worker.encoders().len(), 1, "one encoder for it");
        drop(reader);
        let left = Instant::now();
        worker.wait_until_alone();
        eprintln!("round {round}: ten frames after {seen:?}, no encoder {:?} after the last reader", left.elapsed());
    }

    // And a browser, over WebRTC.
    let browser = Browser::start(640, 480);
    browser.open(&format!("http://{}/{path}/", local(web)));
    let look = "const video = document.querySelector('video');
        return video ? [video.videoWidth, video.getVideoPlaybackQuality().totalVideoFrames] : [0, 0]";
    until(DEADLINE, "it plays in a browser", || {
        let seen = browser.tell(look);
        (seen[0] == 320 && seen[1].as_u64() >= Some(30)).then_some(())
    });
    assert_eq!(worker.encoders().len(), 1);
    // A page that is closed says no goodbye, and counts for half a minute more. Nothing outlives the server.
    server.end();
    worker.wait_until_alone();
}
