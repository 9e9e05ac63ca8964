//! How far a stream has come, for a process that goes on with it.
//!
//! Some losses take the whole process along: CUDA errors that stay, and drivers that hang. The reader's pipe outlives it, so
//! another process can go on as if nothing had been, with a picture that stands for a moment and an IDR picture behind it.
//! What it has to know is a [`Checkpoint`]. The threads of a stream keep the [`Course`] that one is taken from.
//!
//! No picture is ever handed on in part: who takes a checkpoint waits for the one that is being written, and none is written
//! behind it.

use super::clock;
use super::losses::Losses;
use crate::encoder::{Plan, Profile};
use crate::error::Error;
use crate::format::Transport;
use crate::pacer::Point;
use crate::settings::{EncoderChoice, Size};
use crate::source::input::Onward;
use crate::stats::{Fallback, Snapshot};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;
#[cfg(feature = "cli")]
use {
    crate::os::environment::variable,
    rustix::process::{Pid, getpid, getppid},
};

/// How far a stream has come.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "cli", derive(serde::Serialize, serde::Deserialize))]
pub struct Checkpoint {
    /// When the stream began, on the clock that counts from the start of the machine.
    pub began: Duration,
    /// Width and height, which do not change within a stream.
    pub size: (u32, u32),
    /// The encoder that goes on.
    pub plan: Plan,
    /// Why it is not the one that the stream had.
    #[cfg_attr(feature = "cli", serde(default, skip_serializing_if = "Option::is_none"))]
    pub fallback: Option<Fallback>,
    pub losses: Losses,
    pub point: Point,
    /// Where MPEG-TS goes on.
    pub transport: Option<Transport>,
    /// Where its input goes on.
    pub onward: Onward,
    pub counts: Snapshot,
}

impl Checkpoint {
    /// Holds, in the environment of a process that goes on with a stream, which process says so, and the checkpoint.
    #[cfg(feature = "cli")]
    const VARIABLE: &str = "MB_ENCODE_CHECKPOINT";

    /// What this process was started to go on from, if it was: by its parent, or by itself where it took its own place.
    #[cfg(feature = "cli")]
    pub fn of_this_process(by_its_parent: bool) -> Option<Self> {
        let value = variable(Self::VARIABLE)?.into_string().ok()?;
        let (teller, text) = value.split_once(' ')?;
        let expected = if by_its_parent { getppid() } else { Some(getpid()) };
        // It may be in the environment of whatever such a process starts.
        (Pid::from_raw(teller.parse().ok()?) == expected).then(|| Self::from_text(text))?
    }

    /// The variable that says so to a child of this process, or to what takes its place.
    #[cfg(feature = "cli")]
    pub fn variable(&self) -> (&'static str, String) {
        (Self::VARIABLE, format!("{} {}", getpid(), self.to_text()))
    }

    /// In words that other processes of this program understand.
    #[cfg(feature = "cli")]
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What [`Checkpoint::to_text`] has written.
    #[cfg(feature = "cli")]
    pub fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// For a stream whose process hung, and was or will be ended: what goes on, or `None` where the stream ends with it. One
    /// that hangs in NVENC each time may go on with OpenH264: behind a fault of anybody's, NVIDIA's driver can hang wherever
    /// GL and CUDA meet, in all processes (Xid 109, seen with an H200 and driver 580.159.04).
    pub fn after_a_hang(self, hang: &Error, in_nvenc: bool, choice: EncoderChoice) -> Option<Afterwards> {
        let may_go_on_without = in_nvenc && self.onward != Onward::Lost && choice == EncoderChoice::Auto;
        let without_nvenc = may_go_on_without.then(|| Self {
            plan: Plan::Openh264(Profile::High),
            fallback: Some(Fallback::because_of(hang)),
            ..self.clone()
        });
        let again = self.started_over().map(|from| Afterwards { from, gives_up_nvenc: false });
        again.or(without_nvenc.map(|from| Afterwards { from, gives_up_nvenc: true }))
    }

    fn started_over(mut self) -> Option<Self> {
        // Nobody has seen a picture that could stand, or there is nothing to go on with.
        let is_over = self.counts.totals.pictures == 0 || self.onward == Onward::Lost;
        (!is_over && self.losses.hung(self.at())).then_some(self)
    }

    /// The time of its last picture, since the stream began.
    fn at(&self) -> Duration {
        self.point.last_pts().unwrap_or_default()
    }
}

/// What goes on with a stream whose process hung.
#[derive(Clone, Debug, PartialEq)]
pub struct Afterwards {
    pub from: Checkpoint,
    /// Whether it is OpenH264 from now on.
    pub gives_up_nvenc: bool,
}

impl Afterwards {
    /// What goes on where that is another encoder, for the end of a sentence.
    pub fn by_what(&self) -> &'static str {
        if self.gives_up_nvenc { ", with OpenH264" } else { "" }
    }
}

/// How a stream goes, kept by its threads while it does.
#[derive(Debug, Default)]
pub struct Course {
    /// Whether there is somebody who starts another process to go on with it.
    may_move: bool,
    /// What it goes on from.
    from: Option<Checkpoint>,
    /// When it began, and its size, once it has begun.
    begun: Mutex<Option<(Duration, Size)>>,
    /// What goes on with it, once that is open.
    plan: Mutex<Option<Plan>>,
    fallback: Mutex<Option<Fallback>>,
    losses: Mutex<Losses>,
    onward: Mutex<Onward>,
    point: Mutex<Point>,
    /// Held while a picture is written, and for good once a checkpoint is taken.
    transport: Mutex<Option<Transport>>,
}

impl Course {
    /// Of a stream that another process can go on with, and that goes on itself from a checkpoint.
    pub fn that_may_move(from: Option<Checkpoint>) -> Self {
        Self { may_move: true, from, ..Self::default() }
    }

    /// Whether another process can go on with the stream.
    pub fn may_move(&self) -> bool {
        self.may_move
    }

    /// What it goes on from; `None` for a stream from the start.
    pub fn from(&self) -> Option<&Checkpoint> {
        self.from.as_ref()
    }

    /// It begins, or goes on. Returns for how long it has run.
    pub fn begin(&self, size: Size) -> Duration {
        let now = clock::since_boot();
        let began = self.from.as_ref().map_or(now, |from| from.began);
        if let Some(from) = &self.from {
            self.drew(from.point);
            *self.writing() = from.transport;
            *lock(&self.losses) = from.losses;
            lock(&self.fallback).clone_from(&from.fallback);
        }
        *lock(&self.begun) = Some((began, size));
        now.saturating_sub(began)
    }

    /// This encoder goes on with it.
    pub fn goes_on_with(&self, plan: Plan) {
        *lock(&self.plan) = Some(plan);
    }

    /// Another encoder than it had goes on with it, and this is why.
    pub fn fell_back(&self, why: Fallback) {
        *lock(&self.fallback) = Some(why);
    }

    /// Has its losses changed, which has come to this time by now.
    pub fn losses<T>(&self, change: impl FnOnce(&mut Losses, Duration) -> T) -> T {
        let at = lock(&self.point).last_pts().unwrap_or_default();
        change(&mut lock(&self.losses), at)
    }

    /// A picture was drawn.
    pub fn drew(&self, point: Point) {
        *lock(&self.point) = point;
    }

    /// Its input would go on from here.
    pub fn reads(&self, onward: Onward) {
        *lock(&self.onward) = onward;
    }

    /// To be held while a picture is written, and changed by it. Once a checkpoint was taken, this never returns.
    pub fn writing(&self) -> MutexGuard<'_, Option<Transport>> {
        lock(&self.transport)
    }

    /// How far it has come, for good: nothing is written any more. `None` where nobody can go on with it.
    ///
    /// # Errors
    /// A picture is being written.
    pub fn leave(&self, counts: Snapshot) -> Result<Option<Checkpoint>, Writing> {
        let guard = match self.transport.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(Writing),
        };
        let (Some((began, size)), Some(plan), true) = (*lock(&self.begun), *lock(&self.plan), self.may_move) else {
            return Ok(None);
        };
        let (size, losses, point) = ((size.width(), size.height()), *lock(&self.losses), *lock(&self.point));
        let (fallback, transport, onward) = (lock(&self.fallback).clone(), *guard, *lock(&self.onward));
        let checkpoint = Checkpoint { began, size, plan, fallback, losses, point, transport, onward, counts };
        std::mem::forget(guard);
        Ok(Some(checkpoint))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A picture is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Writing;

#[cfg(test)]
mod tests {
    use super::*;
    const PLAN: Plan = Plan::Openh264(Profile::High);

    fn begun(from: Option<Checkpoint>) -> Course {
        let course = Course::that_may_move(from);
        course.goes_on_with(PLAN);
        course.begin(Size::new(80, 64).unwrap());
        course
    }

    fn counts(pictures: u64) -> Snapshot {
        let mut counts = Snapshot::default();
        counts.totals.pictures = pictures;
        counts
    }

    #[test]
    fn nothing_is_handed_on_while_a_picture_is_written_and_none_is_written_behind_it() {
        let course = begun(None);
        let writing = course.writing();
        assert_eq!(course.leave(counts(1)), Err(Writing));
        drop(writing);
        let left = course.leave(counts(2)).unwrap().unwrap();
        assert_eq!((left.size, left.plan, left.counts), ((80, 64), PLAN, counts(2)));
        assert!(course.transport.try_lock().is_err());
    }

    #[test]
    fn who_goes_on_begins_when_the_stream_began() {
        let mut first: Checkpoint = begun(None).leave(counts(7)).unwrap().unwrap();
        first.began = first.began.saturating_sub(Duration::from_secs(3));
        let course = Course::that_may_move(Some(first.clone()));
        course.goes_on_with(PLAN);
        let ran = course.begin(Size::new(80, 64).unwrap());
        assert!(ran >= Duration::from_secs(3), "{ran:?}");
        assert_eq!(course.leave(counts(7)), Ok(Some(first)));
    }

    #[test]
    fn a_stream_of_a_program_that_uses_the_library_stays_where_it_is() {
        let course = Course::default();
        course.goes_on_with(PLAN);
        course.begin(Size::new(80, 64).unwrap());
        assert_eq!(course.leave(counts(1)), Ok(None));
    }

    #[test]
    fn the_first_hang_is_got_over_and_one_that_follows_it_is_not() {
        let left = |pictures| begun(None).leave(counts(pictures)).unwrap().unwrap();
        let hang = Error::machine("hang", "it hung", "");
        let after = |it: Checkpoint| it.after_a_hang(&hang, false, EncoderChoice::Auto);
        assert_eq!(after(left(0)), None, "nobody has seen anything");
        assert_eq!(after(after(left(30)).unwrap().from), None);
    }

    /// What it fell back to before is no news of this hang.
    #[test]
    fn a_stream_that_did_without_nvenc_already_does_not_give_it_up_again() {
        let hang = Error::machine("hang", "it hung", "");
        let fallback = Some(Fallback::because_of(&hang));
        let left = Checkpoint { fallback, ..begun(None).leave(counts(30)).unwrap().unwrap() };
        let again = left.after_a_hang(&hang, false, EncoderChoice::Auto).unwrap();
        assert!(!again.gives_up_nvenc && again.by_what().is_empty());
    }

    #[test]
    fn what_hangs_in_nvenc_each_time_goes_on_without_it_where_it_may() {
        let hang = Error::machine("hang", "it hung", "");
        let left = |pictures| Checkpoint { plan: Plan::Nvenc, ..begun(None).leave(counts(pictures)).unwrap().unwrap() };
        let again = left(30).after_a_hang(&hang, true, EncoderChoice::Auto).unwrap();
        assert!(!again.gives_up_nvenc);
        let again = again.from;
        assert_eq!((again.plan, &again.fallback), (Plan::Nvenc, &None), "once");
        for it in [again, left(0)] {
            assert_eq!(it.clone().after_a_hang(&hang, true, EncoderChoice::Nvenc), None, "it was asked for by name");
            assert_eq!(it.clone().after_a_hang(&hang, false, EncoderChoice::Auto), None, "what draws would hang again");
            let lost = Checkpoint { onward: Onward::Lost, ..it.clone() };
            assert_eq!(lost.after_a_hang(&hang, true, EncoderChoice::Auto), None, "there is nothing to go on with");
            let without = it.after_a_hang(&hang, true, EncoderChoice::Auto).unwrap();
            assert!(without.gives_up_nvenc);
            let without = without.from;
            assert_eq!((without.plan, without.fallback.unwrap().code.as_str()), (PLAN, "hang"));
        }
    }
}
