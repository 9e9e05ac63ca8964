//! From an access unit to the reader: laid out, held back where the format wants it, written, counted.

use super::checkpoint::Course;
use super::clock::{End, Time};
use super::vitals::Vitals;
use crate::codec::AccessUnit;
use crate::control::Control;
use crate::error::Error;
use crate::format::Format;
use crate::sink::{Gate, Outlet, Written};
use crate::stats::{STAGE, Stats};
use std::ops::ControlFlow;
use std::time::Duration;
use tracing::trace_span;

/// Takes the access units of a stream to its reader, through all lives of its encoder. None is ever dropped.
pub struct Delivery<'a> {
    format: Format,
    time: &'a dyn Time,
    gate: &'a dyn Gate,
    outlet: &'a dyn Outlet,
    control: &'a Control,
    stats: &'a Stats,
    course: &'a Course,
}

impl<'a> Delivery<'a> {
    /// To `outlet`, which `gate` stands in front of.
    pub fn new(
        format: Format,
        time: &'a dyn Time,
        gate: &'a dyn Gate,
        outlet: &'a dyn Outlet,
        control: &'a Control,
        vitals: &'a Vitals,
    ) -> Self {
        let Vitals { stats, course, .. } = vitals;
        Self { format, time, gate, outlet, control, stats, course }
    }

    /// Writes the next picture, which took `encode_time`. Returns how the stream ends, if it does with this one.
    ///
    /// # Errors
    /// The format or the sink is broken.
    pub fn deliver(&mut self, unit: &AccessUnit, encode_time: Duration) -> Result<Option<End>, Error> {
        let release = self.format.release_at(unit.pts(), self.time.now());
        // Where a stop is requested meanwhile, the picture is still written.
        if self.time.wait_until(release) == Some(End::ReaderGone) {
            return Ok(Some(End::ReaderGone));
        }
        let mut transport = self.course.writing();
        let _stage = trace_span!(target: STAGE, "write").entered();
        let (written, bytes) = match self.format.lay_out(unit, self.gate.reader(), self.control)? {
            ControlFlow::Continue(bytes) => (self.outlet.write(bytes, self.control)?, bytes.len()),
            ControlFlow::Break(written) => (written, 0),
        };
        match written {
            Written::Whole => {
                *transport = self.format.transport(unit.pts());
                self.stats.picture(bytes, encode_time);
            }
            Written::ReaderGone => return Ok(Some(End::ReaderGone)),
            Written::Stopped => return Ok(Some(End::Stopped)),
        }
        tracing::trace!(idr = unit.is_idr(), bytes, pts = ?unit.pts(), at = ?self.time.now(), "written");
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::super::clock::tests::Still;
    use super::*;
    use crate::format::Begin;
    use crate::settings::{MpegTs, Settings};
    use crate::sink::Readiness;
    use rustix::fd::BorrowedFd;
    use std::sync::Mutex;

    const MS: Duration = Duration::from_millis(1);

    /// Notes when it was given how much, and answers as it was told to.
    struct Notes<'a> {
        time: &'a Still,
        answer: Written,
        written: Mutex<Vec<(Duration, usize)>>,
    }

    impl Gate for Notes<'_> {
        fn readiness(&self) -> Readiness {
            Readiness::Ready
        }

        fn reader(&self) -> Option<BorrowedFd<'_>> {
            None
        }
    }

    impl Outlet for Notes<'_> {
        fn write(&self, bytes: &[u8], _: &Control) -> Result<Written, Error> {
            self.written.lock().unwrap().push((self.time.now(), bytes.len()));
            Ok(self.answer)
        }
    }

    /// Delivers pictures of 50 a second that are ready so long after they were due. Returns when each was written, and
    /// in how many bytes, and the last one's outcome.
    fn deliver(
        mpegts: Option<MpegTs>,
        live: bool,
        time: &Still,
        answer: Written,
        ready: &[Duration],
    ) -> (Vec<(Duration, usize)>, Option<End>) {
        let settings = Settings { frame_rate: "50".parse().unwrap(), mpegts, ..Settings::default() };
        let format = Format::open(&settings, live, Begin::At(Duration::ZERO)).unwrap();
        let notes = Notes { time, answer, written: Mutex::default() };
        let (control, vitals) = (Control::new().unwrap(), Vitals::default());
        let mut delivery = Delivery::new(format, time, &notes, &notes, &control, &vitals);
        let mut unit = AccessUnit::default();
        let mut end = None;
        for (k, &took) in ready.iter().enumerate() {
            let pts = k as u32 * 20 * MS;
            time.pass((pts + took).saturating_sub(time.now()));
            unit.begin(pts);
            unit.push_annex_b(&[0, 0, 0, 1, 0x61, 1, 2, 3, 4, 5, 6, 7]);
            end = delivery.deliver(&unit, took).unwrap();
        }
        let written = notes.written.into_inner().unwrap();
        let whole = if answer == Written::Whole { written.len() } else { 0 };
        assert_eq!(vitals.stats.totals().pictures, whole as u64);
        assert_eq!(vitals.stats.totals().bytes, written[..whole].iter().map(|&(_, bytes)| bytes as u64).sum::<u64>());
        (written, end)
    }

    /// The first picture took long, the second one did not.
    const READY: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(2)];

    #[test]
    fn only_a_raw_stream_that_somebody_takes_is_held_back() {
        let (raw, _) = deliver(None, true, &Still::default(), Written::Whole, &READY);
        let held = raw[1].0 - 20 * MS;
        assert!(held > 4 * MS && held < 6 * MS, "half of what the slow one took: {held:?}");
        for (mpegts, live) in [(None, false), (Some(MpegTs::Native), true), (Some(MpegTs::Native), false)] {
            let (written, _) = deliver(mpegts, live, &Still::default(), Written::Whole, &READY);
            assert_eq!([written[0].0, written[1].0], [10 * MS, 22 * MS], "{mpegts:?}, live: {live}");
        }
    }

    #[test]
    fn only_a_raw_stream_is_padded() {
        let (raw, _) = deliver(None, false, &Still::default(), Written::Whole, &READY);
        assert_eq!([raw[0].1, raw[1].1], [256, 12]);
        let (mpegts, _) = deliver(Some(MpegTs::Native), true, &Still::default(), Written::Whole, &READY);
        assert_eq!([mpegts[0].1, mpegts[1].1], [3 * 188, 188], "tables in front of the first");
    }

    #[test]
    fn a_reader_that_leaves_ends_it_and_a_stop_lets_the_picture_out() {
        for (answer, end) in [(Written::ReaderGone, End::ReaderGone), (Written::Stopped, End::Stopped)] {
            let (_, ended) = deliver(None, true, &Still::default(), answer, &READY[..1]);
            assert_eq!(ended, Some(end));
        }
        let leaves = Still { end: Some((23 * MS, End::ReaderGone)), ..Still::default() };
        let (written, ended) = deliver(None, true, &leaves, Written::Whole, &READY);
        assert_eq!((written.len(), ended), (1, Some(End::ReaderGone)), "while the second one was held back");
        let stops = Still { end: Some((23 * MS, End::Stopped)), ..Still::default() };
        let (written, ended) = deliver(None, true, &stops, Written::Whole, &READY);
        assert_eq!((written[1].0, ended), (23 * MS, None), "at once");
    }
}
