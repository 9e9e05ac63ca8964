//! A real Prometheus with the files of `examples/prometheus`: what it makes of a worker's figures, and what it rings for.

use crate::how::{How, commands};
use crate::place::{Group, Place};
use crate::rig::until;
use crate::support::go2rtc::{ask, free_ports};
use crate::support::http::{Stream, send};
use crate::support::process::{DEADLINE, Process};
use crate::worker::{Worker, command, find, link, replaced};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::Read as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;

const TOKEN: &str = "2f6b";

/// One frame, and then nothing.
const STILL: &str = "printf 'YUV4MPEG2 W320 H180 F30:1\\nFRAME\\n'; head -c 86400 /dev/zero; exec sleep 1000";

/// A folder where both programs are found.
fn place() -> Place {
    let place = Place::new();
    for program in ["prometheus", "promtool"] {
        let file = match std::env::var_os("PROMETHEUS") {
            Some(folder) => std::path::Path::new(&folder).join(program),
            None => find("PROMETHEUS", program),
        };
        link(&place, program, &file);
    }
    place
}

/// Reads a stream for as long as it lasts.
fn watch(worker: &Worker) {
    let mut stream = Stream::open(worker.address, &format!("/stream.ts?token={TOKEN}"));
    assert_eq!(stream.head.status, 200, "{:?}", stream.head);
    std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        while stream.socket.read(&mut chunk).is_ok_and(|read| read > 0) {}
    });
}

/// A running Prometheus.
struct Server {
    process: Group,
    address: SocketAddr,
}

impl Server {
    /// Starts the page's line with the example's files, which know these workers and look five times a second.
    fn start(place: &Place, workers: [&Worker; 2]) -> Self {
        let [port] = free_ports();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let text =
            |name: &str| std::fs::read_to_string(place.path("examples/prometheus").join(name)).expect("it is there");
        let [first, second] = workers.map(|worker| worker.address.to_string());
        let token = place.path("token").display().to_string();
        let config = replaced(
            &text("prometheus.yml"),
            &[
                ("127.0.0.1:9000", &first),
                ("127.0.0.1:9001", &second),
                ("_interval: 5s", "_interval: 200ms"),
                ("../../temp/worker-token", &token),
            ],
        );
        let rules = replaced(&text("alerts.yml"), &[("for: 30s", "for: 1s"), ("[30s]", "[1s]")]);
        std::fs::create_dir(place.path("prometheus")).expect("a folder to write to");
        std::fs::write(place.path("prometheus/prometheus.yml"), config).expect("a folder to write to");
        std::fs::write(place.path("prometheus/alerts.yml"), rules).expect("a folder to write to");
        place.run("promtool check config prometheus/prometheus.yml", DEADLINE);
        let line = command("prometheus ").replace("examples/", "").replace("127.0.0.1:9090", &address.to_string());
        let mut process = Group::start(&mut place.shell(&format!("exec {line}")));
        until(DEADLINE, "Prometheus is ready", || {
            let running: &Process = process.process();
            assert!(running.is_running(), "{:?}", running.lines());
            ask("GET", &format!("http://{address}/-/ready"), "").ok().filter(|(status, _)| *status == 200)
        });
        Self { process, address }
    }

    /// What its API gives.
    fn get(&self, path: &str) -> Value {
        let (status, text) = ask("GET", &format!("http://{}/api/v1/{path}", self.address), "").expect("it answers");
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str::<Value>(&text).expect("JSON")["data"].take()
    }

    /// The value of the only sample of an expression, if there is one.
    fn value(&self, expression: &str) -> Option<f64> {
        let query: String = form_encoded(expression);
        let data = self.get(&format!("query?query={query}"));
        let samples = data["result"].as_array().expect("samples");
        assert!(samples.len() <= 1, "{expression}: {data}");
        samples.first()?["value"][1].as_str()?.parse().ok()
    }

    /// The alerts that ring: their names, workers and causes.
    fn ringing(&self) -> Vec<(String, String, String)> {
        let alerts = self.get("alerts");
        let alerts = alerts["alerts"].as_array().expect("alerts").clone();
        let label = |alert: &Value, name: &str| alert["labels"][name].as_str().unwrap_or_default().to_owned();
        let ringing = alerts.iter().filter(|alert| alert["state"] == "firing");
        ringing.map(|alert| (label(alert, "alertname"), label(alert, "instance"), label(alert, "cause"))).collect()
    }

    /// Waits until this one rings, for this worker and cause.
    fn wait_for(&self, alert: &str, worker: &Worker, cause: &str) {
        let wanted = (alert.to_owned(), worker.address.to_string(), cause.to_owned());
        until(DEADLINE, &format!("{wanted:?} rings"), || self.ringing().contains(&wanted).then_some(()));
    }
}

/// As a query has it.
fn form_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn the_rules_are_right_and_ring_for_what_they_say() {
    let place = place();
    let lines: Vec<_> = commands(How::Neighbour).into_iter().filter(|line| line.starts_with("promtool ")).collect();
    assert!(lines.len() >= 2, "{lines:?}");
    for line in lines {
        eprintln!("{line}");
        place.run(&line, DEADLINE);
    }
}

#[test]
fn prometheus_scrapes_workers_and_rings_for_the_one_that_freezes() {
    let _alone = crate::alone();
    let place = place();
    let mut file = std::fs::OpenOptions::new();
    let mut file = file.write(true).create_new(true).mode(0o600).open(place.path("token")).expect("a folder");
    std::io::Write::write_all(&mut file, format!("{TOKEN}\n").as_bytes()).expect("room");
    let token = place.path("token").display().to_string();
    let moving = Worker::start(&["--token-file", &token, "--hang-timeout", "1"]);
    let still = Worker::start(&["--token-file", &token, "--input-command", STILL]);
    let server = Server::start(&place, [&moving, &still]);
    let of = |name: &str, worker: &Worker| format!("{name}{{instance=\"{}\"}}", worker.address);

    // Nobody watches, and every series is there.
    for worker in [&moving, &still] {
        until(DEADLINE, "the worker is scraped", || {
            (server.value(&of("up", worker)) == Some(1.0) && server.value(&of("mb_encode_up", worker)) == Some(1.0))
                .then_some(())
        });
        assert_eq!(server.value(&of("mb_encode_readers", worker)), Some(0.0));
        assert_eq!(server.value(&of("mb_encode_since_last_picture_seconds", worker)), None);
        assert_eq!(server.value(&of("count(mb_encode_ends_total", worker).replace('}', "})")), Some(7.0));
    }
    watch(&moving);
    watch(&still);
    for worker in [&moving, &still] {
        until(DEADLINE, "frames are counted", || {
            (server.value(&of("mb_encode_pictures_total", worker)) > Some(5.0)).then_some(())
        });
        assert_eq!(server.value(&of("mb_encode_readers", worker)), Some(1.0));
        assert!(server.value(&of("mb_encode_since_last_picture_seconds", worker)).is_some_and(|age| age < 3.0));
        let encoder = format!("mb_encode_encoder_info{{encoder=\"OpenH264\",instance=\"{}\"}}", worker.address);
        assert_eq!(server.value(&encoder), Some(1.0));
        let median = format!("histogram_quantile(0.5, {})", of("mb_encode_encode_time_seconds_bucket", worker));
        assert!(server.value(&median).is_some_and(|seconds| seconds > 0.0 && seconds < 1.0));
    }
    assert_typed(&server);
    assert_lint(&place, moving.address);

    let [encoder]: [Pid; 1] = moving.encoders().try_into().expect("one encoder");
    kill_process(encoder, Signal::STOP).expect("it runs");
    server.wait_for("MbEncodeStreamFrozen", &moving, "");
    // Its worker kills it.
    server.wait_for("MbEncodeStreamsFail", &moving, "hung");
    until(DEADLINE, "what is gone is not frozen", || {
        server.ringing().iter().all(|(alert, ..)| alert != "MbEncodeStreamFrozen").then_some(())
    });
    // Meanwhile the other picture has stood still.
    let oldest = format!("max_over_time({}[10m])", of("mb_encode_since_last_picture_seconds", &still));
    assert!(server.value(&oldest).is_some_and(|age| age < 3.0), "{:?}", server.value(&oldest));
    assert!(server.ringing().iter().all(|(_, worker, _)| *worker == moving.address.to_string()));
    still.process.signal(Signal::KILL);
    server.wait_for("MbEncodeWorkerDown", &still, "");
    server.process.end();
}

/// Checks what Prometheus takes each metric for.
fn assert_typed(server: &Server) {
    let metadata = server.get("targets/metadata");
    let metadata = metadata.as_array().expect("metadata");
    for (metric, kind, unit) in [
        ("mb_encode_build", "info", ""),
        ("mb_encode_encoder", "info", ""),
        ("mb_encode_up", "gauge", ""),
        ("mb_encode_readers", "gauge", ""),
        ("mb_encode_pictures", "counter", ""),
        ("mb_encode_pictures_skipped", "counter", ""),
        ("mb_encode_written_bytes", "counter", "bytes"),
        ("mb_encode_starts", "counter", ""),
        ("mb_encode_restarts", "counter", ""),
        ("mb_encode_ends", "counter", ""),
        ("mb_encode_encode_time_seconds", "histogram", "seconds"),
        ("mb_encode_since_last_picture_seconds", "gauge", "seconds"),
    ] {
        let told: Vec<_> = metadata.iter().filter(|told| told["metric"] == metric).collect();
        assert_eq!(told.len(), 2, "{metric}, of both: {metadata:?}");
        for told in told {
            assert_eq!((&told["type"], &told["unit"]), (&kind.into(), &unit.into()), "{told}");
            assert!(told["help"].as_str().is_some_and(|help| help.ends_with('.') && !help.ends_with("..")), "{told}");
        }
    }
}

/// Has Prometheus' own linter look at the older format, which is the one that it reads.
fn assert_lint(place: &Place, worker: SocketAddr) {
    let request = format!(
        "GET /metrics HTTP/1.1\r\nHost: {worker}\r\nAccept: text/plain\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    );
    let answer = send(worker, request.as_bytes()).expect("an answer");
    let answer = crate::support::http::Answer::of(&answer).expect("HTTP");
    std::fs::write(place.path("metrics.txt"), answer.body).expect("a folder to write to");
    let (_, words) = place.run("promtool check metrics <metrics.txt", DEADLINE);
    assert_eq!(words, "");
}
