//! Which GPU draws, and which one that is for CUDA. EGL need not count as CUDA does, nor know of `CUDA_VISIBLE_DEVICES`,
//! so where CUDA is there its driver says which GPU a context is on. Without GL the choice is CUDA's alone.

use crate::cuda::{CudaContext, Driver, NO_DEVICE, described, failed};
use crate::error::Error;
use crate::gl::{Gl, INSTALL_EGL, Survey};
use crate::nvidia::driver_capabilities;
use crate::settings::{EncoderChoice, Settings};
use std::ffi::c_uint;

/// `CU_GL_DEVICE_LIST_ALL`, cudaGL.h.
const GL_DEVICE_LIST_ALL: c_uint = 1;

/// The context on the GPU that was asked for, else on the first one that CUDA shows, else on whatever draws.
///
/// # Errors
/// No such GPU, or nothing that draws. With NVENC asked for on a certain GPU also that there is no driver for it.
pub fn open_gl(settings: &Settings) -> Result<Gl, Error> {
    // OpenH264 takes pictures from anywhere, and CUDA takes its time to start, where it does not crash.
    if settings.device.is_none() && settings.encoder == EncoderChoice::Openh264 {
        return Gl::open(None);
    }
    let driver = match Driver::load() {
        Ok(driver) => driver,
        // Which GPU was asked for does not matter before there is a driver for NVENC.
        Err(why) if settings.device.is_some() && settings.encoder == EncoderChoice::Nvenc => return Err(why),
        Err(_) => return Gl::open(settings.device),
    };
    match settings.device {
        Some(ordinal) => open_gpu(driver, ordinal),
        // What keeps it from being NVENC's is found, and told, by who opens the encoder.
        None => open_gpu(driver, 0).or_else(|_| Gl::open(None)),
    }
}

/// What `suits` makes of the first context that suits it: all GPUs that EGL shows are tried in its order, and then whatever
/// Mesa draws with where none is named. A context that does not is closed before the next one is opened.
///
/// # Errors
/// None does. Why not, by GPU.
pub fn find_gl<T>(mut suits: impl FnMut(Gl) -> Result<T, String>) -> Result<T, Vec<String>> {
    let survey = Survey::take().map_err(|error| vec![error.cause()])?;
    let mut reasons = Vec::new();
    let mut look_at = |opened: Result<Gl, Error>| {
        let (by, found) = match opened {
            Ok(gl) => (gl.hardware().renderer.clone(), suits(gl)),
            Err(error) => ("a GPU".to_owned(), Err(error.cause())),
        };
        found.map_err(|why| reasons.push(format!("{by}: {why}"))).ok()
    };
    let gpus = survey.devices.iter().filter(|device| !device.is_software);
    let found = gpus.map(Gl::on_device).find_map(&mut look_at);
    let mesa = || if survey.surfaceless { look_at(Gl::without_device(None)) } else { None };
    let found = found.or_else(mesa);
    found.ok_or(reasons)
}

/// The CUDA context of the GPU that draws what `gl` draws.
///
/// # Errors
/// That GPU is none of CUDA's, or cannot be used.
pub fn open_cuda(gl: &Gl) -> Result<CudaContext, Error> {
    let driver = Driver::load()?;
    CudaContext::open(driver, ordinal_of(driver, gl)?)
}

/// The CUDA contexts of the GPUs that may encode what no GL drew, each opened when it is asked for: of the one that was
/// asked for, else of all in CUDA's order. There is at least one.
///
/// # Errors
/// No driver, or no such GPU; of an item, that GPU cannot be used.
pub fn cuda_contexts(device: Option<u32>) -> Result<impl Iterator<Item = Result<CudaContext, Error>>, Error> {
    let driver = Driver::load()?;
    let count = driver.count()?;
    let ordinals = match device {
        None if count == 0 => return Err(failed("cuDeviceGetCount", NO_DEVICE)),
        None => 0..count,
        Some(ordinal) if ordinal < count => ordinal..ordinal + 1,
        Some(ordinal) => return Err(no_such_gpu(ordinal, &format!("CUDA shows {count}"))),
    };
    Ok(ordinals.map(|ordinal| CudaContext::open(driver, ordinal)))
}

impl Gl {
    /// Opens a context on the GPU that CUDA calls `device`, by EGL's own idea of how CUDA counts. With `None` it takes the
    /// first NVIDIA GPU that works, else what Mesa offers, which is software rendering where there is no GPU. The context
    /// is current on this thread when it returns.
    ///
    /// # Errors
    /// No libEGL or none that works, no such GPU, or a driver without OpenGL 3.3 core.
    pub fn open(device: Option<u32>) -> Result<Self, Error> {
        let survey = Survey::take()?;
        let gpus = survey.gpus();
        if let Some(ordinal) = device {
            let gpu = gpus.iter().find(|gpu| gpu.cuda_ordinal == Some(ordinal));
            return Self::on_device(gpu.ok_or_else(|| no_egl_gpu(ordinal, gpus.len()))?);
        }
        let mut passed_over = None;
        for gpu in gpus {
            match Self::on_device(gpu) {
                Ok(gl) => return Ok(gl),
                Err(error) => {
                    tracing::debug!("a GPU that EGL shows cannot be used: {}", error.cause());
                    passed_over.get_or_insert(error);
                }
            }
        }
        if survey.surfaceless {
            return Self::without_device(passed_over.map(|error| error.cause()));
        }
        Err(passed_over.unwrap_or_else(|| {
            Error::machine(
                "no-egl-driver",
                "EGL has no driver that draws without a window system (EGL_MESA_platform_surfaceless)",
                INSTALL_EGL,
            )
            .examined_by_doctor()
        }))
    }
}

/// Opens a context on the GPU that CUDA calls `ordinal`.
///
/// # Errors
/// No GPU is the one, or libEGL cannot be loaded. What came of the last one that could not be used, or of which CUDA
/// could not tell, is the cause.
fn open_gpu(driver: &'static Driver, ordinal: u32) -> Result<Gl, Error> {
    let survey = Survey::take()?;
    let mut gpus = survey.gpus();
    // The one that EGL takes for it is the likeliest; the others follow in EGL's order.
    gpus.sort_by_key(|gpu| gpu.cuda_ordinal != Some(ordinal));
    let mut error = no_egl_gpu(ordinal, gpus.len());
    for gpu in gpus {
        let opened = Gl::on_device(gpu);
        match opened.and_then(|gl| Ok((ordinal_of(driver, &gl)? == ordinal).then_some(gl))) {
            Ok(Some(gl)) => return Ok(gl),
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

fn no_such_gpu(ordinal: u32, seen: &str) -> Error {
    Error::machine("no-such-gpu", format!("there is no GPU {ordinal}: {seen}"), "").examined_by_doctor()
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
        _ if !gl.hardware().vendor.contains("NVIDIA") => {
            return Err(Error::machine(
                "not-nvidia-gl",
                format!("the picture is not drawn by an NVIDIA GPU but by {}", gl.hardware()),
                concat!(
                    "make NVIDIA's EGL known: 10_nvidia.json in /usr/share/glvnd/egl_vendor.d, and in a container ",
                    driver_capabilities!()
                ),
            )
            .caused_by(match gl.passed_over() {
                Some(why) => format!("a GPU that EGL shows cannot be used: {why}"),
                None => described("cuGLGetDevices", status),
            })
            .examined_by_doctor());
        }
        NO_DEVICE => return Err(hidden(gl, described("cuGLGetDevices", status))),
        _ => return Err(failed("cuGLGetDevices", status)),
    }
    driver
        .find(devices[0])?
        .ok_or_else(|| hidden(gl, "cuGLGetDevices names a device that cuDeviceGet does not".to_owned()))
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
