//! The loops over pictures: what is done in which order, and on which thread.
//!
//! The thread that runs a stream owns GL, CUDA and NVENC. Encoding on the CPU has a thread of its own, so that one
//! picture is drawn while the one before is encoded.

use super::clock::End;
use super::delivery::Delivery;
use super::schedule::Schedule;
use super::standing::Standing;
use crate::codec::AccessUnit;
use crate::control::Control;
use crate::encoder::{HostPicture, Lost, Nvenc, Openh264, Readback, check_layout};
use crate::error::Error;
use crate::os::threads;
use crate::pulse::{Lane, Pulse, Stage};
use crate::settings::Bitrate;
use crate::source::{Artist, Drawn};
use crate::stats::STAGE;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, Instant};
use tracing::trace_span;

/// How one life of an encoder ended.
pub enum Ended {
    /// With the stream.
    Over(End),
    /// With a picture that it failed on. Another one may do better.
    Lost(Lost),
}

/// Draws, encodes and writes on one thread: the GPU does the work, and its objects belong to that thread.
pub fn on_gpu(
    artist: &mut Artist,
    mut nvenc: Box<Nvenc>,
    bitrate: Bitrate,
    schedule: &mut Schedule<'_>,
    delivery: &mut Delivery<'_>,
    control: &Control,
    pulse: &Pulse,
) -> Result<Ended, Error> {
    let mut unit = AccessUnit::with_room_for(artist.target.size());
    let mut standing = Standing::new(bitrate);
    let ended = loop {
        let tick = match schedule.next() {
            Ok(tick) => tick,
            Err(end) => break Ok(Ended::Over(end)),
        };
        let drawn = match artist.draw(&tick, pulse) {
            Ok(Drawn::Over) => break Ok(Ended::Over(End::Done)),
            Ok(drawn) => drawn,
            Err(error) => break Err(error),
        };
        let begun = Instant::now();
        let mut encode = |idr, unit: &mut _| {
            let _encoding = pulse.during(Lane::Artist, Stage::Encoding);
            // A picture that breaks streams is as good as none.
            nvenc.encode(&artist.target, tick.pts, idr, unit).and_then(|()| check_layout(unit).map_err(Lost))
        };
        let coded = match drawn {
            Drawn::New => {
                let idr = control.take_idr_request() | standing.needs_idr();
                standing.moved(tick.pts);
                encode(idr, &mut unit).map(|()| Some(&unit))
            }
            _ if tick.pts < standing.due() => Ok(None),
            _ => standing.send(tick.pts, encode).map(Some),
        };
        let encode_time = begun.elapsed();
        // A picture that was lost with its encoder is drawn again.
        let unit = match coded {
            Ok(unit) => unit,
            Err(lost) => break Ok(Ended::Lost(lost)),
        };
        schedule.drew(&tick);
        let Some(unit) = unit else { continue };
        match delivery.deliver(unit, encode_time) {
            Ok(None) => {}
            Ok(Some(end)) => break Ok(Ended::Over(end)),
            Err(error) => break Err(error),
        }
    };
    let _releasing = pulse.during(Lane::Artist, Stage::Encoding);
    drop(nvenc);
    ended
}

/// Pictures in flight between drawing and encoding: one being encoded, one being drawn. Another one would add delay and
/// no speed.
const PICTURES_IN_FLIGHT: usize = 2;

enum Job {
    /// Encode this picture.
    New { picture: HostPicture, force_idr: bool },
    /// The last one is shown at this time as well.
    Unchanged(Duration),
}

/// Draws on this thread, encodes and writes on another: at 720p on two cores without a GPU this makes 860 pictures/s
/// where one thread makes 450.
pub fn on_host(
    artist: &mut Artist,
    mut openh264: Box<Openh264>,
    bitrate: Bitrate,
    schedule: &mut Schedule<'_>,
    delivery: &mut Delivery<'_>,
    control: &Control,
    pulse: &Pulse,
) -> Result<Ended, Error> {
    let size = artist.target.size();
    let (to_coder, drawn) = sync_channel::<Job>(PICTURES_IN_FLIGHT);
    let (to_artist, free) = sync_channel(PICTURES_IN_FLIGHT);
    for _ in 0..PICTURES_IN_FLIGHT {
        // The channel has room for all of them.
        let _ = to_artist.try_send(HostPicture::new(size));
    }
    let code = move || -> Result<End, Error> {
        let mut unit = AccessUnit::with_room_for(size);
        let mut standing = Standing::new(bitrate);
        let mut encode = |picture: &HostPicture, idr, unit: &mut _| {
            let _encoding = pulse.during(Lane::Coder, Stage::Encoding);
            trace_span!(target: STAGE, "encode").in_scope(|| openh264.encode(picture, idr, unit))?;
            check_layout(unit)
        };
        // The picture that is shown.
        let mut shown: Option<HostPicture> = None;
        while let Ok(job) = drawn.recv() {
            let begun = Instant::now();
            let unit = match job {
                Job::New { picture, force_idr } => {
                    if let Some(old) = shown.take() {
                        // Nobody to take it back: the drawing has ended.
                        let _ = to_artist.try_send(old);
                    }
                    let picture = shown.insert(picture);
                    encode(picture, force_idr | standing.needs_idr(), &mut unit)?;
                    standing.moved(picture.pts());
                    &unit
                }
                Job::Unchanged(pts) => match &mut shown {
                    Some(picture) if pts >= standing.due() => {
                        picture.show_at(pts);
                        standing.send(pts, |idr, unit| encode(picture, idr, unit))?
                    }
                    _ => continue,
                },
            };
            if let Some(end) = delivery.deliver(unit, begun.elapsed())? {
                return Ok(end);
            }
        }
        Ok(End::Done)
    };
    std::thread::scope(|scope| {
        let coder = std::thread::Builder::new()
            .name("encode".to_owned())
            .spawn_scoped(scope, code)
            .map_err(threads::cannot_start)?;
        // Dropping the sender, which `draw_for_host` owns, ends the coder after the pictures at hand.
        let drawing = draw_for_host(artist, schedule, to_coder, &free, control, pulse);
        let coding = coder.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // What the coder met is why the drawing ended.
        match (coding?, drawing?) {
            (End::Done, end) | (end, _) => Ok(Ended::Over(end)),
        }
    })
}

/// Draws until the end, or until the coder has ended and takes no more; then that is the end.
fn draw_for_host(
    artist: &mut Artist,
    schedule: &mut Schedule<'_>,
    to_coder: SyncSender<Job>,
    free: &Receiver<HostPicture>,
    control: &Control,
    pulse: &Pulse,
) -> Result<End, Error> {
    let mut readback = Readback::new(artist.target.size());
    // One that nothing was drawn for.
    let mut spare = None;
    loop {
        let tick = match schedule.next() {
            Ok(tick) => tick,
            Err(end) => return Ok(end),
        };
        let mut picture = if let Some(spare) = spare.take() {
            spare
        } else if schedule.is_paced() {
            match free.try_recv() {
                Ok(picture) => picture,
                Err(TryRecvError::Disconnected) => return Ok(End::Done),
                Err(TryRecvError::Empty) => {
                    schedule.too_late();
                    continue;
                }
            }
        } else {
            match free.recv() {
                Ok(picture) => picture,
                Err(_) => return Ok(End::Done),
            }
        };
        match artist.draw(&tick, pulse)? {
            Drawn::New => {}
            Drawn::Unchanged => {
                spare = Some(picture);
                schedule.drew(&tick);
                if to_coder.send(Job::Unchanged(tick.pts)).is_err() {
                    return Ok(End::Done);
                }
                continue;
            }
            Drawn::Over => return Ok(End::Done),
        }
        let reading = pulse.during(Lane::Artist, Stage::Reading);
        trace_span!(target: STAGE, "read").in_scope(|| readback.fetch(&artist.target, tick.pts, &mut picture));
        drop(reading);
        schedule.drew(&tick);
        if to_coder.send(Job::New { picture, force_idr: control.take_idr_request() }).is_err() {
            return Ok(End::Done);
        }
    }
}
