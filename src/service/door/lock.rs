//! What keeps two workers from serving one FIFO: a folder beside it, which the worker holds.

use super::path::unusable;
use crate::error::Error;
use crate::os::claim::{Claim, Refused};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

/// A name has so many bytes.
const LONGEST_NAME: usize = 255;
/// What the name of a lock ends with.
const END: &[u8] = b".mb-encode";

/// Takes charge of the FIFO that is called `name` in a folder. Returns why not where this user may add no names there, so
/// that nobody else of its kind may either.
///
/// # Errors
/// Another process serves it: two writers would mix their streams.
pub fn claim(folder: &Arc<OwnedFd>, name: &OsStr, path: &Path) -> Result<Result<Claim, Errno>, Error> {
    let shown = path.display();
    match Claim::take(folder, &name_of_claim(name)) {
        Ok(claim) => Ok(Ok(claim)),
        Err(Refused::Taken) => Err(Error::input(
            "fifo-taken",
            format!("another mb-encode serves the FIFO {shown}"),
            "choose another path, or stop the other one",
        )),
        Err(Refused::Strangers(user)) => {
            let theirs = path.with_file_name(name_of_claim(name));
            Err(Error::input(
                "fifo-taken",
                format!("the worker of another user (uid {user}) serves the FIFO {shown}, or did and was killed"),
                format!("choose another path, or remove what it left: rm -r {}", theirs.display()),
            ))
        }
        // Nobody can serve it as it should be served then; whoever does writes to one reader at a time in any case.
        Err(Refused::Impossible(errno)) => match unusable(path, errno) {
            error if error.is_shortage() => Err(error),
            _ => Ok(Err(errno)),
        },
    }
}

/// Whether a name is that of a lock.
pub fn is_claim(name: &OsStr) -> bool {
    name.len() > 1 + END.len() && name.as_bytes().starts_with(b".") && name.as_bytes().ends_with(END)
}

/// Beside the FIFO, and hidden.
fn name_of_claim(name: &OsStr) -> OsString {
    const CRC: crc::Crc<u64> = crc::Crc::<u64>::new(&crc::CRC_64_XZ);
    let bytes = name.as_bytes();
    let mut claim = b".".to_vec();
    if 1 + bytes.len() + END.len() <= LONGEST_NAME {
        claim.extend_from_slice(bytes);
    } else {
        // The beginning, and a number that stands for all of it.
        claim.extend_from_slice(&bytes[..LONGEST_NAME - END.len() - 20]);
        claim.extend_from_slice(format!(".{:016x}", CRC.checksum(bytes)).as_bytes());
    }
    claim.extend_from_slice(END);
    OsStr::from_bytes(&claim).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_names_have_claims_of_their_own() {
        let claim = |letter: &str, end: &str| name_of_claim((letter.repeat(LONGEST_NAME - end.len()) + end).as_ref());
        assert_eq!(name_of_claim("demo.h264".as_ref()), ".demo.h264.mb-encode");
        assert_ne!(claim("n", "1"), claim("n", "2"));
        assert!(claim("n", "").len() <= LONGEST_NAME);
        assert!(is_claim(&claim("n", "")) && is_claim(".a.mb-encode".as_ref()) && !is_claim(".mb-encode".as_ref()));
    }
}
