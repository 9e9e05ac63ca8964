//! EGL, its vendors and devices, and whether GL draws.

use super::checks::{Probe, Seen, ok, other, up};
use crate::doctor::devices::missing_library;
use crate::doctor::finding::State;
use crate::doctor::part::Part;
use crate::doctor::system;
use crate::error::Error;
use crate::gl::{Device, Gl, INSTALL_EGL, PassedOver, Survey, Target};
use crate::gpu::open_gl;
use crate::nvidia::{LOOK_AT_GPU, driver_capabilities};
use crate::settings::{EncoderChoice, Settings, Size};
use std::time::Instant;

/// What libEGL says before anything is opened.
pub fn egl(probe: &mut Probe<'_>) -> Option<()> {
    let survey = probe.check(Part::EglLoader, |_| {
        let survey = Survey::take()?;
        let version = survey.version.clone();
        ok(survey, format!("libEGL.so.1, EGL {version}"))
    });
    let shows_gpu = survey.as_ref().is_some_and(|survey| !survey.gpus().is_empty());
    let has_nvidia = probe.check(Part::EglVendors, |_| vendors(shows_gpu)).unwrap_or(shows_gpu);
    let survey = survey?;
    probe.check(Part::EglDevices, |_| devices(&survey, has_nvidia))
}

/// What draws, on the GPU that is asked for.
pub fn renderer(probe: &mut Probe<'_>) -> Option<()> {
    probe.check(Part::GlRenderer, |settings| {
        // As for OpenH264, which leaves CUDA alone unless a GPU is asked for: how the two go together comes later.
        let began = Instant::now();
        let gl = open_gl(&Settings { encoder: EncoderChoice::Openh264, ..settings.clone() })?;
        // What is slow on the processor is the processor.
        let took = Some(began.elapsed()).filter(|_| gl.hardware().is_nvidia());
        draws(&gl)?;
        let hardware = gl.hardware();
        let software = if hardware.is_software() { ": software, on the processor" } else { "" };
        let told = if gl.is_told_of_resets() { "" } else { ", tells of no reset" };
        let up = took.map(up).unwrap_or_default();
        let found = format!("{hardware}{software}; EGL of {}{told}{up}", gl.vendor());
        match gl.passed_over() {
            [] => Ok(ok((), found)?.held_against(took.unwrap_or_default())),
            all => {
                let remedy = if all.iter().any(|it| it.is_nvidia) { LOOK_AT_GPU } else { INSTALL_EGL };
                let all = all.iter().map(PassedOver::to_string).collect::<Vec<_>>().join("; ");
                other((), State::Warn, format!("{found}; passed over: {all}"), remedy)
            }
        }
    })
}

const NVIDIA_VENDOR: &str = concat!(
    "make NVIDIA's EGL known to libEGL: /usr/share/glvnd/egl_vendor.d/10_nvidia.json with\n\
     {\"file_format_version\":\"1.0.0\",\"ICD\":{\"library_path\":\"libEGL_nvidia.so.0\"}}\n\
     in a container set ",
    driver_capabilities!()
);

const LEFT_OUT: &str = "in a container, update the host's NVIDIA container toolkit: those before 1.14 leave it out, and drivers\n\
                        from 545 on need it; elsewhere install the driver again";

const NO_GPU_OF_VENDOR: &str = concat!(
    "NVIDIA's EGL is there and shows no GPU: see with ls -l /dev/nvidia* that you may read and write there;\n\
     in a container set ",
    driver_capabilities!(),
    " and use NVIDIA Container Toolkit 1.14 or newer"
);

/// libEGL says nothing of a vendor whose library it cannot load. Returns whether NVIDIA's is there, which it is where one
/// of its GPUs is shown.
fn vendors(shows_gpu: bool) -> Result<Seen<bool>, Error> {
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
    let has_nvidia = shows_gpu || names.iter().any(|name| name.contains("nvidia"));
    let left_out = system::kernel_module()
        .and_then(|version| missing_library(&version, |library| crate::os::dl::open(library).is_ok()));
    match system::kernel_module() {
        Some(_) if !has_nvidia => other(false, State::Warn, format!("no NVIDIA among them: {seen}"), NVIDIA_VENDOR),
        _ if left_out.is_some() => {
            let seen = format!("{seen}; NVIDIA's cannot draw without {}", left_out.unwrap_or_default());
            other(has_nvidia, State::Warn, seen, LEFT_OUT)
        }
        _ if !broken.is_empty() => other(
            has_nvidia,
            State::Warn,
            seen,
            "install what the message names, or take the file away if the driver is gone",
        ),
        // A libEGL that is itself the driver needs none.
        _ => ok(has_nvidia, seen),
    }
}

fn devices(survey: &Survey, has_nvidia: bool) -> Result<Seen<()>, Error> {
    let mut named: Vec<_> = survey.devices.iter().map(Device::to_string).collect();
    if survey.surfaceless {
        named.push("a display without a device".to_owned());
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
    match missing_gpu(system::kernel_module().is_some(), has_gpu, has_nvidia) {
        Some(remedy) => other((), State::Warn, format!("{named}; no NVIDIA GPU"), remedy),
        None => ok((), named),
    }
}

/// What to do where the driver is loaded, as `has_module` says, and EGL shows no GPU of NVIDIA's.
fn missing_gpu(has_module: bool, has_gpu: bool, has_nvidia: bool) -> Option<&'static str> {
    let remedy = if has_nvidia { NO_GPU_OF_VENDOR } else { NVIDIA_VENDOR };
    (has_module && !has_gpu).then_some(remedy)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vendor_file_is_blamed_only_where_it_is_missing() {
        for has_module in [false, true] {
            assert_eq!(missing_gpu(has_module, true, true), None);
        }
        assert_eq!(missing_gpu(false, false, false), None, "there is no such GPU");
        assert!(missing_gpu(true, false, false).unwrap().contains("10_nvidia.json"));
        let remedy = missing_gpu(true, false, true).unwrap();
        assert!(remedy.contains("/dev/nvidia*") && !remedy.contains("10_nvidia.json"), "{remedy}");
    }
}
