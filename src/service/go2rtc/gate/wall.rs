//! The wall: the page at `/` with a tile for each stream, and what the page asks for once a second.
//!
//! Looking at the list starts no stream. What strangers may not know has been left out by whoever tells it.

use super::ids::Ids;
use rustix::rand::{GetRandomFlags, getrandom};
use serde::Serialize;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const PAGE: &str = include_str!("wall.html");
/// However many look at the wall, the streams are asked for so often at most.
const FRESH: Duration = Duration::from_millis(400);

/// What the one who keeps the streams running knows of them. `None` where that one does not answer.
pub type Tell = dyn Fn() -> Option<Told> + Send + Sync;

/// The streams and go2rtc, as they are now.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub streams: Vec<Tile>,
    /// Streams that go2rtc alone knows about.
    pub elsewhere: Vec<String>,
    pub go2rtc: Option<Tile>,
}

/// One stream, or go2rtc.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Tile {
    pub name: String,
    /// `starting`, `waiting`, `streaming`, `failing`, `running` or `down`.
    pub state: String,
    /// Why it does not play, for people.
    pub why: Option<String>,
    /// What to do about it.
    pub remedy: Option<String>,
    /// When it is started again, if it is down.
    pub starts_in_seconds: Option<f64>,
    pub frames_per_second: Option<f64>,
    pub encoder: Option<String>,
    /// Why it is not the encoder that would have been taken.
    pub fallback: Option<String>,
    pub gpu: Option<String>,
    /// The number of the GPU that it uses, or that it was given.
    pub device: Option<u32>,
}

#[derive(Serialize)]
struct List {
    streams: Vec<Tile>,
    go2rtc: Tile,
}

/// What is needed to show it.
pub struct Wall {
    tell: Arc<Tell>,
    latest: Mutex<Option<(Instant, Arc<str>)>>,
}

impl fmt::Debug for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wall").finish_non_exhaustive()
    }
}

impl Wall {
    pub fn new(tell: Arc<Tell>) -> Self {
        Self { tell, latest: Mutex::default() }
    }

    /// The page, and the policy (Content-Security-Policy) that holds it to what is in it and to this origin.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn page() -> io::Result<(String, String)> {
        let mut random = [0u8; 16];
        getrandom(&mut random, GetRandomFlags::empty())?;
        let nonce: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        // The player makes blob: addresses for MSE and data: ones for MP4, whose pictures it shows as posters.
        let policy = format!(
            "default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
             media-src blob: data:; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
        );
        Ok((PAGE.replace("{{nonce}}", &nonce), policy))
    }

    /// The streams, as JSON.
    pub fn list(&self, ids: &Ids) -> Arc<str> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        match &*latest {
            Some((at, list)) if at.elapsed() < FRESH => Arc::clone(list),
            _ => {
                let list = list((self.tell)(), || known(ids));
                let list: Arc<str> = serde_json::to_string(&list).unwrap_or_default().into();
                *latest = Some((Instant::now(), Arc::clone(&list)));
                list
            }
        }
    }
}

/// Each stream that go2rtc knows, and whether it runs.
fn known(ids: &Ids) -> io::Result<Vec<(String, bool)>> {
    let streams = ids.list()?;
    Ok(streams.ids().map(|id| (id.to_owned(), streams.counts(id).is_some())).collect())
}

fn list(told: Option<Told>, known: impl FnOnce() -> io::Result<Vec<(String, bool)>>) -> List {
    let told = told.unwrap_or_default();
    let mut streams = told.streams;
    if !streams.is_empty() {
        let go2rtc = told.go2rtc.unwrap_or_else(|| go2rtc("running", None));
        return List { streams, go2rtc };
    }
    match known() {
        Ok(known) => {
            streams.extend(known.into_iter().map(|(name, runs)| Tile {
                name,
                state: if runs { "streaming" } else { "waiting" }.to_owned(),
                ..Tile::default()
            }));
            List { streams, go2rtc: go2rtc("running", None) }
        }
        Err(_) => {
            let down = || go2rtc("down", Some("go2rtc does not run, or not yet".to_owned()));
            let go2rtc = told.go2rtc.filter(|go2rtc| go2rtc.state != "running").unwrap_or_else(down);
            streams.extend(told.elsewhere.into_iter().map(|name| Tile { name, ..go2rtc.clone() }));
            List { streams, go2rtc }
        }
    }
}

fn go2rtc(state: &str, why: Option<String>) -> Tile {
    Tile { name: "go2rtc".to_owned(), state: state.to_owned(), why, ..Tile::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tile(name: &str, state: &str) -> Tile {
        Tile { name: name.to_owned(), state: state.to_owned(), ..Tile::default() }
    }

    fn shown(told: Option<Told>, known: Option<Vec<(&str, bool)>>) -> Vec<String> {
        let known = known.map(|known| known.into_iter().map(|(id, runs)| (id.to_owned(), runs)).collect());
        let List { streams, go2rtc } = list(told, || known.ok_or(io::ErrorKind::NotConnected.into()));
        [go2rtc].iter().chain(&streams).map(|tile| format!("{} {}", tile.name, tile.state)).collect()
    }

    #[test]
    fn who_keeps_the_streams_running_knows_best() {
        let told = Told {
            streams: vec![tile("a", "failing"), tile("b", "waiting")],
            go2rtc: Some(tile("go2rtc", "down")),
            elsewhere: Vec::new(),
        };
        assert_eq!(shown(Some(told), Some(vec![("c", true)])), ["go2rtc down", "a failing", "b waiting"]);
    }

    #[test]
    fn otherwise_go2rtc_knows() {
        let alone = Some(vec![("a", true), ("b", false)]);
        assert_eq!(shown(None, alone.clone()), ["go2rtc running", "a streaming", "b waiting"]);
        assert_eq!(shown(None, None), ["go2rtc down"]);
        let exec = || Told {
            streams: Vec::new(),
            go2rtc: Some(tile("go2rtc", "starting")),
            elsewhere: vec!["a".to_owned(), "b".to_owned()],
        };
        assert_eq!(shown(Some(exec()), alone), ["go2rtc running", "a streaming", "b waiting"]);
        let none = shown(Some(exec()), None);
        assert_eq!(none, ["go2rtc starting", "a starting", "b starting"]);
    }

    #[test]
    fn the_page_runs_nothing_but_its_own() {
        let (page, policy) = Wall::page().unwrap();
        let nonce = policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
        assert!(nonce.len() == 32 && nonce.bytes().all(|b| b.is_ascii_hexdigit()), "{policy}");
        assert!(!page.contains("{{") && !policy.contains("unsafe"), "{policy}");
        for opened in ["<script", "<style"] {
            let all = page.matches(opened).count();
            assert!(all > 0 && page.matches(&format!("{opened} nonce=\"{nonce}\"")).count() == all, "{opened}");
            let (again, _) = Wall::page().unwrap();
            assert!(!again.contains(nonce), "a nonce is used once");
        }
        for other in ["http:", "https:", "//cdn", " onclick", " onload", "innerHTML", "outerHTML", "insertAdjacentHTML"]
        {
            assert!(!page.contains(other), "{other}");
        }
        assert!(!page.contains(" style=\""), "a style in an attribute needs 'unsafe-inline'");
    }
}
