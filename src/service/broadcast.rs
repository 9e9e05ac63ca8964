//! A worker by HTTP: a small process that listens, and for each reader one more that draws and encodes.
//!
//! As a FIFO's worker it never loads a graphics driver. One thread looks after everybody who has no stream; each stream
//! has a thread that watches its process and moves its bytes.

mod books;
mod pump;
mod reader;

pub use books::{Books, Cause};

use super::backoff::Backoff;
use super::door::http::{HttpPlace, Lobby, Reply, Rules, Spot, Wish, admit};
use super::http::{Answer, Request};
use super::metrics;
use super::rehearsal::{find_out, killed};
use super::role::Known;
use super::spare::Spares;
use super::streams::Format;
use super::supervisor::status;
use super::terms::Terms;
use super::watched::{Ended, Watcher};
use super::worker::{WAITS, crashed};
use crate::control::Control;
use crate::error::Error;
use crate::events::{Event, Failure};
use crate::os::event::Event as Bell;
use crate::os::link::Link;
use crate::os::{own_code, poll};
use reader::{Ear, Errand, Over, Serving, Told, media_type};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Who comes as another one leaves finds its place taken for as long as a process needs to end: so long it stands in line.
const HANDOVER: Duration = Duration::from_millis(500);
/// Descriptors that this process has without anybody, and at most for each reader.
const OWN_DESCRIPTORS: usize = 16;
const DESCRIPTORS: usize = 10;
/// Seconds after which it is worth asking again for the place of somebody else.
const ASK_AGAIN: u64 = 2;

/// Serves readers by HTTP until a stop is requested, and who watches then for as long as `place` says. What happens is told
/// along `uplink`.
///
/// # Errors
/// The rehearsal failed, or the address is not to be had.
pub fn serve(place: &HttpPlace, terms: Terms, control: &Control, uplink: Option<Arc<Link>>) -> anyhow::Result<()> {
    let books = RefCell::new(Books::default());
    let tell = |event: &Event| {
        books.borrow_mut().hear(event, Instant::now());
        uplink.iter().for_each(|uplink| uplink.send(event));
    };
    let watcher = Watcher { control, limits: terms.limits, tell: &tell };
    // Nobody is let in before it is known that there will be something to see.
    let nobody = || false;
    let Some(found) = find_out(&watcher, &terms, Duration::ZERO, &nobody)? else { return Ok(()) };
    let lobby = Lobby::open(place.address, OWN_DESCRIPTORS + DESCRIPTORS * place.most_readers)?;
    let address = lobby.address()?;
    let (sender, told) = channel();
    let ear = Ear { sender, bell: Arc::new(Bell::new(false)?) };
    let mut broadcast = Broadcast {
        place,
        rules: Rules { is_local: place.is_local(), token: place.token.clone() },
        address,
        terms,
        control,
        tell: &tell,
        books: &books,
        readers: BTreeMap::new(),
        last: 0,
        ear,
        backoff: Backoff::new(WAITS),
        held: None,
        spares: Spares::new(&terms, &found, &tell),
        known: found.known,
    };
    tracing::info!("listening at http://{address}/stream.ts and /stream.h264");
    tell(&Event::Listening { address });
    tell(&Event::Waiting);
    own_code::unmap();
    broadcast.spares.rest(Instant::now());
    broadcast.spares.make(Instant::now());
    broadcast.run(lobby, &told);
    Ok(())
}

#[derive(Clone, Copy)]
enum Wake {
    Stop,
    Idr,
    Told,
    Spare,
    Lobby(Spot),
}

struct Broadcast<'a> {
    place: &'a HttpPlace,
    rules: Rules,
    address: SocketAddr,
    terms: Terms,
    control: &'a Control,
    tell: &'a dyn Fn(&Event),
    books: &'a RefCell<Books>,
    readers: BTreeMap<u64, Serving>,
    /// The latest reader's number.
    last: u64,
    ear: Ear,
    backoff: Backoff,
    /// Until when nobody is served, and why.
    held: Option<(Instant, Failure)>,
    known: Known,
    spares: Spares<'a>,
}

impl Broadcast<'_> {
    fn run(&mut self, mut lobby: Lobby<Format>, told: &Receiver<Told>) {
        let mut leaves_by = None;
        loop {
            if self.control.stop_requested() && self.may_leave(&mut leaves_by, Instant::now()) {
                break;
            }
            let spots = self.wait(&lobby, leaves_by);
            if self.control.take_idr_request() {
                self.readers.values().for_each(|serving| serving.control.request_idr());
            }
            self.ear.bell.lower();
            told.try_iter().for_each(|told| self.hear(told, &mut lobby));
            let now = Instant::now();
            self.spares.tend(now);
            self.take_up_again(now);
            lobby.tend(&spots, now, &mut |request, from| self.decide(request, from, now), &|| self.full());
            self.serve_line(&mut lobby, now);
        }
        self.stop(told);
    }

    /// Whether nobody is left for whom it is worth going on, or not for any longer. Notes until when it is.
    fn may_leave(&self, leaves_by: &mut Option<Instant>, now: Instant) -> bool {
        let by = *leaves_by.get_or_insert_with(|| {
            if !self.readers.is_empty() && !self.place.linger.is_zero() {
                tracing::info!("asked to stop: streaming on to those who watch, for {:?} at most", self.place.linger);
            }
            now + self.place.linger
        });
        self.readers.is_empty() || now >= by
    }

    fn wait(&self, lobby: &Lobby<Format>, leaves_by: Option<Instant>) -> Vec<Spot> {
        let (stop, idr) = (self.control.wake_fd(), self.control.idr_fd());
        let mut fds = poll::Set::default();
        // Once it is requested it stays so.
        if leaves_by.is_none() {
            fds.add(Wake::Stop, &stop);
        }
        fds.add(Wake::Idr, &idr);
        fds.add(Wake::Told, &*self.ear.bell);
        lobby.watch(&mut fds, Wake::Lobby);
        self.spares.watch(Wake::Spare, &mut fds);
        let held = self.held.as_ref().map(|(until, _)| *until);
        let due = lobby.due().into_iter().chain(self.spares.due()).chain(held).chain(leaves_by).min();
        // Rounded up, or the last millisecond would be spent in circles.
        let timeout = due.map(|due| due.saturating_duration_since(Instant::now()) + Duration::from_millis(1));
        let lobby = |(wake, _)| if let Wake::Lobby(spot) = wake { Some(spot) } else { None };
        fds.wait(timeout).filter_map(lobby).collect()
    }

    /// What is done about a request.
    fn decide(&self, request: &Request, from: SocketAddr, now: Instant) -> Reply<Format> {
        let is_head = request.method == "HEAD";
        let wish = match admit(request, &self.rules) {
            Ok(wish) => wish,
            Err(refusal) => {
                tracing::debug!(%from, method = request.method, status = refusal.status(), "refused a request");
                return Reply::Answer(refusal, is_head);
            }
        };
        let answer = match wish {
            Wish::Index => Answer::text("200 OK", INDEX),
            Wish::Health => match &self.held {
                None => Answer::text("200 OK", "ok"),
                Some((until, failure)) => {
                    Answer::text(UNAVAILABLE, &words(failure)).with("Retry-After", seconds_until(*until, now))
                }
            },
            Wish::Metrics => {
                let form = metrics::Form::of(request);
                Answer::of_kind(form.kind(), metrics::text(form, &self.books.borrow(), self.held.is_none(), now))
            }
            Wish::Status => {
                let member = status::of_account(&self.address.to_string(), &self.books.borrow().account, now);
                Answer::json(serde_json::to_string(&member).unwrap_or_default() + "\n")
            }
            Wish::Stream(format) => match (&self.held, is_head) {
                (Some((until, failure)), _) => held_back(failure, *until, now),
                (None, true) if self.readers.len() >= self.most() => self.full(),
                (None, true) => return Reply::Head(Answer::endless(media_type(format))),
                (None, false) => return Reply::Line(format, now + HANDOVER),
            },
        };
        Reply::Answer(answer, is_head)
    }

    /// How many readers there may be, and what is said to the others.
    fn most(&self) -> usize {
        if self.place.for_one.is_some() { 1 } else { self.place.most_readers }
    }

    fn full(&self) -> Answer {
        let words = match (&self.place.for_one, self.most()) {
            (Some(input), _) => format!("{input} is for one reader at a time, and one is here"),
            (None, 1) => "one reader is here already (--max-readers 1)".to_owned(),
            (None, most) => format!("{most} readers are here already (--max-readers {most})"),
        };
        Answer::text(UNAVAILABLE, &words).with("Retry-After", ASK_AGAIN)
    }

    /// Starts streams for those in line, as long as there is room.
    fn serve_line(&mut self, lobby: &mut Lobby<Format>, now: Instant) {
        if let Some((until, failure)) = &self.held {
            return lobby.answer_line(now, &held_back(failure, *until, now));
        }
        while self.readers.len() < self.most() {
            let Some((guest, format)) = lobby.next_in_line() else { return };
            self.last += 1;
            let reader = self.last;
            tracing::info!(reader, from = %guest.from, stream = media_type(format), "reader connected");
            (self.tell)(&Event::Connected { reader });
            let spare = self.spares.take(reader);
            let errand = Errand { reader, format, limits: self.terms.limits, known: self.known.clone(), spare };
            match Serving::start(errand, guest, self.ear.clone()) {
                Ok(serving) => drop(self.readers.insert(reader, serving)),
                Err(error) => {
                    self.hold_back(reader, Cause::Failed, &Failure::from(&error), None, now);
                    return;
                }
            }
        }
    }

    fn hear(&mut self, told: Told, lobby: &mut Lobby<Format>) {
        let over = match told {
            Told::Event(event) => {
                self.spares.hear(&event, Instant::now());
                return (self.tell)(&event);
            }
            Told::Over(over) => over,
        };
        let now = Instant::now();
        self.spares.gone(over.reader, !matches!(over.ended, Ok(Ended::Failed(..) | Ended::Hung(_)) | Err(_)), now);
        if let Some(serving) = self.readers.remove(&over.reader) {
            let _ = serving.thread.join();
        }
        let answer = self.close(&over, now);
        let answer = answer.filter(|_| !over.has_begun);
        if !over.is_gone {
            lobby.take_back(over.guest, answer.as_ref(), now);
        }
        if self.readers.is_empty() {
            self.spares.rest(now);
            if self.held.is_none() {
                (self.tell)(&Event::Waiting);
            }
        }
    }

    /// Notes the end of a stream. Returns what a reader is told who has got nothing of it.
    fn close(&mut self, over: &Over, now: Instant) -> Option<Answer> {
        let reader = over.reader;
        match &over.ended {
            Ok(Ended::Well(last)) => {
                self.backoff.succeed();
                let cause = if over.is_gone { Cause::Left } else { Cause::Done };
                self.books.borrow_mut().close(reader, cause, last.as_ref());
                let totals = last.as_ref().map(|last| last.counts.totals).unwrap_or_default();
                crate::stream::log_disconnected(reader, &totals, over.since.elapsed());
                (self.tell)(&Event::Disconnected { reader, last: last.clone() });
                let words = "the stream ended before its first frame";
                Some(Answer::text(UNAVAILABLE, words).with("Retry-After", ASK_AGAIN))
            }
            Ok(Ended::Late) => {
                let failure = Failure::from(&no_first_frame(self.terms.limits.opening));
                tracing::warn!(reader, "{failure}");
                self.books.borrow_mut().close(reader, Cause::Late, None);
                (self.tell)(&Event::Disconnected { reader, last: None });
                Some(Answer::text(UNAVAILABLE, &words(&failure)).with("Retry-After", ASK_AGAIN))
            }
            Ok(Ended::Killed(signal)) => {
                let failure = Failure::from(&killed(*signal));
                tracing::error!(reader, "{failure}");
                self.books.borrow_mut().close(reader, Cause::Killed, None);
                (self.tell)(&Event::Failed { reader: Some(reader), failure: failure.clone() });
                Some(Answer::text(UNAVAILABLE, &words(&failure)).with("Retry-After", ASK_AGAIN))
            }
            Ok(Ended::Hung(hang)) => {
                tracing::error!(reader, "{hang}");
                Some(self.hold_back(reader, Cause::Hung, &Failure::from(hang), Some("it was killed".to_owned()), now))
            }
            Ok(Ended::Failed(status, failure)) => {
                let failure = failure.clone().unwrap_or_else(|| crashed(*status));
                Some(self.hold_back(reader, Cause::Failed, &failure, Some(status.to_string()), now))
            }
            Ok(Ended::Stopped | Ended::InCompany) => {
                self.books.borrow_mut().close(reader, Cause::Stopped, None);
                (self.tell)(&Event::Disconnected { reader, last: None });
                None
            }
            Err(error) => {
                let failure = match error.downcast_ref::<Error>() {
                    Some(error) => Failure::from(error),
                    None => {
                        Failure { code: String::new(), cause: error.to_string(), remedy: String::new(), input: false }
                    }
                };
                Some(self.hold_back(reader, Cause::Failed, &failure, None, now))
            }
        }
    }

    /// Reports a failure, and serves nobody for a while: whoever comes next would fail the same way.
    fn hold_back(&mut self, reader: u64, cause: Cause, failure: &Failure, how: Option<String>, now: Instant) -> Answer {
        let wait = self.backoff.fail();
        let how = how.map(|how| format!(" ({how})")).unwrap_or_default();
        tracing::error!(reader, "the stream failed{how}; taking the next reader in {} s", wait.as_secs());
        self.books.borrow_mut().close(reader, cause, None);
        (self.tell)(&Event::Failed { reader: Some(reader), failure: failure.clone() });
        self.held = Some((now + wait, failure.clone()));
        held_back(failure, now + wait, now)
    }

    /// Ends a pause that is over.
    fn take_up_again(&mut self, now: Instant) {
        if self.held.take_if(|(until, _)| *until <= now).is_some() && self.readers.is_empty() {
            (self.tell)(&Event::Waiting);
        }
    }

    /// Ends all streams. Their connections end with them.
    fn stop(&mut self, told: &Receiver<Told>) {
        self.readers.values().for_each(|serving| serving.control.request_stop());
        for (_, serving) in std::mem::take(&mut self.readers) {
            let _ = serving.thread.join();
        }
        self.spares.end();
        drop(told.try_iter().last());
    }
}

/// What `/` says.
const INDEX: &str = "mb-encode: GET /stream.ts (MPEG-TS) or /stream.h264 (raw H.264) starts a stream of your own; \
                     /healthz, /status, /metrics";

const UNAVAILABLE: &str = "503 Service Unavailable";

/// What a failure was, and the first thing to do about it.
fn words(failure: &Failure) -> String {
    let remedy = failure.remedy.lines().next().filter(|line| !line.is_empty());
    format!("{failure}{}", remedy.map(|line| format!(": {line}")).unwrap_or_default())
}

fn seconds_until(until: Instant, now: Instant) -> u64 {
    until.saturating_duration_since(now).as_secs_f64().ceil().max(1.0) as u64
}

/// What a reader is told while nobody is served.
fn held_back(failure: &Failure, until: Instant, now: Instant) -> Answer {
    match failure.input {
        // What is at fault stays so until somebody changes it.
        true => Answer::text("500 Internal Server Error", &words(failure)),
        false => Answer::text(UNAVAILABLE, &words(failure)).with("Retry-After", seconds_until(until, now)),
    }
}

fn no_first_frame(limit: Duration) -> Error {
    Error::machine("no-first-frame", format!("no frame has come within {} s", limit.as_secs()), "")
}
