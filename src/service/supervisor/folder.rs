//! The folder of a supervisor: its own alone, and nobody else's to change.

use crate::error::Error;
use crate::os::claim::{Claim, Refused};
use crate::os::others;
use crate::service::door::http::TokenFile;
use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Takes the folder, which one supervisor has at a time, and opens it.
///
/// What lies in it decides what is run and written, so nobody else may write there, or have a hand in where it is.
pub fn claim(temp: &Path) -> Result<(PathBuf, File, Claim), Error> {
    let path = own_folder(temp)?;
    let folder = File::open(&path).map_err(|error| {
        Error::machine("temp-folder", format!("cannot open {}", temp.display()), ANOTHER_FOLDER).caused_by(error)
    })?;
    let around = folder.try_clone().map_err(|error| not_made(temp, error))?;
    let claim = Claim::take(&Arc::new(around.into()), "supervisor.lock".as_ref()).map_err(|refused| match refused {
        Refused::Taken => Error::input(
            "supervisor-running",
            format!("another supervisor is already running in {}", temp.display()),
            "see how it is: scripts/start status; end it with Ctrl-C where it runs, or choose another folder with --temp",
        ),
        Refused::Strangers(_) => Error::machine(
            "temp-folder",
            format!("cannot lock {}: something else is called supervisor.lock there", temp.display()),
            format!("remove it: rm -r {}", temp.join("supervisor.lock").display()),
        ),
        Refused::Impossible(errno) => {
            Error::machine("temp-folder", format!("cannot lock {}", temp.display()), ANOTHER_FOLDER).caused_by(errno)
        }
    })?;
    Ok((path, folder, claim))
}

/// A folder that nobody else rules over, made where there is none. Returns its path without links.
pub fn own_folder(folder: &Path) -> Result<PathBuf, Error> {
    let made = DirBuilder::new().recursive(true).mode(0o755).create(folder).and_then(|()| folder.canonicalize());
    let path = made.map_err(|error| not_made(folder, error))?;
    match others::rule(&path).map_err(|error| not_made(folder, error))? {
        None => Ok(path),
        Some(others) => {
            let remedy = match others.remedy() {
                Some(chmod) => format!("take that from them: {chmod}; or {ANOTHER_FOLDER}"),
                None => ANOTHER_FOLDER.to_owned(),
            };
            Err(Error::input(
                "folder-of-others",
                format!("{others}: they could change what a supervisor in {} runs and writes", folder.display()),
                remedy,
            ))
        }
    }
}

const ANOTHER_FOLDER: &str = "give it a folder that only you may write to: --temp \"$HOME/mb-encode\"";

fn not_made(folder: &Path, error: std::io::Error) -> Error {
    Error::machine("temp-folder", format!("cannot make {}", folder.display()), ANOTHER_FOLDER).caused_by(error)
}

/// Makes what workers by HTTP want to be shown: others on this machine reach their ports, too.
pub fn make_token(temp: &Path) -> Result<(TokenFile, String), Error> {
    let path = temp.join("worker-token");
    TokenFile::make(path.clone()).map_err(|error| {
        Error::machine("temp-folder", format!("cannot make {}", path.display()), ANOTHER_FOLDER).caused_by(error)
    })
}
