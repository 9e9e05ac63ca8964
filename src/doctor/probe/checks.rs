//! One check after the other, told line by line.

use crate::doctor::child::{tell_begin, tell_end};
use crate::doctor::finding::{Finding, State};
use crate::doctor::part::Part;
use crate::error::Error;
use crate::settings::Settings;
use std::io::Write;

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

impl Probe<'_> {
    /// Does one check. `None` where the next one of its group has nothing to go on with.
    pub fn check<T>(&mut self, part: Part, look: impl FnOnce(&Settings) -> Result<Seen<T>, Error>) -> Option<T> {
        self.tell(|out| tell_begin(part, out));
        let (with, finding) = match look(&self.settings) {
            Ok(seen) => (Some(seen.with), Finding::new(part, seen.state, seen.found, seen.remedy)),
            Err(error) => (None, Finding::new(part, State::Fail, error.cause(), error.remedy())),
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
