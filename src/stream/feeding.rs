//! The loop over pictures that lie in host memory: taken, encoded and written on one thread. No GL is loaded.
//!
//! Those of a live source are taken as they come, and are not held to a grid: that is the shortest way from its last byte
//! to the reader.

use super::checkpoint::Course;
use super::clock::End;
use super::delivery::Delivery;
use super::schedule::{Moment, Schedule};
use super::standing::Standing;
use super::threads::Ended;
use super::vitals::Vitals;
use crate::codec::AccessUnit;
use crate::control::Control;
use crate::encoder::{Encoder, Failed, HostPicture};
use crate::error::Error;
use crate::pacer::Tick;
use crate::pulse::{Lane, Pulse, Stage};
use crate::settings::Settings;
use crate::source::{Drawn, Feed, Filled};
use crate::stats::STAGE;
use std::time::{Duration, Instant};
use tracing::trace_span;

/// The pictures of one stream, whichever encoder has them.
pub struct Feeding<'a> {
    settings: &'a Settings,
    picture: HostPicture,
    /// Whether the picture was taken, and an encoder was lost with it.
    owed: bool,
    unit: AccessUnit,
    standing: Standing,
    cadence: Cadence,
    control: &'a Control,
    pulse: &'a Pulse,
    course: &'a Course,
}

impl<'a> Feeding<'a> {
    /// Before the first picture.
    pub fn new(settings: &'a Settings, control: &'a Control, vitals: &'a Vitals) -> Self {
        Self {
            settings,
            picture: HostPicture::new(settings.size),
            owed: false,
            unit: AccessUnit::with_room_for(settings.size),
            standing: Standing::new(settings.bitrate),
            cadence: Cadence::new(settings),
            control,
            pulse: &vitals.pulse,
            course: &vitals.course,
        }
    }

    /// The last picture that was taken, and whether it was not encoded.
    pub fn last(&self) -> (&HostPicture, bool) {
        (&self.picture, self.owed)
    }

    /// Takes, encodes and writes until the end, or until the encoder is lost. The next one begins with the picture that
    /// this one was lost with.
    ///
    /// # Errors
    /// The stream cannot go on.
    pub fn run(
        &mut self,
        feed: &mut dyn Feed,
        mut encoder: Encoder,
        schedule: &mut Schedule<'_>,
        delivery: &mut Delivery<'_>,
    ) -> Result<Ended, Error> {
        self.standing = Standing::new(self.settings.bitrate);
        let ended = match self.go_on(feed, &mut encoder, schedule, delivery) {
            Ok(end) => Ok(Ended::Over(end)),
            Err(Failed::Lost(lost)) => {
                self.owed = true;
                Ok(Ended::Lost(lost))
            }
            Err(Failed::Broken(error)) => Err(error),
        };
        let _releasing = self.pulse.during(Lane::Artist, Stage::Encoding);
        drop(encoder);
        ended
    }

    fn go_on(
        &mut self,
        feed: &mut dyn Feed,
        encoder: &mut Encoder,
        schedule: &mut Schedule<'_>,
        delivery: &mut Delivery<'_>,
    ) -> Result<End, Failed> {
        let (live, course) = (feed.is_live(), self.course);
        loop {
            // What is owed is due at once; of a live source a newer picture may take its place.
            let owed = std::mem::take(&mut self.owed);
            let due = if owed { Duration::ZERO } else { self.standing.due() };
            let moment = match feed.arrivals() {
                Some(arrivals) if live => schedule.moment(arrivals, due),
                _ if owed => schedule.next().map(Moment::Standstill),
                arrivals => schedule.next_of(arrivals).map(Moment::Arrival),
            };
            let (tick, filled) = match moment {
                Ok(Moment::Arrival(tick)) => {
                    let _reading = self.pulse.during(Lane::Artist, Stage::Reading);
                    let filled = trace_span!(target: STAGE, "read").in_scope(|| feed.fill(&tick, &mut self.picture))?;
                    (tick, filled)
                }
                Ok(Moment::Standstill(tick)) => (tick, Drawn::Unchanged.into()),
                Err(end) => return Ok(end),
            };
            let Filled { drawn, age } = filled;
            let begun = Instant::now();
            let tick = if live { schedule.stamp(&tick, age) } else { tick };
            let unit = match drawn {
                Drawn::Over => return Ok(End::Done),
                Drawn::New => Some(self.encode(encoder, &tick)?),
                Drawn::Unchanged if owed => Some(self.encode(encoder, &tick)?),
                Drawn::Unchanged if tick.pts >= self.standing.due() => Some(self.send_again(encoder, &tick)?),
                Drawn::Unchanged => None,
            };
            let encode_time = begun.elapsed();
            course.reads(feed.onward());
            // Of pictures that are asked for, an unchanged one counts as well.
            if unit.is_some() || !live {
                schedule.drew(&tick);
            }
            if let Some(unit) = unit {
                if let Some(end) = delivery.deliver(unit, encode_time)? {
                    return Ok(end);
                }
            }
        }
    }

    fn encode(&mut self, encoder: &mut Encoder, tick: &Tick) -> Result<&AccessUnit, Failed> {
        let _encoding = self.pulse.during(Lane::Artist, Stage::Encoding);
        let idr = self.control.take_idr_request() | self.standing.needs_idr() | self.cadence.is_due(tick.pts);
        self.picture.show_at(tick.pts);
        trace_span!(target: STAGE, "encode").in_scope(|| encoder.encode(&self.picture, idr, &mut self.unit))?;
        self.standing.moved(tick.pts);
        self.cadence.sent(&self.unit);
        Ok(&self.unit)
    }

    fn send_again(&mut self, encoder: &mut Encoder, tick: &Tick) -> Result<&AccessUnit, Failed> {
        let Self { picture, standing, pulse, .. } = self;
        picture.show_at(tick.pts);
        let unit = standing.send(tick.pts, |idr, unit| {
            let _encoding = pulse.during(Lane::Artist, Stage::Encoding);
            encoder.encode(picture, idr, unit)
        })?;
        self.cadence.sent(unit);
        Ok(unit)
    }
}

/// IDR pictures by the clock: an encoder counts pictures, and a source may be slower than the frame rate.
struct Cadence {
    gop: Duration,
    last: Duration,
}

impl Cadence {
    fn new(settings: &Settings) -> Self {
        Self { gop: settings.frame_rate.time_of(settings.gop_length().into()), last: Duration::ZERO }
    }

    fn is_due(&self, pts: Duration) -> bool {
        pts.saturating_sub(self.last) > self.gop
    }

    fn sent(&mut self, unit: &AccessUnit) {
        if unit.is_idr() {
            self.last = unit.pts();
        }
    }
}
