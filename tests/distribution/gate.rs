//! What strangers try at the gate, and what a bare go2rtc would have done.

use crate::alone;
use crate::rig::{Rig, SMALL, until};
use crate::support::go2rtc::Go2rtc;
use crate::support::process::DEADLINE;
use base64::Engine as _;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

const JSON: (&str, &str) = ("Content-Type", "application/json");
/// Long enough for what was going to come.
const A_WHILE: Duration = Duration::from_secs(2);

/// A connection to a port on loopback on which bytes are written as they are.
struct Raw(TcpStream);

impl Raw {
    fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
        Self(stream)
    }

    fn say(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.0.write_all(bytes.as_ref()).expect("somebody reads");
        self
    }

    /// Everything until the other side ends.
    fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        // A reset is an end as well.
        let _ = self.0.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The head of an answer.
    fn head(&mut self) -> String {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte).expect("an answer");
            head.push(byte[0]);
        }
        String::from_utf8_lossy(&head).into_owned()
    }

    /// A message as a browser sends it.
    fn send(&mut self, message: &Value) {
        let text = message.to_string();
        let mut frame = vec![0x81, 0x80 | 126];
        frame.extend((text.len() as u16).to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        self.say(frame);
    }

    /// The next message.
    fn receive(&mut self) -> String {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).expect("a frame");
        let length = match head[1] {
            126 => {
                let mut long = [0; 2];
                self.0.read_exact(&mut long).expect("its length");
                u16::from_be_bytes(long).into()
            }
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).expect("its payload");
        String::from_utf8_lossy(&payload).into_owned()
    }
}

/// A whole request, with a body, and its answer.
fn ask(port: u16, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> String {
    let host = if headers.iter().any(|(name, _)| *name == "Host") { "" } else { "Host: 127.0.0.1\r\n" };
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    Raw::connect(port)
        .say(format!(
            "{method} {target} HTTP/1.1\r\n{host}{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        ))
        .rest()
}

fn web_socket(port: u16, query: &str) -> Raw {
    let mut raw = Raw::connect(port);
    let key = base64::engine::general_purpose::STANDARD.encode([7; 16]);
    raw.say(format!(
        "GET /api/ws?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ));
    raw
}

/// A browser's offer with one section of video, which has these attributes beside the usual ones.
fn offer(attributes: &[&str]) -> String {
    let fingerprint = vec!["AB"; 32].join(":");
    let more: String = attributes.iter().map(|line| format!("a={line}\r\n")).collect();
    format!(
        "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n\
         c=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n\
         a=fingerprint:sha-256 {fingerprint}\r\na=setup:actpass\r\na=mid:0\r\na=rtcp-mux\r\na=rtpmap:96 H264/90000\r\n\
         a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n{more}"
    )
}

/// Somebody else's machine, to which go2rtc is to be sent.
struct Victim {
    tcp: TcpListener,
    udp: UdpSocket,
}

impl Victim {
    fn new() -> Self {
        // Another address than the viewer's.
        let tcp = TcpListener::bind(("127.0.0.2", 0)).expect("a port");
        let udp = UdpSocket::bind(("127.0.0.2", 0)).expect("a port");
        tcp.set_nonblocking(true).expect("a socket");
        udp.set_read_timeout(Some(A_WHILE)).expect("a socket");
        Self { tcp, udp }
    }

    fn tcp(&self) -> String {
        self.tcp.local_addr().expect("bound").to_string()
    }

    fn udp(&self) -> u16 {
        self.udp.local_addr().expect("bound").port()
    }

    fn was_called(&self) -> bool {
        self.tcp.accept().is_ok()
    }

    fn got_a_packet(&self) -> bool {
        self.udp.recv(&mut [0; 1500]).is_ok()
    }
}

#[test]
fn go2rtc_is_sent_nowhere() {
    let _alone = alone();
    let rig = Rig::start(&["--workers", "1"], SMALL);
    let victim = Victim::new();
    let (port, there) = (rig.ports[0], victim.tcp());
    for source in [format!("rtsp://{there}/x"), format!("webrtc:ws://{there}/x"), format!("http://{there}/x")] {
        let mut raw = web_socket(port, &format!("src={source}"));
        assert!(raw.rest().starts_with("HTTP/1.1 404 "), "{source}");
        for target in [format!("/api/streams?src={source}&video=all"), format!("/api/webrtc?src={source}")] {
            for method in ["GET", "PUT", "POST"] {
                let answer = ask(port, method, &target, &[], &offer(&["recvonly"]));
                assert!(["404", "405", "400"].contains(&&answer[9..12]), "{method} {target}: {answer}");
            }
        }
        let named = ask(port, "PATCH", &format!("/api/streams?name=omega-0&src={source}"), &[], "");
        assert!(named.starts_with("HTTP/1.1 405 "), "{named}");
    }
    let mut raw = Raw::connect(rig.ports[1]);
    let answer = raw.say(format!("DESCRIBE rtsp://127.0.0.1/rtsp://{there}/x RTSP/1.0\r\nCSeq: 1\r\n\r\n")).rest();
    assert!(answer.starts_with("RTSP/1.0 404 "), "{answer}");
    std::thread::sleep(A_WHILE);
    assert!(!victim.was_called());
    let (_, list) = rig.ask("GET", "api/streams", "");
    let list: Value = serde_json::from_str(&list).expect("JSON");
    assert_eq!(list.as_object().expect("streams").keys().collect::<Vec<_>>(), ["omega-0"]);
}

/// What a page can say on the WebSocket: a server to ask for addresses, and an address to send to.
#[test]
fn no_packet_goes_to_anybody_but_the_viewer() {
    let _alone = alone();
    let source = format!(
        "exec:{} --stdout {SMALL}#killsignal=15",
        crate::support::process::mb_encode().get_program().to_string_lossy()
    );
    let candidate = |victim: &Victim| format!("candidate:1 1 udp 2113937151 127.0.0.2 {} typ host", victim.udp());
    let asked = |victim: &Victim| {
        let servers = json!([{"urls": [format!("stun:127.0.0.2:{}", victim.udp())]}]);
        json!({"type": "webrtc", "value": {"type": "offer", "sdp": offer(&["recvonly"]), "ice_servers": servers}})
    };
    let sent = |victim: &Victim| {
        let sdp = offer(&["recvonly", &candidate(victim)]);
        json!({"type": "webrtc", "value": {"type": "offer", "sdp": sdp}})
    };
    let told = |victim: &Victim| {
        [
            json!({"type": "webrtc/offer", "value": offer(&["recvonly"])}),
            json!({"type": "webrtc/candidate", "value": candidate(victim)}),
        ]
    };
    let tries = |victim: &Victim| vec![vec![asked(victim)], vec![sent(victim)], told(victim).to_vec()];
    let attempt = |port: u16, messages: &[Value], victim: &Victim| {
        let mut raw = web_socket(port, "src=omega-0");
        assert!(raw.head().starts_with("HTTP/1.1 101 "));
        raw.send(&messages[0]);
        // It was taken for a viewer's, whatever else was in it.
        let answer = raw.receive();
        assert!(answer.contains("v=0") && answer.contains("webrtc"), "{answer}");
        messages[1..].iter().for_each(|message| raw.send(message));
        victim.got_a_packet()
    };

    let bare = Go2rtc::start(&[("omega-0", &source)]);
    let port =
        bare.http("").split(':').nth(2).and_then(|port| port.trim_end_matches('/').parse().ok()).expect("a port");
    for at in 0..3 {
        let victim = Victim::new();
        let messages = tries(&victim).swap_remove(at);
        assert!(
            attempt(port, &messages, &victim),
            "a bare go2rtc sends nothing: this test shows nothing: {messages:?}"
        );
    }
    drop(bare);
    let rig = Rig::start(&["--workers", "1"], SMALL);
    for at in 0..3 {
        let victim = Victim::new();
        let messages = tries(&victim).swap_remove(at);
        assert!(!attempt(rig.ports[0], &messages, &victim), "{messages:?}");
    }
}

#[test]
fn nobody_publishes() {
    let _alone = alone();
    let rig = Rig::start(&["--workers", "1"], SMALL);
    let port = rig.ports[0];
    let answer = ask(port, "POST", "/api/webrtc?dst=omega-0", &[], &offer(&["sendonly"]));
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    for (kind, status) in
        [("application/sdp", "403"), ("text/plain", "403"), ("application/x-www-form-urlencoded", "415")]
    {
        let answer = ask(port, "POST", "/api/webrtc?src=omega-0", &[("Content-Type", kind)], &offer(&["sendonly"]));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{kind}: {answer}");
    }
    let body = json!({"type": "offer", "sdp": offer(&["sendonly"])}).to_string();
    let answer = ask(port, "POST", "/api/webrtc?src=omega-0", &[JSON], &body);
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");

    let address = rig.rtsp("omega-0");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(
        "-v error -nostdin -re -f lavfi -i color=red:size=320x240:rate=10 -c:v libx264 -preset ultrafast".split(' '),
    );
    ffmpeg.args("-t 3 -f rtsp -rtsp_transport tcp".split(' ')).arg(&address).stdin(Stdio::null());
    let published = ffmpeg.output().expect("ffmpeg can be run: apt install ffmpeg");
    assert!(!published.status.success(), "ffmpeg has published into a stream");
    assert!(String::from_utf8_lossy(&published.stderr).contains("405"), "{published:?}");
    let (_, list) = rig.ask("GET", "api/streams?src=omega-0", "");
    let stream: Value = serde_json::from_str(&list).expect("JSON");
    assert_eq!(stream["producers"].as_array().expect("its own").len(), 1, "{list}");

    // Who watches is answered, by WHEP and as JSON.
    let answer =
        ask(port, "POST", "/api/webrtc?src=omega-0", &[("Content-Type", "application/sdp")], &offer(&["recvonly"]));
    assert!(answer.starts_with("HTTP/1.1 201 ") && answer.contains("a=sendonly"), "{answer}");
    let body = json!({"type": "offer", "sdp": offer(&["recvonly"])}).to_string();
    let answer = ask(port, "POST", "/api/webrtc?src=omega-0", &[JSON], &body);
    assert!(answer.contains("\"answer\"") && answer.contains("a=sendonly"), "{answer}");
}

#[test]
fn pages_of_other_sites_get_nothing() {
    let _alone = alone();
    let rig = Rig::start(&["--workers", "1", "--host", "robot.example"], SMALL);
    let port = rig.ports[0];
    for host in ["evil.example", "evil.example:1984", "127.0.0.1.evil.example"] {
        for target in ["/", "/api/streams", "/stream.html?src=omega-0"] {
            let answer = ask(port, "GET", target, &[("Host", host)], "");
            assert!(answer.starts_with("HTTP/1.1 421 ") && answer.contains("--host "), "{host} {target}: {answer}");
        }
    }
    let own = format!("127.0.0.1:{port}");
    for (host, origin, status) in [
        (own.as_str(), "http://evil.example", "403"),
        (&own, "null", "403"),
        (&own, &format!("http://{own}"), "201"),
        ("robot.example", "http://robot.example", "201"),
        ("robot.example:80", "https://robot.example", "201"),
    ] {
        let headers = [("Host", host), ("Origin", origin), ("Content-Type", "application/sdp")];
        let answer = ask(port, "POST", "/api/webrtc?src=omega-0", &headers, &offer(&["recvonly"]));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{host} {origin}: {answer}");
    }
}

/// Every way to get a second request to go2rtc behind one that is let in.
#[test]
fn a_request_hides_behind_no_other() {
    let _alone = alone();
    let rig = Rig::start(&["--workers", "1"], SMALL);
    let port = rig.ports[0];
    let hidden = "PUT /api/streams?name=evil&src=rtsp://127.0.0.1:9/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    let host = "Host: 127.0.0.1\r\n";
    let sdp = offer(&["recvonly"]);
    let tries = [
        format!("GET / HTTP/1.1\r\n{host}\r\n{hidden}"),
        format!("GET / HTTP/1.1\r\n{host}Content-Length: 0\r\nContent-Length: {}\r\n\r\n{hidden}", hidden.len()),
        format!("GET /video-rtc.js HTTP/1.1\r\n{host}Connection: keep-alive\r\n\r\n{hidden}"),
        format!("GET / HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("POST /api/webrtc?src=omega-0 HTTP/1.1\r\n{host}Content-Length: {}\r\n\r\n{sdp}{hidden}", sdp.len()),
        format!(
            "POST /api/webrtc?src=omega-0 HTTP/1.1\r\n{host}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"
        ),
        format!("GET /?x HTTP/1.1\r\n{host}X: a\r\n b\r\n\r\n{hidden}"),
        format!("GET /api/streams HTTP/1.0\r\n{host}\r\n{hidden}"),
        // go2rtc refuses the upgrade, or the key: no WebSocket, and what follows is a request.
        format!(
            "GET /api/ws?src=omega-0 HTTP/1.1\r\n{host}Upgrade: websocket\r\nConnection: keep-alive\r\n\r\n{hidden}"
        ),
        format!(
            "GET /api/ws?src=omega-0 HTTP/1.1\r\n{host}Upgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n{hidden}"
        ),
        format!(
            "GET /api/ws?src=omega-0 HTTP/1.1\r\n{host}Upgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAAA\r\nSec-WebSocket-Version: 13\r\n\r\n{hidden}"
        ),
        format!("{}\r\n\r\n{hidden}", "GET / HTTP/1.1\r\nHost: 127.0.0.1".replace("\r\n", "\n")),
        hidden.replace("PUT /api", "GET http://127.0.0.1/api"),
    ];
    for said in tries {
        let mut raw = Raw::connect(port);
        raw.say(&said);
        raw.0.shutdown(std::net::Shutdown::Write).expect("a socket");
        let answer = raw.rest();
        assert!(
            answer.lines().filter(|line| line.starts_with("HTTP/1.")).count() <= 1,
            "two answers to {said:?}: {answer}"
        );
        let (_, list) = rig.ask("GET", "api/streams", "");
        assert!(!list.contains("evil"), "{said:?}: {list}");
    }
    // In a player's connection too.
    let mut raw = Raw::connect(rig.ports[1]);
    raw.say(format!(
        "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: {}\r\n\r\nANNOUNCE rtsp://h/omega-0 RTSP/1.0\r\n\r\n",
        40
    ));
    assert!(raw.rest().starts_with("RTSP/1.0 400 "));
}

/// Whoever opens connections and says nothing keeps no viewer out for long, and costs no stream.
#[test]
fn silent_strangers_are_shown_out() {
    let _alone = alone();
    let rig = Rig::start(&["--workers", "1"], SMALL);
    let mut viewer = rig.watch("omega-0");
    viewer.take_marks(3);
    let mut silent: Vec<_> = (0..300).map(|_| Raw::connect(rig.ports[0])).collect();
    silent.iter_mut().step_by(2).for_each(|raw| drop(raw.0.write_all(b"GET / HTTP/1.1\r\nHost: ")));
    viewer.take_marks(15);
    until(DEADLINE, "a viewer gets in again", || {
        let mut raw = TcpStream::connect(("127.0.0.1", rig.ports[0])).ok()?;
        raw.set_read_timeout(Some(A_WHILE)).ok()?;
        raw.write_all(b"GET /api/streams HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").ok()?;
        let mut answer = String::new();
        raw.read_to_string(&mut answer).ok()?;
        answer.contains("omega-0").then_some(())
    });
    for raw in &mut silent {
        assert_eq!(raw.rest(), "", "nobody is answered who has asked nothing");
    }
    viewer.take_marks(15);
}
