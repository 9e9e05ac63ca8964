//! The program: arguments, logging and signals around the library.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
