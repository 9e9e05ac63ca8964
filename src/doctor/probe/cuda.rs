//! The NVIDIA driver, and the GPUs that CUDA shows.

use super::checks::{Probe, Seen, ok, other, up};
use crate::cuda::Driver;
use crate::doctor::finding::State;
use crate::doctor::part::Part;
use crate::doctor::system;
use crate::error::Error;
use crate::nvidia::{driver_floor, is_too_old, whose_libcuda};
use std::time::Instant;

/// The driver and its GPUs.
pub fn driver(probe: &mut Probe<'_>) -> Option<()> {
    let driver = probe.check(Part::Driver, |_| loaded())??;
    probe.check(Part::CudaDevices, |settings| devices(driver, settings.device))
}

fn loaded() -> Result<Seen<Option<&'static Driver>>, Error> {
    let module = match system::kernel_module() {
        Some(version) => format!(", kernel module {version}"),
        None => String::new(),
    };
    if let (Err(why), None) = (crate::os::dl::open("libcuda.so.1"), system::sign_of_nvidia_gpu()) {
        // Nothing is wrong with a machine that has no such GPU.
        return other(None, State::Skip, format!("no NVIDIA driver, and no NVIDIA GPU is seen: {why}"), "");
    }
    let began = Instant::now();
    let driver = Driver::load()?;
    let took = began.elapsed();
    let file = driver.file();
    let from = file.as_ref().map(|file| format!(", from {}", file.display())).unwrap_or_default();
    let found = format!("libcuda.so.1, CUDA {}{module}{}{from}", driver.version(), up(took));
    // A libcuda of CUDA's compatibility package is newer than the driver that it stands on.
    if system::kernel_module().is_some_and(|version| is_too_old(&version)) {
        let remedy =
            concat!("install NVIDIA driver ", driver_floor!(), " or newer: NVENC comes with the driver, not with CUDA");
        return other(Some(driver), State::Warn, found + ", which is too old", remedy);
    }
    match file.as_deref().and_then(whose_libcuda) {
        Some(whose) => other(
            Some(driver),
            State::Warn,
            format!("{found}, which is {whose}"),
            "GL cannot share frames with it, so each is copied through host memory to NVENC;\n\
             of cuda-compat, take its folder out of LD_LIBRARY_PATH and /etc/ld.so.conf.d to use the driver's own",
        ),
        None => Ok(ok(Some(driver), found)?.held_against(took)),
    }
}

fn devices(driver: &Driver, device: Option<u32>) -> Result<Seen<()>, Error> {
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
            let remedy = "name one of these; with CUDA_DEVICE_ORDER=PCI_BUS_ID they are counted as nvidia-smi -L counts, \
                          which shows all that CUDA_VISIBLE_DEVICES may hide";
            other((), State::Fail, format!("there is no device {device}, there is {listed}"), remedy)
        }
        _ => ok((), listed),
    }
}
