//! What happens after NVENC failed on a picture while somebody watches.
//!
//! It is opened again, a bounded number of times and each time later. Which encoder goes on then is decided by
//! [`Plan`]. The stream goes on with an IDR picture of the same size and profile.

use super::clock::{End, Time};
use crate::encoder::{Lost, Plan};
use crate::error::Error;
use crate::settings::EncoderChoice;
use std::time::Duration;

/// How often in a row a lost GPU is opened again, and how long is waited before each time.
const WAITS: [Duration; 3] = [Duration::from_millis(100), Duration::from_millis(400), Duration::from_millis(1600)];
/// A GPU that has worked for so long is trusted again.
const TRUSTED_AFTER: Duration = Duration::from_secs(30);

/// Counts the losses of one stream.
pub struct Recovery<'a> {
    choice: EncoderChoice,
    time: &'a dyn Time,
    in_a_row: usize,
    /// When it came back last.
    came_back: Option<Duration>,
}

/// What a loss comes to.
#[derive(Debug, PartialEq)]
pub enum Restart<P> {
    /// The stream goes on with this.
    Again(P),
    /// It ended while nothing was to be had.
    Over(End),
}

impl<'a> Recovery<'a> {
    /// For a stream that was asked to have an encoder of this choice.
    pub fn new(choice: EncoderChoice, time: &'a dyn Time) -> Self {
        Self { choice, time, in_a_row: 0, came_back: None }
    }

    /// Opens a pipeline anew by `open`, after the old one was `lost` and is released.
    ///
    /// # Errors
    /// NVENC does not come back and nothing else may be taken, or nothing else can be opened either.
    pub fn start_over<P>(
        &mut self,
        Lost(lost): Lost,
        mut open: impl FnMut(Plan) -> Result<P, Error>,
    ) -> Result<Restart<P>, Error> {
        if self.came_back.is_some_and(|then| self.time.now().saturating_sub(then) > TRUSTED_AFTER) {
            self.in_a_row = 0;
        }
        let mut cause = lost;
        while let Some(&wait) = WAITS.get(self.in_a_row) {
            self.in_a_row += 1;
            let (why, ms) = (cause.cause(), wait.as_millis());
            tracing::warn!("{why}; starting over in {ms} ms ({} of {})", self.in_a_row, WAITS.len());
            if let Some(end) = self.time.wait_until(self.time.now() + wait) {
                return Ok(Restart::Over(end));
            }
            match open(Plan::after_a_loss()) {
                Ok(pipeline) => {
                    self.came_back = Some(self.time.now());
                    return Ok(Restart::Again(pipeline));
                }
                Err(error) => cause = error,
            }
        }
        let why =
            Error::machine("nvenc-gone", format!("NVENC failed and did not come back in {} attempts", WAITS.len()), "");
        let plan = Plan::without_nvenc(self.choice, why.caused_by(cause.cause()))?;
        tracing::warn!("NVENC did not come back, falling back to OpenH264: {}", cause.in_a_line());
        open(plan).map(Restart::Again)
    }
}

#[cfg(test)]
mod tests {
    use super::super::clock::tests::Still;
    use super::*;
    use crate::encoder::Profile;

    const MS: Duration = Duration::from_millis(1);
    const OPENH264: Plan = Plan::Openh264(Profile::High);

    fn lost() -> Lost {
        Lost(Error::machine("", "the GPU is gone", ""))
    }

    /// Loses an encoder at the time at hand; the first `fails` attempts to open another one fail. Returns what was
    /// opened, and when each attempt was made.
    fn lose(recovery: &mut Recovery<'_>, time: &Still, fails: usize) -> (Result<Restart<Plan>, Error>, Vec<Duration>) {
        let mut attempts = Vec::new();
        let restart = recovery.start_over(lost(), |plan| {
            attempts.push(time.now());
            if attempts.len() > fails { Ok(plan) } else { Err(Error::machine("", "it is still gone", "")) }
        });
        (restart, attempts)
    }

    #[test]
    fn each_attempt_comes_later_and_the_last_one_is_openh264s() {
        for (fails, opened, at) in
            [(0, Plan::Nvenc, &[100][..]), (2, Plan::Nvenc, &[100, 500, 2100]), (3, OPENH264, &[100, 500, 2100, 2100])]
        {
            let time = Still::default();
            let (restart, attempts) = lose(&mut Recovery::new(EncoderChoice::Auto, &time), &time, fails);
            assert_eq!(restart.unwrap(), Restart::Again(opened));
            assert_eq!(attempts, at.iter().map(|&ms| ms * MS).collect::<Vec<_>>());
        }
    }

    #[test]
    fn who_asked_for_nvenc_is_told_why_it_does_not_come_back() {
        let time = Still::default();
        let (restart, attempts) = lose(&mut Recovery::new(EncoderChoice::Nvenc, &time), &time, 9);
        let error = restart.unwrap_err();
        assert_eq!(error.cause(), "NVENC failed and did not come back in 3 attempts: it is still gone");
        assert_eq!(attempts.len(), 3);
    }

    #[test]
    fn losses_in_a_row_are_counted_until_the_gpu_has_proved_itself() {
        let time = Still::default();
        let mut recovery = Recovery::new(EncoderChoice::Auto, &time);
        for _ in 0..3 {
            assert_eq!(lose(&mut recovery, &time, 0).0.unwrap(), Restart::Again(Plan::Nvenc));
            time.pass(TRUSTED_AFTER);
        }
        assert_eq!(lose(&mut recovery, &time, 0).0.unwrap(), Restart::Again(OPENH264), "the fourth in a row");

        let mut recovery = Recovery::new(EncoderChoice::Auto, &time);
        for _ in 0..9 {
            assert_eq!(lose(&mut recovery, &time, 0).0.unwrap(), Restart::Again(Plan::Nvenc));
            time.pass(TRUSTED_AFTER + MS);
        }
    }

    #[test]
    fn nobody_waits_for_a_gpu_when_the_stream_is_to_end() {
        for end in [End::Stopped, End::ReaderGone] {
            let time = Still { end: Some((300 * MS, end)), ..Still::default() };
            let (restart, attempts) = lose(&mut Recovery::new(EncoderChoice::Auto, &time), &time, 9);
            assert_eq!(restart.unwrap(), Restart::Over(end));
            assert_eq!((attempts, time.now()), (vec![100 * MS], 300 * MS));
        }
    }
}
