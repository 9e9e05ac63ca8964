//! The token that readers show, which is in a file: a command line is for everybody to see.

use crate::error::Error;
use rustix::fs::OFlags;
use rustix::rand::{GetRandomFlags, getrandom};
use std::fs::OpenOptions;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use subtle::ConstantTimeEq as _;

/// Bytes of the file.
const LONGEST: u64 = 4096;
/// Random bytes of one that is made.
const BYTES: usize = 32;
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

    /// Makes one at a path, in the place of an earlier one. Also returns the token.
    ///
    /// # Errors
    /// The file system makes none, or the system has no randomness.
    pub fn make(path: PathBuf) -> io::Result<(Self, String)> {
        let mut random = [0; BYTES];
        getrandom(&mut random, GetRandomFlags::empty())?;
        let token: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        writeln!(file, "{token}")?;
        Ok((Self(path), token))
    }

    pub fn path(&self) -> &Path {
        &self.0
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
        let cannot = |error: io::Error| {
            Error::input(
                "token-unreadable",
                format!("cannot read --token-file {shown}"),
                format!("make one: (umask 077; openssl rand -hex 24 > {shown})"),
            )
            .caused_by(error)
        };
        // One that nobody writes would be waited for.
        let file = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(&self.0);
        let file = file.map_err(cannot)?;
        let status = file.metadata().map_err(cannot)?;
        if !status.is_file() {
            let what = if status.is_dir() { "a folder" } else { "no file that can be read again and again" };
            return Err(Error::input(
                "token-no-file",
                format!("--token-file {shown} is {what}"),
                "make one: (umask 077; openssl rand -hex 24 > token), and say: --token-file token",
            ));
        }
        let mode = status.mode();
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
        // Whatever their permissions are: nobody is to change those of a device.
        for path in [folder.path(), Path::new("/dev/null"), Path::new("/dev")] {
            let refused = TokenFile::at(path.to_owned()).unwrap_err();
            assert_eq!(refused.code(), "token-no-file", "{refused}");
            assert!(!refused.remedy().contains("chmod"), "{refused}");
        }
        write("secret\n", 0o640);
        let file = TokenFile::at(path.clone()).unwrap();
        let admits = |shown| file.admits(shown).unwrap();
        assert!(admits("secret") && !admits("secre") && !admits("secret2") && !admits("") && !admits("Secret"));
        write("newer\n", 0o600);
        assert!(admits("newer") && !admits("secret"));
        write("newer\n", 0o644);
        assert!(file.admits("newer").is_err());

        let (file, token) = TokenFile::make(path.clone()).unwrap();
        assert!(token.len() == 2 * BYTES && file.admits(&token).unwrap());
        let (_, another) = TokenFile::make(path).unwrap();
        assert!(another != token && !file.admits(&token).unwrap());
    }
}
