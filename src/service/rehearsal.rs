//! A rehearsal: a process that cannot work says so when it is started, and not hours later to its first reader.

use super::exit::Exit;
use super::role::{Known, Role};
use super::turn::Turn;
use super::watched::{Ended, Nobody, Watcher};
use crate::error::Error;
use crate::events::Event;
use std::cell::Cell;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// So often is one made that somebody kills.
const TRIES: u32 = 3;

/// A process that somebody else has ended.
pub fn killed(signal: i32) -> Error {
    Error::machine(
        "killed",
        format!("the encoder process was killed (signal {signal}) by somebody else, or for want of memory"),
        "see whether it was the kernel, for want of memory: dmesg | grep -i oom",
    )
}

/// What one has shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Found {
    pub known: Known,
    /// How long it took to open everything.
    pub opening: Duration,
    /// Whether a GPU draws or encodes.
    pub on_gpu: bool,
}

/// Has this worker's rehearsal made when it is its turn. Readers that come for longer than `patience` before it is over are
/// turned away, by a function that says whether there was one; then no turn is waited for. `None` when a stop was requested.
///
/// # Errors
/// It did not go well, or cannot be started.
pub fn find_out(
    watcher: &Watcher<'_>,
    takes_turns: bool,
    patience: Duration,
    turn_away: &dyn Fn() -> bool,
) -> anyhow::Result<Option<Found>> {
    let began = Instant::now();
    let is_waiting = || began.elapsed() > patience && turn_away();
    let _turn = takes_turns.then(|| Turn::wait(watcher.control, watcher.limits.opening, &is_waiting));
    let found = Cell::new(Found::default());
    let tell = |event: &Event| match *event {
        Event::Rehearsed { seconds, on_gpu, without_nvenc } => {
            let opening = Duration::try_from_secs_f64(seconds).unwrap_or_default();
            found.set(Found { known: Known { without_nvenc }, opening, on_gpu });
        }
        _ => (watcher.tell)(event),
    };
    let watcher = Watcher { control: watcher.control, limits: watcher.limits, tell: &tell };
    let turn_away = || {
        let _ = turn_away();
    };
    match rehearse(&watcher, || Known::default().same_again(Stdio::null()), &turn_away)? {
        Ended::Stopped => Ok(None),
        ended => rehearsed(ended).map(|()| Some(found.get())),
    }
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
    let mut ended = watcher.run(command(), Role::Rehearsal, &mut Nobody, while_waiting)?.ended;
    for _ in 1..TRIES {
        let Ended::Killed(signal) = ended else { break };
        tracing::warn!("{}; trying again", killed(signal).cause());
        ended = watcher.run(command(), Role::Rehearsal, &mut Nobody, while_waiting)?.ended;
    }
    // It has printed it, too; whoever keeps this process running reads no log.
    if let Ended::Failed(_, Some(failure)) = &ended {
        (watcher.tell)(&Event::failed(failure.clone()));
    }
    Ok(ended)
}

/// What a rehearsal that ended so means for whoever has it made.
///
/// # Errors
/// It did not go well.
pub fn rehearsed(ended: Ended) -> anyhow::Result<()> {
    match ended {
        Ended::Well(_) | Ended::Stopped | Ended::InCompany | Ended::Late => Ok(()),
        Ended::Hung(hang) => Err(hang.into()),
        Ended::Killed(signal) => Err(killed(signal).into()),
        // Others have them all, as they may have none by the time that somebody reads.
        Ended::Failed(_, Some(failure)) if failure.code == "nvenc-sessions" => Ok(()),
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
