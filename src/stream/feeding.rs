//! The loop over pictures that lie in host memory: taken, encoded and written on one thread. No GL is loaded.
//!
//! Those of a live source are taken as they come, and are not held to a grid: that is the shortest way from its last byte
//! to the reader.

use super::clock::End;
use super::delivery::Delivery;
use super::schedule::{Moment, Schedule};
use super::standing::Standing;
use super::threads::Ended;
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

/// Takes, encodes and writes until the end, or until the encoder is lost.
pub fn on_feed(
    feed: &mut dyn Feed,
    encoder: Encoder,
    settings: &Settings,
    schedule: &mut Schedule<'_>,
    delivery: &mut Delivery<'_>,
    control: &Control,
    pulse: &Pulse,
) -> Result<Ended, Error> {
    let mut feeding = Feeding {
        encoder,
        picture: HostPicture::new(settings.size),
        unit: AccessUnit::with_room_for(settings.size),
        standing: Standing::new(settings.bitrate),
        cadence: Cadence::new(settings),
        control,
        pulse,
    };
    let ended = match feeding.run(feed, schedule, delivery) {
        Ok(end) => Ok(Ended::Over(end)),
        Err(Failed::Lost(lost)) => Ok(Ended::Lost(lost)),
        Err(Failed::Broken(error)) => Err(error),
    };
    let _releasing = pulse.during(Lane::Artist, Stage::Encoding);
    drop(feeding);
    ended
}

struct Feeding<'a> {
    encoder: Encoder,
    picture: HostPicture,
    unit: AccessUnit,
    standing: Standing,
    cadence: Cadence,
    control: &'a Control,
    pulse: &'a Pulse,
}

impl Feeding<'_> {
    fn run(
        &mut self,
        feed: &mut dyn Feed,
        schedule: &mut Schedule<'_>,
        delivery: &mut Delivery<'_>,
    ) -> Result<End, Failed> {
        let live = feed.is_live();
        loop {
            let moment = match feed.arrivals() {
                Some(arrivals) if live => schedule.moment(arrivals, self.standing.due()),
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
                Drawn::New => Some(self.encode(&tick)?),
                Drawn::Unchanged if tick.pts >= self.standing.due() => Some(self.send_again(&tick)?),
                Drawn::Unchanged => None,
            };
            let encode_time = begun.elapsed();
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

    fn encode(&mut self, tick: &Tick) -> Result<&AccessUnit, Failed> {
        let _encoding = self.pulse.during(Lane::Artist, Stage::Encoding);
        let idr = self.control.take_idr_request() | self.standing.needs_idr() | self.cadence.is_due(tick.pts);
        self.picture.show_at(tick.pts);
        trace_span!(target: STAGE, "encode").in_scope(|| self.encoder.encode(&self.picture, idr, &mut self.unit))?;
        self.standing.moved(tick.pts);
        self.cadence.sent(&self.unit);
        Ok(&self.unit)
    }

    fn send_again(&mut self, tick: &Tick) -> Result<&AccessUnit, Failed> {
        let Self { encoder, picture, standing, pulse, .. } = self;
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
