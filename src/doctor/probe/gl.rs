//! EGL, its vendors and devices, and whether GL draws.

use super::checks::{Probe, Seen, ok, other};
use crate::doctor::finding::State;
use crate::doctor::part::Part;
use crate::doctor::system;
use crate::error::Error;
use crate::gl::{Gl, Survey, Target};
use crate::gpu::open_gl;
use crate::nvidia::driver_capabilities;
use crate::settings::{EncoderChoice, Settings, Size};

/// What libEGL says before anything is opened.
pub fn egl(probe: &mut Probe<'_>) -> Option<()> {
    let survey = probe.check(Part::EglLoader, |_| {
        let survey = Survey::take()?;
        let version = survey.version.clone();
        ok(survey, format!("libEGL.so.1, EGL {version}"))
    });
    probe.check(Part::EglVendors, |_| vendors());
    let survey = survey?;
    probe.check(Part::EglDevices, |_| devices(&survey))
}

/// What draws, on the GPU that is asked for.
pub fn renderer(probe: &mut Probe<'_>) -> Option<()> {
    probe.check(Part::GlRenderer, |settings| {
        // As for OpenH264, which leaves CUDA alone unless a GPU is asked for: how the two go together comes later.
        let gl = open_gl(&Settings { encoder: EncoderChoice::Openh264, ..settings.clone() })?;
        draws(&gl)?;
        let hardware = gl.hardware();
        let software = ["llvmpipe", "softpipe", "swrast"].iter().any(|name| hardware.renderer.contains(name));
        ok((), format!("{hardware}{}", if software { ": software, on the processor" } else { "" }))
    })
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
            Err(why) => broken.push(format!("cannot load {name}: {why}")),
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
            "no-egl-driver",
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
    Err(Error::machine("gl-wrong-pixels", format!("{} does not draw the colour that it is told to", gl.hardware()), ""))
}
