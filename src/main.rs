//! The program. Everything that it does is in the library, behind the feature `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    mb_encode::main()
}
