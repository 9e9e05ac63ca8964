//! A rehearsal: a process that cannot work says so when it is started, and not hours later to its first reader.

use super::exit::Exit;
use super::role::{Known, Role};
use super::terms::Terms;
use super::turn::Turn;
use super::watched::{Ended, Nobody, Watched, Watcher};
use crate::error::Error;
use crate::events::Event;
use crate::settings::EncoderChoice;
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
#[derive(Clone, Debug)]
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
    terms: &Terms,
    patience: Duration,
    turn_away: &dyn Fn() -> bool,
) -> anyhow::Result<Option<Found>> {
    let began = Instant::now();
    let is_waiting = || began.elapsed() > patience && turn_away();
    let _turn = terms.takes_turns().then(|| Turn::wait(watcher.control, watcher.limits.opening, &is_waiting));
    let known = Known::of_worker(terms.encoder);
    let told = Cell::new((Duration::ZERO, false));
    let tell = |event: &Event| match *event {
        Event::Rehearsed { seconds, on_gpu, without_nvenc } => {
            told.set((Duration::try_from_secs_f64(seconds).unwrap_or_default(), on_gpu));
            if without_nvenc {
                known.do_without_nvenc();
            }
        }
        _ => (watcher.tell)(event),
    };
    let watcher = Watcher { control: watcher.control, limits: watcher.limits, tell: &tell };
    let turn_away = || {
        let _ = turn_away();
    };
    let rehearse = || rehearse(&watcher, || known.same_again(Stdio::null()), &turn_away);
    let Watched { mut ended, in_nvenc, .. } = rehearse()?;
    if let (Ended::Hung(hang), true, EncoderChoice::Auto) = (&ended, in_nvenc, terms.encoder) {
        tracing::warn!("NVENC unavailable, falling back to OpenH264: {}", hang.in_a_line());
        known.do_without_nvenc();
        ended = rehearse()?.ended;
    }
    match ended {
        Ended::Stopped => Ok(None),
        ended => rehearsed(ended).map(|()| {
            let (opening, on_gpu) = told.get();
            Some(Found { known, opening, on_gpu })
        }),
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
) -> anyhow::Result<Watched> {
    let mut watched = watcher.run(command(), Role::Rehearsal, &mut Nobody, while_waiting)?;
    for _ in 1..TRIES {
        let Ended::Killed(signal) = watched.ended else { break };
        tracing::warn!("{}; trying again", killed(signal).cause());
        watched = watcher.run(command(), Role::Rehearsal, &mut Nobody, while_waiting)?;
    }
    // It has printed it, too; whoever keeps this process running reads no log.
    if let Ended::Failed(_, Some(failure)) = &watched.ended {
        (watcher.tell)(&Event::failed(failure.clone()));
    }
    Ok(watched)
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
