//! A reader's stream, from one process to the next: where one is lost together with its driver, another one goes on with the
//! stream on the same pipe, and the reader sees the picture stand for a moment.
//!
//! A process whose CUDA is of no use any more says so, and where its stream has come to; how often that may happen is its
//! own account, which it hands on. One that hangs is killed, and started anew once.

use super::role::{Known, Role};
use super::spare::hand_over;
use super::start::{Started, cannot_start, start};
use super::watched::{Audience, Ended, Watched, Watcher};
use crate::events::{Event, Failure};
use crate::stream::Checkpoint;
use rustix::fd::{AsFd as _, OwnedFd};
use std::process::Stdio;

/// Runs the processes of reader `number` one after the other, each in this `role`. The first is the `spare` if one is ready
/// and is of any use; the others are told what is `known`, and have `pipe` for standard output.
///
/// # Errors
/// None can be started.
pub fn relay(
    watcher: &Watcher<'_>,
    pipe: &OwnedFd,
    (number, role): (u64, Role),
    mut spare: Option<Started>,
    known: &Known,
    audience: &mut dyn Audience,
) -> anyhow::Result<Ended> {
    let mut from: Option<Checkpoint> = None;
    loop {
        let ready = spare.take().and_then(|spare| hand_over(spare, pipe.as_fd(), role));
        let was_ready = ready.is_some();
        let started = ready.map_or_else(
            || {
                // The reader must not find the end of its pipe between two of them, so one copy stays here.
                let mut command = known.same_again(Stdio::from(pipe.try_clone().map_err(cannot_start)?));
                command.envs(from.iter().map(Checkpoint::variable));
                start(command, role)
            },
            Ok,
        )?;
        let Watched { ended, checkpoint, has_written, in_nvenc } = watcher.watch(started, role, audience, &|| {})?;
        let checkpoint = checkpoint.and_then(|text| Checkpoint::from_text(&text));
        let (next, failure) = match (checkpoint, &ended) {
            (Some(checkpoint), Ended::Hung(hang)) => match checkpoint.after_a_hang(hang, in_nvenc, known.choice) {
                Some(next) => {
                    let (why, by) = (hang.in_a_line(), next.by_what());
                    tracing::warn!(reader = number, "{why}; killed its process, and starting over in a new one{by}");
                    if next.gives_up_nvenc {
                        known.do_without_nvenc();
                    }
                    (next.from, Failure::from(hang))
                }
                None => return Ok(ended),
            },
            // What it had opened before may have been lost since.
            (None, Ended::Failed(_, Some(failure))) if was_ready && !has_written && !failure.input => {
                tracing::warn!(reader = number, "the process that was ready for it failed: starting another one");
                continue;
            }
            // It has logged it.
            (Some(checkpoint), Ended::Failed(_, Some(failure))) => (checkpoint, failure.clone()),
            _ => return Ok(ended),
        };
        (watcher.tell)(&Event::Restarted { reader: number, failure });
        if watcher.control.stop_requested() {
            return Ok(Ended::Stopped);
        }
        from = Some(next);
    }
}
