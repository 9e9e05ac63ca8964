//! The programs of the deployment on this machine, with the options, the environment and the files that it gives them.

use crate::manifests::{Applied, TOKEN, container, with};
use crate::support::children;
use crate::support::decode::{Decoder, Form, Source};
use crate::support::go2rtc::{self, free_ports};
use crate::support::http::{ask, get};
use crate::support::process::{DEADLINE, Process, mb_encode, until};
use crate::support::turn::alone;
use crate::yaml::{items, text};
use mb_encode::settings::Size;
use serde_json::Value;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A folder that stands for the file system of a container, with what is mounted there.
struct Place {
    _folder: TempDir,
    mounts: Vec<(String, PathBuf)>,
}

impl Place {
    fn of(applied: &Applied, pod: &Value, container: &Value) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut mounts = Vec::new();
        for (number, mount) in items(&container["volumeMounts"]).enumerate() {
            let at = folder.path().join(number.to_string());
            std::fs::create_dir(&at).expect("a folder");
            let volume = items(&pod["volumes"]).find(|volume| volume["name"] == mount["name"]).expect("its volume");
            fill(applied, volume, &at);
            mounts.push((text(&mount["mountPath"]).to_owned(), at));
        }
        Self { _folder: folder, mounts }
    }

    /// What the container calls so, as it is called here.
    fn here(&self, words: &str) -> String {
        let within = |there: &str| words.strip_prefix(there).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let found =
            self.mounts.iter().find_map(|(there, here)| within(there).map(|rest| format!("{}{rest}", here.display())));
        found.unwrap_or_else(|| words.to_owned())
    }

    /// Gives `command` the environment of the container, but for what is `other` here.
    fn environment(&self, command: &mut Command, applied: &Applied, container: &Value, other: &[(&str, &str)]) {
        for map in items(&container["envFrom"]) {
            let name = text(&map["configMapRef"]["name"]);
            let data = applied.objects.iter().find(|object| object["metadata"]["name"] == name).expect("a map");
            for (name, value) in data["data"].as_object().expect("data") {
                command.env(name, self.here(text(value)));
            }
        }
        for variable in items(&container["env"]) {
            let value = match &variable["valueFrom"]["fieldRef"]["fieldPath"] {
                Value::Null => self.here(text(&variable["value"])),
                field if field == "metadata.name" => "worker-0".to_owned(),
                field if field == "status.hostIP" => "127.0.0.1".to_owned(),
                field => panic!("what is {field}?"),
            };
            command.env(text(&variable["name"]), value);
        }
        command.env("TMPDIR", self.here("/tmp")).envs(other.iter().copied());
    }
}

/// Puts there what a volume holds.
fn fill(applied: &Applied, volume: &Value, at: &Path) {
    let data = |name: &Value| {
        let object = applied.objects.iter().find(|object| object["metadata"]["name"] == *name);
        object.expect("it is named")["data"].as_object().expect("data").clone()
    };
    let write = |name: &str, content: &str, mode| {
        let path = at.join(name);
        std::fs::write(&path, content).expect("room");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("its own file");
    };
    if let Some(secret) = volume["secret"].as_object() {
        let mode = secret["defaultMode"].as_u64().expect("a mode") as u32;
        let name = items(&volume["secret"]["items"]).next().map_or("token", |item| text(&item["path"]));
        assert!(data(&secret["secretName"]).contains_key("token"));
        write(name, TOKEN, mode);
    } else if volume["configMap"].is_object() {
        data(&volume["configMap"]["name"]).iter().for_each(|(name, value)| write(name, text(value), 0o644));
    }
}

/// A worker's container.
struct Worker {
    process: Process,
    address: SocketAddr,
    place: Place,
}

impl Worker {
    fn start(applied: &Applied) -> Self {
        let [port] = free_ports();
        Self::start_at(applied, port)
    }

    fn start_at(applied: &Applied, port: u16) -> Self {
        let pod = &applied.object("StatefulSet", "worker")["spec"]["template"]["spec"];
        let container = container(pod, "mb-encode");
        let place = Place::of(applied, pod, container);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut command = mb_encode();
        // Small pictures: this is no measurement.
        let other = [("MB_ENCODE_WIDTH", "320"), ("MB_ENCODE_HEIGHT", "180")];
        let other = if container["volumeMounts"].to_string().contains("frames") { &other[..0] } else { &other[..] };
        place.environment(&mut command, applied, container, other);
        assert_eq!(container["command"], serde_json::json!(["mb-encode"]));
        let words = items(&container["args"]).map(|word| match text(word) {
            "0.0.0.0:9000" => format!("0.0.0.0:{port}"),
            word => place.here(word),
        });
        let process = Process::start(command.args(words).stdin(Stdio::null()).stdout(Stdio::null()));
        for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
            let path = text(&container[probe]["httpGet"]["path"]);
            until(DEADLINE, "the probe is answered well", || {
                assert!(process.is_running(), "{:?}", process.lines());
                TcpStream::connect(address).ok().filter(|_| get(address, path).status == 200)
            });
        }
        Self { process, address, place }
    }
}

/// The edge's container, for one worker.
struct Edge {
    process: Process,
    web: SocketAddr,
    rtsp: u16,
    _place: Place,
}

impl Edge {
    fn start(applied: &Applied, worker: &Worker, token: &str) -> Self {
        (0..10).find_map(|_| Self::try_start(applied, worker, token)).expect("ports that nobody takes, in ten tries")
    }

    fn try_start(applied: &Applied, worker: &Worker, token: &str) -> Option<Self> {
        let pod = &applied.object("Deployment", "edge")["spec"]["template"]["spec"];
        let container = container(pod, "gate");
        let place = Place::of(applied, pod, container);
        let [web, rtsp, webrtc] = free_ports();
        let config = PathBuf::from(place.here("/etc/edge/go2rtc.yaml"));
        let list = std::fs::read_to_string(&config).expect("the list");
        assert!(list.contains("http://worker-0.worker:9000/") && list.contains("\":8555\""));
        // No DNS knows a worker here, and others may use the usual port. What is plainly this machine go2rtc asks itself.
        let list = list.replace("worker-0.worker:9000", &format!("127.1:{}", worker.address.port()));
        std::fs::write(&config, list.replace("\":8555\"", &format!("\":{webrtc}\""))).expect("its own file");
        let credential = PathBuf::from(place.here("/run/credentials")).join("worker-token");
        std::fs::remove_file(&credential).expect("it was mounted");
        std::fs::write(credential, token).expect("room");
        let mut command = mb_encode();
        place.environment(&mut command, applied, container, &[]);
        let words: Vec<_> = [&container["command"], &container["args"]].into_iter().flat_map(items).map(text).collect();
        assert_eq!(words[..2], ["mb-encode", "gate"]);
        let program = go2rtc::find().display().to_string();
        let words = words[1..].iter().map(|word| if *word == "go2rtc" { program.clone() } else { place.here(word) });
        command.args(words).args(["--api-port", &web.to_string(), "--rtsp-port", &rtsp.to_string()]);
        let process = Process::start(command.stdin(Stdio::null()).stdout(Stdio::null()));
        let web = SocketAddr::from(([127, 0, 0, 1], web));
        let path = text(&container["readinessProbe"]["httpGet"]["path"]);
        let ready = until(DEADLINE, "the probe is answered well", || match TcpStream::connect(web) {
            Ok(_) => (get(web, path).status == 200).then_some(true),
            Err(_) => (!process.is_running()).then_some(false),
        });
        ready.then_some(Self { process, web, rtsp, _place: place })
    }

    fn stream(&self, id: &str) -> String {
        format!("rtsp://127.0.0.1:{}/{id}", self.rtsp)
    }
}

fn watch(edge: &Edge, size: (u32, u32)) -> Decoder {
    let size = Size::new(size.0, size.1).expect("even");
    Decoder::start(Source::Rtsp(&edge.stream("worker-0")), size, Form::Yuv420p, None)
}

#[test]
fn a_viewer_sees_a_worker_through_the_edge_and_changes_nothing() {
    let applied = with(&[]);
    let worker = Worker::start(&applied);
    let edge = Edge::start(&applied, &worker, TOKEN);
    assert!(children::of(worker.process.id()).is_empty(), "nobody watches yet");
    let mut viewer = watch(&edge, (320, 180));
    let marks = viewer.take_marks(20);
    assert!(marks.windows(2).all(|pair| pair[1].frame > pair[0].frame), "{marks:?}");
    assert_eq!(children::of(worker.process.id()).len(), 1);

    let list: Value = serde_json::from_str(get(edge.web, "/wall.json").text()).expect("JSON");
    let names: Vec<_> = items(&list["streams"]).map(|tile| text(&tile["name"])).collect();
    assert_eq!(names.len(), 200);
    assert!(names.contains(&"worker-0") && names.contains(&"worker-199"));
    assert_eq!(get(edge.web, "/").status, 200);
    for method in ["PUT", "PATCH", "POST", "DELETE"] {
        let answer = ask(edge.web, method, "/api/streams?name=x&src=rtsp://192.0.2.1:443/x", &[]);
        assert_eq!(answer.status, 405, "{method}");
    }
    assert!(!get(edge.web, "/api/streams").text().contains("192.0.2.1"), "go2rtc by itself would have added it");
    for path in ["/api/config", "/api/log", "/api/restart", "/api"] {
        assert_eq!(get(edge.web, path).status, 404, "{path}");
    }
    drop(viewer);
    until(DEADLINE, "the worker sleeps again", || children::of(worker.process.id()).is_empty().then_some(()));
}

/// go2rtc by itself asks at once, when nobody is there, and then each second.
#[test]
fn a_viewer_waits_for_a_worker_no_longer_than_that_is_away() {
    let _alone = alone();
    let applied = with(&[]);
    let worker = Worker::start(&applied);
    let port = worker.address.port();
    let edge = Edge::start(&applied, &worker, TOKEN);
    let mut viewer = watch(&edge, (320, 180));
    viewer.take_marks(10);
    worker.process.signal(rustix::process::Signal::KILL);
    drop(worker);
    let away = Duration::from_millis(300);
    std::thread::sleep(away);
    let begun = Instant::now();
    let worker = Worker::start_at(&applied, port);
    let back = begun.elapsed();
    until(DEADLINE, "it is asked for its stream", || (!children::of(worker.process.id()).is_empty()).then_some(()));
    let asked = begun.elapsed() - back;
    assert!(asked < Duration::from_millis(400), "asked {asked:?} after it was back, which took {back:?}");
    // The same session, from a first picture on.
    until(DEADLINE, "a new stream", || viewer.take_marks(1).iter().any(|mark| mark.frame < 10).then_some(()));
}

#[test]
fn nobody_gets_to_see_the_token() {
    let applied = with(&[]);
    let worker = Worker::start(&applied);
    let edge = Edge::start(&applied, &worker, TOKEN);
    watch(&edge, (320, 180)).take_pictures(1);
    let [go2rtc] = children::of(edge.process.id())[..] else { panic!("go2rtc alone") };
    for process in [worker.process.id(), edge.process.id(), go2rtc.as_raw_nonzero().get() as u32] {
        for file in ["cmdline", "environ"] {
            let bytes = std::fs::read(format!("/proc/{process}/{file}")).expect("it runs");
            assert!(!String::from_utf8_lossy(&bytes).contains(TOKEN), "{file} of {process}");
        }
    }
    for path in ["/api/streams", "/wall.json", "/api/streams?src=worker-0"] {
        assert!(!get(edge.web, path).text().contains(TOKEN), "{path}");
    }
    let words = [edge.process.lines(), worker.process.lines()].concat().join("\n");
    assert!(!words.contains(TOKEN), "{words}");
}

#[test]
fn who_shows_another_token_or_none_gets_nothing() {
    let applied = with(&[]);
    let worker = Worker::start(&applied);
    let edge = Edge::start(&applied, &worker, "another");
    for (target, headers) in [
        ("/stream.ts", &[][..]),
        ("/metrics", &[]),
        ("/status", &[]),
        ("/stream.ts", &["Authorization: Bearer another"]),
        ("/stream.ts?token=another", &[]),
    ] {
        assert_eq!(ask(worker.address, "GET", target, headers).status, 401, "{target} {headers:?}");
    }
    let shown = format!("Authorization: Bearer {TOKEN}");
    assert_eq!(ask(worker.address, "GET", "/metrics", &[&shown]).status, 200);
    let stream = edge.stream("worker-0");
    let mut player = Command::new("ffmpeg");
    player.args(["-nostdin", "-v", "error", "-rtsp_transport", "tcp", "-i", &stream, "-f", "null", "-"]);
    let ended = Process::start(player.stdin(Stdio::null())).wait();
    assert_ne!(ended.code(), 0, "an edge with another token shows it");
    assert!(children::of(worker.process.id()).is_empty(), "and has it encoded");
}

#[test]
fn a_program_of_ones_own_draws_while_somebody_watches() {
    let applied = with(&["frames"]);
    let pod = &applied.object("StatefulSet", "worker")["spec"]["template"]["spec"];
    let mut worker = Worker::start(&applied);
    let simulator = container(pod, "simulator");
    // The same volume of the same pod.
    let mut place = Place::of(&applied, pod, simulator);
    let shared = worker.place.mounts.iter().find(|(there, _)| there == "/run/frames").expect("it is mounted").clone();
    place.mounts.retain(|(there, _)| *there != shared.0);
    place.mounts.push(shared);
    let words: Vec<_> = [&simulator["command"], &simulator["args"]]
        .into_iter()
        .flat_map(items)
        .map(|word| place.here(text(word)))
        .collect();
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut running = Process::start(&mut command);
    let mut drawn = {
        use std::io::BufRead as _;
        let mut lines = std::io::BufReader::new(running.stdout());
        move || {
            let mut line = String::new();
            lines.read_line(&mut line).expect("it prints each second");
            let words: Vec<_> = line.split(' ').collect();
            words[2].parse::<u64>().unwrap_or_else(|error| panic!("{error}: {line}"))
        }
    };
    assert_eq!(drawn(), 0, "nobody watches");
    let edge = Edge::start(&applied, &worker, TOKEN);
    assert_eq!(drawn(), 0, "the edge asks for nothing by itself");
    let viewer = watch(&edge, (640, 360)).take_pictures(10);
    assert!(viewer.windows(2).any(|pair| pair[0].bytes != pair[1].bytes), "nothing moves");
    until(DEADLINE, "the worker sleeps again", || children::of(worker.process.id()).is_empty().then_some(()));
    // While somebody watched, no second was without a frame.
    let mut counts = vec![drawn()];
    while counts.len() < 2 || counts[counts.len() - 1] < 10 || counts[counts.len() - 1] != counts[counts.len() - 2] {
        assert!(counts.len() < 60, "it draws for nobody: {counts:?}");
        counts.push(drawn());
    }
    worker.process.signal(rustix::process::Signal::TERM);
    let ended = std::mem::replace(&mut worker.process, running).wait();
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
}
