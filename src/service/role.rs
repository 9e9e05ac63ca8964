//! What this process is to a worker or a supervisor: they tell their children in the environment.

use super::streams::Format;
use crate::error::Error;
use crate::os::environment::variable;
use crate::settings::Named as _;
use rustix::process::{Pid, getppid};

/// The part that a process was started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The program that a person started.
    Program,
    /// Draws and encodes one picture, to see that it works.
    Rehearsal,
    /// Streams to the reader with this number, whose pipe is standard output. In this format, where the reader chooses.
    Reader(u64, Option<Format>),
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
        let format = words.next().map(|name| Format::ALL.iter().find(|(_, known, _)| *known == name).ok_or(()));
        match (starter, reader, format.transpose()) {
            (Some(starter), Ok(reader), Ok(format)) if Some(starter) == parent => {
                let format = format.map(|&(format, ..)| format);
                Ok(reader.map_or(Self::Rehearsal, |reader| Self::Reader(reader, format)))
            }
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
            Self::Reader(reader, None) => format!("{parent} {reader}"),
            Self::Reader(reader, Some(format)) => format!("{parent} {reader} {}", format.name()),
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
        assert_eq!(Role::from_value("7 12", parent).unwrap(), Role::Reader(12, None));
        assert_eq!(Role::from_value("7 12 mpegts", parent).unwrap(), Role::Reader(12, Some(Format::Mpegts)));
        for value in ["8", "8 12", "7 x", "7 ", "x", " ", "7 12 x", "8 12 h264"] {
            assert!(Role::from_value(value, parent).is_err(), "{value:?}");
        }
        assert!(Role::from_value("7", None).is_err(), "its parent has ended");
    }
}
