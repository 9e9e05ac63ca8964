//! Which GPU draws and codes, where there are several, where some are hidden, and where there is none.
//!
//! The EGL devices are those of a simulated vendor, for which Mesa draws.

use crate::run::{Ended, Run, size};
use crate::support::sim;

const SMALL: [&str; 8] = ["--stdout", "--no-pace", "--frames", "3", "--width", "320", "--height", "180"];

fn run(variables: &[(&str, &str)], options: &[&str]) -> Ended {
    let mut run = Run::new(&[&SMALL[..], &["--log-level", "debug"], options].concat());
    run.command.env("__EGL_VENDOR_LIBRARY_FILENAMES", sim::egl_vendor());
    run.env(variables).finish()
}

/// The GPU that coded, by its name, and what CUDA calls it.
fn coded_by(ended: &Ended) -> Option<(u32, u32)> {
    let line = ended.stderr.lines().find(|line| line.contains("encoding with NVENC"))?;
    let number_behind = |words: &str| -> Option<u32> {
        let rest = line.split_once(words)?.1;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..digits].parse().ok()
    };
    number_behind("Simulated GPU ").zip(number_behind("device="))
}

#[test]
fn the_one_asked_for_is_found_by_the_drivers_answer_and_not_by_its_place() {
    // EGL's order; which GPUs CUDA shows; what is asked for; which GPU of the machine that is, and CUDA's name for it.
    type Row = (&'static str, Option<&'static str>, Option<&'static str>, (u32, u32));
    let rows: [Row; 16] = [
        ("0,1,2", None, None, (0, 0)),
        ("2,0,1", None, None, (0, 0)),
        ("2,0,1", None, Some("0"), (0, 0)),
        ("2,0,1", None, Some("1"), (1, 1)),
        ("2,0,1", None, Some("2"), (2, 2)),
        ("software,2,software,1,0", None, Some("1"), (1, 1)),
        ("hidden,2,hidden,0", None, Some("2"), (2, 2)),
        ("hidden,2,hidden,0", None, None, (0, 0)),
        // CUDA's own order is the one that counts, whatever EGL says.
        ("0,1,2", Some("2,0"), Some("0"), (2, 0)),
        ("0,1,2", Some("2,0"), Some("1"), (0, 1)),
        ("2,1,0", Some("2,0"), Some("1"), (0, 1)),
        ("0,1,2", Some("2,0"), None, (2, 0)),
        ("0,1,2", Some("1"), None, (1, 0)),
        ("0,1,2", Some("1"), Some("0"), (1, 0)),
        ("2,1", Some("1,2"), None, (1, 0)),
        ("1,0,2", Some("GPU-73696d75-6c61-7465-642d-677075000002"), None, (2, 0)),
    ];
    for (egl, visible, device, expected) in rows {
        for encoder in ["nvenc", "auto"] {
            let mut variables = vec![("MB_SIM_DEVICES", "3"), ("MB_SIM_EGL_DEVICES", egl)];
            variables.extend(visible.map(|list| ("CUDA_VISIBLE_DEVICES", list)));
            let mut options = vec!["--encoder", encoder];
            options.extend(device.iter().flat_map(|device| ["--device", device]));
            let ended = run(&variables, &options);
            let what = format!("EGL {egl}, visible {visible:?}, --device {device:?}, {encoder}: {}", ended.stderr);
            assert_eq!(ended.code, 0, "{what}");
            ended.report.assert_clean();
            assert_eq!(coded_by(&ended), Some(expected), "{what}");
            assert_eq!(ended.report.count("pictures"), 3, "{what}");
        }
    }
}

#[test]
fn the_one_asked_for_is_an_error_where_it_is_not_there_and_nothing_draws_in_its_place() {
    let rows: [(&str, Option<&str>, &str); 7] = [
        ("0,1,2", None, "3"),
        ("0,1,2", Some("2,0"), "2"),
        ("0,1,2", Some("1"), "1"),
        // CUDA shows it, and EGL does not.
        ("0,1", None, "2"),
        ("software", None, "0"),
        ("hidden,software", None, "0"),
        // No driver shows anything.
        ("software", Some(""), "0"),
    ];
    for (egl, visible, device) in rows {
        for encoder in ["nvenc", "auto", "openh264"] {
            let mut variables = vec![("MB_SIM_DEVICES", "3"), ("MB_SIM_EGL_DEVICES", egl)];
            variables.extend(visible.map(|list| ("CUDA_VISIBLE_DEVICES", list)));
            let ended = run(&variables, &["--encoder", encoder, "--device", device]);
            let what = format!("EGL {egl}, visible {visible:?}, --device {device}, {encoder}: {}", ended.stderr);
            assert_eq!((ended.code, ended.stream.len()), (1, 0), "{what}");
            let no_gpu = match (visible, encoder) {
                (Some(""), "nvenc") => "CUDA shows no GPU: cuInit failed with CUDA_ERROR_NO_DEVICE (100)".to_owned(),
                _ => format!("there is no GPU {device}"),
            };
            assert!(ended.stderr.contains(&no_gpu), "{what}");
            assert!(ended.stderr.contains("nvidia-smi -L"), "{what}");
            for kind in ["live.", "leak.", "violation."] {
                assert_eq!(ended.report.all(kind).len(), 0, "{kind}: {what}");
            }
        }
    }
}

#[test]
fn openh264_can_be_given_pictures_from_a_gpu_too() {
    let variables = [("MB_SIM_DEVICES", "2"), ("MB_SIM_EGL_DEVICES", "1,0")];
    let ended = run(&variables, &["--encoder", "openh264", "--device", "0"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    ended.report.assert_clean();
    assert_eq!(ended.report.count("pictures"), 0);
    assert_eq!(ended.pictures(size(320, 180)).len(), 3);
}

#[test]
fn openh264_alone_does_not_wake_cuda() {
    let ended = Run::new(&[&SMALL[..], &["--encoder", "openh264"]].concat()).finish();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(ended.report.count("call.cuInit"), 0);
}

#[test]
fn gpus_that_are_all_hidden_from_cuda_are_told_of() {
    let variables = [("MB_SIM_DEVICES", "3"), ("MB_SIM_EGL_DEVICES", "0,1"), ("CUDA_VISIBLE_DEVICES", "2")];
    let ended = run(&variables, &["--encoder", "nvenc"]);
    assert_eq!((ended.code, ended.stream.len()), (1, 0), "{}", ended.stderr);
    for words in ["hidden from CUDA", "CUDA_VISIBLE_DEVICES"] {
        assert!(ended.stderr.contains(words), "{words:?} is not in {}", ended.stderr);
    }
    let ended = run(&variables, &["--encoder", "auto"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(ended.stderr.matches("falling back to OpenH264").count(), 1, "{}", ended.stderr);
    assert_eq!(ended.pictures(size(320, 180)).len(), 3);
}

#[test]
fn a_gpu_that_does_not_initialise_is_passed_over() {
    let broken = "EGL found no working driver";
    for encoder in ["auto", "openh264"] {
        let ended = run(&[("MB_SIM_EGL_DEVICES", "broken:0")], &["--encoder", encoder]);
        assert_eq!(ended.code, 0, "{encoder}: {}", ended.stderr);
        ended.report.assert_nothing_left();
        assert_eq!(ended.pictures(size(320, 180)).len(), 3, "{encoder}");
        assert!(ended.stderr.contains(broken), "{encoder}: {}", ended.stderr);
        if encoder == "auto" {
            let why = ended.stderr.lines().find(|line| line.contains("falling back to OpenH264")).unwrap_or_default();
            assert!(why.contains("not drawn by an NVIDIA GPU") && why.contains(broken), "{}", ended.stderr);
        }
    }
    let ended = run(&[("MB_SIM_EGL_DEVICES", "broken:0")], &["--encoder", "nvenc"]);
    assert_eq!((ended.code, ended.stream.len()), (1, 0), "{}", ended.stderr);
    let (_, error) = ended.stderr.split_once(" ERROR ").unwrap_or_else(|| panic!("{}", ended.stderr));
    for words in ["not drawn by an NVIDIA GPU", "a GPU that EGL shows cannot be used", broken, "10_nvidia.json"] {
        assert!(error.contains(words), "{words:?} is not in {error}");
    }
    // Where another one works, that is taken.
    for encoder in ["nvenc", "auto"] {
        let variables = [("MB_SIM_DEVICES", "2"), ("MB_SIM_EGL_DEVICES", "broken:0,1")];
        let ended = run(&variables, &["--encoder", encoder]);
        ended.assert_well();
        assert_eq!(coded_by(&ended), Some((1, 1)), "{encoder}: {}", ended.stderr);
    }
}

#[test]
fn a_gpu_that_does_not_initialise_again_after_a_loss_leaves_the_stream_to_openh264() {
    let variables = [("MB_SIM_EGL_DEVICES", "once:0"), ("MB_SIM_FAULT", "encode:5@1")];
    let ended = run(&variables, &["--encoder", "auto"]);
    ended.assert_well();
    assert_eq!(coded_by(&ended), Some((0, 0)), "{}", ended.stderr);
    assert!(ended.stderr.contains("falling back to OpenH264"), "{}", ended.stderr);
    assert_eq!(ended.pictures(size(320, 180)).len(), 3, "{}", ended.stderr);
}

#[test]
fn a_gpu_of_mesas_is_never_taken_for_one_of_cudas() {
    // Mesa's own EGL, with a driver that shows a GPU: what draws is llvmpipe, and the driver says so.
    let options = [&SMALL[..], &["--device", "0"]].concat();
    for encoder in ["nvenc", "auto", "openh264"] {
        let ended = Run::new(&[&options[..], &["--encoder", encoder]].concat()).finish();
        assert_eq!((ended.code, ended.stream.len()), (1, 0), "{encoder}: {}", ended.stderr);
        assert!(ended.stderr.contains("there is no GPU 0: EGL shows no NVIDIA GPU"), "{encoder}: {}", ended.stderr);
    }
    // And where there is no driver at all.
    let folder = tempfile::tempdir().expect("an empty folder");
    for encoder in ["nvenc", "auto", "openh264"] {
        let ended = Run::with_drivers(folder.path(), &[&options[..], &["--encoder", encoder]].concat()).finish();
        assert_eq!((ended.code, ended.stream.len()), (1, 0), "{encoder}: {}", ended.stderr);
        let missing = match encoder {
            "nvenc" => "there is no NVIDIA driver: libcuda.so.1",
            _ => "there is no GPU 0: EGL shows no NVIDIA GPU",
        };
        assert!(ended.stderr.contains(missing), "{encoder}: {}", ended.stderr);
    }
}

#[test]
fn what_keeps_the_one_asked_for_from_drawing_is_told() {
    // EGL's devices; an ordered fault; what stands behind "there is no GPU 0".
    let rows = [
        ("broken:0", "", "EGL shows 1 NVIDIA GPU(s): one cannot be used: EGL found no working driver"),
        ("1,broken:0", "", "EGL shows 2 NVIDIA GPU(s): one cannot be used: EGL found no working driver"),
        ("0", "cuda:cuGLGetDevices_v2:999", "the GPU was lost or its driver is in a bad state: cuGLGetDevices failed"),
        ("0", "cuda:cuGLGetDevices_v2:7777", "cuGLGetDevices failed with CUDA status 7777"),
    ];
    for (egl, fault, why) in rows {
        for encoder in ["nvenc", "auto", "openh264"] {
            let variables = [("MB_SIM_DEVICES", "2"), ("MB_SIM_EGL_DEVICES", egl), ("MB_SIM_FAULT", fault)];
            let ended = run(&variables, &["--encoder", encoder, "--device", "0"]);
            assert_eq!((ended.code, ended.stream.len()), (1, 0), "{egl}, {fault}, {encoder}: {}", ended.stderr);
            let (_, error) = ended.stderr.split_once(" ERROR ").unwrap_or_else(|| panic!("{}", ended.stderr));
            for words in ["there is no GPU 0: EGL shows", why] {
                assert!(error.contains(words), "{egl}, {fault}, {encoder}: {words:?} is not in {error}");
            }
            ended.report.assert_nothing_left();
        }
    }
}
