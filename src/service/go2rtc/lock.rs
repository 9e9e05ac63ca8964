//! What go2rtc is locked down to: the modules, paths and programs that a viewer needs, and no more.
//!
//! The one place that says so. The config is rendered from it, go2rtc gets it on its command line in front of the
//! config, and the tests compare the files in `docker/` with it.

use crate::service::streams::{Mode, Streams};
use serde_json::json;
use std::net::SocketAddr;

/// What a viewer needs.
const VIEWING: [&str; 5] = ["api", "ws", "rtsp", "webrtc", "mp4"];
/// What a viewer asks for; the gate in front holds the rest of each request against what viewers need.
pub const PATHS: [&str; 4] = ["/", "/api/ws", "/api/webrtc", "/api/streams"];

/// The modules: what a viewer needs, and the one that gets the streams. None opens files or devices as a source, and only
/// one of the two that get streams is there: with `exec` go2rtc asks no other host, and with `http` it starts no program.
pub fn modules(mode: Mode) -> impl Iterator<Item = &'static str> {
    let source = match mode {
        Mode::Fifo | Mode::Exec => "exec",
        Mode::Http => "http",
    };
    VIEWING.into_iter().chain([source])
}

/// The lock by itself, for go2rtc's command line in front of the config: go2rtc takes a file that it cannot read for an
/// empty one, and without this it would then listen everywhere with every module. `programs` are those that it may
/// start. It listens for WebRTC alone; see [`inside`].
pub fn lock(streams: &Streams, programs: &[&str]) -> String {
    let mut webrtc = json!({ "listen": webrtc_listen(streams), "ice_servers": [] });
    if streams.listen.is_loopback() {
        webrtc["filters"] = json!({ "loopback": true, "ips": [streams.listen] });
    }
    json!({
        "app": { "modules": modules(streams.mode).collect::<Vec<_>>() },
        "api": { "listen": "", "allow_paths": PATHS },
        "rtsp": { "listen": "" },
        "webrtc": webrtc,
        "exec": { "allow_paths": programs },
    })
    .to_string()
}

/// Where go2rtc listens for the gate, for its command line behind the config, where no file undoes it. `socket` is a path.
pub fn inside(socket: &str, rtsp: SocketAddr) -> String {
    json!({ "api": { "listen": "", "unix_listen": socket }, "rtsp": { "listen": rtsp.to_string() } }).to_string()
}

/// Without an address go2rtc listens on all of them, IPv6 as well.
pub fn webrtc_listen(streams: &Streams) -> String {
    match streams.listen.is_unspecified() {
        true => format!(":{}", streams.webrtc_port),
        false => streams.address(streams.webrtc_port).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::go2rtc::config::{CAT, Config, Source};
    use saphyr::{LoadableYamlNode as _, Yaml};
    use serde_json::Value;

    /// As JSON, in which the order of keys makes no difference.
    fn parse(text: &str) -> Value {
        let documents = Yaml::load_from_str(text).unwrap();
        assert_eq!(documents.len(), 1, "{text}");
        value(&documents[0])
    }

    fn value(node: &Yaml<'_>) -> Value {
        match (node.as_mapping(), node.as_sequence()) {
            (Some(mapping), _) => mapping.iter().map(|(key, node)| (key.as_str().unwrap(), value(node))).collect(),
            (_, Some(sequence)) => sequence.iter().map(value).collect(),
            _ => node.as_str().map(Value::from).or(node.as_bool().map(Value::from)).into(),
        }
    }

    fn docker(name: &str) -> String {
        std::fs::read_to_string(format!("{}/docker/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    #[test]
    fn the_files_in_front_of_a_config_say_the_same() {
        let compose = parse(&docker("docker-compose.go2rtc.yml"));
        let script = compose["services"]["go2rtc"]["command"][2].as_str().unwrap();
        let given: Vec<_> = script.split("-config '").skip(1).map(|rest| rest.split_once('\'').unwrap().0).collect();
        assert_eq!(parse(given[0]), parse(&lock(&Streams::default(), &[CAT])));
        let port = given[1].replace("${MB_ENCODE_INNER_RTSP_PORT:-18554}", "18554");
        assert_eq!(parse(&port), parse(&inside("/gate/go2rtc.sock", "127.0.0.1:18554".parse().unwrap())));
    }

    #[test]
    fn the_config_in_the_image_is_locked_as_a_generated_one() {
        let source = Source::Exec { program: "mb-encode".parse().unwrap(), options: vec![Vec::new()] };
        let streams = Streams { mode: Mode::Exec, workers: 1, ..Streams::default() };
        let made = Config { streams: &streams, source }.to_yaml();
        let (mut image, mut made) = (parse(&docker("go2rtc.exec.yaml")), parse(&made));
        assert_eq!(image["streams"]["demo"].take(), made["streams"]["omega-0"].take());
        image["streams"].take();
        made["streams"].take();
        // The gate in the image is told where by the environment.
        made["webrtc"].as_object_mut().unwrap().retain(|key, _| key == "ice_servers");
        assert_eq!(image, made);
    }

    #[test]
    fn a_config_on_the_command_line_is_the_one_in_a_file() {
        let source = |streams: &Streams| match streams.mode {
            Mode::Http => Source::workers(streams, Some("0aF".parse().unwrap())),
            _ => Source::Fifo { folder: "/streams".parse().unwrap() },
        };
        let listens = ["127.0.0.1", "0.0.0.0", "192.0.2.1"].map(|listen| (listen, Mode::Fifo));
        for (listen, mode) in listens.into_iter().chain([("127.0.0.1", Mode::Http)]) {
            let streams = Streams { mode, preload: true, listen: listen.parse().unwrap(), ..Streams::default() };
            let config = Config { streams: &streams, source: source(&streams) };
            let [mut told, more] = config.to_json().map(|json| parse(&json));
            told.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            assert_eq!(told, parse(&config.to_yaml()));
        }
    }
}
