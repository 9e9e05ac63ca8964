//! The only values that reach go2rtc's config, each from an alphabet in which neither YAML, nor go2rtc's splitting of
//! command lines, nor a shell has anything to read.

use std::fmt;
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

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let legal = text.len() <= 32
            && text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
        if legal {
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

macro_rules! show {
    ($($name:ty),*) => {
        $(impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        })*
    };
}
show!(Prefix, SafePath, Word);

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
        assert!(parse_program("bin/mb-encode").is_err() && parse_program("mb-encode").is_ok());
        assert!(parse_absolute("streams").is_err());
    }

    /// Any text, much of it near to what is legal.
    fn texts() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[a-z0-9./_-]{0,12}[ #:$;'\"`.\n/|&{}-]{0,3}[a-z./]{0,6}",
            "[a-zA-Z0-9._/+-]{1,24}"
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
            ];
            for value in accepted.into_iter().flatten() {
                prop_assert!(!value.chars().any(|c| HARMFUL.contains(c) || c.is_control() || !c.is_ascii()));
                prop_assert!(!value.contains("..") && !value.is_empty());
            }
        }
    }
}
