//! What this process is to a worker or a supervisor: they tell their children in the environment.

use crate::error::Error;
use crate::os::environment::variable;
use rustix::process::{Pid, getppid};

/// The part that a process was started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The program that a person started.
    Program,
    /// Draws and encodes one picture, to see that it works.
    Rehearsal,
    /// Streams to the reader with this number, whose pipe is standard output.
    Reader(u64),
}

impl Role {
    pub const VARIABLE: &str = "MB_ENCODE_WORKERS_CHILD";

    /// The role that this process was started for.
    ///
    /// # Errors
    /// The variable is some other process's: whoever was started as a part never takes the part of the whole.
    pub fn of_this_process() -> Result<Self, Error> {
        match variable(Self::VARIABLE) {
            Some(value) => Self::from_value(&value.to_string_lossy(), getppid()),
            None => Ok(Self::Program),
        }
    }

    fn from_value(value: &str, parent: Option<Pid>) -> Result<Self, Error> {
        let mut words = value.split(' ');
        let starter = words.next().and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
        let reader = words.next().map(str::parse).transpose();
        match (starter, reader) {
            (Some(starter), Ok(reader)) if Some(starter) == parent => Ok(reader.map_or(Self::Rehearsal, Self::Reader)),
            _ => Err(Error::input(
                "child-variable",
                format!("{}={value} is for the children of another process", Self::VARIABLE),
                format!("a worker sets it for its own children: unset {}", Self::VARIABLE),
            )),
        }
    }

    /// What [`Role::VARIABLE`] holds in a child of this process that is to have this role.
    pub fn value(self) -> String {
        let parent = std::process::id();
        match self {
            Self::Reader(reader) => format!("{parent} {reader}"),
            Self::Program | Self::Rehearsal => parent.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_started_as_a_part_never_takes_the_part_of_the_whole() {
        let parent = Pid::from_raw(7);
        assert_eq!(Role::from_value("7", parent).unwrap(), Role::Rehearsal);
        assert_eq!(Role::from_value("7 12", parent).unwrap(), Role::Reader(12));
        for value in ["8", "8 12", "7 x", "7 ", "x", " "] {
            assert!(Role::from_value(value, parent).is_err(), "{value:?}");
        }
        assert!(Role::from_value("7", None).is_err(), "its parent has ended");
    }
}
