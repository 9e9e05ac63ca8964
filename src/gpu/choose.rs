//! Which GPU draws.

use crate::cuda;
use crate::error::Error;
use crate::gl::Gl;
use crate::settings::{EncoderChoice, Settings};

/// The context on the GPU that was asked for, else on the first one that CUDA shows, else on whatever draws. Where CUDA
/// is there, its driver says which GPU a context is on: EGL need not count as CUDA does, nor know of
/// `CUDA_VISIBLE_DEVICES`.
pub fn open_gl(settings: &Settings) -> Result<Gl, Error> {
    // OpenH264 takes pictures from anywhere, and CUDA takes its time to start, where it does not crash.
    if settings.device.is_none() && settings.encoder == EncoderChoice::Openh264 {
        return Gl::open(None);
    }
    let driver = match cuda::Driver::load() {
        Ok(driver) => driver,
        // Which GPU was asked for does not matter before there is a driver for NVENC.
        Err(why) if settings.device.is_some() && settings.encoder == EncoderChoice::Nvenc => return Err(why),
        Err(_) => return Gl::open(settings.device),
    };
    let open_gpu = |ordinal| Gl::open_gpu(ordinal, |gl| Ok(driver.ordinal_of(gl)? == ordinal));
    match settings.device {
        Some(ordinal) => open_gpu(ordinal),
        // What keeps it from being NVENC's is found, and told, by who opens the encoder.
        None => open_gpu(0).or_else(|_| Gl::open(None)),
    }
}
