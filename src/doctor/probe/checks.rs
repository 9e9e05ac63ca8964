//! One check after the other, told line by line.

use crate::doctor::child::{tell_begin, tell_end};
use crate::doctor::finding::{Finding, State};
use crate::doctor::part::Part;
use crate::error::Error;
use crate::gpu::is_apart;
use crate::settings::Settings;
use std::io::Write;
use std::time::Duration;

/// Where the checks of a process are told, and what they are made with.
pub struct Probe<'a> {
    pub settings: Settings,
    pub out: &'a mut dyn Write,
    /// Whether telling has failed, after which nothing is told any more.
    pub broken: std::io::Result<()>,
}

/// What a check found, and what the next one goes on with.
pub struct Seen<T> {
    with: T,
    state: State,
    found: String,
    remedy: String,
}

pub fn ok<T>(with: T, found: impl Into<String>) -> Result<Seen<T>, Error> {
    Ok(Seen { with, state: State::Ok, found: found.into(), remedy: String::new() })
}

pub fn other<T>(with: T, state: State, found: impl Into<String>, remedy: &str) -> Result<Seen<T>, Error> {
    Ok(Seen { with, state, found: found.into(), remedy: remedy.to_owned() })
}

/// A part of NVIDIA's driver that takes longer to come up keeps whoever comes waiting.
const SLOW: Duration = Duration::from_secs(1);

const STAY_LOADED: &str = "let the driver stay loaded while nobody uses it: systemctl start nvidia-persistenced, or \
                           nvidia-smi -pm 1";

/// How long something took to come up, behind what it is.
pub fn up(took: Duration) -> String {
    format!(", up in {:.2} s", took.as_secs_f64())
}

impl<T> Seen<T> {
    /// Warns where that is slow, and nothing is worse.
    pub fn held_against(self, took: Duration) -> Self {
        match self.state {
            State::Ok if took > SLOW => Self { state: State::Warn, remedy: STAY_LOADED.to_owned(), ..self },
            _ => self,
        }
    }
}

impl Probe<'_> {
    /// Does one check. `None` where the next one of its group has nothing to go on with.
    pub fn check<T>(&mut self, part: Part, look: impl FnOnce(&Settings) -> Result<Seen<T>, Error>) -> Option<T> {
        self.tell(|out| tell_begin(part, out));
        let (with, finding) = match look(&self.settings) {
            Ok(seen) => (Some(seen.with), Finding::new(part, seen.state, seen.found, seen.remedy)),
            Err(error) => {
                let finding = Finding::new(part, State::Fail, error.cause(), error.remedy());
                (None, Finding { apart: is_apart(&error), ..finding })
            }
        };
        self.tell(|out| tell_end(&finding, out));
        with.filter(|_| finding.state.is_usable())
    }

    fn tell(&mut self, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) {
        if self.broken.is_ok() {
            self.broken = write(self.out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_that_is_slow_to_come_up_is_told_of_with_what_to_do() {
        let ms = Duration::from_millis;
        assert_eq!(up(ms(480)), ", up in 0.48 s");
        assert_eq!(ok((), "CUDA").unwrap().held_against(ms(480)).state, State::Ok);
        let slow = ok((), "CUDA").unwrap().held_against(ms(2500));
        assert_eq!(slow.state, State::Warn);
        assert!(slow.remedy.contains("nvidia-persistenced") && slow.remedy.contains("nvidia-smi -pm 1"));
        let other = other((), State::Warn, "too old", "update it").unwrap().held_against(ms(2500));
        assert_eq!(other.remedy, "update it", "what is worse comes first");
    }
}
