//! What happens after a picture was lost while somebody watches, since NVENC failed on it or the GPU was reset.
//!
//! All is opened again, a bounded number of times and each time later: in the same process, or in another one where the
//! error is one of those that last as long as the process. Which encoder goes on then is decided by [`Plan`]. The stream
//! goes on with an IDR picture of the same size and profile.

use super::checkpoint::Course;
use super::clock::{End, Time};
use super::losses::{Attempt, Losses, WAITS};
use crate::encoder::{Lost, Plan};
use crate::error::Error;
use crate::settings::EncoderChoice;
use crate::stats::Fallback;

/// Goes on after the losses of one stream.
pub struct Recovery<'a> {
    choice: EncoderChoice,
    time: &'a dyn Time,
    course: &'a Course,
}

/// What a loss comes to.
#[derive(Debug)]
pub enum Restart<P> {
    /// The stream goes on with this.
    Again(P),
    /// It goes on in another process, for this reason.
    Elsewhere(Error),
    /// It ended while nothing was to be had.
    Over(End),
}

impl<'a> Recovery<'a> {
    /// For a stream that was asked to have an encoder of this choice.
    pub fn new(choice: EncoderChoice, time: &'a dyn Time, course: &'a Course) -> Self {
        Self { choice, time, course }
    }

    /// Opens a pipeline anew by `open`, after the old one was `lost` and is released. `like_it` opens its encoder.
    ///
    /// # Errors
    /// NVENC does not come back and nothing else may be taken, or nothing else can be opened either.
    pub fn start_over<P>(
        &self,
        Lost(lost): Lost,
        like_it: Plan,
        mut open: impl FnMut(Plan) -> Result<P, Error>,
    ) -> Result<Restart<P>, Error> {
        let mut cause = lost;
        while let Some(attempt) = self.attempt(&cause) {
            let Attempt { number, wait } = attempt;
            let (why, ms, most) = (cause.cause(), wait.as_millis(), WAITS.len());
            let where_to = if cause.is_for_good() { ", in a new process" } else { "" };
            tracing::warn!("{why}; starting over in {ms} ms ({number} of {most}){where_to}");
            if let Some(end) = self.time.wait_until(self.time.now() + wait) {
                return Ok(Restart::Over(end));
            }
            if cause.is_for_good() {
                return Ok(self.move_on(like_it, cause));
            }
            match open(like_it) {
                Ok(pipeline) => {
                    self.course.losses(Losses::came_back);
                    return Ok(Restart::Again(pipeline));
                }
                Err(error) => cause = error,
            }
        }
        if like_it != Plan::Nvenc {
            return Err(Error::machine(
                "gl-lost",
                format!("the GPU that draws was lost and did not come back in {} attempts", WAITS.len()),
                "",
            )
            .caused_by(cause.cause()));
        }
        let why =
            Error::machine("nvenc-gone", format!("NVENC failed and did not come back in {} attempts", WAITS.len()), "");
        let plan = Plan::without_nvenc(self.choice, why.caused_by(cause.cause()))?;
        tracing::warn!("NVENC did not come back, falling back to OpenH264: {}", cause.in_a_line());
        if cause.is_for_good() && self.course.may_move() {
            self.course.fell_back(Fallback::because_of(&cause));
            return Ok(self.move_on(plan, cause));
        }
        open(plan).map(Restart::Again)
    }

    /// What is worth a try after `cause`.
    fn attempt(&self, cause: &Error) -> Option<Attempt> {
        if cause.is_for_good() && !self.course.may_move() {
            return None;
        }
        self.course.losses(Losses::lost)
    }

    fn move_on<P>(&self, plan: Plan, why: Error) -> Restart<P> {
        self.course.goes_on_with(plan);
        self.course.losses(Losses::came_back);
        Restart::Elsewhere(why)
    }
}

#[cfg(test)]
mod tests {
    use super::super::clock::tests::Still;
    use super::super::losses::TRUSTED_AFTER;
    use super::*;
    use crate::encoder::Profile;
    use crate::pacer::Pacer;
    use crate::settings::Size;
    use std::time::Duration;

    const MS: Duration = Duration::from_millis(1);
    const OPENH264: Plan = Plan::Openh264(Profile::High);

    fn lost() -> Lost {
        Lost(Error::machine("", "the GPU is gone", ""))
    }

    fn lost_for_good() -> Lost {
        Lost(Error::machine("", "the GPU has had it", "").for_good())
    }

    /// Loses an encoder at the time at hand; the first `fails` attempts to open another one fail. Returns what was
    /// opened, and when each attempt was made.
    fn lose(recovery: &Recovery<'_>, time: &Still, fails: usize) -> (Result<Restart<Plan>, Error>, Vec<Duration>) {
        let mut attempts = Vec::new();
        let restart = recovery.start_over(lost(), Plan::Nvenc, |plan| {
            attempts.push(time.now());
            if attempts.len() > fails { Ok(plan) } else { Err(Error::machine("", "it is still gone", "")) }
        });
        (restart, attempts)
    }

    /// What a stream goes on with in this process.
    fn again(restart: Result<Restart<Plan>, Error>) -> Plan {
        match restart.unwrap() {
            Restart::Again(plan) => plan,
            other => panic!("{other:?}"),
        }
    }

    /// Has the stream come to this time.
    fn draw(course: &Course, at: Duration) {
        let mut pacer = Pacer::new("10".parse().unwrap());
        let tick = pacer.off_grid(at);
        pacer.drew(&tick);
        course.drew(pacer.point());
    }

    #[test]
    fn each_attempt_comes_later_and_the_last_one_is_openh264s() {
        for (fails, opened, at) in
            [(0, Plan::Nvenc, &[100][..]), (2, Plan::Nvenc, &[100, 400, 1300]), (3, OPENH264, &[100, 400, 1300, 1300])]
        {
            let (time, course) = (Still::default(), Course::default());
            let (restart, attempts) = lose(&Recovery::new(EncoderChoice::Auto, &time, &course), &time, fails);
            assert_eq!(again(restart), opened);
            assert_eq!(attempts, at.iter().map(|&ms| ms * MS).collect::<Vec<_>>());
        }
    }

    #[test]
    fn who_asked_for_nvenc_is_told_why_it_does_not_come_back() {
        let (time, course) = (Still::default(), Course::default());
        let (restart, attempts) = lose(&Recovery::new(EncoderChoice::Nvenc, &time, &course), &time, 9);
        let error = restart.unwrap_err();
        assert_eq!(error.cause(), "NVENC failed and did not come back in 3 attempts: it is still gone");
        assert_eq!(attempts.len(), 3);
    }

    #[test]
    fn a_stream_that_the_processor_codes_goes_on_in_its_profile_until_nothing_draws_any_more() {
        let time = Still::default();
        let course = Course::default();
        let recovery = Recovery::new(EncoderChoice::Auto, &time, &course);
        let like_it = Plan::Openh264(Profile::ConstrainedBaseline);
        for _ in 0..WAITS.len() {
            let restart = recovery.start_over(lost(), like_it, Ok);
            assert_eq!(again(restart), like_it);
        }
        let error = recovery.start_over(lost(), like_it, Ok).unwrap_err();
        assert_eq!(error.code(), "gl-lost");
        assert_eq!(error.cause(), "the GPU that draws was lost and did not come back in 3 attempts: the GPU is gone");
    }

    #[test]
    fn losses_in_a_row_are_counted_until_the_gpu_has_proved_itself() {
        let (time, course) = (Still::default(), Course::default());
        let recovery = Recovery::new(EncoderChoice::Auto, &time, &course);
        for k in 0..3 {
            draw(&course, k * TRUSTED_AFTER);
            assert_eq!(again(lose(&recovery, &time, 0).0), Plan::Nvenc);
        }
        draw(&course, 3 * TRUSTED_AFTER);
        assert_eq!(again(lose(&recovery, &time, 0).0), OPENH264, "the fourth in a row");

        let (time, course) = (Still::default(), Course::default());
        let recovery = Recovery::new(EncoderChoice::Auto, &time, &course);
        for k in 0..9 {
            draw(&course, k * (TRUSTED_AFTER + MS));
            assert_eq!(again(lose(&recovery, &time, 0).0), Plan::Nvenc);
        }
    }

    #[test]
    fn nobody_waits_for_a_gpu_when_the_stream_is_to_end() {
        for end in [End::Stopped, End::ReaderGone] {
            let (time, course) = (Still { end: Some((300 * MS, end)), ..Still::default() }, Course::default());
            let (restart, attempts) = lose(&Recovery::new(EncoderChoice::Auto, &time, &course), &time, 9);
            assert!(matches!(restart, Ok(Restart::Over(ended)) if ended == end), "{restart:?}");
            assert_eq!((attempts, time.now()), (vec![100 * MS], 300 * MS));
        }
    }

    /// Processes go on with one stream, each of which loses its GPU for good, a second of the stream after the last.
    /// Returns what the last one of so many goes on with.
    fn move_on(choice: EncoderChoice, processes: u32) -> Result<Plan, Error> {
        let mut from = None;
        for process in 0..processes {
            let (time, course) = (Still::default(), Course::that_may_move(from));
            course.goes_on_with(Plan::Nvenc);
            course.begin(Size::new(64, 64).unwrap());
            draw(&course, process * 1000 * MS);
            let recovery = Recovery::new(choice, &time, &course);
            let moved = recovery
                .start_over(lost_for_good(), Plan::Nvenc, |_| -> Result<(), _> { panic!("nothing opens here") })?;
            assert!(matches!(moved, Restart::Elsewhere(_)), "{moved:?}");
            assert_eq!(time.now(), WAITS.get(process as usize).copied().unwrap_or_default());
            from = course.leave(Default::default()).unwrap();
        }
        Ok(from.unwrap().plan)
    }

    #[test]
    fn what_is_lost_for_good_goes_on_in_another_process_and_with_openh264_in_the_end() {
        for choice in [EncoderChoice::Auto, EncoderChoice::Nvenc] {
            assert_eq!(move_on(choice, 3).unwrap(), Plan::Nvenc);
        }
        assert_eq!(move_on(EncoderChoice::Auto, 4).unwrap(), OPENH264);
        let error = move_on(EncoderChoice::Nvenc, 4).unwrap_err();
        assert_eq!(error.cause(), "NVENC failed and did not come back in 3 attempts: the GPU has had it");
    }

    #[test]
    fn where_there_is_no_other_process_openh264_goes_on_at_once() {
        let (time, course) = (Still::default(), Course::default());
        let restart = Recovery::new(EncoderChoice::Auto, &time, &course).start_over(lost_for_good(), Plan::Nvenc, Ok);
        assert_eq!((again(restart), time.now()), (OPENH264, Duration::ZERO));
    }

    #[test]
    fn a_loss_that_turns_out_to_be_for_good_moves_on_as_well() {
        let (time, course) = (Still::default(), Course::that_may_move(None));
        let restart =
            Recovery::new(EncoderChoice::Nvenc, &time, &course)
                .start_over(lost(), Plan::Nvenc, |_| -> Result<(), _> { Err(lost_for_good().0) });
        assert!(matches!(restart, Ok(Restart::Elsewhere(_))), "{restart:?}");
        assert_eq!(time.now(), 400 * MS);
    }
}
