//! Keyframes for those who join a stream that runs.
//!
//! go2rtc starts a viewer with the next keyframe and asks nobody for one, so a stream that nobody tells of its viewers has
//! to send keyframes often. Here a thread looks for new consumers in what go2rtc tells, and asks their stream for one
//! picture. It sleeps while no stream runs.
//!
//! Whom it asks is one kind of thing, however go2rtc gets a stream: a [`Link`] on which [`Request::Idr`] is understood. A
//! supervisor hands over those of its workers; a process that go2rtc has started comes to a socket by itself.

mod joins;

use super::api;
use super::inside::Inside;
use crate::control::Control;
use crate::error::Error;
use crate::events::{Event, Request};
use crate::os::environment::variable;
use crate::os::link::{Door, Link, Received};
use crate::os::{event, poll, threads};
use crate::stats::Chosen;
use joins::Joins;
use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Holds, in the environment of what go2rtc starts, the path of the socket.
const VARIABLE: &str = "MB_ENCODE_KEYFRAMES";
/// The length of a GOP where those who join are served, and nobody says otherwise. A keyframe now and then is for what
/// gets lost on the way to a viewer.
pub const GOP: (&str, &str) = ("MB_ENCODE_GOP", "4s");
/// go2rtc answers within a fraction of this. Nobody gets a keyframe meanwhile.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// The thread that looks for those who join. Dropping it ends it.
#[derive(Debug)]
pub struct Keyframes {
    over: Arc<Control>,
    inbox: Arc<Inbox>,
    chosen: Arc<Mutex<HashMap<String, Chosen>>>,
    thread: Option<JoinHandle<()>>,
}

/// Tells the thread of whoever comes through the gate.
#[derive(Clone, Debug)]
pub struct Bell(Arc<Inbox>);

/// What the thread has been told and has not read yet.
#[derive(Debug)]
struct Inbox {
    news: Mutex<Vec<News>>,
    filled: event::Event,
}

#[derive(Debug)]
enum News {
    Came { id: String, set_up: bool },
    Runs { id: String, link: Arc<Link> },
    Rests { id: String },
}

/// What [`Keyframes`] needs in the environment of go2rtc, for what that starts.
pub fn environment(inside: &Inside) -> Vec<(&'static str, OsString)> {
    let mut variables = vec![(VARIABLE, inside.keyframes().into())];
    variables.extend(gop());
    variables
}

/// What a process needs in its environment so that its GOPs are long, unless somebody has said how long they are.
pub fn gop() -> Option<(&'static str, OsString)> {
    let (name, length) = GOP;
    variable(name).is_none().then(|| (name, length.into()))
}

/// A line on which this process hears of keyframes, if go2rtc has started it and somebody serves those who join.
pub fn line_of_this_process() -> Option<Link> {
    let path = PathBuf::from(variable(VARIABLE)?);
    match Link::connect(&path) {
        Ok(link) => {
            let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
            link.send(&Event::Streams { words });
            Some(link)
        }
        Err(error) => {
            tracing::debug!("nobody asks for keyframes at {}: {error}", path.display());
            None
        }
    }
}

impl Keyframes {
    /// Starts to look, at the go2rtc whose API is `inside`.
    ///
    /// # Errors
    /// No thread or descriptor is left.
    pub fn start(inside: &Inside) -> Result<Self, Error> {
        let over = Arc::new(Control::new()?);
        let inbox = Arc::new(Inbox { news: Mutex::default(), filled: event::Event::new(false)? });
        let chosen = Arc::default();
        let door = Door::open(&inside.keyframes());
        if let Err(error) = &door {
            tracing::debug!("what go2rtc starts cannot be asked for keyframes: {error}");
        }
        let lookout = Lookout {
            api: inside.socket(),
            over: Arc::clone(&over),
            inbox: Arc::clone(&inbox),
            chosen: Arc::clone(&chosen),
            door: door.ok(),
            joins: Joins::default(),
            hearers: Vec::new(),
            runs: 0,
        };
        let thread = threads::small("keyframes").spawn(|| lookout.run()).map_err(threads::cannot_start)?;
        Ok(Self { over, inbox, chosen, thread: Some(thread) })
    }

    /// What draws and encodes stream `id`, where go2rtc has started a process for it and that has said so.
    pub fn chosen(&self, id: &str) -> Option<Chosen> {
        self.chosen.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// For the gate.
    pub fn bell(&self) -> Bell {
        Bell(Arc::clone(&self.inbox))
    }

    /// Stream `id` runs, anew if it ran before, and whoever is at the other end of `link` has it make a keyframe.
    pub fn runs(&self, id: &str, link: &Arc<Link>) {
        self.inbox.put(News::Runs { id: id.to_owned(), link: Arc::clone(link) });
    }

    /// Stream `id` does not run any more.
    pub fn rests(&self, id: &str) {
        self.inbox.put(News::Rests { id: id.to_owned() });
    }
}

impl Drop for Keyframes {
    fn drop(&mut self) {
        self.over.request_stop();
        self.thread.take().map(JoinHandle::join);
    }
}

impl Bell {
    /// Somebody has asked go2rtc for stream `id`. What comes next reaches them if it is `set_up`.
    pub fn ring(&self, id: &str, set_up: bool) {
        self.0.put(News::Came { id: id.to_owned(), set_up });
    }
}

impl Inbox {
    fn put(&self, news: News) {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).push(news);
        self.filled.raise();
    }

    fn take(&self) -> Vec<News> {
        self.filled.lower();
        std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Who can be asked for keyframes of a stream.
#[derive(Debug)]
struct Hearer {
    link: Arc<Link>,
    of: Of,
    /// What draws and encodes there, where that was said.
    chosen: Option<Chosen>,
    /// No two have the same.
    run: u64,
}

#[derive(Debug)]
enum Of {
    /// Of the stream that it was handed over for.
    Stream(String),
    /// Of those that go2rtc has started it for, once that tells which they are; none before it has told its words.
    Words(Vec<String>, Vec<String>),
}

impl Hearer {
    fn is_of(&self, id: &str) -> bool {
        match &self.of {
            Of::Stream(own) => own == id,
            Of::Words(_, ids) => ids.iter().any(|own| own == id),
        }
    }
}

struct Lookout {
    /// The path of go2rtc's socket.
    api: PathBuf,
    over: Arc<Control>,
    inbox: Arc<Inbox>,
    /// By id, for others to read.
    chosen: Arc<Mutex<HashMap<String, Chosen>>>,
    door: Option<Door>,
    joins: Joins,
    hearers: Vec<Hearer>,
    runs: u64,
}

impl Lookout {
    fn run(mut self) {
        while !self.over.stop_requested() {
            self.wait();
            let now = Instant::now();
            self.hear(now);
            if self.next_look().is_some_and(|at| at <= now) {
                self.look(now);
            }
            self.say_what_is_chosen();
            // go2rtc may have taken its time.
            for id in self.joins.due(Instant::now()) {
                tracing::debug!("somebody has joined {id}: a keyframe for them");
                self.hearers.iter().filter(|hearer| hearer.is_of(&id)).for_each(|it| it.link.send(&Request::Idr));
            }
        }
    }

    /// Until something happens, or something is due.
    fn wait(&self) {
        let due = self.next_look().into_iter().chain(self.joins.next_due()).min();
        // Rounded up, or the last millisecond would be spent in circles.
        let timeout = due.map(|due| due.saturating_duration_since(Instant::now()) + Duration::from_millis(1));
        let wake = self.over.wake_fd();
        let own = self.hearers.iter().filter(|hearer| matches!(hearer.of, Of::Words(..)));
        let mut fds = poll::Set::default();
        fds.add((), &wake);
        fds.add((), &self.inbox.filled);
        self.door.iter().for_each(|door| fds.add((), door));
        own.for_each(|hearer| fds.add((), &*hearer.link));
        // Everything is looked at after each wait.
        let _ = fds.wait(timeout).count();
    }

    /// Nothing is looked at while no stream runs.
    fn next_look(&self) -> Option<Instant> {
        if self.hearers.is_empty() { None } else { self.joins.next_look() }
    }

    /// Takes what it has been told.
    fn hear(&mut self, now: Instant) {
        for news in self.inbox.take() {
            match news {
                News::Came { id, set_up } => self.joins.came(&id, set_up, now),
                News::Runs { id, link } => {
                    self.forget(&id);
                    self.add(link, Of::Stream(id.clone()), now);
                    self.joins.runs(&id, self.runs);
                }
                News::Rests { id } => {
                    self.forget(&id);
                    self.joins.rests(&id);
                }
            }
        }
        while let Some(link) = self.door.as_ref().and_then(Door::let_in) {
            self.add(Arc::new(link), Of::Words(Vec::new(), Vec::new()), now);
        }
        self.hearers.retain_mut(|hearer| {
            let Of::Words(told, _) = &mut hearer.of else { return true };
            loop {
                match hearer.link.receive() {
                    Received::Message(Event::Streams { words }) => *told = words,
                    Received::Message(Event::Chosen(chosen)) => hearer.chosen = Some(chosen),
                    Received::Message(_) => {}
                    Received::Nothing => return true,
                    Received::Closed => return false,
                }
            }
        });
        self.forget_the_gone();
    }

    fn add(&mut self, link: Arc<Link>, of: Of, now: Instant) {
        self.runs += 1;
        self.hearers.push(Hearer { link, of, chosen: None, run: self.runs });
        self.joins.began(now);
    }

    fn say_what_is_chosen(&self) {
        let known = self.hearers.iter().filter_map(|hearer| match (&hearer.of, &hearer.chosen) {
            (Of::Words(_, ids), Some(chosen)) => Some(ids.iter().map(|id| (id.clone(), chosen.clone()))),
            _ => None,
        });
        *self.chosen.lock().unwrap_or_else(PoisonError::into_inner) = known.flatten().collect();
    }

    /// Whoever was handed over for stream `id` is not asked any more.
    fn forget(&mut self, id: &str) {
        self.hearers.retain(|hearer| !matches!(&hearer.of, Of::Stream(own) if own == id));
    }

    fn forget_the_gone(&mut self) {
        let ids = self.joins.ids().filter(|id| !self.hearers.iter().any(|hearer| hearer.is_of(id)));
        let gone: Vec<_> = ids.map(str::to_owned).collect();
        gone.iter().for_each(|id| self.joins.rests(id));
    }

    /// Asks go2rtc once, for all streams.
    fn look(&mut self, now: Instant) {
        let streams = ask(&self.api);
        self.joins.looked(now);
        // It may be starting, or be gone, and its streams with it.
        let Ok(streams) = streams else { return };
        for hearer in &mut self.hearers {
            if let Of::Words(words, ids) = &mut hearer.of {
                if ids.is_empty() && !words.is_empty() {
                    *ids = streams.ids().filter(|id| streams.runs(id, words)).map(str::to_owned).collect();
                    ids.iter().for_each(|id| self.joins.runs(id, hearer.run));
                }
            }
        }
        let ids: Vec<_> = self.joins.ids().map(str::to_owned).collect();
        ids.iter().for_each(|id| self.joins.saw(id, streams.consumers(id), now));
    }
}

fn ask(api: &Path) -> io::Result<api::Streams> {
    let socket = UnixStream::connect(api)?;
    socket.set_read_timeout(Some(ANSWERS_WITHIN))?;
    socket.set_write_timeout(Some(ANSWERS_WITHIN))?;
    api::Streams::over(socket, "localhost")
}
