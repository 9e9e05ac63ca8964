//! The environment as options see it: an empty variable is an unset one, and a switch can be said in the usual ways.
//!
//! Compose files and systemd's environment files pass on as empty what is not set.

use crate::os::environment::variable;
use clap::error::{Error, ErrorKind};
use clap::{ArgMatches, Command};
use std::ffi::OsString;

/// Parses `words` by `grammar`, and what they leave out from the variables that are not empty.
///
/// # Errors
/// Whatever clap has to say, help included.
pub fn matches(grammar: impl Fn() -> Command, words: &[OsString]) -> Result<ArgMatches, Error> {
    let parsed = without_empty(grammar()).try_get_matches_from(words);
    match parsed {
        // The help names every variable, empty or not.
        Err(error) if error.kind() == ErrorKind::DisplayHelp => grammar().try_get_matches_from(words),
        parsed => parsed,
    }
}

/// The same grammar, blind to empty variables.
fn without_empty(command: Command) -> Command {
    command
        .mut_args(|option| match option.get_env().map(variable) {
            Some(None) => option.env(None::<&'static str>),
            _ => option,
        })
        .mut_subcommands(without_empty)
}

/// A switch from the environment.
pub fn parse_switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("must be true or false, yes or no, on or off, 1 or 0".to_owned()),
    }
}
