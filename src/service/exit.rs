//! How the program ends where an error's own text is not the whole story. `cli` alone acts on it; nothing here exits.

use std::fmt;

/// The exit code of a failure while running.
pub const FAILED: u8 = 1;
/// The exit code of wrong use or input.
pub const WRONG_USE: u8 = 2;

/// Ends the program without the error line that other errors get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Options that do not go together, shown as other errors of the command line are: [`WRONG_USE`].
    Usage(String),
    /// The reason was printed already, usually by a child: only this exit code.
    Silent(u8),
}

impl Exit {
    /// Passes on the exit code of a child that has printed its reason.
    pub fn of_child(code: i32) -> Self {
        Self::Silent(u8::try_from(code).unwrap_or(FAILED))
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) => f.write_str(message),
            Self::Silent(code) => write!(f, "exit code {code}"),
        }
    }
}

impl std::error::Error for Exit {}
