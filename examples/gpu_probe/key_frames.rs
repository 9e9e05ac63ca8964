//! What the rate control gives an IDR picture, at each `lowDelayKeyFrameScale` of NVENC: how many bits it takes and how
//! coarse it is. Rate controls are the vendor's own, so this can only be found on hardware.

use crate::coded::Coded;
use crate::{Found, say};
use mb_encode::Settings;
use mb_encode::gl::{Gl, Program, Target, WHOLE_TARGET};
use mb_encode::parts::{AccessUnit, Nvenc, byte_stream, nal_units, open_gl};
use mb_encode::settings::IdrScale;
use serde_json::Map;

const BUSY: &str = concat!(
    "#version 330 core\nuniform float iTime;\nuniform vec3 iResolution;\nout vec4 shown;\n",
    include_str!("busy.glsl"),
    "\nvoid main() { mainImage(shown, gl_FragCoord.xy); }\n"
);

/// # Errors
/// NVENC does not work at one of the scales.
pub fn run(settings: &Settings, pictures: u32, scales: &[u8]) -> anyhow::Result<Found> {
    let gl = open_gl(settings)?;
    let mut found = Map::new();
    for &scale in scales {
        say(&format!("scale {scale}"));
        let coded = at_scale(&gl, settings, pictures, scale)?;
        coded.say();
        found.insert(scale.to_string(), coded.json());
    }
    Ok(found.into())
}

fn at_scale(gl: &Gl, settings: &Settings, pictures: u32, scale: u8) -> anyhow::Result<Coded> {
    let target = Target::new(gl, settings.size)?;
    let program = Program::new(gl, WHOLE_TARGET, BUSY)?;
    let mut nvenc = Nvenc::open(gl, &Settings { idr_scale: IdrScale::new(scale)?, ..settings.clone() })?;
    let (mut unit, mut stream, mut coded) = (AccessUnit::default(), Vec::new(), Coded::default());
    for index in 0..pictures.into() {
        let pts = settings.frame_rate.time_of(index);
        target.bind();
        program.set("iTime", &[pts.as_secs_f32()]);
        program.set("iResolution", &[settings.size.width() as f32, settings.size.height() as f32, 1.0]);
        program.draw(3);
        nvenc.encode(&target, pts, false, &mut unit).map_err(mb_encode::Error::from)?;
        stream.clear();
        byte_stream(&unit, &mut stream);
        nal_units(&stream).for_each(|unit| coded.take(unit));
    }
    Ok(coded)
}
