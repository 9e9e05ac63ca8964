//! A FIFO worker: a small process that waits, and for each reader one more that draws and encodes.
//!
//! Graphics drivers keep memory, threads and open devices after everything in them was freed; only the end of a
//! process gives it all back. So this process never loads one. It also outlives a driver that crashes or hangs.

use super::backoff::Backoff;
use super::door::{Fifo, FifoPlace, Reader};
use super::exit::Exit;
use super::role::Role;
use super::watched::{Ended, Nobody, Watcher};
use crate::control::Control;
use crate::error::Error;
use crate::events::{Event, Failure};
use crate::os::link::Link;
use crate::os::{own_code, process};
use crate::settings::Limits;
use rustix::event::PollFlags;
use std::process::{Command, ExitStatus, Stdio};
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
/// So often is a rehearsal made that somebody kills.
const REHEARSALS: u32 = 3;
/// A reader may wait for so long. Longer, and go2rtc lets no other viewer of the stream in meanwhile.
const PATIENCE: Duration = Duration::from_secs(1);

/// Serves reader after reader until a stop is requested. What happens is told along `uplink`.
///
/// # Errors
/// The rehearsal failed, or the FIFO cannot be served.
pub fn serve(place: &FifoPlace, limits: Limits, control: &Control, uplink: Option<Arc<Link>>) -> anyhow::Result<()> {
    let tell = |event: &Event| uplink.iter().for_each(|uplink| uplink.send(event));
    let watcher = Watcher { control, limits, tell: &tell };
    // A driver that hangs must not lock a FIFO that is there from before.
    let turn_away = || Fifo::turn_away(&place.path);
    match rehearse(&watcher, || same_again(Stdio::null()), &turn_away)? {
        Ended::Stopped => return Ok(()),
        ended => rehearsed(ended)?,
    }
    let reopened = {
        let uplink = uplink.clone();
        move || uplink.iter().for_each(|uplink| uplink.send(&Event::Reopened))
    };
    let fifo = Fifo::serve(place, reopened)?;
    tracing::info!(fifo = %place.path.display(), "waiting for a reader");
    own_code::unmap();
    Worker { watcher, fifo, backoff: Backoff::new(WAITS) }.run()
}

/// One that serves a FIFO.
struct Worker<'a> {
    watcher: Watcher<'a>,
    fifo: Fifo,
    backoff: Backoff,
}

impl Worker<'_> {
    fn run(mut self) -> anyhow::Result<()> {
        for number in 1u64.. {
            self.tell(&Event::Waiting);
            let Some(reader) = self.fifo.wait_for_reader(self.watcher.control)? else { break };
            self.serve(number, reader)?;
            if self.watcher.control.stop_requested() {
                break;
            }
        }
        Ok(())
    }

    /// Serves reader `number`, to its end and the stream's.
    fn serve(&mut self, number: u64, Reader { pipe, mut company }: Reader) -> anyhow::Result<()> {
        tracing::info!(reader = number, "reader connected");
        self.tell(&Event::Connected { reader: number });
        let connected = Instant::now();
        // The only copy of the pipe goes with it: another one would keep the end of file from the reader.
        let command = same_again(Stdio::from(pipe));
        match self.watcher.run(command, Role::Reader(number, None), &mut company, &|| {})? {
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

/// A call of this very program with the options that it was started with.
pub fn same_again(stdout: Stdio) -> Command {
    let mut command = process::this_program();
    command.args(std::env::args_os().skip(1)).stdout(stdout);
    command
}

/// Has a rehearsal made, again where somebody kills it: that says nothing of whether streams work. Tells why it failed.
///
/// # Errors
/// It cannot be started.
pub fn rehearse(
    watcher: &Watcher<'_>,
    command: impl Fn() -> Command,
    while_waiting: &dyn Fn(),
) -> anyhow::Result<Ended> {
    let mut ended = watcher.run(command(), Role::Rehearsal, &mut Nobody, while_waiting)?;
    for _ in 1..REHEARSALS {
        let Ended::Killed(signal) = ended else { break };
        tracing::warn!("{}; trying again", killed(signal).cause());
        ended = watcher.run(command(), Role::Rehearsal, &mut Nobody, while_waiting)?;
    }
    // It has printed it, too; whoever keeps this process running reads no log.
    if let Ended::Failed(_, Some(failure)) = &ended {
        (watcher.tell)(&Event::failed(failure.clone()));
    }
    Ok(ended)
}

/// What a rehearsal that ended so means for whoever has it made: a process that cannot work says so when it is started,
/// and not hours later to its first reader.
///
/// # Errors
/// It did not go well.
pub fn rehearsed(ended: Ended) -> anyhow::Result<()> {
    match ended {
        Ended::Well(_) | Ended::Stopped | Ended::InCompany | Ended::Late => Ok(()),
        Ended::Hung(hang) => Err(hang.into()),
        Ended::Killed(signal) => Err(killed(signal).into()),
        // It has printed its reason.
        Ended::Failed(status, _) if status.code().is_some() => Err(Exit::of_child(status.code().unwrap_or(1)).into()),
        Ended::Failed(status, _) => Err(Error::machine(
            "driver-crash",
            format!("the graphics driver crashed while it drew the first frame ({status})"),
            "",
        )
        .examined_by_doctor()
        .into()),
    }
}

/// A process that somebody else has ended.
pub fn killed(signal: i32) -> Error {
    Error::machine(
        "killed",
        format!("the encoder process was killed (signal {signal}) by somebody else, or for want of memory"),
        "see whether it was the kernel, for want of memory: dmesg | grep -i oom",
    )
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
