//! Environment variables. The only reader of them, so that an empty one is an unset one everywhere.

use std::ffi::{OsStr, OsString};

/// What `name` is set to, unless that is nothing.
pub fn variable(name: impl AsRef<OsStr>) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
