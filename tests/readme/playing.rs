//! What a real go2rtc plays: whole systems that `scripts/start` starts, configurations, and the stream by hand.

use crate::how::{How, commands};
use crate::page::{Part, parts};
use crate::place::{Group, Place, size_in};
use crate::rig::{Rig, until};
use crate::support::decode::{Decoder, Form, Source, assert_in_order};
use crate::support::go2rtc::{ask, free_ports};
use crate::support::process::{DEADLINE, Process};
use crate::{alone, assert_shown};
use rustix::process::Signal;
use std::path::Path;

/// With the ports of `ports` instead of the well-known.
fn moved(text: &str, ports: [u16; 3]) -> String {
    let known = ["1984", "8554", "8555"];
    known
        .iter()
        .zip(ports)
        .fold(text.to_owned(), |text, (known, port)| text.replace(&format!(":{known}"), &format!(":{port}")))
}

fn assert_plays(address: &str, line: &str, why: &dyn Fn() -> String) {
    // One that comes too early is sent away, as a person would be who then tries again.
    let marks = until(DEADLINE * 2, &format!("{line}: {address} plays"), || {
        let mut decoder = Decoder::start(Source::Rtsp(address), size_in(line), Form::Yuv420p, None);
        let marks: Vec<_> = decoder.by_ref().take(3).filter_map(|picture| picture.mark()).collect();
        (marks.len() == 3).then_some(marks)
    });
    assert!(marks[2].frame > marks[0].frame, "{line}: {marks:?}\n{}", why());
}

#[test]
fn what_scripts_start_starts_can_be_watched() {
    let _alone = alone();
    for (at, line) in commands(How::Start).iter().enumerate() {
        eprintln!("{line}");
        let place = Place::new();
        let rig = place.start(line);
        let words: Vec<_> = line.split_whitespace().collect();
        let workers = words.iter().position(|word| *word == "--workers").map(|at| words[at + 1]);
        let workers: usize = workers.expect("each names their number").parse().expect("a number");
        let last = format!("omega-{}", workers - 1);
        assert_plays(&rig.rtsp(&last), line, &|| rig.log());
        let (status, _) = place.run("scripts/start status", DEADLINE);
        let status = String::from_utf8(status).expect("UTF-8");
        assert!(status.contains(&last) && status.contains("go2rtc"), "{status}");
        if at == 0 {
            addresses_answer(&rig);
            commands_beside(&place, &rig);
        }
        if line.contains("--mode http") {
            workers_answer(&place, &rig);
        }
        rig.process.signal(Signal::INT);
        assert_eq!(rig.process.wait().code(), 0, "{line}");
    }
}

fn workers_answer(place: &Place, rig: &Rig) {
    for line in commands(How::AskWorker) {
        eprintln!("{line}");
        let (answer, _) = place.run(&line.replace("127.0.0.1:9000", &rig.worker_address("omega-0")), DEADLINE);
        assert!(String::from_utf8_lossy(&answer).contains("mb_encode_up"), "{line}");
    }
}

/// Every address that the pages name, but of the stream that is made by hand.
fn addresses_answer(rig: &Rig) {
    let mut seen = 0;
    for part in parts() {
        let Part::Address(address) = part else { continue };
        if address.contains("demo") {
            continue;
        }
        seen += 1;
        let here = moved(&address, rig.ports);
        if address.starts_with("rtsp:") {
            assert_plays(&here, "", &|| rig.log());
            continue;
        }
        let path = here.strip_prefix(&rig.http("")).unwrap_or_else(|| panic!("an address of go2rtc: {address}"));
        let (code, page) = rig.ask("GET", path, "");
        assert!(code == 200 && page.contains("<html"), "{address}: {code}\n{page}");
        let (_, streams) = rig.ask("GET", "api/streams", "");
        for source in path.split(['?', '&']).filter_map(|word| word.strip_prefix("src=")) {
            assert!(streams.contains(&format!("\"{source}\"")), "{address}: {streams}");
        }
    }
    assert!(seen >= 4, "the pages name fewer addresses than they should: {seen}");
}

fn commands_beside(place: &Place, rig: &Rig) {
    for line in commands(How::BesideStart) {
        eprintln!("{line}");
        if line.starts_with("ffplay ") {
            assert_shown(Group::start(&mut place.shell(&moved(&line, rig.ports))));
        } else if line != "scripts/start" {
            let (status, _) = place.run(&line, DEADLINE);
            assert!(String::from_utf8_lossy(&status).contains("omega-0"), "{line}");
        }
        // By itself that is the script's name, and the script runs.
    }
}

#[test]
fn go2rtc_plays_the_pieces_of_its_configuration() {
    let _alone = alone();
    let mut played = 0;
    for part in parts() {
        let Part::Config(text) = part else { continue };
        eprintln!("{text}");
        let place = Place::new();
        let streams = place.path("streams");
        let mut workers = Vec::new();
        let text_here = text.replace(" /streams/", &format!(" {}/", streams.display()));
        for word in text_here.split([' ', '#']).filter(|word| word.ends_with(".h264")) {
            std::fs::create_dir_all(&streams).expect("a folder to write to");
            workers.push(Group::start(&mut place.shell(&format!("exec mb-encode --fifo {word}"))));
            until(DEADLINE, "the FIFO is there", || Path::new(word).exists().then_some(()));
        }
        let mut text_here = text_here;
        for word in text.split_whitespace().filter(|word| word.starts_with("http://")) {
            let [port] = free_ports();
            let at = word["http://".len()..].split('/').next().expect("an address");
            let here = format!("127.0.0.1:{port}");
            workers.push(Group::start(&mut place.shell(&format!("exec mb-encode --listen {here}"))));
            until(DEADLINE, "it listens", || std::net::TcpStream::connect(&here).ok());
            text_here = text_here.replace(at, &here);
        }
        let names: Vec<_> = text.lines().skip(1).filter_map(|line| line.split(':').next()).map(str::trim).collect();
        let (server, ports) = serve(&place, &text_here);
        for name in names {
            let address = format!("rtsp://127.0.0.1:{}/{name}", ports[1]);
            assert_plays(&address, "", &|| server.lines().join("\n"));
            played += 1;
        }
        server.signal(Signal::TERM);
        server.wait();
        workers.into_iter().for_each(Group::end);
    }
    assert!(played >= 3, "the pages show fewer streams than they should: {played}");
}

/// go2rtc with `config` behind the addresses that this test needs.
fn serve(place: &Place, config: &str) -> (Process, [u16; 3]) {
    for _ in 0..5 {
        let ports = free_ports();
        let [api, rtsp, webrtc] = ports;
        std::fs::write(place.path("snippet.yaml"), moved(config, ports)).expect("a folder to write to");
        let line = format!(
            "exec go2rtc -config '{{\"log\": {{\"output\": \"stderr\", \"format\": \"text\"}}, \
             \"api\": {{\"listen\": \"127.0.0.1:{api}\"}}, \"rtsp\": {{\"listen\": \"127.0.0.1:{rtsp}\"}}, \
             \"webrtc\": {{\"listen\": \"127.0.0.1:{webrtc}\", \"ice_servers\": []}}}}' -config snippet.yaml"
        );
        let process = Process::start(&mut place.shell(&line));
        let free = ["[api] listen", "[rtsp] listen", "[webrtc] listen udp"]
            .iter()
            .all(|listener| !process.wait_for_line(listener).contains("address already in use"));
        let lines = process.lines().join("\n");
        assert!(!free || !lines.contains("ERR") && !lines.contains("WRN"), "{config}\n{lines}");
        if free {
            return (process, ports);
        }
    }
    panic!("every port was taken, five times in a row");
}

#[test]
fn a_stream_by_hand_plays() {
    let _alone = alone();
    let scripts: Vec<_> = parts()
        .into_iter()
        .filter_map(|part| if let Part::Script(script) = part { Some(script) } else { None })
        .collect();
    let addresses: Vec<_> = parts()
        .into_iter()
        .filter(|part| matches!(part, Part::Address(address) if address.contains("src=demo")))
        .collect();
    assert_eq!((scripts.len(), addresses.len()), (1, 1));
    let place = Place::new();
    let ports: [u16; 3] = free_ports();
    let mut command = place.shell(&scripts[0]);
    for (name, port) in ["API", "RTSP", "WEBRTC"].iter().zip(ports) {
        command.env(format!("MB_ENCODE_{name}_PORT"), port.to_string());
    }
    let mut group = Group::start(&mut command);
    let address = format!("rtsp://127.0.0.1:{}/demo", ports[1]);
    until(DEADLINE, "go2rtc answers", || std::net::TcpStream::connect(("127.0.0.1", ports[1])).ok());
    // The worker is started beside go2rtc, which finds nothing to read before the worker has made it.
    until(DEADLINE, "the FIFO is there", || place.path("temp/streams/demo.h264").exists().then_some(()));
    let mut decoder = Decoder::start(Source::Rtsp(&address), size_in(&scripts[0]), Form::Yuv420p, None);
    assert_in_order(&decoder.take_marks(3));
    // The gate is alone, and its wall shows what go2rtc knows.
    let ask = |path: &str| ask("GET", &format!("http://127.0.0.1:{}/{path}", ports[0]), "").expect("the gate answers");
    let (code, page) = ask("");
    assert!(code == 200 && page.contains("id=\"wall\""), "{code} {page}");
    let (_, list) = ask("wall.json");
    let list: serde_json::Value = serde_json::from_str(&list).expect("JSON");
    let streams = list["streams"].as_array().expect("streams");
    let demo = streams.iter().find(|stream| stream["name"] == "demo");
    assert!(demo.is_some_and(|demo| demo["state"] == "streaming") && streams.len() == 2, "{list}");
    assert!(group.process().is_running());
    group.end();
}
