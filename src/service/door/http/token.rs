//! The token that readers show, which is in a file: a command line is for everybody to see.

use crate::error::Error;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use subtle::ConstantTimeEq as _;

/// Bytes of the file.
const LONGEST: u64 = 4096;
/// Permissions of others, of which none may be there.
const OTHERS: u32 = 0o006;

/// A file whose one line is the token. It is read each time, so that a new token counts from the next request on.
#[derive(Clone, Debug)]
pub struct TokenFile(PathBuf);

impl TokenFile {
    /// The file at a path, which is read once to see that it can be.
    ///
    /// # Errors
    /// It cannot be read, holds no token, or others may read or write it.
    pub fn at(path: PathBuf) -> Result<Self, Error> {
        let file = Self(path);
        file.read().map(|_| file)
    }

    /// Whether `shown` is the token. How long that takes tells nothing but its length.
    ///
    /// # Errors
    /// As [`TokenFile::at`], if the file has changed since.
    pub fn admits(&self, shown: &str) -> Result<bool, Error> {
        let token = self.read()?;
        Ok(token.as_bytes().ct_eq(shown.as_bytes()).into())
    }

    fn read(&self) -> Result<String, Error> {
        let shown = self.0.display();
        let cannot = |error: std::io::Error| {
            Error::input(
                "token-unreadable",
                format!("cannot read --token-file {shown}"),
                format!("make one: (umask 077; openssl rand -hex 24 > {shown})"),
            )
            .caused_by(error)
        };
        let file = File::open(&self.0).map_err(cannot)?;
        let mode = file.metadata().map_err(cannot)?.mode();
        if mode & OTHERS != 0 {
            return Err(Error::input(
                "token-of-others",
                format!("everybody on this machine may read or change --token-file {shown}"),
                format!("take that from them: chmod o-rw {shown}"),
            ));
        }
        let mut text = String::new();
        file.take(LONGEST).read_to_string(&mut text).map_err(cannot)?;
        let token = text.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::input(
                "token-empty",
                format!("--token-file {shown} is not one line of letters, digits and punctuation without spaces"),
                format!("write a token into it: (umask 077; openssl rand -hex 24 > {shown})"),
            ));
        }
        Ok(token.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_token_is_read_anew_and_is_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let write = |text: &str, mode| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        };
        let code = || TokenFile::at(path.clone()).map(|_| ()).map_err(|error| error.code().to_owned());
        assert_eq!(code(), Err("token-unreadable".to_owned()));
        for (text, mode, expected) in [
            ("secret\n", 0o644, "token-of-others"),
            ("secret\n", 0o602, "token-of-others"),
            ("", 0o600, "token-empty"),
            (" \n", 0o600, "token-empty"),
            ("two words\n", 0o600, "token-empty"),
        ] {
            write(text, mode);
            assert_eq!(code(), Err(expected.to_owned()), "{text:?} {mode:o}");
        }
        write("secret\n", 0o640);
        let file = TokenFile::at(path.clone()).unwrap();
        let admits = |shown| file.admits(shown).unwrap();
        assert!(admits("secret") && !admits("secre") && !admits("secret2") && !admits("") && !admits("Secret"));
        write("newer\n", 0o600);
        assert!(admits("newer") && !admits("secret"));
        write("newer\n", 0o644);
        assert!(file.admits("newer").is_err());
    }
}
