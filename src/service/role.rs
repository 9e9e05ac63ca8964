//! What this process is to a worker or a supervisor: they tell their children in the environment.

use super::streams::Format;
use crate::error::Error;
use crate::os::environment::variable;
use crate::os::process;
use crate::settings::{EncoderChoice, Named as _, Settings};
use rustix::process::{Pid, getppid};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The part that a process was started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The program that a person started.
    Program,
    /// Draws and encodes one picture, to see that it works.
    Rehearsal,
    /// Opens what a stream needs, and waits for its reader.
    Spare,
    /// Streams to the reader with this number, whose pipe is standard output. In this format, where the reader chooses.
    Reader(u64, Option<Format>),
}

/// The word for a spare in the place of a reader's number.
const SPARE: &str = "spare";

impl Role {
    pub const VARIABLE: &str = "MB_ENCODE_WORKERS_CHILD";

    /// The role that this process was started for.
    ///
    /// # Errors
    /// The variable is some other process's: whoever was started as a part never takes the part of the whole.
    pub fn of_this_process() -> Result<Self, Error> {
        match variable(Self::VARIABLE) {
            Some(value) => Self::from_parent(&value.to_string_lossy()),
            None => Ok(Self::Program),
        }
    }

    /// The role that the parent of this process has in mind when it says `value`.
    ///
    /// # Errors
    /// It is some other process's.
    pub fn from_parent(value: &str) -> Result<Self, Error> {
        Self::from_value(value, getppid())
    }

    fn from_value(value: &str, parent: Option<Pid>) -> Result<Self, Error> {
        let mut words = value.split(' ');
        let starter = words.next().and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
        if value.ends_with(&format!(" {SPARE}"))
            && words.clone().count() == 1
            && starter.is_some_and(|it| Some(it) == parent)
        {
            return Ok(Self::Spare);
        }
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
            Self::Spare => format!("{parent} {SPARE}"),
            Self::Program | Self::Rehearsal => parent.to_string(),
        }
    }
}

/// What a worker knows of its machine, for as long as it runs, and hands down to its children. Copies share it.
#[derive(Clone, Debug)]
pub struct Known {
    /// The encoder that its streams were asked to have.
    pub choice: EncoderChoice,
    /// There is no NVENC, or it hangs, and looking for it would only take time.
    without_nvenc: Arc<AtomicBool>,
}

impl Known {
    const VARIABLE: &str = "MB_ENCODE_WORKERS_FINDINGS";
    const WITHOUT_NVENC: &str = "without-nvenc";

    /// Of a worker that has seen nothing yet.
    pub fn of_worker(choice: EncoderChoice) -> Self {
        Self { choice, without_nvenc: Arc::default() }
    }

    /// Has nobody look for NVENC any more.
    pub fn do_without_nvenc(&self) {
        self.without_nvenc.store(true, Ordering::Relaxed);
    }

    fn is_without_nvenc(&self) -> bool {
        self.without_nvenc.load(Ordering::Relaxed)
    }

    /// What the parent of this process knows, for a stream that is to have this encoder.
    pub fn of_this_process(choice: EncoderChoice) -> Self {
        let value = variable(Self::VARIABLE).and_then(|value| value.into_string().ok());
        Self::from_value(value.as_deref().unwrap_or_default(), getppid(), choice)
    }

    fn from_value(value: &str, parent: Option<Pid>, choice: EncoderChoice) -> Self {
        let from_parent = value.split_once(' ').filter(|(pid, _)| {
            let pid = pid.parse().ok().and_then(Pid::from_raw);
            pid.is_some() && pid == parent
        });
        let known = Self::of_worker(choice);
        if from_parent.is_some_and(|(_, found)| found == Self::WITHOUT_NVENC) {
            known.do_without_nvenc();
        }
        known
    }

    /// This very program once more, which is told of it.
    pub fn same_again(&self, stdout: Stdio) -> Command {
        let mut command = process::this_program();
        command.args(std::env::args_os().skip(1)).stdout(stdout);
        if self.is_without_nvenc() {
            command.env(Self::VARIABLE, format!("{} {}", std::process::id(), Self::WITHOUT_NVENC));
        }
        command
    }

    /// The settings of a stream that does not look for what is known not to be there. What draws is as before: without a GPU
    /// that is asked for, and without one that CUDA is shown alone, it takes no CUDA to choose it.
    pub fn apply(&self, mut settings: Settings) -> Settings {
        let is_chosen_by_cuda = settings.device.is_none() && variable("CUDA_VISIBLE_DEVICES").is_some();
        if self.is_without_nvenc() && settings.encoder == EncoderChoice::Auto && !is_chosen_by_cuda {
            settings.encoder = EncoderChoice::Openh264;
        }
        settings
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
        assert_eq!(Role::from_value("7 spare", parent).unwrap(), Role::Spare);
        for value in [
            "8 spare",
            "spare",
            "7 spare mpegts",
            "7  spare",
            "8",
            "8 12",
            "7 x",
            "7 ",
            "x",
            " ",
            "7 12 x",
            "8 12 h264",
        ] {
            assert!(Role::from_value(value, parent).is_err(), "{value:?}");
        }
        assert!(Role::from_value("7", None).is_err(), "its parent has ended");
        assert!(Role::from_value("7 spare", None).is_err());
    }

    #[test]
    fn only_the_own_parent_is_believed() {
        let parent = Pid::from_raw(7);
        let without = |value, parent| Known::from_value(value, parent, EncoderChoice::Auto).is_without_nvenc();
        assert!(without("7 without-nvenc", parent));
        for value in ["", "8 without-nvenc", "7", "7 ", "7 nothing", "without-nvenc"] {
            assert!(!without(value, parent), "{value:?}");
        }
        assert!(!without("7 without-nvenc", None));
    }

    #[test]
    fn who_asked_for_an_encoder_by_name_is_not_given_another() {
        let settings = |encoder, device| Settings { encoder, device, ..Settings::default() };
        let encoder = |known: &Known, choice| known.apply(settings(choice, Some(1))).encoder;
        let known = Known::of_worker(EncoderChoice::Auto);
        assert_eq!(encoder(&known, EncoderChoice::Auto), EncoderChoice::Auto);
        // What one of its readers has seen, the next one is told.
        known.clone().do_without_nvenc();
        assert_eq!(encoder(&known, EncoderChoice::Auto), EncoderChoice::Openh264);
        assert_eq!(encoder(&known, EncoderChoice::Nvenc), EncoderChoice::Nvenc);
    }
}
