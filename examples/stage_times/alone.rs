//! What drawing costs by itself, and what OpenH264 costs by itself: the two that a stream on the CPU cannot do without.
//! Both run with every core at work, as they do within a stream: the driver has a thread for each core, and so many
//! encoders run beside each other.

use super::clock::cpu_time;
use super::{Args, scene_of};
use mb_encode::gl::{Gl, Target};
use mb_encode::parts::{AccessUnit, HostPicture, Openh264, Profile, Readback};
use mb_encode::{Error, Frame, Settings};
use rustix::time::ClockId;
use std::thread::available_parallelism;
use std::time::{Duration, Instant, SystemTime};

/// Pictures that an encoder has in memory. They are encoded forth and back, over and over, so that motion never jumps.
const KEPT: usize = 31;
/// What all encoders' pictures may take together, in bytes.
const ROOM: usize = 512 << 20;

/// What a picture costs: CPU time of all threads, and how long one takes after the other.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub cpu: Duration,
    pub wall: Duration,
}

impl Cost {
    fn json(self) -> serde_json::Value {
        serde_json::json!({ "cpu_us": self.cpu.as_secs_f64() * 1e6, "wall_us": self.wall.as_secs_f64() * 1e6 })
    }
}

/// Measures both, and returns one line of JSON.
///
/// # Errors
/// Nothing draws here, the shader does not compile, or OpenH264 fails.
pub fn measure(args: &Args, settings: &Settings) -> anyhow::Result<String> {
    let cores = available_parallelism()?.get();
    let gl = Gl::open(settings.device)?;
    let target = Target::new(&gl, settings.size)?;
    let mut scene = scene_of(&gl, args, settings)?;
    let mut draw = |index: u64| -> Result<Duration, Error> {
        let pts = settings.frame_rate.time_of(index);
        target.bind();
        let delta = settings.frame_rate.interval();
        let wall_clock = SystemTime::now();
        scene.draw(&Frame { gl: &gl, target: &target, index, pts, delta, wall_clock })?;
        gl.finish();
        Ok(pts)
    };

    let bytes = HostPicture::bytes(settings.size);
    let kept = KEPT.min(ROOM / cores / bytes).max(2);
    let mut readback = Readback::new(&gl, settings.size);
    let mut pictures = Vec::with_capacity(kept);
    // These are the drawing's warm-up as well.
    for index in 0..kept as u64 {
        let pts = draw(index)?;
        let mut picture = HostPicture::new(settings.size);
        readback.fetch(&target, pts, &mut picture);
        pictures.push(picture);
    }

    let (began, before) = (Instant::now(), cpu_time(ClockId::ProcessCPUTime));
    for index in 0..u64::from(args.pictures) {
        draw(index)?;
    }
    let spent = cpu_time(ClockId::ProcessCPUTime).saturating_sub(before);
    let drawing = Cost { cpu: spent / args.pictures, wall: began.elapsed() / args.pictures };

    let costs = std::thread::scope(|scope| {
        let coders: Vec<_> = (0..cores)
            .map(|_| {
                let pictures = copies(settings, &pictures);
                scope.spawn(move || encode(settings, pictures, args.pictures))
            })
            .collect();
        let ended =
            coders.into_iter().map(|coder| coder.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        ended.collect::<Result<Vec<_>, _>>()
    })?;
    let mean = |of: fn(&Cost) -> Duration| costs.iter().map(of).sum::<Duration>() / costs.len() as u32;
    let coder = Cost { cpu: mean(|cost| cost.cpu), wall: mean(|cost| cost.wall) };
    let found = serde_json::json!({
        "cores": cores, "renderer": gl.hardware().to_string(), "pictures": args.pictures,
        "drawing": drawing.json(), "coder": coder.json(),
    });
    Ok(found.to_string())
}

fn copies(settings: &Settings, pictures: &[HostPicture]) -> Vec<HostPicture> {
    let copy = |picture: &HostPicture| {
        let mut copy = HostPicture::new(settings.size);
        copy.samples_mut().copy_from_slice(picture.samples());
        copy
    };
    pictures.iter().map(copy).collect()
}

/// Encodes `count` pictures after a warm-up of one second or as many, each at its own time.
fn encode(settings: &Settings, mut pictures: Vec<HostPicture>, count: u32) -> Result<Cost, Error> {
    let mut encoder = Openh264::open(settings, Profile::ConstrainedBaseline)?;
    let mut unit = AccessUnit::with_room_for(settings.size);
    let first = settings.gop_length().min(count);
    let (mut began, mut before) = (Instant::now(), Duration::ZERO);
    let turn = pictures.len() - 1;
    for index in 0..u64::from(first + count) {
        if index == u64::from(first) {
            (began, before) = (Instant::now(), cpu_time(ClockId::ThreadCPUTime));
        }
        let at = index as usize % (2 * turn);
        let picture = &mut pictures[if at <= turn { at } else { 2 * turn - at }];
        picture.show_at(settings.frame_rate.time_of(index));
        encoder.encode(picture, false, &mut unit)?;
    }
    let spent = cpu_time(ClockId::ThreadCPUTime).saturating_sub(before);
    Ok(Cost { cpu: spent / count, wall: began.elapsed() / count })
}
