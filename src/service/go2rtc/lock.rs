//! What go2rtc is locked down to: the modules, paths and programs that a viewer needs, and no more.
//!
//! The one place that says so. The config is rendered from it, go2rtc gets it on its command line in front of the
//! config, and the tests compare the files in `docker/` with it.

use crate::service::streams::Streams;
use serde_json::json;

/// What a viewer needs, and no module that opens files, devices or other hosts as a source.
pub const MODULES: [&str; 6] = ["api", "ws", "rtsp", "webrtc", "mp4", "exec"];
/// What a viewer asks for.
pub const PATHS: [&str; 4] = ["/", "/api/ws", "/api/webrtc", "/api/streams"];

/// The lock by itself, for go2rtc's command line in front of the config: go2rtc takes a file that it cannot read for an
/// empty one, and without this it would then listen everywhere with every module. `program` is the one that it may
/// start.
pub fn lock(streams: &Streams, program: &str) -> String {
    let address = |port| streams.address(port).to_string();
    json!({
        "app": { "modules": MODULES },
        "api": { "listen": address(streams.api_port), "allow_paths": PATHS },
        "rtsp": { "listen": address(streams.rtsp_port) },
        "webrtc": { "listen": address(streams.webrtc_port), "ice_servers": [] },
        "exec": { "allow_paths": [program] },
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::go2rtc::config::{CAT, Config, Source};
    use crate::service::streams::Mode;
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
    fn the_compose_files_put_this_lock_in_front() {
        for (name, program) in [("docker-compose.go2rtc.yml", CAT), ("docker-compose.go2rtc.exec.yml", "mb-encode")] {
            let compose = parse(&docker(name));
            let script = compose["services"]["go2rtc"]["command"][2].as_str().unwrap();
            let given = script.split_once("exec go2rtc -config '").unwrap().1.split_once('\'').unwrap().0;
            assert_eq!(parse(given), parse(&lock(&Streams::default(), program)), "{name}");
        }
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
        assert_eq!(image, made);
    }
}
