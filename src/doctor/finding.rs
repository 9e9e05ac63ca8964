//! What was found about one part.

use super::part::Part;

/// How a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It works.
    Ok,
    /// It works less well than it might, or is there for something else.
    Warn,
    /// It does not work.
    Fail,
    /// Not tried: something before it makes it moot.
    Skip,
}

impl State {
    /// The word for it: `OK`, `WARN`, `FAIL` or `SKIP`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
            Self::Skip => "SKIP",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        [Self::Ok, Self::Warn, Self::Fail, Self::Skip].into_iter().find(|state| state.word() == word)
    }

    pub(super) fn is_usable(self) -> bool {
        matches!(self, Self::Ok | Self::Warn)
    }
}

/// What was found about one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The part.
    pub part: Part,
    /// How it is.
    pub state: State,
    /// What was seen.
    pub found: String,
    /// What to do about it; empty where there is nothing to do.
    pub remedy: String,
    /// Whether the process that looked was lost over it, to a crash or a hang.
    pub fatal: bool,
    /// Whether it failed because GL and CUDA do not share, which there is a way around.
    pub apart: bool,
}

impl Finding {
    pub(super) fn new(part: Part, state: State, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { part, state, found: found.into(), remedy: remedy.into(), fatal: false, apart: false }
    }

    /// The part's name for programs, which never changes.
    pub fn id(&self) -> &'static str {
        self.part.about().id
    }

    /// The part's name for people.
    pub fn name(&self) -> &'static str {
        self.part.about().name
    }
}
