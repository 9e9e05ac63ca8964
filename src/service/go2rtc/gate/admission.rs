//! What a viewer may ask for: the rules alone, without a socket.

use crate::service::http::Request;
use rustix::system::uname;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// What a viewer asks for and gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The page with all streams.
    Wall,
    /// What that page shows of them.
    Tiles,
    /// One of go2rtc's own files, by its path.
    Page(String),
    /// The list of streams, or one of it.
    List(Option<String>),
    /// The WebSocket of a stream.
    Watch(String),
    /// An answer to the WebRTC offer in the body (WHEP).
    Offer(String),
}

/// Why somebody gets nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Such as `403 Forbidden`.
    pub status: &'static str,
    /// For people.
    pub words: String,
}

impl Refusal {
    pub fn new(status: &'static str, words: impl Into<String>) -> Self {
        Self { status, words: words.into() }
    }
}

/// The names that this machine is called by, beside its addresses, `localhost` and its own.
///
/// A page of another site can give its own name the address of this machine (DNS rebinding) and is then, to a browser,
/// of the same origin: the name is what gives it away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts(pub Vec<Host>);

/// A name in the DNS, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host(String);

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let legal = !text.is_empty()
            && text.len() <= 253
            && !text.starts_with(['-', '.'])
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        if legal {
            Ok(Self(text.trim_end_matches('.').to_ascii_lowercase()))
        } else {
            Err("must be a name without a port, like robot.example".to_owned())
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Hosts {
    /// Whether `authority`, a name or an address with or without a port, is this machine.
    fn contain(&self, authority: &str) -> bool {
        let Some(name) = name_of(authority) else { return false };
        if name.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost") {
            return true;
        }
        let own = uname().nodename().to_string_lossy().to_ascii_lowercase();
        let short = own.split('.').next().unwrap_or_default();
        let is_own = !short.is_empty() && (name == own || name == short || name.strip_suffix(".local") == Some(short));
        is_own || self.contain_given(&name)
    }

    fn contain_given(&self, name: &str) -> bool {
        self.0.iter().any(|Host(given)| given == name)
    }
}

/// The name in `name:port`, in lower case; of `[::1]:80` what is in the brackets.
fn name_of(authority: &str) -> Option<String> {
    let name = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => authority.split_once(':').map_or(authority, |(name, _)| name),
    };
    let name = name.trim_end_matches('.');
    (!name.is_empty()).then(|| name.to_ascii_lowercase())
}

/// Holds a request against what viewers need. Whether its stream exists is not known here.
///
/// # Errors
/// What is answered instead.
pub fn admit(request: &Request, hosts: &Hosts) -> Result<Wish, Refusal> {
    check_host(request, hosts)?;
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let reads = matches!(request.method.as_str(), "GET" | "HEAD");
    match (request.method.as_str(), path) {
        ("GET", "/api/ws") => {
            let upgrade = request.headers.only("upgrade").unwrap_or_default();
            if !upgrade.eq_ignore_ascii_case("websocket") {
                return Err(Refusal::new("400 Bad Request", "this is a WebSocket: the request has to upgrade to one"));
            }
            Ok(Wish::Watch(source(query)?))
        }
        ("POST", "/api/webrtc") => Ok(Wish::Offer(source(query)?)),
        ("GET", "/api/streams") => Ok(Wish::List(optional_source(query)?)),
        (_, "/api/ws" | "/api/webrtc" | "/api/streams") => {
            Err(Refusal::new("405 Method Not Allowed", "viewers watch here; they change nothing"))
        }
        (_, "/") if reads => Ok(Wish::Wall),
        (_, "/wall.json") if reads => Ok(Wish::Tiles),
        // Where go2rtc has its own list.
        (_, "/index.html") if reads => Ok(Wish::Page("/".to_owned())),
        (_, path) if reads && is_page(path) => Ok(Wish::Page(path.to_owned())),
        _ => Err(Refusal::new("404 Not Found", "there is nothing here for viewers")),
    }
}

/// `Host` is checked against DNS rebinding, `Origin` against pages of other sites.
fn check_host(request: &Request, hosts: &Hosts) -> Result<(), Refusal> {
    let bad = || Refusal::new("400 Bad Request", "the request has to name one Host, and one Origin at most");
    let (host, origin) =
        (request.headers.only("host").ok_or_else(bad)?, request.headers.only("origin").ok_or_else(bad)?);
    if !hosts.contain(host) {
        let name = name_of(host).unwrap_or_default();
        let words = match name.parse::<Host>() {
            Ok(name) => {
                format!("this machine is not called {name}; if it is, name it when this is started: --host {name}")
            }
            Err(_) => "the request names no host that this machine is called by".to_owned(),
        };
        return Err(Refusal::new("421 Misdirected Request", words));
    }
    if origin.is_empty() {
        // No page of another site has sent it: browsers name its origin with a WebSocket and a POST.
        return Ok(());
    }
    let of = origin.split_once("://").map_or("", |(_, authority)| authority);
    // Behind a proxy the port may be another one.
    let same = of.eq_ignore_ascii_case(host) || name_of(of).is_some_and(|name| name.eq_ignore_ascii_case(host));
    if same || name_of(of).is_some_and(|name| hosts.contain_given(&name)) {
        return Ok(());
    }
    Err(Refusal::new("403 Forbidden", "a page of another site asks; a proxy in front has to pass Host on as it is"))
}

/// Files that go2rtc has within itself: pages, scripts and what belongs to them. Everything else is an interface.
fn is_page(path: &str) -> bool {
    let Some(file) = path.strip_prefix('/') else { return false };
    let legal = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    file.rsplit_once('.').is_some_and(|(name, extension)| {
        name.split('.').all(legal)
            && ["html", "js", "css", "json", "webmanifest", "ico", "png", "svg"].contains(&extension)
    })
}

fn source(query: &str) -> Result<String, Refusal> {
    optional_source(query)?.ok_or_else(|| Refusal::new("400 Bad Request", "name the stream: ?src=omega-0"))
}

/// The one stream that a query names. What else it holds is not passed on, so it has no meaning.
fn optional_source(query: &str) -> Result<Option<String>, Refusal> {
    let mut named = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "src").map(|(_, value)| value);
    let first = named.next();
    if named.next().is_some() {
        return Err(Refusal::new("400 Bad Request", "name one stream"));
    }
    if form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "dst") {
        return Err(Refusal::new("403 Forbidden", "viewers watch here; they publish nothing"));
    }
    Ok(first.map(|id| id.into_owned()))
}

/// The query that names a stream and nothing else.
pub fn query(id: &str) -> String {
    form_urlencoded::Serializer::new(String::new()).append_pair("src", id).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: (&str, &str) = ("host", "127.0.0.1:1984");
    const UPGRADE: (&str, &str) = ("upgrade", "websocket");

    fn ask(method: &str, target: &str, headers: &[(&str, &str)]) -> Result<Wish, &'static str> {
        let hosts = Hosts(vec!["robot.example".parse().unwrap()]);
        admit(&Request::of(method, target, headers), &hosts).map_err(|refusal| refusal.status)
    }

    #[test]
    fn viewers_get_what_they_need() {
        let page = |path: &str| Ok(Wish::Page(path.to_owned()));
        for (target, path) in [
            ("/index.html", "/"),
            ("/stream.html?src=a&src=b&mode=webrtc", "/stream.html"),
            ("/video-rtc.js", "/video-rtc.js"),
            ("/index.html?x", "/"),
        ] {
            assert_eq!(ask("GET", target, &[LOCAL]), page(path));
            assert_eq!(ask("HEAD", target, &[LOCAL]), page(path));
        }
        for method in ["GET", "HEAD"] {
            assert_eq!(ask(method, "/", &[LOCAL]), Ok(Wish::Wall));
            assert_eq!(ask(method, "/?src=a&src=b&mode=mse", &[LOCAL]), Ok(Wish::Wall));
            assert_eq!(ask(method, "/wall.json", &[LOCAL]), Ok(Wish::Tiles));
        }
        assert_eq!(ask("GET", "/api/streams", &[LOCAL]), Ok(Wish::List(None)));
        assert_eq!(ask("GET", "/api/streams?src=a&video=all", &[LOCAL]), Ok(Wish::List(Some("a".to_owned()))));
        assert_eq!(ask("GET", "/api/ws?src=a%20b&media=video", &[LOCAL, UPGRADE]), Ok(Wish::Watch("a b".to_owned())));
        assert_eq!(ask("POST", "/api/webrtc?src=omega-0", &[LOCAL]), Ok(Wish::Offer("omega-0".to_owned())));
        assert_eq!(query("a b&dst=c"), "src=a+b%26dst%3Dc");
    }

    #[test]
    fn nobody_changes_anything() {
        for method in ["PUT", "PATCH", "DELETE", "POST", "OPTIONS", "HEAD", "put", "CONNECT"] {
            assert_eq!(ask(method, "/api/streams?src=a&name=b", &[LOCAL]), Err("405 Method Not Allowed"), "{method}");
            assert_eq!(ask(method, "/api/ws?src=a", &[LOCAL, UPGRADE]), Err("405 Method Not Allowed"), "{method}");
        }
        for target in [
            "/api/config",
            "/api/exit",
            "/api/restart",
            "/api/log",
            "/api",
            "/api/",
            "/api/preload",
            "/api/stream.mp4",
            "/API/STREAMS",
            "/api/streams/",
            "//api/streams",
            "/./api/streams",
            "/%61pi/streams",
            "/api/streams%3fsrc=a",
            "/api/streams.dot",
            "http://127.0.0.1:1984/api/streams",
            "*",
            "",
            "/../go2rtc.yaml",
            "/api/streams#x",
            "/.html",
            "/a/b.html",
            "/api\\streams",
        ] {
            for method in ["GET", "POST", "PUT"] {
                assert_eq!(ask(method, target, &[LOCAL]), Err("404 Not Found"), "{method} {target}");
            }
        }
        for target in ["/", "/wall.json", "/index.html"] {
            assert_eq!(ask("POST", target, &[LOCAL]), Err("404 Not Found"), "{target}");
        }
    }

    #[test]
    fn a_viewer_watches_one_stream_and_publishes_none() {
        for query in ["", "?src", "?name=a", "?SRC=a"] {
            let refused = ask("GET", &format!("/api/ws{query}"), &[LOCAL, UPGRADE]);
            assert!(refused == Err("400 Bad Request") || refused == Ok(Wish::Watch(String::new())), "{query}");
        }
        assert_eq!(ask("GET", "/api/ws?src=a&src=b", &[LOCAL, UPGRADE]), Err("400 Bad Request"));
        assert_eq!(ask("GET", "/api/ws?s%72c=a&src=b", &[LOCAL, UPGRADE]), Err("400 Bad Request"));
        for query in ["dst=a", "src=a&dst=b", "src=a&d%73t=b"] {
            assert_eq!(ask("POST", &format!("/api/webrtc?{query}"), &[LOCAL]), Err("403 Forbidden"), "{query}");
        }
        assert_eq!(ask("GET", "/api/ws?src=a", &[LOCAL]), Err("400 Bad Request"), "no upgrade");
    }

    #[test]
    fn names_that_are_not_this_machines_are_refused() {
        let own = uname().nodename().to_string_lossy().into_owned();
        for host in [
            "localhost",
            "LOCALHOST:1984",
            "a.localhost",
            "[::1]:1984",
            "192.0.2.1",
            "robot.example:80",
            "robot.example.",
            &own,
        ] {
            assert!(ask("GET", "/", &[("host", host)]).is_ok(), "{host}");
        }
        for host in [
            "",
            "evil.example:1984",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "notrobot.example",
            "[::1",
            ":1984",
        ] {
            assert_eq!(ask("GET", "/", &[("host", host)]), Err("421 Misdirected Request"), "{host}");
        }
        assert_eq!(ask("GET", "/", &[("host", "a"), LOCAL]), Err("400 Bad Request"));
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let watch = |host, origin| ask("GET", "/api/ws?src=a", &[("host", host), ("origin", origin), UPGRADE]).is_ok();
        assert!(watch("127.0.0.1:1984", "http://127.0.0.1:1984"));
        assert!(watch("localhost", "https://localhost:8443"), "a proxy with a port of its own");
        assert!(watch("127.0.0.1:1984", "https://robot.example"), "a proxy that keeps Host to itself");
        for origin in [
            "null",
            "http://evil.example",
            "http://127.0.0.1:8000",
            "http://localhost:1984",
            "127.0.0.1:1984",
            "http://",
        ] {
            assert!(!watch("127.0.0.1:1984", origin), "{origin}");
        }
    }

    #[test]
    fn a_host_is_a_name() {
        assert_eq!("Robot.Example.".parse::<Host>().unwrap().to_string(), "robot.example");
        for text in ["", "a:80", "http://a", "a/b", "-a", ".a", "a b"] {
            assert!(text.parse::<Host>().is_err(), "{text}");
        }
    }
}
