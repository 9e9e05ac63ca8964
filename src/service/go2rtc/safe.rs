//! The only values that reach go2rtc's config, each from an alphabet in which neither YAML, nor go2rtc's splitting of
//! command lines, nor a shell has anything to read.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::Path;
use std::str::FromStr;

/// What the ids of the streams begin with: a letter, then up to 31 letters, digits, `_` and `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(String);

/// A path of letters, digits and `. _ - +`, without `..`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SafePath(String);

/// A word of a command line, of letters, digits and `. _ - + / , =`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word(String);

/// The address of a stream by HTTP: a name or an address, a port, and a path of letters, digits and `. _ ~ - /`. No user
/// and no `?`: go2rtc tells viewers the address of what it cannot reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url(String);

/// Such addresses, with `{n}` and `{id}` for what differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Urls(String);

/// The name of a secret that go2rtc puts in its place where it runs, of letters, digits, `_` and `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretName(String);

impl Default for Prefix {
    /// `omega`.
    fn default() -> Self {
        Self("omega".to_owned())
    }
}

impl Prefix {
    /// The id of stream `number`.
    pub fn id(&self, number: u16) -> String {
        format!("{}-{number}", self.0)
    }
}

/// Whether it is a letter, and letters, digits, _ or - behind it, in so many bytes at most.
fn is_name(text: &str, most: usize) -> bool {
    text.len() <= most
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if is_name(text, 32) {
            Ok(Self(text.to_owned()))
        } else {
            Err("must be a letter and up to 31 letters, digits, _ or - behind it, like omega".to_owned())
        }
    }
}

impl SafePath {
    const LEGAL: &str = "must be made of letters, digits and . _ - + / only, without .. and without a part that begins \
                         with -, like /streams";

    /// The same for a path that the system gave.
    pub fn of(path: &Path) -> Result<Self, String> {
        path.to_str().ok_or_else(|| Self::LEGAL.to_owned())?.parse()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_absolute(&self) -> bool {
        self.0.starts_with('/')
    }
}

impl FromStr for SafePath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.strip_suffix('/').unwrap_or(text);
        let parts = bare.strip_prefix('/').unwrap_or(bare).split('/');
        let legal = text.len() <= 1024
            && !text.contains("..")
            && parts.into_iter().all(|part| {
                !part.is_empty()
                    && !part.starts_with('-')
                    && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+".contains(&b))
            });
        if legal { Ok(Self(bare.to_owned())) } else { Err(Self::LEGAL.to_owned()) }
    }
}

/// A folder as it is called in a container.
pub fn parse_absolute(text: &str) -> Result<SafePath, String> {
    let path: SafePath = text.parse()?;
    if path.is_absolute() { Ok(path) } else { Err("must begin with /, like /streams".to_owned()) }
}

/// A program: an absolute path, or a name that is looked for on the PATH.
pub fn parse_program(text: &str) -> Result<SafePath, String> {
    let path: SafePath = text.parse()?;
    if path.is_absolute() || !path.as_str().contains('/') {
        Ok(path)
    } else {
        Err("must be an absolute path, or a name without / that is on the PATH".to_owned())
    }
}

impl Word {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Word {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let legal = !text.is_empty()
            && text.len() <= 256
            && !text.contains("..")
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+/,=".contains(&b));
        if legal {
            Ok(Self(text.to_owned()))
        } else {
            Err("go2rtc splits this command line: only letters, digits and . _ - + / , = can be passed on, without .."
                .to_owned())
        }
    }
}

impl FromStr for SecretName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if is_name(text, 64) {
            Ok(Self(text.to_owned()))
        } else {
            Err("must be a letter and up to 63 letters, digits, _ or - behind it, like worker-token".to_owned())
        }
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if is_legal_url(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err("must be http:// or https://, a name or an address, and a path of letters, digits and . _ ~ - / without .., \
                 such as http://worker-{n}.example:9000/stream.ts"
                .to_owned())
        }
    }
}

fn is_legal_url(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) else { return false };
    let Some((authority, path)) = rest.split_once('/') else { return false };
    // An IPv6 address stands in brackets.
    let (host, port) = match authority.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((address, port))) if address.parse::<Ipv6Addr>().is_ok() => ("ipv6", port),
        Some(_) => return false,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_port =
        |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    text.len() <= 256
        && !text.contains("..")
        && host.starts_with(|first: char| first.is_ascii_alphanumeric())
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
        && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~-/".contains(&b))
}

impl Urls {
    /// That of stream `number`, which is called `id`.
    ///
    /// # Errors
    /// It is too long.
    pub fn of(&self, number: u16, id: &str) -> Result<Url, String> {
        self.0.replace("{n}", &number.to_string()).replace("{id}", id).parse()
    }
}

impl FromStr for Urls {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let urls = Self(text.to_owned());
        urls.of(0, &Prefix::default().id(0)).map(|_| urls)
    }
}

macro_rules! show {
    ($($name:ty),*) => {
        $(impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        })*
    };
}
show!(Prefix, SafePath, SecretName, Word, Url);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HARMFUL: &str = " \t\r\n\0\"'`$&|;<>(){}[]*?!#:~^\\%@";

    #[test]
    fn what_is_legal_and_what_is_not() {
        for text in ["omega", "A", "my-cam_2", &"a".repeat(32)] {
            assert!(text.parse::<Prefix>().is_ok(), "{text}");
        }
        for text in ["", "1", "-a", "a b", "a/b", "..", "a.b", "ä", "a\n", &"a".repeat(33)] {
            assert!(text.parse::<Prefix>().is_err(), "{text}");
        }
        for text in ["/streams", "/streams/", "temp/streams", "/a/b.c/d_e+f", "./x"] {
            assert!(text.parse::<SafePath>().is_ok(), "{text}");
        }
        for text in ["", "/", "//", "/a//b", "/a/../b", "..", "/a b", "/-rf", "-rf", "/a;b", "/a:b", "a=b", "/ä", "~"]
        {
            assert!(text.parse::<SafePath>().is_err(), "{text}");
        }
        for text in ["--width", "--fps=30000/1001", "6M", "examples/shaders/waves.glsl"] {
            assert!(text.parse::<Word>().is_ok(), "{text}");
        }
        for text in ["", "a b", "#video", "{output}", "${HOME}", "a:", "'x'", "../x", "--shader=../x", "\\"] {
            assert!(text.parse::<Word>().is_err(), "{text}");
        }
        for text in [
            "http://127.0.0.1:9000/stream.ts",
            "https://worker-1.example/",
            "http://[::1]:9000/a/b_c~d.h264",
            "http://worker_1:1/x",
        ] {
            assert!(text.parse::<Url>().is_ok(), "{text}");
        }
        for text in [
            "",
            "http://",
            "http://a",
            "http:///x",
            "ftp://a/x",
            "exec:cat",
            "tcp://a:1/x",
            "HTTP://a/x",
            "http://a:/x",
            "http://a:0/x",
            "http://a:65536/x",
            "http://a:+1/x",
            "http://a:1:2/x",
            "http://u:p@a/x",
            "http://u@a/x",
            "http://a/x?token=y",
            "http://a/x#header=Y",
            "http://a/x y",
            "http://a/../x",
            "http://a/{input}",
            "http://a/${HOME}",
            "http://a/%2e",
            "http://[::1/x",
            "http://[a]/x",
            "http://-a/x",
            "http://a/x:",
            "http://ä/x",
        ] {
            assert!(text.parse::<Url>().is_err(), "{text}");
        }
        let urls: Urls = "http://{id}.worker-{n}.example:9000/{n}.ts".parse().unwrap();
        assert_eq!(urls.of(12, "omega-12").unwrap().to_string(), "http://omega-12.worker-12.example:9000/12.ts");
        for text in ["http://{N}/x", "http://a:{id}/x", "http://a/{n", "http://a/{n}}", "{n}"] {
            assert!(text.parse::<Urls>().is_err(), "{text}");
        }
        for text in ["worker-token", "T", "A_1", &"a".repeat(64)] {
            assert!(text.parse::<SecretName>().is_ok(), "{text}");
        }
        for text in ["", "1a", "-a", "_a", "a b", "a:b", "a}", "${a", "a/b", "..", "a.b", "ä", &"a".repeat(65)] {
            assert!(text.parse::<SecretName>().is_err(), "{text}");
        }
        assert!(parse_program("bin/mb-encode").is_err() && parse_program("mb-encode").is_ok());
        assert!(parse_absolute("streams").is_err());
    }

    /// Any text, much of it near to what is legal.
    fn texts() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[a-z0-9./_-]{0,12}[ #:$;'\"`.\n/|&{}-]{0,3}[a-z./]{0,6}",
            "[a-zA-Z0-9._/+-]{1,24}",
            "https?://[a-z0-9.:@-]{1,12}/[a-z0-9./_ #?:$'\"&{}-]{0,6}"
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn nothing_harmful_gets_through(text in texts()) {
            let accepted = [
                text.parse::<Prefix>().ok().map(|prefix| prefix.to_string()),
                text.parse::<SafePath>().ok().map(|path| path.to_string()),
                text.parse::<Word>().ok().map(|word| word.to_string()),
                text.parse::<Url>().ok().map(|url| url.to_string()),
                text.parse::<SecretName>().ok().map(|name| name.to_string()),
            ];
            for value in accepted.into_iter().flatten() {
                // What is harmful in the others has its place in an address, and only there.
                let rest = match value.split_once("://").and_then(|(_, rest)| rest.split_once('/')) {
                    Some((authority, path)) => format!("{}{path}", authority.replacen(':', "", 1)),
                    None => value.clone(),
                };
                prop_assert!(!rest.chars().any(|c| HARMFUL.contains(c) || c.is_control() || !c.is_ascii()));
                prop_assert!(!value.contains("..") && !value.is_empty());
            }
        }
    }
}
