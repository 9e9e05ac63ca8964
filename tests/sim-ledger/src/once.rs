//! What one process alone is to do of all that come to it.

use crate::setting;
use std::fs::File;
use std::io::Write as _;

/// Whether this is the first process that asks: the file that the variable names is not there, and is made. Where the
/// variable is unset, every process is.
pub(crate) fn is_first(variable: &str) -> bool {
    let Some(path) = setting::text(variable) else { return true };
    match File::create_new(&path) {
        Ok(mut file) => {
            let _ = write!(file, "{}", std::process::id());
            true
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => false,
        Err(error) => panic!("{variable}={path}: {error}"),
    }
}
