//! What the processes of a self-check do: one group of parts, one after the other, told line by line.

use super::child::{tell_begin, tell_end};
use super::{Finding, Group, Part, State, system};
use crate::codec::AccessUnit;
use crate::color;
use crate::cuda::{CudaContext, Driver, PitchedBuffer};
use crate::encoder::{Encoder, HostPicture, Profile};
use crate::error::Error;
use crate::gl::{Gl, Nv12, Survey, Target, Texture};
use crate::gpu::{GlImages, open_cuda, open_gl};
use crate::nvenc::{Api, Capabilities, Session};
use crate::nvidia::{driver_capabilities, driver_floor, is_too_old};
use crate::settings::{EncoderChoice, Settings, Size};
use crate::source::strip::Strip;
use crate::source::{Frame, Renderer, TestCard};
use ::openh264::formats::YUVSource;
use std::io::Write;
use std::time::SystemTime;

/// Looks at the parts of `group` and writes what it finds to `out`, for [`examine`](super::examine) to read.
///
/// # Errors
/// `out` cannot be written.
pub fn probe(group: Group, device: Option<u32>, out: &mut dyn Write) -> std::io::Result<()> {
    let size = Size::new(640, 360).expect("a legal size");
    let settings = Settings { device, size, encoder: EncoderChoice::Nvenc, ..Settings::default() };
    let mut probe = Probe { settings, out, broken: Ok(()) };
    match group {
        Group::Egl => probe.egl(),
        Group::Cuda => probe.cuda(),
        Group::Gl => probe.gl(),
        Group::Interop => probe.interop(),
        Group::NvencLibrary => probe.nvenc_library(),
        Group::Nvenc => probe.nvenc(),
        Group::Openh264 => probe.openh264(),
    };
    probe.broken
}

struct Probe<'a> {
    settings: Settings,
    out: &'a mut dyn Write,
    broken: std::io::Result<()>,
}

/// What a check found, and what the next one goes on with.
struct Seen<T> {
    with: T,
    state: State,
    found: String,
    remedy: String,
}

fn ok<T>(with: T, found: impl Into<String>) -> Result<Seen<T>, Error> {
    Ok(Seen { with, state: State::Ok, found: found.into(), remedy: String::new() })
}

fn other<T>(with: T, state: State, found: impl Into<String>, remedy: &str) -> Result<Seen<T>, Error> {
    Ok(Seen { with, state, found: found.into(), remedy: remedy.to_owned() })
}

impl Probe<'_> {
    /// Does one check. `None` where the next one of its group has nothing to go on with.
    fn check<T>(&mut self, part: Part, look: impl FnOnce(&Settings) -> Result<Seen<T>, Error>) -> Option<T> {
        self.tell(|out| tell_begin(part, out));
        let (with, finding) = match look(&self.settings) {
            Ok(seen) => (Some(seen.with), Finding::new(part, seen.state, seen.found, seen.remedy)),
            Err(error) => (None, Finding::new(part, State::Fail, error.cause(), error.remedy())),
        };
        self.tell(|out| tell_end(&finding, out));
        with.filter(|_| finding.state.is_usable())
    }

    fn tell(&mut self, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) {
        if self.broken.is_ok() {
            self.broken = write(self.out);
        }
    }

    fn egl(&mut self) -> Option<()> {
        let survey = self.check(Part::EglLoader, |_| {
            let survey = Survey::take()?;
            let version = survey.version.clone();
            ok(survey, format!("libEGL.so.1, EGL {version}"))
        });
        self.check(Part::EglVendors, |_| vendors());
        let survey = survey?;
        self.check(Part::EglDevices, |_| devices(&survey))
    }

    fn gl(&mut self) -> Option<()> {
        self.check(Part::GlRenderer, |settings| {
            // As for OpenH264, which leaves CUDA alone unless a GPU is asked for: how the two go together comes later.
            let gl = open_gl(&Settings { encoder: EncoderChoice::Openh264, ..settings.clone() })?;
            draws(&gl)?;
            let hardware = gl.hardware();
            let software = ["llvmpipe", "softpipe", "swrast"].iter().any(|name| hardware.renderer.contains(name));
            ok((), format!("{hardware}{}", if software { ": software, on the processor" } else { "" }))
        })
    }

    fn cuda(&mut self) -> Option<()> {
        let driver = self.check(Part::Driver, |_| driver())??;
        self.check(Part::CudaDevices, |settings| cuda_devices(driver, settings.device))
    }

    fn interop(&mut self) -> Option<()> {
        let (gl, context) = self.check(Part::GlOnCuda, |settings| {
            let gl = open_gl(settings)?;
            let context = open_cuda(&gl)?;
            let found = format!("GL draws on CUDA device {}, {}", context.ordinal(), context.name());
            ok((gl, context), found)
        })?;
        self.check(Part::Interop, |_| ok((), pictures_through_cuda(&gl, &context)?))
    }

    fn nvenc_library(&mut self) -> Option<()> {
        self.check(Part::NvencLibrary, |_| ok((), format!("libnvidia-encode.so.1, API {}", Api::load()?.version())))
    }

    fn nvenc(&mut self) -> Option<()> {
        let (gl, session) = self.check(Part::NvencSession, |settings| {
            let gl = open_gl(settings)?;
            let context = open_cuda(&gl)?;
            let session = Session::open(&context, settings.size)?;
            ok((gl, session), "opened (GeForce drivers allow 3 to 12 at once on the whole system)")
        })?;
        self.check(Part::NvencH264, |_| h264(&session.capabilities()?))?;
        // A GPU has few sessions.
        drop(session);
        self.check(Part::NvencPicture, |settings| coded_by_nvenc(&gl, settings))
    }

    fn openh264(&mut self) -> Option<()> {
        self.check(Part::Openh264, |settings| {
            coded_by_openh264(settings)?;
            let version = crate::openh264::version();
            if crate::openh264::has_assembly() {
                return ok((), format!("{version}, built with assembly"));
            }
            let (found, remedy) = if cfg!(any(target_arch = "x86_64", target_arch = "x86")) {
                (
                    "built without assembly, so it is several times slower",
                    "apt install nasm, and build again: cargo clean -p openh264-sys2 && cargo build --release",
                )
            } else {
                ("it has no assembly for this processor, so it is slow", "")
            };
            other((), State::Warn, format!("{version}: {found}"), remedy)
        })
    }
}

const NVIDIA_VENDOR: &str = concat!(
    "make NVIDIA's EGL known to libEGL: /usr/share/glvnd/egl_vendor.d/10_nvidia.json with\n\
     {\"file_format_version\":\"1.0.0\",\"ICD\":{\"library_path\":\"libEGL_nvidia.so.0\"}}\n\
     in a container set ",
    driver_capabilities!()
);

/// libEGL says nothing of a vendor whose library it cannot load.
fn vendors() -> Result<Seen<()>, Error> {
    let mut names = Vec::new();
    let mut broken = Vec::new();
    for vendor in system::egl_vendors() {
        let name = vendor.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match vendor.library.and_then(|library| crate::os::dl::open(&library).map(|_| library)) {
            Ok(library) => names.push(format!("{name} ({library})")),
            Err(why) => broken.push(format!("{name} is of no use: {why}")),
        }
    }
    let seen: Vec<_> = broken.iter().chain(&names).cloned().collect();
    let seen = if seen.is_empty() { "no vendor file".to_owned() } else { seen.join(", ") };
    let has_nvidia = names.iter().any(|name| name.contains("nvidia"));
    match system::kernel_module() {
        Some(_) if !has_nvidia => other((), State::Warn, format!("no NVIDIA among them: {seen}"), NVIDIA_VENDOR),
        _ if !broken.is_empty() => {
            other((), State::Warn, seen, "install what the message names, or take the file away if the driver is gone")
        }
        // A libEGL that is itself the driver needs none.
        _ => ok((), seen),
    }
}

fn devices(survey: &Survey) -> Result<Seen<()>, Error> {
    let named = survey.devices.iter().map(|device| match device.cuda_ordinal {
        Some(ordinal) => format!("NVIDIA GPU (CUDA {ordinal})"),
        None if device.is_software => "software".to_owned(),
        None => "another GPU".to_owned(),
    });
    let mut named: Vec<_> = named.collect();
    if survey.surfaceless {
        named.push("Mesa without a device".to_owned());
    }
    let has_gpu = !survey.gpus().is_empty();
    if named.is_empty() {
        return Err(Error::machine(
            "EGL shows no device that draws without a window system",
            "install it: apt install libegl1 libgl1-mesa-dri",
        ));
    }
    let named = named.join(", ");
    match system::kernel_module() {
        Some(_) if !has_gpu => other((), State::Warn, format!("{named}; no NVIDIA GPU"), NVIDIA_VENDOR),
        _ => ok((), named),
    }
}

/// A colour that is drawn comes back.
fn draws(gl: &Gl) -> Result<(), Error> {
    let size = Size::new(64, 64).expect("a legal size");
    let target = Target::new(gl, size)?;
    target.clear([0.2, 0.4, 0.6]);
    let mut rgba = vec![0; size.pixels() * 4];
    target.read_rows(0, &mut rgba);
    let is_drawn =
        |pixel: &[u8]| pixel.iter().zip([51, 102, 153]).all(|(&seen, drawn): (&u8, u8)| seen.abs_diff(drawn) <= 1);
    if rgba.chunks_exact(4).all(is_drawn) {
        return Ok(());
    }
    Err(Error::machine(
        format!("{} does not draw the colour that it is told to", gl.hardware()),
        "update the driver: apt install libgl1-mesa-dri, or a newer NVIDIA driver",
    ))
}

fn driver() -> Result<Seen<Option<&'static Driver>>, Error> {
    let module = match system::kernel_module() {
        Some(version) => format!(", kernel module {version}"),
        None => String::new(),
    };
    if let (Err(why), None) = (crate::os::dl::open("libcuda.so.1"), system::sign_of_nvidia_gpu()) {
        // Nothing is wrong with a machine that has no such GPU.
        return other(None, State::Skip, format!("no NVIDIA driver, and no NVIDIA GPU is seen: {why}"), "");
    }
    let driver = Driver::load()?;
    let found = format!("libcuda.so.1, CUDA {}{module}", driver.version());
    // A libcuda of CUDA's compatibility package is newer than the driver that it stands on.
    if system::kernel_module().is_some_and(|version| is_too_old(&version)) {
        let remedy =
            concat!("install NVIDIA driver ", driver_floor!(), " or newer: NVENC comes with the driver, not with CUDA");
        return other(Some(driver), State::Warn, found + ", which is too old", remedy);
    }
    ok(Some(driver), found)
}

fn cuda_devices(driver: &Driver, device: Option<u32>) -> Result<Seen<()>, Error> {
    let names = driver.devices()?;
    let listed: Vec<_> = names.iter().enumerate().map(|(ordinal, name)| format!("{ordinal}: {name}")).collect();
    let visible = match std::env::var("CUDA_VISIBLE_DEVICES") {
        Ok(visible) => format!(" (CUDA_VISIBLE_DEVICES={visible})"),
        Err(_) => String::new(),
    };
    let listed = format!("{}{visible}", if listed.is_empty() { "none".to_owned() } else { listed.join(", ") });
    let remedy = "check nvidia-smi -L and CUDA_VISIBLE_DEVICES; in a container start it with --gpus all";
    match device {
        _ if names.is_empty() => other((), State::Fail, listed, remedy),
        Some(device) if device as usize >= names.len() => {
            other((), State::Fail, format!("there is no device {device}, there is {listed}"), remedy)
        }
        _ => ok((), listed),
    }
}

/// Odd for memory: no row begins where a copy without its pitch would put it.
const INTEROP_SIZE: (u32, u32) = (642, 362);

/// Different pictures, one right after the other: a picture that is seen late shows.
const INTEROP_PICTURES: u32 = 6;

/// Draws known pictures, converts them as a stream does, reads them back through CUDA, and only then with glReadPixels.
fn pictures_through_cuda(gl: &Gl, context: &CudaContext) -> Result<String, Error> {
    let (width, height) = INTEROP_SIZE;
    let size = Size::new(width, height)?;
    let target = Target::new(gl, size)?;
    let picture = Texture::new(gl, width, height)?;
    let nv12 = Nv12::new(gl, size)?;
    let buffer = PitchedBuffer::new(context, width as usize, height as usize * 3 / 2)?;
    let mut images = GlImages::register(context, nv12.planes())?;
    let mut before = Vec::new();
    for number in 0..INTEROP_PICTURES {
        picture.upload(&rgba(number));
        target.copy(&picture, picture.whole(), 0, 0);
        nv12.convert(&target);
        let mapped = images.map(nv12.planes())?;
        mapped.copy_to(&buffer)?;
        mapped.unmap()?;
        let by_cuda = buffer.read()?;
        let by_gl = nv12.planes().iter().flat_map(|plane| plane.read()).collect::<Vec<u8>>();
        drawn_right(number, &by_gl)?;
        if by_cuda != by_gl {
            let differ = by_cuda.iter().zip(&by_gl).filter(|(cuda, gl)| cuda != gl).count();
            let late = if by_cuda == before { ": it sees the picture before" } else { "" };
            return Err(Error::machine(
                format!(
                    "CUDA does not see what GL drew: {differ} of {} bytes differ in picture {number}{late}",
                    by_gl.len()
                ),
                "unset __GL_THREADED_OPTIMIZATIONS, update the driver, and use --encoder openh264 meanwhile",
            ));
        }
        before = by_gl;
    }
    Ok(format!("{INTEROP_PICTURES} pictures of {size} as NV12 are, byte for byte, what glReadPixels gives"))
}

/// The colour of a block of two by two pixels, counted from the bottom left.
fn colour(number: u32, x: u32, y: u32) -> [u8; 3] {
    let mut bits = (number * 4096 + y) * 4096 + x;
    // Neighbours in space and time differ a lot.
    for _ in 0..2 {
        bits = (bits ^ bits >> 15).wrapping_mul(0x2c1b_3c6d);
    }
    let [r, g, b, _] = bits.to_be_bytes();
    [r, g, b]
}

fn rgba(number: u32) -> Vec<u8> {
    let (width, height) = INTEROP_SIZE;
    let pixel = |x, y| {
        let [r, g, b] = colour(number, x / 2, y / 2);
        [r, g, b, 255]
    };
    (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y))).collect()
}

/// Compares with the conversion on the processor. A GPU may round the other way.
fn drawn_right(number: u32, nv12: &[u8]) -> Result<(), Error> {
    let (width, height) = (INTEROP_SIZE.0 as usize, INTEROP_SIZE.1 as usize);
    let (luma, chroma) = nv12.split_at(width * height);
    for row in 0..height / 2 {
        for column in 0..width / 2 {
            // GL's first row is the last one of the picture.
            let rgb = colour(number, column as u32, (height / 2 - 1 - row) as u32);
            let [y, cb, cr] = color::ycbcr_from_rgb(rgb);
            let at = 2 * row * width + 2 * column;
            let c = row * width + 2 * column;
            let seen = [luma[at], luma[at + 1], luma[at + width], luma[at + width + 1], chroma[c], chroma[c + 1]];
            if seen.iter().zip([y, y, y, y, cb, cr]).any(|(seen, right)| seen.abs_diff(right) > 1) {
                return Err(Error::machine(
                    format!("GL converts a picture wrongly: {rgb:?} becomes {seen:?}, not {:?}", [y, y, y, y, cb, cr]),
                    "update the driver, and use --encoder openh264 meanwhile",
                ));
            }
        }
    }
    Ok(())
}

fn h264(capabilities: &Capabilities) -> Result<Seen<()>, Error> {
    let &Capabilities { sides: [least, most], macroblocks_per_second, level_max, engines, .. } = capabilities;
    let rate = match macroblocks_per_second {
        0 => String::new(),
        // 1920 x 1088 pixels are 8160 macroblocks.
        all => format!(", {all} macroblocks/s ({}/s at 1080p)", all / 8160),
    };
    let engines = match engines {
        0 | 1 => String::new(),
        many => format!(", {many} engines"),
    };
    let found = format!(
        "{}x{} to {}x{}{rate}, level {}.{}{engines}",
        least.0,
        least.1,
        most.0,
        most.1,
        level_max / 10,
        level_max % 10
    );
    // What the settings fall back from.
    let mut lacks = Vec::new();
    if !capabilities.custom_vbv {
        lacks.push("no rate buffer of one picture");
    }
    if !capabilities.constant_bitrate {
        lacks.push("no constant bitrate");
    }
    if lacks.is_empty() {
        return ok((), found + ", constant bitrate, rate buffer of one picture");
    }
    let remedy = "nothing to do: the GPU's own rate control is used, and pictures may be larger than their share";
    other((), State::Warn, format!("{found}, {}", lacks.join(", ")), remedy)
}

/// How many pictures are coded: an IDR picture and some that build on it.
const CODED: u64 = 4;

/// Codes the test card the whole way, decodes it again, and reads its strip.
fn coded_by_nvenc(gl: &Gl, settings: &Settings) -> Result<Seen<()>, Error> {
    let size = settings.size;
    let target = Target::new(gl, size)?;
    let mut card = TestCard::new(gl, size, "doctor")?;
    let Encoder::Gpu(mut encoder) = Encoder::nvenc(gl, settings)? else {
        return Err(Error::machine("NVENC is no encoder on the GPU", ""));
    };
    let mut decoder = decoder()?;
    let mut unit = AccessUnit::default();
    let mut frames = Vec::new();
    let mut bytes = 0;
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
        bytes += unit.bytes().len();
        match decoder.decode(unit.bytes()) {
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
            format!("NVENC codes other pictures than were drawn: the frame numbers in them are {frames:?}"),
            "update the driver, and use --encoder openh264 meanwhile",
        ));
    }
    ok((), format!("{CODED} of {size} drawn, coded in {bytes} bytes, decoded, and their frame numbers read"))
}

fn coded_by_openh264(settings: &Settings) -> Result<(), Error> {
    let Encoder::Host(mut encoder) = Encoder::openh264(settings, Profile::ConstrainedBaseline)? else {
        return Err(Error::machine("OpenH264 is no encoder on the processor", ""));
    };
    let picture = HostPicture::new(settings.size);
    let mut decoder = decoder()?;
    let mut unit = AccessUnit::default();
    let mut decoded = 0;
    for index in 0..CODED {
        encoder.encode(&picture, false, &mut unit)?;
        check_unit(&unit, index)?;
        match decoder.decode(unit.bytes()) {
            Ok(picture) => decoded += u64::from(picture.is_some()),
            Err(error) => return Err(not_decoded("OpenH264").caused_by(error)),
        }
    }
    decoded += decoder.flush_remaining().map_err(|error| not_decoded("OpenH264").caused_by(error))?.len() as u64;
    if decoded == CODED {
        Ok(())
    } else {
        Err(not_decoded("OpenH264").caused_by(format!("{decoded} of {CODED} pictures")))
    }
}

fn decoder() -> Result<::openh264::decoder::Decoder, Error> {
    ::openh264::decoder::Decoder::new()
        .map_err(|error| Error::machine("OpenH264's decoder does not start", "free some memory").caused_by(error))
}

fn check_unit(unit: &AccessUnit, index: u64) -> Result<(), Error> {
    let fault = match unit.layout_fault() {
        Some(fault) => fault,
        None if unit.is_idr() != (index == 0) => "an IDR picture comes when none was asked for, or none at the start",
        None => return Ok(()),
    };
    Err(Error::machine(
        format!("the encoder puts out an access unit that breaks streams: {fault}"),
        "update the driver, and use --encoder openh264 meanwhile",
    ))
}

fn not_decoded(encoder: &str) -> Error {
    Error::machine(
        format!("what {encoder} codes cannot be decoded"),
        "update the driver, and use --encoder openh264 meanwhile",
    )
}
