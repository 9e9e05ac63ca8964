//! NVENC: its library, a session, what the chip can do, and pictures that it codes.

use super::checks::{Probe, Seen, ok, other, up};
use super::pictures::{CODED, check_unit, decoder, not_decoded};
use crate::codec::AccessUnit;
use crate::doctor::finding::State;
use crate::doctor::part::Part;
use crate::encoder::{Drawing, HostPicture, Nvenc, where_nvenc_is};
use crate::error::Error;
use crate::format::byte_stream;
use crate::gl::{Gl, Target};
use crate::gpu::{open_cuda, open_gl};
use crate::nvenc::{Api, Capabilities, Session};
use crate::settings::Settings;
use crate::source::strip::Strip;
use crate::source::{Frame, Renderer, TestCard};
use ::openh264::formats::YUVSource;
use std::time::{Duration, Instant, SystemTime};

/// The library alone.
pub fn library(probe: &mut Probe<'_>) -> Option<()> {
    probe.check(Part::NvencLibrary, |_| ok((), format!("libnvidia-encode.so.1, API {}", Api::load()?.version())))
}

/// A session, and pictures.
pub fn encoder(probe: &mut Probe<'_>) -> Option<()> {
    let (gl, session) = probe.check(Part::NvencSession, session)?;
    probe.check(Part::NvencH264, |_| h264(&session.capabilities()?))?;
    // A GPU has few sessions.
    drop(session);
    probe.check(Part::NvencPicture, |settings| coded_by_nvenc(&gl, settings))
}

/// A context of GL's on a GPU, and then on another one.
struct Context<'a> {
    settings: &'a Settings,
    gl: Option<Gl>,
}

impl Drawing for Context<'_> {
    fn gl(&self) -> &Gl {
        self.gl.as_ref().expect("it has moved to where it can draw")
    }

    fn move_to(&mut self, device: Option<u32>) -> Result<(), Error> {
        // A thread has one context.
        self.gl = None;
        self.gl = Some(open_gl(&Settings { device, ..self.settings.clone() })?);
        Ok(())
    }
}

/// A session, on the GPU that a stream takes.
fn session(settings: &Settings) -> Result<Seen<(Gl, Session)>, Error> {
    let mut drawing = Context { settings, gl: None };
    drawing.move_to(settings.device)?;
    let mut took = Duration::ZERO;
    let (gpu, session) = where_nvenc_is(&mut drawing, settings.device, |gl| {
        let context = open_cuda(gl)?;
        let began = Instant::now();
        let session = Session::open(&context)?;
        took = began.elapsed();
        Ok((format!("CUDA device {}, {}", context.ordinal(), context.name()), session))
    })?;
    let gl = drawing.gl.expect("a session's GPU draws");
    let up = up(took);
    let found = format!("opened on {gpu}{up} (GeForce drivers allow 3 to 12 at once on the whole system)");
    Ok(ok((gl, session), found)?.held_against(took))
}

/// Pictures of other programs, which need no GL.
pub fn upload(probe: &mut Probe<'_>) -> Option<()> {
    probe.check(Part::NvencUpload, uploaded_to_nvenc)
}

fn h264(capabilities: &Capabilities) -> Result<Seen<()>, Error> {
    let &Capabilities { sides: [least, most], level_max, engines, .. } = capabilities;
    let level = match level_max {
        0 => String::new(),
        level => format!(", level {}.{}", level / 10, level % 10),
    };
    let engines = match engines {
        0 | 1 => String::new(),
        many => format!(", {many} engines"),
    };
    let found = format!("{}x{} to {}x{}{level}{engines}", least.0, least.1, most.0, most.1);
    // What the settings fall back from.
    let mut lacks = Vec::new();
    if !capabilities.custom_vbv {
        lacks.push("no rate buffer of our own");
    }
    if !capabilities.constant_bitrate {
        lacks.push("no constant bitrate");
    }
    if lacks.is_empty() {
        return ok((), found + ", constant bitrate, rate buffer as asked for");
    }
    let remedy = "nothing to do: the GPU's own rate control is used, and pictures may be larger than their share";
    other((), State::Warn, format!("{found}, {}", lacks.join(", ")), remedy)
}

/// Encodes the test card the whole way, decodes it again, and reads its strip.
fn coded_by_nvenc(gl: &Gl, settings: &Settings) -> Result<Seen<()>, Error> {
    let size = settings.size;
    let target = Target::new(gl, size)?;
    let mut card = TestCard::new(gl, size, "doctor")?;
    let mut encoder = Nvenc::open(gl, settings)?;
    let mut decoder = decoder()?;
    let mut unit = AccessUnit::default();
    let mut frames = Vec::new();
    let (mut stream, mut bytes) = (Vec::new(), 0);
    let strip = Strip::new(size);
    let mut keep = |picture: &::openh264::decoder::DecodedYUV<'_>| {
        frames.push(strip.read(picture.y(), picture.strides().0).map(|mark| u64::from(mark.frame)));
    };
    for index in 0..CODED {
        let (pts, delta) = (settings.frame_rate.time_of(index), settings.frame_rate.interval());
        target.bind();
        card.draw(&Frame { gl, target: &target, index, pts, delta, wall_clock: SystemTime::now() })?;
        encoder.encode(&target, pts, false, &mut unit)?;
        check_unit(&unit, index)?;
        stream.clear();
        byte_stream(&unit, &mut stream);
        bytes += stream.len();
        match decoder.decode(&stream) {
            Ok(Some(picture)) => keep(&picture),
            Ok(None) => {}
            Err(error) => return Err(not_decoded("NVENC").caused_by(error)),
        }
    }
    for picture in decoder.flush_remaining().map_err(|error| not_decoded("NVENC").caused_by(error))? {
        keep(&picture);
    }
    if !frames.iter().copied().eq((0..CODED).map(Some)) {
        return Err(Error::machine(
            "encoder-wrong",
            format!("NVENC encodes other pictures than were drawn: the frame numbers in them are {frames:?}"),
            "",
        ));
    }
    ok((), format!("{CODED} of {size} drawn, encoded in {bytes} bytes, decoded, and their frame numbers read"))
}

/// Encodes pictures that lie in host memory, each of one grey, decodes them again, and looks at their greys.
fn uploaded_to_nvenc(settings: &Settings) -> Result<Seen<()>, Error> {
    // What a rate control may take from a colour.
    const NEAR: u8 = 8;
    let grey = |index: u64| 50 + 40 * index as u8;
    let size = settings.size;
    let mut encoder = Nvenc::open_for_host(settings)?;
    let mut decoder = decoder()?;
    let (mut picture, mut unit) = (HostPicture::new(size), AccessUnit::default());
    let (mut stream, mut bytes, mut greys) = (Vec::new(), 0, Vec::new());
    let middle = |picture: &::openh264::decoder::DecodedYUV<'_>| {
        picture.y()[picture.strides().0 * (size.height() as usize / 2) + size.width() as usize / 2]
    };
    for index in 0..CODED {
        let (y, cb, cr) = picture.planes_mut();
        y.fill(grey(index));
        cb.fill(128);
        cr.fill(128);
        picture.show_at(settings.frame_rate.time_of(index));
        encoder.encode_host(&picture, false, &mut unit)?;
        check_unit(&unit, index)?;
        stream.clear();
        byte_stream(&unit, &mut stream);
        bytes += stream.len();
        let decoded = decoder.decode(&stream).map_err(|error| not_decoded("NVENC").caused_by(error))?;
        greys.extend(decoded.iter().map(middle));
    }
    let rest = decoder.flush_remaining().map_err(|error| not_decoded("NVENC").caused_by(error))?;
    greys.extend(rest.iter().map(middle));
    let is_right = |(index, seen): (u64, &u8)| seen.abs_diff(grey(index)) <= NEAR;
    if greys.len() as u64 != CODED || !(0..CODED).zip(&greys).all(is_right) {
        return Err(Error::machine(
            "encoder-wrong",
            format!("NVENC encodes other pictures than were uploaded: the greys in them are {greys:?}"),
            "",
        ));
    }
    let gpu = encoder.gpu();
    ok(
        (),
        format!(
            "{CODED} of {size} uploaded to {gpu} without GL, encoded in {bytes} bytes, decoded, and their greys seen"
        ),
    )
}
