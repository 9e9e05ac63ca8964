//! What happens between `main` and the library, in order. The only place that decides on an exit code.

mod addresses;
mod command;
mod commands;
mod environment;
mod input;
mod logging;
mod moving;
mod named;
mod number;
mod options;
mod output;
mod print;
mod streams;

use crate::Error;
use crate::error::{Fault, look_up_remedies};
use crate::os::{dedicated, process};
use crate::service::exit::{Exit, FAILED, WRONG_USE};
use command::{Args, Command};
use commands::{completions, doctor, explain, gate, go2rtc_config, gpus, man, mpegts, status, stream, supervise};
use logging::TO_BE_READ;
use std::process::ExitCode;

/// Runs the program.
pub fn run() -> ExitCode {
    look_up_remedies(|code| stream::remedy(code).or_else(|| explain::remedy(code)));
    let code = command::read().and_then(|args| {
        if args.command.is_none() {
            // Before there is a second thread.
            dedicated::declare();
        }
        logging::start(&args.stream.logging, args.stream.output.is_stdout());
        dispatch(&args).map_err(|error| code_of(error, &args))
    });
    if process::is_in_ruins() {
        // A driver that is of no use any more may hang in its own end.
        match code {
            Ok(code) if code == ExitCode::SUCCESS => process::leave(0),
            Ok(code) => return code,
            Err(code) => process::leave(code.into()),
        }
    }
    code.unwrap_or_else(ExitCode::from)
}

fn dispatch(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Some(Command::Doctor(args)) => return doctor::run(args),
        Some(Command::Explain(args)) => explain::run(args),
        Some(Command::Gate(args)) => gate::run(args),
        Some(Command::Go2rtcConfig(args)) => go2rtc_config::run(args),
        Some(Command::Gpus(args)) => gpus::run(args),
        Some(Command::Mpegts(args)) => mpegts::run(args),
        Some(Command::Supervise(args)) => supervise::run(args),
        Some(Command::Status(args)) => status::run(args),
        Some(Command::Completions(args)) => completions::run(args, &command::grammar()),
        Some(Command::Man) => man::run(command::grammar()),
        None => stream::run(&args.stream),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// Prints an error that was not printed yet, and returns its exit code.
fn code_of(error: anyhow::Error, args: &Args) -> u8 {
    // A usage error that is found after the parsing looks like one of the parsing.
    if let Some(usage) = error.downcast_ref::<clap::Error>() {
        return command::print(usage);
    }
    match error.downcast_ref::<Exit>() {
        Some(Exit::Usage(message)) => return command::print(&command::usage_error_of_command(message)),
        Some(Exit::Silent(code)) => return *code,
        None => {}
    }
    tracing::error!("{error:#}");
    if args.stream.output.is_stdout() {
        std::thread::sleep(TO_BE_READ);
    }
    let wrong_use = error.downcast_ref::<Error>().is_some_and(|error| error.fault() == Fault::Input);
    if wrong_use { WRONG_USE } else { FAILED }
}
