//! What go2rtc, with the config that is made for it, refuses to anybody who reaches its ports.

use crate::alone;
use crate::rig::{Rig, SMALL, assert_all_end, command_line};
use crate::support::decode::assert_in_order;
use crate::support::go2rtc::{self, free_ports};
use crate::support::process::{DEADLINE, Process, mb_encode};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

fn assert_locked(rig: &Rig) {
    for (method, api) in [
        ("POST", "api/config"),
        ("PATCH", "api/config"),
        ("GET", "api/config"),
        ("POST", "api/restart"),
        ("POST", "api/exit?code=1"),
        ("GET", "api/log"),
        ("GET", "api"),
        ("PUT", "api/preload?src=omega-0"),
        ("GET", "api/ffmpeg?dst=omega-0"),
        ("GET", "api/onvif"),
        ("GET", "api/v4l2"),
        ("GET", "api/frame.mp4?src=omega-0"),
    ] {
        let (status, answer) = rig.ask(method, api, "streams: {x: 'exec:id'}");
        assert_eq!(status, 404, "{method} {api}: {answer}");
    }
    for source in [
        "exec:id",
        "exec:cat%20/etc/passwd",
        "echo:id",
        "expr:1",
        "ffmpeg:/etc/passwd",
        "http://127.0.0.1:1/x",
        "v4l2:x",
    ] {
        for (method, query) in [("PUT", "name=evil"), ("PATCH", "name=omega-0"), ("POST", "dst=omega-0")] {
            let (status, answer) = rig.ask(method, &format!("api/streams?{query}&src={source}"), "");
            assert_eq!(status, 405, "{method} {source}: {answer}");
        }
    }
    let (_, streams) = rig.ask("GET", "api/streams", "");
    assert!(!streams.contains("evil") && !streams.contains("exec:id"), "{streams}");
}

#[test]
fn nothing_but_watching_is_allowed() {
    let _alone = alone();
    let rig = Rig::start(&["--workers", "1"], SMALL);
    assert_locked(&rig);
    assert_in_order(&rig.watch("omega-0").take_marks(5));
    let go2rtc = rig.go2rtc().as_raw_nonzero().get();
    assert_eq!(listeners(go2rtc), ["0100007F"], "only loopback");

    // Nothing to write to or to exchange: every word of its configuration stands on its command line.
    let words = std::fs::read(format!("/proc/{go2rtc}/cmdline")).expect("it runs");
    let words: Vec<_> = words.split(|&b| b == 0).filter(|word| !word.is_empty()).skip(1).collect();
    assert!(words.chunks(2).all(|pair| pair[0] == b"-config" && pair[1].starts_with(b"{")), "{words:?}");
    assert!(!rig.temp.join("go2rtc.yaml").exists());
    let gate = std::fs::metadata(rig.temp.join("gate")).expect("the folder of the socket");
    assert_eq!(gate.permissions().mode() & 0o7777, 0o700);
}

#[test]
fn in_http_mode_go2rtc_can_start_no_program_and_nobody_else_reads_the_token() {
    let _alone = alone();
    let rig = Rig::start(&["--workers", "2", "--mode", "http"], SMALL);
    assert_locked(&rig);
    let mut viewer = rig.watch("omega-0");
    assert_in_order(&viewer.take_marks(5));
    let file = rig.temp.join("worker-token");
    let token = std::fs::read_to_string(&file).expect("the token");
    assert!(token.trim().len() >= 32, "{token}");
    assert_eq!(std::fs::metadata(&file).expect("the token").permissions().mode() & 0o7777, 0o600);
    let (_, list) = rig.ask("GET", "api/streams", "");
    assert!(list.contains("omega-0") && !list.contains("127.0.0.1") && !list.contains(token.trim()), "{list}");
    for pid in [rig.go2rtc(), rig.worker("omega-0"), rig.worker("omega-1")] {
        let words = command_line(pid);
        assert!(!words.iter().any(|word| word.contains(token.trim())), "{words:?}");
    }
    let lock: serde_json::Value = serde_json::from_str(&command_line(rig.go2rtc())[2]).expect("JSON");
    assert_eq!(lock["app"]["modules"], serde_json::json!(["api", "ws", "rtsp", "webrtc", "mp4", "http"]));
    assert_eq!(lock["exec"]["allow_paths"], serde_json::json!([]));
    for id in ["omega-0", "omega-1"] {
        assert_eq!(listeners(rig.worker(id).as_raw_nonzero().get()), ["0100007F"], "only loopback");
        let stream = format!("http://{}/stream.ts", rig.worker_address(id));
        assert_eq!(go2rtc::ask("GET", &stream, "").expect("it answers").0, 401);
    }
    // What it started is gone with it, and so is the token, and the ports are anybody's again.
    let addresses = ["omega-0", "omega-1"].map(|id| rig.worker_address(id));
    let family = rig.family();
    rig.process.signal(rustix::process::Signal::TERM);
    assert_eq!(rig.process.wait().code(), 0);
    assert_all_end(&family, DEADLINE);
    assert!(!file.exists());
    for address in addresses {
        std::net::TcpListener::bind(address).expect("the port is free");
    }
}

/// The addresses on which a process listens, as the kernel writes them.
fn listeners(pid: i32) -> Vec<String> {
    let mut found: Vec<_> = sockets(pid).into_iter().map(|(address, _)| address).collect();
    found.sort();
    found.dedup();
    found
}

/// The ports on which it does.
fn ports_of(pid: i32) -> Vec<u16> {
    sockets(pid).into_iter().map(|(_, port)| u16::from_str_radix(&port, 16).expect("a port")).collect()
}

fn sockets(pid: i32) -> Vec<(String, String)> {
    let sockets: Vec<_> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("it runs")
        .filter_map(|fd| {
            std::fs::read_link(fd.ok()?.path())
                .ok()?
                .to_str()?
                .strip_prefix("socket:[")?
                .strip_suffix(']')
                .map(str::to_owned)
        })
        .collect();
    let tables =
        ["tcp", "tcp6"].map(|name| std::fs::read_to_string(format!("/proc/{pid}/net/{name}")).unwrap_or_default());
    tables
        .iter()
        .flat_map(|table| table.lines().skip(1))
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields[3] == "0A" && sockets.iter().any(|socket| socket == fields[9]))
        .map(|fields| fields[1].split_once(':').map(|(address, port)| (address.to_owned(), port.to_owned())))
        .map(|place| place.expect("an address and a port"))
        .collect()
}

/// The generated file by itself, as it goes to a container or a unit.
#[test]
fn the_file_alone_locks_go2rtc_too() {
    assert_file_locks(&["--mode", "exec"], true);
}

/// The same for workers by HTTP that somebody else runs.
#[test]
fn the_file_alone_locks_go2rtc_in_http_mode_too() {
    let port = go2rtc::free_run(1).to_string();
    let mut worker = mb_encode();
    worker.arg("--listen").arg(format!("127.0.0.1:{port}")).args(SMALL.split(' '));
    let worker = Process::start(&mut worker);
    worker.wait_for_line("listening at http://");
    assert_file_locks(&["--mode", "http", "--worker-port", &port], false);
}

fn assert_file_locks(options: &[&str], has_options: bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("go2rtc.yaml");
    let ports = free_ports();
    let mut command = mb_encode();
    command.args(["go2rtc-config", "--workers", "1", "--out"]).arg(&config).args(options);
    command.args(crate::rig::port_options(ports));
    if has_options {
        command.arg("--").args(SMALL.split(' '));
    }
    assert!(command.status().expect("it can be run").success());
    let text = std::fs::read(&config).expect("the config");
    let mut gate = mb_encode();
    gate.args(["gate", "--go2rtc"]).arg(go2rtc::find()).arg("--config").arg(&config);
    let server = Process::start(gate.args(crate::rig::port_options(ports)).stdin(Stdio::null()).stdout(Stdio::null()));
    let rig = Rig { process: server, addresses: Vec::new(), temp: folder.path().to_owned(), ports, folder: None };
    crate::rig::until(DEADLINE, "go2rtc answers", || {
        std::net::TcpStream::connect(("127.0.0.1", ports[0])).ok()?;
        (rig.ask("GET", "api/streams", "").0 == 200).then_some(())
    });
    assert_locked(&rig);
    let _alone = alone();
    assert_in_order(&rig.watch("omega-0").take_marks(5));
    assert_eq!(std::fs::read(&config).expect("the config"), text, "the file was written to");

    // By itself, with no gate, it opens nothing but WebRTC's port.
    rig.process.signal(rustix::process::Signal::TERM);
    assert_eq!(rig.process.wait().code(), 0);
    let bare = Process::start(
        Command::new(go2rtc::find()).arg("-config").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()),
    );
    crate::rig::until(DEADLINE, "go2rtc listens for WebRTC", || {
        (ports_of(bare.id() as i32) == [ports[2]]).then_some(())
    });
    for port in &ports[..2] {
        assert!(std::net::TcpStream::connect(("127.0.0.1", *port)).is_err());
    }
}

#[test]
fn what_is_outside_the_alphabet_is_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("go2rtc.yaml");
    let streams = folder.path().join("streams");
    for words in [
        &["--prefix", "../omega"][..],
        &["--prefix", "omega;id"],
        &["--prefix", "a b"],
        &["--prefix", ""],
        &["--prefix", "omega#x"],
        &["--container-fifo-dir", "/streams/../etc"],
        &["--container-fifo-dir", "streams"],
        &["--container-fifo-dir", "/st reams"],
        &["--container-fifo-dir", "/$(id)"],
        &["--mode", "exec", "--program", "/bin/sh -c"],
        &["--mode", "exec", "--", "--label", "a#b"],
        &["--mode", "exec", "--", "--label", "'a"],
        &["--mode", "exec", "--", "--shader", "../x.glsl"],
        &["--workers", "0"],
        &["--workers", "65"],
        &["--mode", "http", "--workers", "65"],
        &["--mode", "http", "--workers", "1001", "--source", "http://a/{n}"],
        &["--mode", "http", "--source", "http://a/{n}#header=X"],
        &["--mode", "http", "--source", "http://a/x?token=y"],
        &["--mode", "http", "--source", "exec:id"],
        &["--mode", "http", "--source", "http://a/{input}"],
        &["--source", "http://a/{n}"],
        &["--listen", "localhost; id"],
        &["--", "--width", "641"],
        &["--", "--out", "x"],
    ] {
        let mut command = mb_encode();
        command.arg("go2rtc-config").arg("--out").arg(&out).arg("--fifo-dir").arg(&streams).args(words);
        let output = command.output().expect("it can be run");
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {message}");
        assert!(message.starts_with("error: "), "{words:?}: {message}");
        assert!(!out.exists() && !streams.exists(), "{words:?}");
    }
    let mut command = mb_encode();
    command.args(["go2rtc-config", "--prefix", "a/b"]);
    let message = String::from_utf8(command.output().expect("it can be run").stderr).expect("UTF-8");
    assert!(message.contains("letters, digits, _ or -"), "{message}");
}
