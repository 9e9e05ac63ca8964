//! What go2rtc answers over HTTP about its streams.

use serde_json::Value;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long it may take to answer.
const LIMIT: Duration = Duration::from_secs(5);
/// Who watches, from where and with what, and what a source's command is: of no use to other viewers.
const PRIVATE: [&str; 5] = ["remote_addr", "user_agent", "sdp", "url", "source"];

/// Everything that go2rtc tells of its streams.
#[derive(Debug)]
pub struct Streams(Value);

/// One that a stream goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// None is given twice while go2rtc runs.
    pub number: u64,
    /// By WebRTC, and nothing was sent yet: the connection does not stand, and go2rtc keeps what is there for it.
    pub connects: bool,
}

impl Streams {
    /// Asks the one at `api`, such as `127.0.0.1:1984`.
    ///
    /// # Errors
    /// It does not answer, or with something else than JSON.
    pub fn ask(api: &str) -> io::Result<Self> {
        let address = api.parse().map_err(io::Error::other)?;
        let socket = TcpStream::connect_timeout(&address, LIMIT)?;
        socket.set_read_timeout(Some(LIMIT))?;
        Self::over(socket, api)
    }

    /// Asks over an open connection, which is closed then. `host` is what the other side is called.
    ///
    /// # Errors
    /// It does not answer, or with something else than JSON.
    pub fn over(mut socket: impl Read + Write, host: &str) -> io::Result<Self> {
        // Of version 1.0, whose answer ends with the connection.
        write!(socket, "GET /api/streams HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
        serde_json::from_str(body).map(Self).map_err(io::Error::other)
    }

    /// The ids of all streams.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.as_object().into_iter().flatten().map(|(id, _)| id.as_str())
    }

    /// Access units and bytes that it has taken from a stream's source, if that runs.
    pub fn counts(&self, id: &str) -> Option<(u64, u64)> {
        let producers = self.0[id]["producers"].as_array()?;
        let producer = producers.iter().find(|producer| producer["receivers"].is_array())?;
        let receiver = &producer["receivers"].as_array()?[0];
        Some((receiver["packets"].as_u64()?, receiver["bytes"].as_u64()?))
    }

    /// Those that a stream goes to.
    pub fn consumers(&self, id: &str) -> impl Iterator<Item = Consumer> {
        let consumers = self.0[id]["consumers"].as_array().into_iter().flatten();
        consumers.filter_map(|consumer| {
            let is_webrtc = consumer["format_name"].as_str().is_some_and(|name| name.starts_with("webrtc"));
            let connects = is_webrtc && consumer["bytes_send"].as_u64().is_none_or(|bytes| bytes == 0);
            Some(Consumer { number: consumer["id"].as_u64()?, connects })
        })
    }

    /// Whether go2rtc runs a program for the stream with these words behind its name.
    pub fn runs(&self, id: &str, words: &[String]) -> bool {
        let commands = self.0[id]["producers"].as_array().into_iter().flatten();
        let mut commands = commands.filter_map(|producer| producer["source"].as_str()?.strip_prefix("exec:"));
        commands.any(|command| command.split_whitespace().skip(1).eq(words))
    }

    /// What everybody may know, as JSON: of all streams, or of one. `None` where there is no such stream.
    pub fn public(mut self, id: Option<&str>) -> Option<String> {
        let mut value = match id {
            Some(id) => self.0.get_mut(id)?.take(),
            None => self.0,
        };
        strip(&mut value);
        Some(value.to_string())
    }
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| !PRIVATE.contains(&name.as_str()));
            members.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn who_watches_from_where_is_nobody_elses_business() {
        let streams = || {
            Streams(json!({
                "a": {"producers": [{"url": "exec:cat a", "receivers": [{"packets": 2, "bytes": 9}]}],
                      "consumers": [{"id": 1, "remote_addr": "192.0.2.1:9", "user_agent": "x", "sdp": "v=0"}]},
                "b": {"producers": [{"url": "exec:cat b"}], "consumers": null},
            }))
        };
        assert_eq!(streams().ids().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((streams().counts("a"), streams().counts("b")), (Some((2, 9)), None));
        let one = json!({"producers": [{"receivers": [{"packets": 2, "bytes": 9}]}], "consumers": [{"id": 1}]});
        assert_eq!(streams().public(Some("a")).unwrap(), one.to_string());
        assert_eq!(streams().public(Some("c")), None);
        let all = json!({"a": one, "b": {"producers": [{}], "consumers": null}});
        assert_eq!(streams().public(None).unwrap(), all.to_string());
    }

    #[test]
    fn who_connects_by_webrtc_is_told_from_who_plays() {
        let streams = Streams(json!({"a": {"consumers": [
            {"id": 1, "format_name": "rtsp"},
            {"id": 2, "format_name": "webrtc/post"},
            {"id": 3, "format_name": "webrtc/json", "bytes_send": 7},
            {"format_name": "preload"},
        ]}, "b": {"consumers": null}}));
        let consumers: Vec<_> = streams.consumers("a").map(|consumer| (consumer.number, consumer.connects)).collect();
        assert_eq!(consumers, [(1, false), (2, true), (3, false)]);
        assert_eq!(streams.consumers("b").chain(streams.consumers("c")).count(), 0);
    }

    #[test]
    fn a_program_is_known_by_its_words() {
        let streams = Streams(json!({
            "a": {"producers": [{"source": "exec:/usr/bin/mb-encode --stdout --label a"}]},
            "b": {"producers": [{"url": "exec:mb-encode --stdout --label b"}], "consumers": null},
            "c": {"producers": [{"source": "rtsp://a/b"}]},
        }));
        let runs = |id, words: &str| streams.runs(id, &words.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert!(runs("a", "--stdout --label a") && !runs("a", "--stdout --label"));
        assert!(!runs("b", "--stdout --label b"), "it does not run");
        assert!(!runs("c", "--stdout") && !runs("d", "--stdout"));
    }
}
