//! The whole grammar, and reading it: which of command line and environment wins, and which of them is wrong.

use super::commands::completions::CompletionsArgs;
use super::commands::doctor::DoctorArgs;
use super::commands::explain::ExplainArgs;
use super::commands::gate::GateArgs;
use super::commands::go2rtc_config::ConfigArgs;
use super::commands::gpus::GpusArgs;
use super::commands::mpegts::MpegTsArgs;
use super::commands::status::StatusArgs;
use super::commands::supervise::SuperviseArgs;
use super::environment;
use super::options::StreamOptions;
use super::print::not_printed;
use crate::os::environment::variable;
use crate::service::exit::FAILED;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::parser::ValueSource;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use std::ffi::OsString;
use std::io::{self, Write as _};

const EXAMPLES: &str = "\
Examples:
  In go2rtc.yaml, a stream that runs while somebody watches:
      demo: exec:mb-encode --stdout#video=h264#raw
  A FIFO for  exec:cat …/demo.h264#video=h264#raw :
      mb-encode --fifo temp/streams/demo.h264
  The same by HTTP, for  http://127.0.0.1:9000/stream.ts :
      mb-encode --listen 127.0.0.1:9000
  Four seconds in a file:
      mb-encode --out clip.h264 --frames 240
  Your own shader, on the screen:
      mb-encode --stdout --shader examples/shaders/waves.glsl | ffplay -f h264 -
  What works on this machine, and what to do about the rest:
      mb-encode doctor
  What a message means, by the code that it ends with:
      mb-encode explain no-egl

Signals:
  SIGTERM, SIGINT   finish the access unit at hand and end; a second one ends at once
  SIGUSR1           make the next frame an IDR (a keyframe)

Exit codes:
  0   done, stopped, or the reader left
  1   failed while running: the cause is on standard error
  2   wrong use or input";

/// Renders headless through EGL, encodes H.264 and writes it where go2rtc reads it.
///
/// Standard output carries the video and nothing else; everything for people goes to standard error.
#[derive(Debug, Parser)]
#[command(name = "mb-encode", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
#[command(
    override_usage = "mb-encode --stdout | --fifo <PATH> | --out <PATH> | --listen <ADDRESS:PORT> [OPTIONS]\n       mb-encode <COMMAND>"
)]
#[command(max_term_width = 110, disable_help_flag = true, allow_negative_numbers = true)]
pub struct Args {
    // First, or it would stand below the heading of the last options.
    /// Print this help
    #[arg(short, long, action = clap::ArgAction::HelpShort, global = true)]
    help: Option<bool>,

    #[command(subcommand)]
    pub command: Option<Command>,

    #[command(flatten)]
    pub stream: StreamOptions,
}

#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    Doctor(DoctorArgs),
    Explain(ExplainArgs),
    Gate(GateArgs),
    Go2rtcConfig(Box<ConfigArgs>),
    Gpus(GpusArgs),
    Mpegts(MpegTsArgs),
    Supervise(Box<SuperviseArgs>),
    Status(StatusArgs),
    Completions(CompletionsArgs),
    /// Print the man page
    Man,
}

/// The grammar as clap has it.
pub fn grammar() -> clap::Command {
    // A number below zero is a value that an option refuses, and says what it wants.
    Args::command().mut_subcommands(|command| command.allow_negative_numbers(true))
}

/// The options of this process.
///
/// # Errors
/// The exit code, after the message was printed: 2 for a usage error, 0 where the help or the version was asked for.
pub fn read() -> Result<Args, u8> {
    let words: Vec<_> = std::env::args_os().collect();
    from(&words).map_err(|error| {
        let code = print(&error);
        if let (Some(variable), true) = (variable_behind(&error, &words), error.use_stderr()) {
            let _ = writeln!(io::stderr(), "It comes from the environment: change {variable}, or unset it.");
        }
        code
    })
}

/// Prints what clap has to say, and returns its exit code.
pub fn print(error: &Error) -> u8 {
    match error.print() {
        // Help and version were asked for, and a reader that has seen enough is no error.
        Err(why) if !error.use_stderr() && why.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(io::stderr(), "error: {:#}", not_printed(why));
            FAILED
        }
        // Standard error may be closed, and there is nobody else to tell.
        _ => error.exit_code() as u8,
    }
}

/// An error in how the options go together, shown as clap shows its own.
pub fn usage_error(message: impl std::fmt::Display) -> Error {
    grammar().error(ErrorKind::ArgumentConflict, message)
}

/// The same of the command that this process was given, with its usage.
pub fn usage_error_of_command(message: impl std::fmt::Display) -> Error {
    let mut grammar = grammar();
    // Names the commands with the program in front.
    grammar.build();
    let given = grammar.clone().try_get_matches().ok();
    let name = given.as_ref().and_then(|given| given.subcommand_name());
    match name.and_then(|name| grammar.find_subcommand_mut(name)) {
        Some(command) => command.error(ErrorKind::ArgumentConflict, message),
        None => usage_error(message),
    }
}

fn from(words: &[OsString]) -> Result<Args, Error> {
    // clap would take the second word for a subcommand.
    for pair in words.windows(2).filter(|pair| pair[0] == "--mpegts") {
        if let Some(how @ ("native" | "ffmpeg")) = pair[1].to_str() {
            return Err(usage_error(format!("write --mpegts={how}: a value of --mpegts stands behind '='")));
        }
    }
    let matches = environment::matches(grammar, words).map_err(|error| stray_word(&error, words).unwrap_or(error))?;
    let mut args = Args::from_arg_matches(&matches)?;
    match (matches.value_source("shader"), matches.value_source("scene")) {
        // What is written here and now is meant, whatever the environment says.
        (Some(ValueSource::EnvVariable), Some(ValueSource::CommandLine)) => args.stream.show_scene(),
        (Some(ValueSource::CommandLine), Some(ValueSource::CommandLine))
        | (Some(ValueSource::EnvVariable), Some(ValueSource::EnvVariable)) => {
            return Err(usage_error("--shader and --scene are both given; choose one"));
        }
        _ => {}
    }
    // Variables may be there for other streams.
    let is_written = |name: &&str| matches.value_source(name) == Some(ValueSource::CommandLine);
    let channel = ["channel0", "channel1", "channel2", "channel3"].into_iter().find(is_written);
    if let (Some(channel), None) = (channel, args.stream.shader_path()) {
        return Err(usage_error(format!("--{channel} is for a shader, and there is none: add --shader FILE")));
    }
    Ok(args)
}

/// What clap takes for a subcommand behind options and is none: most often the rest of a value with blanks in it.
fn stray_word(error: &Error, words: &[OsString]) -> Option<Error> {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    if error.kind() != ErrorKind::ArgumentConflict || grammar().find_subcommand(word).is_some() {
        return None;
    }
    let at = words.iter().position(|written| written == word.as_str()).unwrap_or(0);
    let before = |steps: usize| at.checked_sub(steps).and_then(|at| words.get(at)).and_then(|word| word.to_str());
    let remedy = match (before(2), before(1)) {
        (Some(option), Some(value)) if option.starts_with("--") && !value.starts_with('-') => {
            let rest = words[at..].iter().map_while(|word| word.to_str().filter(|word| !word.starts_with('-')));
            let value = [value].into_iter().chain(rest).collect::<Vec<_>>().join(" ");
            format!("a value with a blank in it stands in quotes: {option} '{value}'")
        }
        _ => "an option's value stands behind its name, as in --width 640".to_owned(),
    };
    Some(usage_error(format!("'{word}' belongs to no option; {remedy}")))
}

/// The environment variable whose value was refused, if it was one.
fn variable_behind(error: &Error, words: &[OsString]) -> Option<String> {
    if error.kind() == ErrorKind::InvalidUtf8 {
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
    let name = variable_of(&grammar(), name)?;
    variable(&name).is_some_and(|set| set == value.as_str()).then_some(name)
}

/// What sets `--name`, wherever in the grammar that is.
fn variable_of(command: &clap::Command, name: &str) -> Option<String> {
    let own = command.get_arguments().find(|arg| arg.get_long() == Some(name)).and_then(clap::Arg::get_env);
    own.and_then(|variable| variable.to_str().map(str::to_owned))
        .or_else(|| command.get_subcommands().find_map(|inner| variable_of(inner, name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_consistent() {
        grammar().debug_assert();
    }
}
