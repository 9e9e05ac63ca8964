//! Which GPU draws, and which one that is for CUDA. EGL need not count as CUDA does, nor know of `CUDA_VISIBLE_DEVICES`,
//! so where CUDA is there its driver says which GPU a context is on. Without GL the choice is CUDA's alone.

use super::candidates::{Candidate, candidates, no_such_gpu};
use super::interop::failed_on_gl;
use crate::cuda::{CudaContext, Driver, Kept, NO_DEVICE, Starting, Wants, described};
use crate::error::Error;
use crate::gl::{Device, Gl, INSTALL_EGL, PassedOver, Survey};
use crate::nvidia::{LOOK_AT_GPU, driver_capabilities};
use crate::settings::{EncoderChoice, Settings};
use std::ffi::c_uint;
use std::fmt;

/// `CU_GL_DEVICE_LIST_ALL`, cudaGL.h.
const GL_DEVICE_LIST_ALL: c_uint = 1;

/// What draws, and for NVENC the CUDA context that came up beside it.
#[derive(Debug)]
pub struct Opened {
    pub gl: Gl,
    pub cuda: Warmth,
}

/// A CUDA context that makes the opening of another one quick, as long as it is kept. Nothing in it is current.
#[derive(Debug, Default)]
pub struct Warmth {
    context: Option<Kept>,
}

impl Warmth {
    /// Of the GPU that encodes what no GL drew, if there is a driver that works.
    pub fn without_gl(settings: &Settings) -> Self {
        let starting = Starting::begin(settings.device.unwrap_or(0), wanted_by(settings.encoder));
        let started = starting.and_then(|starting| starting.finish().ok());
        Self { context: started.and_then(|started| started.context) }
    }

    /// Has it hold no more of the GPU's memory than a stream's does.
    pub fn shrink(&self) {
        self.context.iter().for_each(Kept::shrink);
    }
}

fn wanted_by(encoder: EncoderChoice) -> Wants {
    match encoder {
        EncoderChoice::Auto => Wants::Encoder,
        EncoderChoice::Nvenc => Wants::Context,
        EncoderChoice::Openh264 => Wants::Driver,
    }
}

/// Opens what draws as `open_beside_cuda` does, and no CUDA context.
///
/// # Errors
/// As of that one.
pub fn open_gl(settings: &Settings) -> Result<Gl, Error> {
    open(settings, Wants::Driver).map(|opened| opened.gl)
}

/// The context on the GPU that was asked for, else on the first one that CUDA shows, else on whatever draws. CUDA comes up
/// meanwhile.
///
/// # Errors
/// No such GPU, or nothing that draws. With NVENC asked for on a certain GPU also that there is no driver for it.
pub fn open_beside_cuda(settings: &Settings) -> Result<Opened, Error> {
    open(settings, wanted_by(settings.encoder))
}

fn open(settings: &Settings, wants: Wants) -> Result<Opened, Error> {
    let &Settings { device, encoder, .. } = settings;
    let alone = |device| Ok(Opened { gl: Gl::open(device)?, cuda: Warmth::default() });
    // OpenH264 takes pictures from anywhere, and CUDA takes its time to start, where it does not crash.
    if device.is_none() && encoder == EncoderChoice::Openh264 {
        return alone(None);
    }
    let Some(starting) = Starting::begin(device.unwrap_or(0), wants) else {
        // Which GPU was asked for does not matter before there is a driver for NVENC.
        return match (device, encoder) {
            (Some(_), EncoderChoice::Nvenc) => Driver::load().and_then(|_| alone(device)),
            _ => alone(device),
        };
    };
    match device {
        Some(ordinal) => open_gpu(starting, ordinal, encoder == EncoderChoice::Nvenc),
        // What keeps it from being NVENC's is found, and told, by who opens the encoder.
        None => open_gpu(starting, 0, false).or_else(|_| alone(None)),
    }
}

/// Where a context can be opened.
#[derive(Clone, Copy, Debug)]
enum Place<'a> {
    On(&'a Device),
    /// Where EGL likes.
    WithoutDevice,
}

impl Place<'_> {
    fn open(self) -> Result<Gl, Error> {
        match self {
            Self::On(device) => Gl::on_device(device),
            Self::WithoutDevice => Gl::without_device(),
        }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On(device) => device.fmt(f),
            Self::WithoutDevice => f.write_str("a display without a device"),
        }
    }
}

/// Where anything may draw, from the best to the last resort: NVIDIA's GPUs in EGL's order; what EGL draws with where no
/// device is named, which is Mesa's best; and because that can be a GPU of which nothing can be had, what else there is,
/// with software at the end.
fn places(survey: &Survey) -> Vec<Place<'_>> {
    let rank = |device: &&Device| (device.is_software, !device.is_nvidia());
    let mut devices: Vec<_> = survey.devices.iter().collect();
    devices.sort_by_key(rank);
    let others = devices.iter().position(|device| !device.is_nvidia()).unwrap_or(devices.len());
    let mut places: Vec<_> = devices.into_iter().map(Place::On).collect();
    if survey.surfaceless {
        places.insert(others, Place::WithoutDevice);
    }
    places
}

/// What `suits` makes of the first context that suits it: all GPUs that EGL shows are tried in its order, and then whatever
/// it draws with where none is named, or else in software. A context that does not is closed before the next one is opened.
///
/// # Errors
/// None does. Why not, by GPU.
pub fn find_gl<T>(mut suits: impl FnMut(Gl) -> Result<T, String>) -> Result<T, Vec<String>> {
    let survey = Survey::take().map_err(|error| vec![error.cause()])?;
    let (software, gpus): (Vec<_>, Vec<_>) = survey.devices.iter().partition(|device| device.is_software);
    let without_device = survey.surfaceless.then_some(Place::WithoutDevice);
    let (mut reasons, mut has_seen_software) = (Vec::new(), false);
    for place in gpus.into_iter().map(Place::On).chain(without_device).chain(software.into_iter().map(Place::On)) {
        // Software is looked at once, whichever way it is reached.
        if has_seen_software && matches!(place, Place::On(Device { is_software: true, .. })) {
            continue;
        }
        let (by, found) = match place.open() {
            Ok(gl) => {
                has_seen_software |= gl.hardware().is_software();
                (gl.hardware().renderer.clone(), suits(gl))
            }
            Err(error) => (place.to_string(), Err(error.cause())),
        };
        match found {
            Ok(found) => return Ok(found),
            Err(why) => reasons.push(format!("{by}: {why}")),
        }
    }
    Err(reasons)
}

/// The CUDA context of the GPU that draws what `gl` draws.
///
/// # Errors
/// That GPU is none of CUDA's, or cannot be used.
pub fn open_cuda(gl: &Gl) -> Result<CudaContext, Error> {
    gpu_of(gl)?.open()
}

/// The GPU that draws what `gl` draws.
///
/// # Errors
/// That GPU is none of CUDA's.
pub fn gpu_of(gl: &Gl) -> Result<Candidate, Error> {
    let driver = Driver::load()?;
    Ok(Candidate::new(driver, ordinal_of(driver, gl)?))
}

/// The GPUs that CUDA shows beside the one that draws what `gl` draws, in its order.
///
/// # Errors
/// The driver's.
pub fn other_gpus(gl: &Gl) -> Result<impl Iterator<Item = Candidate> + use<>, Error> {
    let this = gpu_of(gl)?.ordinal();
    Ok(candidates(None)?.filter(move |candidate| candidate.ordinal() != this))
}

impl Gl {
    /// Opens a context on the GPU that CUDA calls `device`, by EGL's own idea of how CUDA counts. With `None` it takes the
    /// first NVIDIA GPU that works, else whatever else EGL has, which is software where there is no GPU. The context is
    /// current on this thread.
    ///
    /// # Errors
    /// No libEGL or none that works, no such GPU, or a driver without OpenGL 3.3 core.
    pub fn open(device: Option<u32>) -> Result<Self, Error> {
        let survey = Survey::take()?;
        if let Some(ordinal) = device {
            let gpus = survey.gpus();
            let gpu = gpus.iter().find(|gpu| gpu.cuda_ordinal == Some(ordinal));
            return Self::on_device(gpu.ok_or_else(|| no_egl_gpu(ordinal, gpus.len()))?);
        }
        let (mut passed_over, mut first) = (Vec::new(), None);
        for place in places(&survey) {
            let error = match place.open() {
                Ok(gl) => return Ok(having_passed_over(gl, passed_over)),
                Err(error) => error,
            };
            tracing::debug!("EGL shows {place}, which cannot be used: {}", error.cause());
            let is_nvidia = matches!(place, Place::On(device) if device.is_nvidia());
            passed_over.push(PassedOver { is_nvidia, why: format!("{place}: {}", error.cause()) });
            first.get_or_insert(error);
        }
        if passed_over.iter().any(|it| it.is_nvidia) {
            return Err(Error::machine(
                "no-egl-driver",
                "EGL shows a GPU that does not start, and nothing that draws in its place",
                format!("{LOOK_AT_GPU};\nto draw in software meanwhile: apt install libgl1-mesa-dri"),
            )
            .caused_by(joined(&passed_over))
            .examined_by_doctor());
        }
        Err(first.unwrap_or_else(|| {
            Error::machine(
                "no-egl-driver",
                "EGL has no driver that draws without a window system (EGL_MESA_platform_surfaceless)",
                INSTALL_EGL,
            )
            .examined_by_doctor()
        }))
    }
}

/// Notes, and tells, what does not draw in the place of what does.
fn having_passed_over(gl: Gl, passed_over: Vec<PassedOver>) -> Gl {
    if passed_over.is_empty() {
        return gl;
    }
    let how = if gl.hardware().is_software() { "in software" } else { "on another GPU" };
    tracing::info!("drawing {how}, {}; passed over: {}", gl.hardware().renderer, joined(&passed_over));
    gl.after(passed_over)
}

/// Opens a context on the GPU that CUDA calls `ordinal`. Where CUDA does not come up, that is an error if it `is_needed`,
/// and else it is the GPU that EGL takes for that one.
///
/// # Errors
/// No GPU is the one, or libEGL cannot be loaded. What came of the last one that could not be used, or of which CUDA
/// could not tell, is the cause.
fn open_gpu(starting: Starting, ordinal: u32, is_needed: bool) -> Result<Opened, Error> {
    let survey = Survey::take()?;
    let mut gpus = survey.gpus();
    // The one that EGL takes for it is the likeliest; the others follow in EGL's order.
    gpus.sort_by_key(|gpu| gpu.cuda_ordinal != Some(ordinal));
    let is_taken_for_it = |gpu: &Device| gpu.cuda_ordinal == Some(ordinal);
    let mut error = no_egl_gpu(ordinal, gpus.len());
    let mut gpus = gpus.into_iter();
    // EGL takes its time for the first one, and CUDA its own beside it.
    let first = gpus.next().map(|gpu| (gpu, Gl::on_device(gpu)));
    let started = match starting.finish() {
        Ok(started) => started,
        Err(why) if is_needed => return Err(why),
        Err(_) => {
            let gl = match first {
                Some((gpu, Ok(gl))) if is_taken_for_it(gpu) => gl,
                other => {
                    drop(other);
                    Gl::open(Some(ordinal))?
                }
            };
            return Ok(Opened { gl, cuda: Warmth::default() });
        }
    };
    for (gpu, opened) in first.into_iter().chain(gpus.map(|gpu| (gpu, Gl::on_device(gpu)))) {
        let is_it = |gl: &Gl| match ordinal_of(started.driver, gl) {
            // CUDA cannot say then, and NVENC gets pictures of any GPU through host memory.
            Err(why) if why.code() == "gl-cuda-interop" && is_taken_for_it(gpu) => Ok(true),
            its => its.map(|its| its == ordinal),
        };
        match opened.and_then(|gl| Ok(is_it(&gl)?.then_some(gl))) {
            Ok(Some(gl)) => return Ok(Opened { gl, cuda: Warmth { context: started.context } }),
            Ok(None) => {}
            Err(why) => {
                tracing::debug!("a GPU that EGL shows cannot be used: {}", why.cause());
                error = error.caused_by(format!("one cannot be used: {}", why.cause()));
            }
        }
    }
    Err(error)
}

fn no_egl_gpu(ordinal: u32, seen: usize) -> Error {
    match seen {
        0 => no_such_gpu(ordinal, "EGL shows no NVIDIA GPU"),
        n => no_such_gpu(ordinal, &format!("EGL shows {n} NVIDIA GPU(s)")),
    }
}

/// Which GPU, as CUDA counts them, draws what `gl` draws: the driver's own answer.
///
/// # Errors
/// The context is not drawn by a GPU that CUDA shows: by a software renderer, say.
fn ordinal_of(driver: &Driver, gl: &Gl) -> Result<u32, Error> {
    let mut devices = [0; 16];
    let mut count = 0;
    // SAFETY: `gl` exists, so its context is current on this thread. The driver writes at most the number of devices
    // that it is told there is room for.
    let status = unsafe {
        (driver.calls().cuGLGetDevices_v2)(
            &mut count,
            devices.as_mut_ptr(),
            devices.len() as c_uint,
            GL_DEVICE_LIST_ALL,
        )
    };
    match status {
        0 if count > 0 => {}
        0 => return Err(hidden(gl, "cuGLGetDevices names no device".to_owned())),
        // Drivers say this with different numbers, and with some that a lost GPU has too.
        _ if !gl.hardware().is_nvidia() => return Err(not_nvidia(gl, status)),
        NO_DEVICE => return Err(hidden(gl, described("cuGLGetDevices", status))),
        _ => return Err(failed_on_gl(driver, "cuGLGetDevices", status)),
    }
    driver
        .find(devices[0])?
        .ok_or_else(|| hidden(gl, "cuGLGetDevices names a device that cuDeviceGet does not".to_owned()))
}

fn joined(passed_over: &[PassedOver]) -> String {
    passed_over.iter().map(PassedOver::to_string).collect::<Vec<_>>().join("; ")
}

/// The error for a context that is none of NVIDIA's, of which CUDA says so by `status`.
fn not_nvidia(gl: &Gl, status: c_uint) -> Error {
    let passed_over = gl.passed_over();
    let why = match passed_over {
        [] => described("cuGLGetDevices", status),
        _ => format!("a GPU that EGL shows cannot be used: {}", joined(passed_over)),
    };
    let remedy = if passed_over.iter().any(|it| it.is_nvidia) {
        // NVIDIA's EGL is known, or it would show no GPU.
        LOOK_AT_GPU
    } else {
        concat!(
            "make NVIDIA's EGL known: 10_nvidia.json in /usr/share/glvnd/egl_vendor.d, and in a container ",
            driver_capabilities!()
        )
    };
    Error::machine(
        "not-nvidia-gl",
        format!("the picture is not drawn by an NVIDIA GPU but by {}", gl.hardware()),
        remedy,
    )
    .caused_by(why)
    .examined_by_doctor()
}

fn hidden(gl: &Gl, why: String) -> Error {
    Error::machine(
        "gpu-hidden",
        format!("the GPU that draws is hidden from CUDA, or software draws: {}", gl.hardware()),
        "",
    )
    .caused_by(why)
    .examined_by_doctor()
}
