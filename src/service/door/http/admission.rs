//! What a request asks for and may have: the rules alone, without a socket.

use super::token::TokenFile;
use crate::service::http::{Answer, Request};
use crate::service::streams::Format;
use std::net::IpAddr;

/// What somebody asks for and may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// What there is.
    Index,
    /// Whether a stream could start.
    Health,
    /// Figures for a machine.
    Metrics,
    /// How the streams are.
    Status,
    /// A stream of one's own.
    Stream(Format),
}

/// Who is let in.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Only this machine reaches the address, and requests name it as such. A page of another site can give its own name
    /// the address 127.0.0.1 (DNS rebinding) and is then, to a browser, of the same origin: the name gives it away.
    pub is_local: bool,
    pub token: Option<TokenFile>,
}

/// Holds a request against the rules.
///
/// # Errors
/// What is answered instead.
pub fn admit(request: &Request, rules: &Rules) -> Result<Wish, Answer> {
    let (authority, target) = split_target(request)?;
    if rules.is_local {
        check_site(request, authority)?;
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let wish = match path {
        "/" => Wish::Index,
        "/healthz" => Wish::Health,
        "/metrics" => Wish::Metrics,
        "/status" => Wish::Status,
        "/stream.ts" => Wish::Stream(Format::Mpegts),
        "/stream.h264" => Wish::Stream(Format::H264),
        // Of the server, and not of anything on it.
        "*" => return Err(wrong_method()),
        _ => return Err(Answer::text("404 Not Found", "nothing is here; / says what there is")),
    };
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return Err(wrong_method());
    }
    // These say nothing that is worth a token, and probes have none.
    let is_free = matches!(wish, Wish::Index | Wish::Health);
    match &rules.token {
        Some(token) if !is_free => check_token(request, query, token).map(|()| wish),
        _ => Ok(wish),
    }
}

fn wrong_method() -> Answer {
    Answer::text("405 Method Not Allowed", "everything here is for GET and HEAD").with("Allow", "GET, HEAD")
}

/// The authority that is asked and what is asked of it. A proxy's form of the target (RFC 9112, 3.2.2) goes before the
/// header Host.
fn split_target(request: &Request) -> Result<(Option<&str>, &str), Answer> {
    let bad = |words| Err(Answer::text("400 Bad Request", words));
    let host = match request.headers.only("host") {
        None => return bad("there is more than one Host"),
        Some("") if request.minor_version > 0 => return bad("HTTP/1.1 wants a Host"),
        Some("") => None,
        Some(host) => Some(host),
    };
    let scheme = request.target.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://"));
    let Some(scheme) = scheme else { return Ok((host, &request.target)) };
    let rest = &request.target[scheme.len()..];
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    match &rest[end..] {
        "" => Ok((Some(&rest[..end]), "/")),
        path => Ok((Some(&rest[..end]), path)),
    }
}

/// Refuses pages of other sites, by what browsers say of them.
fn check_site(request: &Request, authority: Option<&str>) -> Result<(), Answer> {
    let asked = authority.into_iter().chain(request.headers.only("host").filter(|host| !host.is_empty()));
    for authority in asked {
        if !is_this_machine(authority) {
            return Err(Answer::text(
                "421 Misdirected Request",
                "only this machine is served here: ask for localhost or 127.0.0.1",
            ));
        }
    }
    if request.headers.only("sec-fetch-site") == Some("cross-site") {
        return Err(Answer::text("403 Forbidden", "pages of other sites get nothing here"));
    }
    Ok(())
}

/// Whether `authority`, a name or an address with or without a port, can only be this machine.
fn is_this_machine(authority: &str) -> bool {
    let parts = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']'),
        None => Some(authority.split_at(authority.find(':').unwrap_or(authority.len()))),
    };
    let Some((name, port)) = parts else { return false };
    let is_port =
        port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()));
    let is_address = name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
    is_port && (is_address || name.eq_ignore_ascii_case("localhost"))
}

fn check_token(request: &Request, query: &str, file: &TokenFile) -> Result<(), Answer> {
    let in_query = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "token").map(|(_, value)| value);
    let header = request.headers.only("authorization").unwrap_or_default();
    let in_header = header.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let shown = in_header.map(|(_, token)| token.trim()).or(in_query.as_deref()).unwrap_or_default();
    match file.admits(shown) {
        Ok(true) => Ok(()),
        Ok(false) => {
            let words = "show the token: the header Authorization: Bearer TOKEN, or ?token=TOKEN";
            Err(Answer::text("401 Unauthorized", words).with("WWW-Authenticate", r#"Bearer realm="mb-encode""#))
        }
        Err(error) => {
            tracing::error!("nobody is let in: {error}");
            Err(Answer::text("500 Internal Server Error", "the token file cannot be used; the log says why"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: (&str, &str) = ("host", "127.0.0.1:9000");

    fn ask(method: &str, target: &str, headers: &[(&str, &str)]) -> Result<Wish, &'static str> {
        let rules = Rules { is_local: true, token: None };
        admit(&Request::of(method, target, headers), &rules).map_err(|answer| answer.status())
    }

    #[test]
    fn each_path_is_something() {
        for method in ["GET", "HEAD"] {
            for (target, wish) in [
                ("/", Wish::Index),
                ("/?x", Wish::Index),
                ("/stream.ts", Wish::Stream(Format::Mpegts)),
                ("/stream.h264?token=x", Wish::Stream(Format::H264)),
                ("/healthz", Wish::Health),
                ("/metrics", Wish::Metrics),
                ("/status", Wish::Status),
                ("http://localhost:9000/status", Wish::Status),
                ("HTTP://[::1]", Wish::Index),
            ] {
                assert_eq!(ask(method, target, &[LOCAL]), Ok(wish), "{method} {target}");
            }
        }
        for target in ["", "/stream", "/stream.ts/", "//stream.ts", "/%73tream.ts", "/STREAM.TS", "stream.ts", "/x"] {
            assert_eq!(ask("GET", target, &[LOCAL]), Err("404 Not Found"), "{target}");
        }
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "get", "CONNECT", "TRACE", "BREW"] {
            assert_eq!(ask(method, "/stream.ts", &[LOCAL]), Err("405 Method Not Allowed"), "{method}");
        }
        assert_eq!(ask("OPTIONS", "*", &[LOCAL]), Err("405 Method Not Allowed"));
    }

    #[test]
    fn names_that_are_not_this_machines_are_refused() {
        for host in ["localhost", "LocalHost:80", "127.0.0.1", "127.0.0.1:9000", "[::1]", "[::1]:9000", "127.8.9.1:1"] {
            assert_eq!(ask("GET", "/", &[("host", host)]), Ok(Wish::Index), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:9000",
            "192.0.2.1",
            "[::2]",
            "[::1",
            "[::1]x",
            "localhost:x",
            "localhost:80:80",
            "user@localhost",
            ":9000",
        ] {
            assert_eq!(ask("GET", "/", &[("host", host)]), Err("421 Misdirected Request"), "{host}");
        }
        let other = ask("GET", "http://evil.example/status", &[LOCAL]);
        assert_eq!(other, Err("421 Misdirected Request"));
        assert_eq!(ask("GET", "http://127.0.0.1/", &[("host", "evil.example")]), Err("421 Misdirected Request"));
        assert_eq!(ask("GET", "/", &[]), Err("400 Bad Request"));
        assert_eq!(ask("GET", "/", &[LOCAL, LOCAL]), Err("400 Bad Request"));
        assert_eq!(ask("GET", "/stream.ts", &[LOCAL, ("sec-fetch-site", "cross-site")]), Err("403 Forbidden"));
        let old = Request { minor_version: 0, ..Request::of("GET", "/", &[]) };
        assert_eq!(admit(&old, &Rules { is_local: true, token: None }), Ok(Wish::Index), "HTTP/1.0 knows no Host");
        let far = Rules { is_local: false, token: None };
        assert_eq!(admit(&Request::of("GET", "/", &[("host", "robot.example")]), &far), Ok(Wish::Index));
    }

    #[test]
    fn the_token_is_asked_for_where_there_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let mut file = std::fs::OpenOptions::new();
        std::os::unix::fs::OpenOptionsExt::mode(&mut file, 0o600);
        std::io::Write::write_all(&mut file.write(true).create(true).open(&path).unwrap(), b"s+c&et\n").unwrap();
        let rules = Rules { is_local: true, token: Some(TokenFile::at(path).unwrap()) };
        let ask = |target: &str, headers: &[(&str, &str)]| {
            let headers: Vec<_> = headers.iter().copied().chain([LOCAL]).collect();
            admit(&Request::of("GET", target, &headers), &rules).map_err(|answer| answer.status())
        };
        assert_eq!((ask("/", &[]), ask("/healthz", &[])), (Ok(Wish::Index), Ok(Wish::Health)));
        for target in ["/status", "/metrics", "/stream.ts", "/stream.h264"] {
            let bearer = |value: &str| ask(target, &[("authorization", value)]);
            assert!(bearer("Bearer s+c&et").is_ok() && bearer("bearer  s+c&et").is_ok(), "{target}");
            assert!(ask(&format!("{target}?a=b&token=s%2Bc%26et"), &[]).is_ok(), "{target}");
            for value in ["", "Bearer", "Bearer ", "Bearer s+c&e", "Basic s+c&et", "s+c&et", "Bearer s+c&et s+c&et"] {
                assert_eq!(bearer(value), Err("401 Unauthorized"), "{target} {value}");
            }
            for query in ["", "?token", "?token=", "?token=s+c&et", "?Token=s%2Bc%26et", "?token=x&token=s%2Bc%26et"] {
                assert_eq!(ask(&format!("{target}{query}"), &[]), Err("401 Unauthorized"), "{target}{query}");
            }
        }
    }
}
