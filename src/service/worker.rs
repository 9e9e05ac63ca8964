//! A FIFO worker: a small process that waits, and for each reader one more that draws and encodes.
//!
//! Graphics drivers keep memory, threads and open devices after everything in them was freed; only the end of a
//! process gives it all back. So this process never loads one. It also outlives a driver that crashes or hangs.

use super::backoff::Backoff;
use super::door::{Company, Fifo, FifoPlace, Reader};
use super::rehearsal::{find_out, killed};
use super::relay::relay;
use super::role::{Known, Role};
use super::spare::Spares;
use super::terms::Terms;
use super::watched::{Audience, Ended, Parted, Wake, Watcher};
use crate::control::Control;
use crate::error::Error;
use crate::events::{Event, Failure};
use crate::os::holders::FileId;
use crate::os::link::Link;
use crate::os::{own_code, poll};
use rustix::event::PollFlags;
use rustix::fd::OwnedFd;
use std::cell::Cell;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long no reader is taken after a stream that failed: whoever reads next would fail the same way, and go2rtc comes
/// back at once.
pub const WAITS: &[Duration] = &[
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(16),
    Duration::from_secs(30),
];
/// A reader may wait for so long. Longer, and go2rtc lets no other viewer of the stream in meanwhile.
const PATIENCE: Duration = Duration::from_secs(1);

/// Serves reader after reader until a stop is requested. What happens is told along `uplink`.
///
/// # Errors
/// The rehearsal failed, or the FIFO cannot be served.
pub fn serve(place: &FifoPlace, terms: Terms, control: &Control, uplink: Option<Arc<Link>>) -> anyhow::Result<()> {
    let tell = |event: &Event| uplink.iter().for_each(|uplink| uplink.send(event));
    let watcher = Watcher { control, limits: terms.limits, tell: &tell };
    // A driver that hangs must not lock a FIFO that is there from before.
    let turn_away = || Fifo::turn_away(&place.path);
    let Some(found) = find_out(&watcher, &terms, PATIENCE, &turn_away)? else { return Ok(()) };
    let reopened = {
        let uplink = uplink.clone();
        move || uplink.iter().for_each(|uplink| uplink.send(&Event::Reopened))
    };
    let fifo = Fifo::serve(place, reopened)?;
    tracing::info!(fifo = %place.path.display(), "waiting for a reader");
    own_code::unmap();
    let mut spares = Spares::new(&terms, &found, &tell);
    spares.rest(Instant::now());
    spares.make(Instant::now());
    Worker { watcher, fifo, backoff: Backoff::new(WAITS), known: found.known, spares }.run()
}

/// One that serves a FIFO.
struct Worker<'a> {
    watcher: Watcher<'a>,
    fifo: Fifo,
    backoff: Backoff,
    known: Known,
    spares: Spares<'a>,
}

/// A reader's company, and beside it the process that is to be ready for the next one.
struct Beside<'w, 'a> {
    company: &'w mut Company,
    spares: &'w mut Spares<'a>,
    /// What the stream has told lately.
    told: &'w Cell<Option<Event>>,
}

impl Audience for Beside<'_, '_> {
    fn pipe(&self) -> Option<FileId> {
        Audience::pipe(self.company)
    }

    fn watch<'fd>(&'fd self, age: Duration, fds: &mut poll::Set<'fd, Wake>) {
        self.company.watch(age, fds);
        self.spares.watch(Wake::Audience, fds);
    }

    fn due(&self) -> Option<Instant> {
        self.company.due().into_iter().chain(self.spares.due()).min()
    }

    fn tend(&mut self, woken: bool, now: Instant) -> Option<Parted> {
        if let Some(told) = self.told.take() {
            self.spares.hear(&told, now);
        }
        self.spares.tend(now);
        self.company.tend(woken, now)
    }
}

impl Worker<'_> {
    fn run(mut self) -> anyhow::Result<()> {
        for number in 1u64.. {
            self.tell(&Event::Waiting);
            let Some(reader) = self.wait_for_reader()? else { break };
            self.serve(number, reader)?;
            if self.watcher.control.stop_requested() {
                break;
            }
        }
        self.spares.end();
        Ok(())
    }

    /// Waits for a reader. `None` when a stop was requested.
    fn wait_for_reader(&mut self) -> Result<Option<Reader>, Error> {
        #[derive(Clone, Copy)]
        struct Any;
        self.fifo.let_next_in();
        while !self.watcher.control.stop_requested() {
            if let Some(reader) = self.fifo.take_reader()? {
                return Ok(Some(reader));
            }
            let (stop, arrivals) = (self.watcher.control.wake_fd(), self.fifo.arrivals());
            let mut fds = poll::Set::default();
            fds.add(Any, &stop);
            fds.add(Any, &arrivals);
            self.spares.watch(Any, &mut fds);
            let due = self.spares.due().map(|due| due.saturating_duration_since(Instant::now()));
            drop(fds.wait(due.map(rounded_up)));
            self.spares.tend(Instant::now());
        }
        Ok(None)
    }

    /// Serves reader `number`, to its end and the stream's.
    fn serve(&mut self, number: u64, Reader { pipe, mut company }: Reader) -> anyhow::Result<()> {
        tracing::info!(reader = number, "reader connected");
        self.tell(&Event::Connected { reader: number });
        let connected = Instant::now();
        let ended = self.stream(number, pipe, &mut company)?;
        let well = matches!(ended, Ended::Well(_) | Ended::InCompany | Ended::Killed(_) | Ended::Late);
        if !self.watcher.control.stop_requested() {
            self.spares.gone(number, well, Instant::now());
            self.spares.rest(Instant::now());
        }
        match ended {
            Ended::Stopped => Ok(()),
            Ended::Well(last) => {
                self.backoff.succeed();
                let totals = last.as_ref().map(|last| last.counts.totals).unwrap_or_default();
                tracing::info!(
                    reader = number,
                    frames = totals.pictures,
                    bytes = totals.bytes,
                    skipped = totals.skipped(),
                    seconds = (connected.elapsed().as_secs_f64() * 10.0).round() / 10.0,
                    "reader disconnected"
                );
                self.tell(&Event::Disconnected { reader: number, last });
                Ok(())
            }
            Ended::InCompany => {
                tracing::info!(
                    reader = number,
                    "reader disconnected: others came in the same instant and shared its pipe; they can come again"
                );
                self.tell(&Event::Disconnected { reader: number, last: None });
                Ok(())
            }
            // Nothing is wrong with the stream, so the next reader is served at once.
            Ended::Killed(signal) => {
                let failure = Failure::from(&killed(signal));
                tracing::error!(reader = number, "{failure}");
                self.tell(&Event::Failed { reader: Some(number), failure });
                Ok(())
            }
            // Nobody was promised anything.
            Ended::Late => Ok(()),
            Ended::Hung(hang) => {
                tracing::error!(reader = number, "{hang}");
                self.hold_back(number, "it was killed".to_owned(), &Failure::from(&hang))
            }
            Ended::Failed(status, failure) => {
                self.hold_back(number, status.to_string(), &failure.unwrap_or_else(|| crashed(status)))
            }
        }
    }

    /// Has a process stream to a reader, the one that is ready if there is one.
    fn stream(&mut self, number: u64, pipe: OwnedFd, company: &mut Company) -> anyhow::Result<Ended> {
        let role = Role::Reader(number, None);
        let spare = self.spares.take(number);
        let known = &self.known;
        let told = Cell::new(None);
        let Watcher { control, limits, tell } = self.watcher;
        let tell = |event: &Event| {
            told.set(Some(event.clone()));
            tell(event);
        };
        let mut audience = Beside { company, spares: &mut self.spares, told: &told };
        let watcher = Watcher { control, limits, tell: &tell };
        // `pipe` is the last copy of it here: another one would keep the end of file from the reader.
        relay(&watcher, &pipe, (number, role), spare, known, &mut audience)
    }

    /// Reports a failure, and waits a while. If it is long, readers that come are turned away.
    fn hold_back(&mut self, reader: u64, how: String, failure: &Failure) -> anyhow::Result<()> {
        let wait = self.backoff.fail();
        tracing::error!(reader, "the stream failed ({how}); taking the next reader in {} s", wait.as_secs());
        self.tell(&Event::Failed { reader: Some(reader), failure: failure.clone() });
        let control = self.watcher.control;
        let over = Instant::now() + wait;
        while !control.stop_requested() {
            match Pause::until(over, Instant::now()) {
                Pause::TurnAway(left) => {
                    control.wait(Some((self.fifo.arrivals(), PollFlags::IN)), Some(left));
                    self.fifo.turn_all_away()?;
                }
                Pause::LetWait(left) => drop(control.wait(None, Some(left))),
                Pause::Over => break,
            }
        }
        Ok(())
    }

    fn tell(&self, event: &Event) {
        (self.watcher.tell)(event);
    }
}

/// A wait of so long, in the kernel's milliseconds: the last one would be spent in circles.
fn rounded_up(wait: Duration) -> Duration {
    wait + Duration::from_millis(1)
}

/// What becomes of who comes while a worker holds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    /// It is too long to wait for: they get the end of file, for so long.
    TurnAway(Duration),
    /// They are served soon, after so long.
    LetWait(Duration),
    Over,
}

impl Pause {
    /// At `now` in a pause that is over at `over`.
    fn until(over: Instant, now: Instant) -> Self {
        match over.saturating_duration_since(now) {
            Duration::ZERO => Self::Over,
            left if left <= PATIENCE => Self::LetWait(left),
            left => Self::TurnAway(left - PATIENCE),
        }
    }
}

/// A process that could not say why it ended.
pub fn crashed(status: ExitStatus) -> Failure {
    Failure {
        code: String::new(),
        cause: format!("the encoder process ended: {status}"),
        remedy: String::new(),
        input: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_longer_than_a_second_for_a_worker_that_holds_back() {
        let now = Instant::now();
        let seconds = Duration::from_secs;
        assert_eq!(Pause::until(now + seconds(8), now), Pause::TurnAway(seconds(7)));
        assert_eq!(Pause::until(now + seconds(8), now + seconds(7)), Pause::LetWait(seconds(1)));
        assert_eq!(Pause::until(now + seconds(1), now), Pause::LetWait(seconds(1)), "the first failure");
        assert_eq!(Pause::until(now, now + seconds(1)), Pause::Over);
        assert!(WAITS.is_sorted() && WAITS[0] <= PATIENCE);
    }
}
