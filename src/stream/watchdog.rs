//! Sees that a stream goes on, beside the threads that may hang in a driver.
//!
//! A thread looks at the pulse now and then. In the process of a reader it tells the worker, which ends what hangs: see
//! `service/worker.rs`. In a process that stands alone it says so and ends the process itself. A picture that is being
//! written is waited for first, so that whoever goes on with the stream does so behind a whole one. It allocates nothing that
//! grows, and never waits for what the stream's threads may hold while they hang.

use super::Vitals;
use super::appetite::Appetite;
use super::checkpoint::{Checkpoint, Writing};
use crate::error::Error;
use crate::events::{Event, Progress};
use crate::os::link::Link;
use crate::os::poll;
use crate::pulse::Stage;
use crate::settings::Limits;
use rustix::event::{EventfdFlags, PollFlags, eventfd};
use rustix::fd::OwnedFd;
use std::time::{Duration, Instant};

/// How often it looks, and tells, at the least.
const OFTEN: Duration = Duration::from_millis(500);

/// Why a stream that has lasted for so long in one stage hangs, if it does. A reader that takes nothing, or a deadline
/// that is far away, is waited for as long as it takes.
pub fn hang(stage: Stage, lasted: Duration, limits: &Limits) -> Option<Error> {
    let (limit, starts) = match stage {
        Stage::Idle => return None,
        Stage::Opening => (limits.opening, true),
        Stage::Drawing | Stage::Reading | Stage::Encoding => (limits.picture, false),
    };
    (lasted >= limit).then(|| {
        let seconds = limit.as_secs_f64();
        let hang = match starts {
            true => Error::machine(
                "start-hang",
                format!("the stream did not start: no progress for {seconds} s while {stage} (driver hang?)"),
                "",
            ),
            false => Error::machine(
                "hang",
                format!("the stream hung: no progress for {seconds} s while {stage} (driver hang?)"),
                "",
            ),
        };
        hang.examined_by_doctor()
    })
}

/// How often to look, so that a hang is seen soon after it is one.
pub fn interval(limits: &Limits) -> Duration {
    (limits.picture.min(limits.opening) / 4).min(OFTEN)
}

/// Ends a process that hangs at this, from where another one can go on, if it can.
pub type GiveUp<'a> = dyn Fn(&Error, &Progress, Option<Checkpoint>) + Sync + 'a;

/// Runs `stream`, watched. With a `link` its progress is told there; without, a stream that hangs makes `give_up` end
/// the process.
///
/// # Errors
/// No thread or descriptor is left, or what `stream` fails with.
pub fn watch<T>(
    vitals: &Vitals,
    limits: &Limits,
    link: Option<&Link>,
    give_up: &GiveUp<'_>,
    stream: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    let done = eventfd(0, EventfdFlags::CLOEXEC).map_err(|errno| no_watchdog(errno.into()))?;
    std::thread::scope(|scope| {
        let look = || Watch { vitals, limits, done: &done, start: Instant::now() }.run(link, give_up);
        std::thread::Builder::new().name("watchdog".to_owned()).spawn_scoped(scope, look).map_err(no_watchdog)?;
        // Also where it panics: the scope waits for the thread.
        let _ended = Ended(&done);
        stream()
    })
}

fn no_watchdog(error: std::io::Error) -> Error {
    Error::machine(
        "too-many-processes",
        "cannot watch the stream",
        "raise the limits of processes and open files: ulimit -u, ulimit -n",
    )
    .caused_by(error)
}

/// Signals the thread when it is dropped.
struct Ended<'a>(&'a OwnedFd);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        let _ = rustix::io::write(self.0, &1u64.to_ne_bytes());
    }
}

/// Since when a process has been running without being stopped. A call that seems to have taken long may have been on its
/// way while the whole process stood still, by Ctrl-Z say.
#[derive(Debug)]
struct Awake {
    since: Instant,
    looked: Instant,
}

impl Awake {
    /// A look that comes after more intervals than this shows that the process stood still. With four of them in a limit
    /// it is seen before it could be taken for a hang.
    const LATE: u32 = 3;

    fn from(start: Instant) -> Self {
        Self { since: start, looked: start }
    }

    /// Looks `now`, an `interval` after the last look or more. Returns for how long it has been awake.
    fn look(&mut self, now: Instant, interval: Duration) -> Duration {
        if now.saturating_duration_since(self.looked) > interval * Self::LATE {
            self.since = now;
        }
        self.looked = now;
        now.saturating_duration_since(self.since)
    }
}

struct Watch<'a> {
    vitals: &'a Vitals,
    limits: &'a Limits,
    /// Readable at the end of the stream.
    done: &'a OwnedFd,
    start: Instant,
}

impl Watch<'_> {
    fn run(&self, link: Option<&Link>, give_up: &GiveUp<'_>) {
        let interval = interval(self.limits);
        let mut awake = Awake::from(self.start);
        let mut appetite = Appetite::new(self.start);
        loop {
            let ended = !poll::wait_for(self.done, PollFlags::IN, Some(interval)).is_empty();
            let now = Instant::now();
            let mut progress = self.progress(awake.look(now, interval), &mut appetite, now);
            let hang = if ended { None } else { self.hang(&mut progress) };
            match (link, hang) {
                (None, Some((hang, checkpoint))) => give_up(&hang, &progress, checkpoint),
                (None, None) => {}
                (Some(link), hang) => {
                    if let Some(checkpoint) = hang.and_then(|(_, checkpoint)| checkpoint) {
                        link.send(&Event::Checkpoint { checkpoint: checkpoint.to_text(), failure: None });
                    }
                    link.send(&Event::Progress(progress));
                }
            }
            if ended {
                return;
            }
        }
    }

    /// Why the stream hangs by its `progress`, if it does, and where another process can go on. A hang counts as none, for
    /// as long again, while a picture is being written: it waits for the reader alone.
    fn hang(&self, progress: &mut Progress) -> Option<(Error, Option<Checkpoint>)> {
        let why = hang(progress.stage, progress.in_stage(), self.limits)?;
        match self.vitals.course.leave(progress.counts.clone()) {
            Ok(checkpoint) => Some((why, checkpoint)),
            Err(Writing) if hang(progress.stage, progress.in_stage() / 2, self.limits).is_none() => {
                progress.stage_seconds /= 2.0;
                None
            }
            Err(Writing) => Some((why, None)),
        }
    }

    /// In a process that has been awake for so long.
    fn progress(&self, awake: Duration, appetite: &mut Appetite, now: Instant) -> Progress {
        let (stage, lasted) = self.vitals.pulse.longest();
        Progress {
            seconds: self.start.elapsed().as_secs_f64(),
            counts: self.vitals.stats.snapshot(),
            chosen: self.vitals.chosen(),
            stage,
            stage_seconds: lasted.min(awake).as_secs_f64(),
            intake: self.vitals.reading().map(|reading| appetite.look(reading, now, awake)),
            reader: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::link::Received;

    const LIMITS: Limits = Limits { opening: Duration::from_secs(60), picture: Duration::from_secs(5) };

    #[test]
    fn a_picture_has_five_seconds_and_the_start_a_minute() {
        let seconds = Duration::from_secs;
        assert!(hang(Stage::Encoding, seconds(4), &LIMITS).is_none());
        let told = hang(Stage::Encoding, seconds(5), &LIMITS).unwrap().to_string();
        assert!(told.contains("no progress for 5 s while encoding a frame"), "{told}");
        assert!(hang(Stage::Opening, seconds(59), &LIMITS).is_none());
        assert_eq!(hang(Stage::Opening, seconds(60), &LIMITS).unwrap().code(), "start-hang");
    }

    #[test]
    fn who_waits_for_a_reader_does_not_hang() {
        assert!(hang(Stage::Idle, Duration::from_secs(1 << 20), &LIMITS).is_none());
    }

    #[test]
    fn time_that_a_process_stood_still_counts_for_nothing() {
        let start = Instant::now();
        let (ms, interval) = (Duration::from_millis, Duration::from_millis(500));
        let mut awake = Awake::from(start);
        assert_eq!(awake.look(start + ms(500), interval), ms(500));
        assert_eq!(awake.look(start + ms(1900), interval), ms(1900), "a busy machine");
        assert_eq!(awake.look(start + ms(60_000), interval), ms(0), "stopped");
        assert_eq!(awake.look(start + ms(60_500), interval), ms(500));
    }

    #[test]
    fn progress_is_told_while_it_runs() {
        let (ours, theirs) = Link::pair().unwrap();
        let vitals = Vitals::default();
        let limits = Limits { picture: Duration::from_millis(40), ..LIMITS };
        let never = |_: &Error, _: &Progress, _| panic!("there is a worker to do that");
        let ended = watch(&vitals, &limits, Some(&theirs), &never, || {
            vitals.pulse.enter(crate::pulse::Lane::Artist, Stage::Drawing);
            std::thread::sleep(Duration::from_millis(200));
            Ok(7)
        });
        assert_eq!(ended.unwrap(), 7);
        let mut told = Vec::new();
        while let Received::Message(Event::Progress(progress)) = ours.receive() {
            told.push(progress.stage);
        }
        assert!(told.len() >= 2 && told.contains(&Stage::Drawing), "{told:?}");
    }
    #[test]
    fn a_hang_is_told_behind_a_whole_picture_with_where_to_go_on() {
        let vitals = Vitals::of_one_that_may_move(None);
        vitals.course.goes_on_with(crate::encoder::Plan::Nvenc);
        vitals.course.begin(crate::settings::Size::new(64, 64).unwrap());
        let done = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        let watch = Watch { vitals: &vitals, limits: &LIMITS, done: &done, start: Instant::now() };
        let progress = |stage_seconds| Progress {
            stage: Stage::Drawing,
            stage_seconds,
            ..watch.progress(Duration::MAX, &mut Appetite::new(Instant::now()), Instant::now())
        };
        let writing = vitals.course.writing();
        let mut waits = progress(9.0);
        assert!(watch.hang(&mut waits).is_none());
        assert!(hang(waits.stage, waits.in_stage(), &LIMITS).is_none(), "nobody else takes it for a hang either");
        assert!(matches!(watch.hang(&mut progress(10.0)), Some((_, None))), "a reader is not waited for for ever");
        drop(writing);
        assert!(watch.hang(&mut progress(4.0)).is_none());
        assert!(matches!(watch.hang(&mut progress(5.0)), Some((_, Some(_)))));
    }
}
