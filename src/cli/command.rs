//! Reads the command line and the environment together: which of them wins, and which of them is wrong.

use super::options::Args;
use super::usage_error;
use clap::error::{ContextKind, ContextValue, Error};
use clap::parser::ValueSource;
use clap::{CommandFactory as _, FromArgMatches as _};
use std::ffi::OsString;
use std::io::Write as _;

/// The options of this process. A usage error prints itself and ends it, with exit code 2.
pub fn read() -> Args {
    let words: Vec<_> = std::env::args_os().collect();
    from(&words).unwrap_or_else(|error| {
        let variable = variable_behind(&error, &words);
        // Standard error may be closed, and there is nobody else to tell.
        let _ = error.print();
        if let (Some(variable), true) = (variable, error.use_stderr()) {
            let _ = writeln!(std::io::stderr(), "It comes from the environment: change {variable}, or unset it.");
        }
        std::process::exit(error.exit_code())
    })
}

fn from(words: &[OsString]) -> Result<Args, Error> {
    // clap would take the second word for a subcommand.
    for pair in words.windows(2).filter(|pair| pair[0] == "--mpegts") {
        if let Some(how @ ("native" | "ffmpeg")) = pair[1].to_str() {
            return Err(usage_error(format!("write --mpegts={how}: a value of --mpegts stands behind '='")));
        }
    }
    let matches = Args::command().try_get_matches_from(words)?;
    let mut args = Args::from_arg_matches(&matches)?;
    match (matches.value_source("shader"), matches.value_source("scene")) {
        // What is written here and now is meant, whatever the environment says.
        (Some(ValueSource::EnvVariable), Some(ValueSource::CommandLine)) => args.show_scene(),
        (Some(ValueSource::CommandLine), Some(ValueSource::CommandLine))
        | (Some(ValueSource::EnvVariable), Some(ValueSource::EnvVariable)) => {
            return Err(usage_error("--shader and --scene are both given; a picture shows one of them".to_owned()));
        }
        _ => {}
    }
    Ok(args)
}

/// The environment variable whose value was refused, if it was one.
fn variable_behind(error: &Error, words: &[OsString]) -> Option<String> {
    if error.kind() == clap::error::ErrorKind::InvalidUtf8 {
        let broken = std::env::vars_os().filter(|(_, value)| value.to_str().is_none());
        return broken.filter_map(|(name, _)| name.into_string().ok()).find(|name| name.starts_with("MB_ENCODE_"));
    }
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else { return None };
    let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) else { return None };
    // "--bitrate <RATE>"
    let name = option.split([' ', '=', '[']).next()?.strip_prefix("--")?;
    let is_written = |word: &OsString| word.to_str().is_some_and(|word| word.contains(&format!("--{name}")));
    if words.iter().any(is_written) {
        return None;
    }
    let variable = variable_of(&Args::command(), name)?;
    (std::env::var(&variable).as_deref() == Ok(value)).then_some(variable)
}

/// What sets `--name`, wherever in the grammar that is.
fn variable_of(command: &clap::Command, name: &str) -> Option<String> {
    let own = command.get_arguments().find(|arg| arg.get_long() == Some(name)).and_then(clap::Arg::get_env);
    own.and_then(|variable| variable.to_str().map(str::to_owned))
        .or_else(|| command.get_subcommands().find_map(|inner| variable_of(inner, name)))
}
