//! EGL as its vendors and devices make it: which of them draws, which were passed over, and what is to blame.

use crate::{Report, doctor_with, sim};

/// A report on a machine with these EGL devices, of a vendor that says this of itself.
fn report(beside_mesa: bool, claims: &str, devices: &str, variables: &[(&str, &str)]) -> Report {
    let mut command = doctor_with(sim::drivers());
    let vendors = if beside_mesa { sim::egl_vendor_beside_mesa() } else { sim::egl_vendor().into_os_string() };
    command.env("__EGL_VENDOR_LIBRARY_FILENAMES", vendors);
    command.envs([("MB_SIM_EGL_CLAIMS", claims), ("MB_SIM_EGL_DEVICES", devices)]);
    Report::of(command.envs(variables.iter().copied()))
}

fn found<'a>(report: &'a Report, check: &str) -> &'a str {
    report.check(check)["found"].as_str().unwrap()
}

#[test]
fn a_vendor_that_lists_its_devices_by_the_old_name_alone_is_fine() {
    let report = report(false, "devices", "0", &[]);
    assert_eq!(found(&report, "egl-devices"), "NVIDIA GPU (CUDA 0)", "{:#}", report.json);
    assert!(found(&report, "gl-renderer").contains("EGL of NVIDIA (simulated)"), "{:#}", report.json);
    for check in ["egl-vendors", "egl-devices", "gl-renderer", "gl-on-cuda", "nvenc-picture"] {
        assert_eq!(report.state(check), "OK", "{check}: {:#}", report.json);
    }
    assert_eq!(report.json["encoder"], "nvenc");
}

#[test]
fn a_gpu_that_does_not_start_is_a_warning_with_what_draws_in_its_place_and_no_fault_of_the_vendor_file() {
    for claims in ["devices", "surfaceless"] {
        let report = report(true, claims, "broken:0", &[]);
        let devices = found(&report, "egl-devices");
        assert!(devices.starts_with("NVIDIA GPU (CUDA 0), software"), "{claims}: {devices}");
        let drawn = found(&report, "gl-renderer");
        for words in ["EGL of Mesa", "passed over: NVIDIA GPU (CUDA 0): EGL found no working driver"] {
            assert!(drawn.contains(words), "{claims}: {words:?} is not in {drawn}");
        }
        let by_nvidia = drawn.contains("a display without a device: EGL found no working driver");
        assert_eq!(by_nvidia, claims == "surfaceless", "{drawn}");
        assert_eq!((report.state("gl-renderer"), report.state("gl-on-cuda")), ("WARN", "FAIL"), "{:#}", report.json);
        for check in ["egl-vendors", "egl-devices", "gl-renderer", "gl-on-cuda"] {
            let remedy = report.check(check)["remedy"].as_str().unwrap();
            assert!(!remedy.contains("10_nvidia.json"), "{claims}, {check}: {remedy}");
        }
        for check in ["gl-renderer", "gl-on-cuda"] {
            let remedy = report.check(check)["remedy"].as_str().unwrap();
            assert!(remedy.contains("dmesg") && remedy.contains("/dev/nvidia*"), "{claims}, {check}: {remedy}");
        }
        // NVENC encodes what software draws, through host memory.
        assert_eq!((report.json["encoder"].as_str(), report.code), (Some("nvenc"), 0), "{:#}", report.json);
    }
}

#[test]
fn the_gpu_that_streams_take_is_the_one_whose_encoder_is_tried() {
    let machine = [("MB_SIM_DEVICES", "2"), ("MB_SIM_REFUSING_DEVICES", "0:2")];
    let report_on = |args: &[(&str, &str)]| report(false, "devices", "0,1", &[&machine[..], args].concat());
    let report = report_on(&[]);
    for check in ["nvenc-session", "nvenc-h264", "nvenc-picture"] {
        assert_eq!(report.state(check), "OK", "{check}: {:#}", report.json);
    }
    assert!(found(&report, "nvenc-session").contains("CUDA device 1, Simulated GPU 1"), "{:#}", report.json);
    assert_eq!(report.json["encoder"], "nvenc");

    let report = report_on(&[("MB_ENCODE_DEVICE", "0")]);
    let remedy = report.check("nvenc-session")["remedy"].as_str().unwrap();
    assert_eq!(report.state("nvenc-session"), "FAIL", "{:#}", report.json);
    assert!(remedy.contains("--device") && remedy.contains("CUDA_DEVICE_ORDER=PCI_BUS_ID"), "{remedy}");
}
