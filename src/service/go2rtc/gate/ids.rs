//! The streams that there are: go2rtc's own list, which nobody changes from outside.

use super::connection::Inner;
use crate::service::go2rtc::api::Streams;
use std::collections::HashSet;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// go2rtc lists its streams within this, or something is wrong with it.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// Asked anew so often at most, for an id that is not known: go2rtc may have been started again with others.
const ANEW: Duration = Duration::from_secs(1);

/// The ids that go2rtc knows, asked for when one is needed.
#[derive(Debug)]
pub struct Ids {
    inner: Inner,
    known: Mutex<(HashSet<String>, Option<Instant>)>,
}

impl Ids {
    pub fn of(inner: Inner) -> Self {
        Self { inner, known: Mutex::default() }
    }

    /// Whether there is a stream of this id.
    ///
    /// # Errors
    /// go2rtc does not answer.
    pub fn know(&self, id: &str) -> io::Result<bool> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (ids, asked) = &mut *known;
        if !ids.contains(id) && asked.is_none_or(|at| at.elapsed() >= ANEW) {
            *ids = self.list()?.ids().map(str::to_owned).collect();
            *asked = Some(Instant::now());
        }
        Ok(ids.contains(id))
    }

    /// Everything that go2rtc tells of its streams.
    ///
    /// # Errors
    /// It does not answer.
    pub fn list(&self) -> io::Result<Streams> {
        let inside = self.inner.connect_web()?;
        // Whoever asks for another stream waits meanwhile.
        inside.set_read_timeout(Some(ANSWERS_WITHIN))?;
        Streams::over(inside, "localhost")
    }
}
