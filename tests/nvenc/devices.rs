//! Which GPU draws and codes, where there are several, where some are hidden, and where there is none.
//!
//! The EGL devices are those of a simulated vendor, for which Mesa draws.

use crate::run::{Ended, Run, at_once, size};
use crate::support::sim;

const SMALL: [&str; 8] = ["--stdout", "--no-pace", "--frames", "3", "--width", "320", "--height", "180"];

/// The EGL vendors of a machine, in libEGL's order.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Vendors {
    /// NVIDIA's alone, as in a bare container.
    Nvidia,
    /// NVIDIA's and Mesa's.
    NvidiaAndMesa,
    /// The same, and NVIDIA's opens displays without a device, too, so that Mesa is never asked for one.
    NvidiaForBoth,
}

use Vendors::{Nvidia, NvidiaAndMesa, NvidiaForBoth};

fn run(vendors: Vendors, variables: &[(&str, &str)], options: &[&str]) -> Ended {
    let mut run = Run::new(&[&SMALL[..], &["--log-level", "debug"], options].concat());
    let (files, claims) = match vendors {
        Nvidia => (sim::egl_vendor().into_os_string(), "devices"),
        NvidiaAndMesa => (sim::egl_vendor_beside_mesa(), "devices"),
        NvidiaForBoth => (sim::egl_vendor_beside_mesa(), "surfaceless"),
    };
    run.command.env("__EGL_VENDOR_LIBRARY_FILENAMES", files).env("MB_SIM_EGL_CLAIMS", claims);
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
        at_once(&[("nvenc", Nvidia), ("auto", NvidiaAndMesa), ("auto", NvidiaForBoth)], |&(encoder, vendors)| {
            let mut variables = vec![("MB_SIM_DEVICES", "3"), ("MB_SIM_EGL_DEVICES", egl)];
            variables.extend(visible.map(|list| ("CUDA_VISIBLE_DEVICES", list)));
            let mut options = vec!["--encoder", encoder];
            options.extend(device.iter().flat_map(|device| ["--device", device]));
            let ended = run(vendors, &variables, &options);
            let what = format!(
                "EGL {egl}, {vendors:?}, visible {visible:?}, --device {device:?}, {encoder}: {}",
                ended.stderr
            );
            assert_eq!(ended.code, 0, "{what}");
            ended.report.assert_clean();
            assert_eq!(coded_by(&ended), Some(expected), "{what}");
            assert_eq!(ended.report.count("pictures"), 3, "{what}");
        });
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
        at_once(&[("nvenc", NvidiaAndMesa), ("auto", Nvidia), ("openh264", NvidiaForBoth)], |&(encoder, vendors)| {
            let mut variables = vec![("MB_SIM_DEVICES", "3"), ("MB_SIM_EGL_DEVICES", egl)];
            variables.extend(visible.map(|list| ("CUDA_VISIBLE_DEVICES", list)));
            let ended = run(vendors, &variables, &["--encoder", encoder, "--device", device]);
            let what = format!("EGL {egl}, visible {visible:?}, --device {device}, {encoder}: {}", ended.stderr);
            assert_eq!((ended.code, ended.stream.len()), (1, 0), "{what}");
            let no_gpu = match (visible, encoder) {
                (Some(""), "nvenc") => "CUDA shows no GPU: cuInit failed with CUDA_ERROR_NO_DEVICE (100)".to_owned(),
                _ => format!("there is no GPU {device}"),
            };
            assert!(ended.stderr.contains(&no_gpu), "{what}");
            // The list of one counts in another order than the other, unless CUDA is told to.
            for words in ["nvidia-smi -L", "CUDA_DEVICE_ORDER=PCI_BUS_ID"] {
                assert!(ended.stderr.contains(words) || no_gpu.starts_with("CUDA shows no GPU"), "{words}: {what}");
            }
            for kind in ["live.", "leak.", "violation."] {
                assert_eq!(ended.report.all(kind).len(), 0, "{kind}: {what}");
            }
        });
    }
}

#[test]
fn openh264_can_be_given_pictures_from_a_gpu_too() {
    let variables = [("MB_SIM_DEVICES", "2"), ("MB_SIM_EGL_DEVICES", "1,0")];
    at_once(&[Nvidia, NvidiaAndMesa, NvidiaForBoth], |&vendors| {
        let ended = run(vendors, &variables, &["--encoder", "openh264", "--device", "0"]);
        assert_eq!(ended.code, 0, "{vendors:?}: {}", ended.stderr);
        ended.report.assert_clean();
        assert_eq!(ended.report.count("pictures"), 0, "{vendors:?}");
        assert_eq!(ended.pictures(size(320, 180)).len(), 3, "{vendors:?}");
    });
}

#[test]
fn openh264_alone_does_not_wake_cuda() {
    let ended = Run::new(&[&SMALL[..], &["--encoder", "openh264"]].concat()).finish();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(ended.report.count("call.cuInit"), 0);
}

#[test]
fn gpus_that_are_all_hidden_from_cuda_draw_for_one_that_is_not() {
    let variables = [("MB_SIM_DEVICES", "3"), ("MB_SIM_EGL_DEVICES", "0,1"), ("CUDA_VISIBLE_DEVICES", "2")];
    for (encoder, vendors) in [("nvenc", Nvidia), ("auto", NvidiaAndMesa)] {
        let ended = run(vendors, &variables, &["--encoder", encoder]);
        ended.assert_well();
        assert_eq!(coded_by(&ended), Some((2, 0)), "{encoder}: {}", ended.stderr);
        let why = ended.stderr.lines().find(|line| line.contains("through host memory")).unwrap_or_default();
        assert!(why.contains("hidden from CUDA") && why.contains("[gpu-hidden]"), "{encoder}: {}", ended.stderr);
        assert_eq!((ended.report.count("pictures"), ended.pictures(size(320, 180)).len()), (3, 3), "{encoder}");
    }
}

/// What is said of a display that does not initialise.
const BROKEN: &str = "EGL found no working driver";

#[test]
fn a_gpu_that_does_not_initialise_is_passed_over_for_software() {
    let rows = [
        ("auto", NvidiaAndMesa),
        ("nvenc", NvidiaAndMesa),
        ("openh264", NvidiaForBoth),
        ("auto", NvidiaForBoth),
        ("nvenc", NvidiaForBoth),
    ];
    at_once(&rows, |&(encoder, vendors)| {
        let ended = run(vendors, &[("MB_SIM_EGL_DEVICES", "broken:0")], &["--encoder", encoder]);
        let what = format!("{encoder}, {vendors:?}: {}", ended.stderr);
        assert_eq!(ended.code, 0, "{what}");
        ended.report.assert_nothing_left();
        assert_eq!(ended.pictures(size(320, 180)).len(), 3, "{what}");
        let line = |words: &str| ended.stderr.lines().find(|line| line.contains(words)).unwrap_or_default();
        // One line for who watches, with each that was passed over and why.
        let drawing = line("drawing in software");
        assert!(drawing.contains(" INFO ") && drawing.contains("NVIDIA GPU (CUDA 0)"), "{what}");
        let tried = if vendors == NvidiaForBoth { 2 } else { 1 };
        assert_eq!(drawing.matches(BROKEN).count(), tried, "{what}");
        // NVENC encodes what software draws.
        let expected = if encoder == "openh264" { (None, 0) } else { (Some((0, 0)), 3) };
        assert_eq!((coded_by(&ended), ended.report.count("pictures")), expected, "{what}");
        if encoder != "openh264" {
            let why = line("through host memory");
            for words in ["not drawn by an NVIDIA GPU", "a GPU that EGL shows cannot be used", BROKEN] {
                assert!(why.contains(words), "{words:?} is not in {what}");
            }
            // Who shows a GPU is known to libEGL.
            assert!(!why.contains("10_nvidia.json"), "{what}");
        }
    });
}

#[test]
fn a_gpu_that_does_not_initialise_is_an_error_where_nothing_else_draws() {
    at_once(&["auto", "openh264", "nvenc"], |encoder| {
        let ended = run(Nvidia, &[("MB_SIM_EGL_DEVICES", "broken:0")], &["--encoder", encoder]);
        assert_eq!((ended.code, ended.stream.len()), (1, 0), "{encoder}: {}", ended.stderr);
        let (_, error) = ended.stderr.split_once(" ERROR ").unwrap_or_else(|| panic!("{}", ended.stderr));
        for words in [BROKEN, "NVIDIA GPU (CUDA 0)", "[no-egl-driver]", "dmesg", "/dev/nvidia*", "libgl1-mesa-dri"] {
            assert!(error.contains(words), "{encoder}: {words:?} is not in {error}");
        }
    });
}

#[test]
fn a_gpu_that_does_not_initialise_is_passed_over_for_one_that_does() {
    at_once(&[("nvenc", Nvidia), ("auto", NvidiaAndMesa), ("auto", NvidiaForBoth)], |&(encoder, vendors)| {
        let variables = [("MB_SIM_DEVICES", "2"), ("MB_SIM_EGL_DEVICES", "broken:0,1")];
        let ended = run(vendors, &variables, &["--encoder", encoder]);
        ended.assert_well();
        assert_eq!(coded_by(&ended), Some((1, 1)), "{encoder}: {}", ended.stderr);
    });
}

#[test]
fn a_gpu_that_does_not_initialise_again_after_a_loss_leaves_the_drawing_to_software() {
    at_once(&[NvidiaAndMesa, NvidiaForBoth], |&vendors| {
        let variables = [("MB_SIM_EGL_DEVICES", "once:0"), ("MB_SIM_FAULT", "encode:5@1")];
        let ended = run(vendors, &variables, &["--encoder", "auto"]);
        ended.assert_well();
        let what = format!("{vendors:?}: {}", ended.stderr);
        assert_eq!(coded_by(&ended), Some((0, 0)), "{what}");
        assert!(ended.stderr.contains("copying each frame to NVENC through host memory"), "{what}");
        assert_eq!((ended.report.count("pictures"), ended.pictures(size(320, 180)).len()), (3, 3), "{what}");
    });
}

#[test]
fn where_the_first_gpu_has_no_encoder_the_next_one_that_has_draws_and_codes() {
    // How many GPUs there are; EGL's order; those without an encoder or a session; which one codes.
    let rows = [
        (2, "0,1", "0:2", 1),
        (2, "1,0", "0:1", 1),
        (3, "2,0,1", "0:2,1:1", 2),
        // What keeps the second one from it is no reason to leave out the third.
        (3, "0,1,2", "0:2,1:21", 2),
        (3, "0,broken:1,2", "0:1", 2),
        (3, "0,2", "0:1", 2),
    ];
    for (count, egl, refusing, expected) in rows {
        let count = count.to_string();
        let variables =
            [("MB_SIM_DEVICES", count.as_str()), ("MB_SIM_EGL_DEVICES", egl), ("MB_SIM_REFUSING_DEVICES", refusing)];
        at_once(&[("nvenc", Nvidia), ("auto", NvidiaAndMesa), ("auto", NvidiaForBoth)], |&(encoder, vendors)| {
            let ended = run(vendors, &variables, &["--encoder", encoder]);
            let what = format!("{count} GPUs, EGL {egl}, {refusing}, {vendors:?}, {encoder}: {}", ended.stderr);
            assert_eq!(ended.code, 0, "{what}");
            ended.report.assert_clean();
            assert_eq!(coded_by(&ended), Some((expected, expected)), "{what}");
            assert_eq!(ended.report.count("pictures"), 3, "{what}");
            let said = |line: &&str| line.contains(" INFO ") && line.contains("has no NVENC encoder");
            assert_eq!(ended.stderr.lines().filter(said).count(), 1, "{what}");
        });
        // Who asks for a GPU gets that one, or is told of it.
        let ended = run(Nvidia, &variables, &["--encoder", "nvenc", "--device", "0"]);
        assert_eq!((ended.code, ended.stream.len()), (1, 0), "{refusing}: {}", ended.stderr);
        assert!(ended.stderr.contains("[no-nvenc]"), "{refusing}: {}", ended.stderr);
        assert!(ended.stderr.contains("CUDA_DEVICE_ORDER=PCI_BUS_ID"), "{refusing}: {}", ended.stderr);
    }
}

#[test]
fn where_no_gpu_has_an_encoder_the_first_one_draws_for_openh264() {
    for (egl, refusing, reason) in [("0,1", "0:2,1:2", "[no-nvenc]"), ("0,1", "0:2,1:21", "[nvenc-sessions]")] {
        let variables = [("MB_SIM_DEVICES", "2"), ("MB_SIM_EGL_DEVICES", egl), ("MB_SIM_REFUSING_DEVICES", refusing)];
        let ended = run(NvidiaAndMesa, &variables, &["--encoder", "auto"]);
        let what = format!("EGL {egl}, {refusing}: {}", ended.stderr);
        assert_eq!(ended.code, 0, "{what}");
        ended.report.assert_clean();
        let fallback: Vec<_> = ended.stderr.lines().filter(|line| line.contains("falling back to OpenH264")).collect();
        assert!(matches!(fallback[..], [line] if line.contains(reason)), "{what}");
        assert_eq!(ended.pictures(size(320, 180)).len(), 3, "{what}");
        assert_eq!(ended.report.count("call.eglGetPlatformDisplay"), 1, "{what}");
        let ended = run(NvidiaAndMesa, &variables, &["--encoder", "nvenc"]);
        assert_eq!((ended.code, ended.stream.len()), (1, 0), "{what}: {}", ended.stderr);
        assert!(ended.stderr.contains(reason), "{what}: {}", ended.stderr);
        ended.report.assert_clean();
    }
}

#[test]
fn where_egl_does_not_show_the_gpu_with_an_encoder_the_first_one_draws_for_it() {
    for (encoder, egl) in [("nvenc", "0"), ("auto", "0"), ("nvenc", "0,broken:1")] {
        let variables = [("MB_SIM_DEVICES", "2"), ("MB_SIM_EGL_DEVICES", egl), ("MB_SIM_REFUSING_DEVICES", "0:1")];
        let ended = run(NvidiaAndMesa, &variables, &["--encoder", encoder]);
        let what = format!("{encoder}, EGL {egl}: {}", ended.stderr);
        ended.assert_well();
        let why = ended.stderr.lines().find(|line| line.contains("through host memory")).unwrap_or_default();
        assert!(why.contains("[nvenc-elsewhere]"), "{what}");
        assert_eq!((ended.report.count("pictures"), ended.pictures(size(320, 180)).len()), (3, 3), "{what}");
        assert!(ended.stderr.contains("encoding with NVENC gpu=\"Simulated GPU 1\""), "{what}");
    }
}

#[test]
fn a_gpu_that_took_the_place_of_the_first_one_comes_back_after_a_loss() {
    let variables = [
        ("MB_SIM_DEVICES", "2"),
        ("MB_SIM_EGL_DEVICES", "0,1"),
        ("MB_SIM_REFUSING_DEVICES", "0:2"),
        ("MB_SIM_FAULT", "encode:5@1"),
    ];
    let ended = run(Nvidia, &variables, &["--encoder", "nvenc"]);
    ended.assert_well();
    assert_eq!(ended.report.count("pictures"), 3, "{}", ended.stderr);
    assert_eq!(ended.stderr.matches("encoding with NVENC gpu=\"Simulated GPU 1\"").count(), 2, "{}", ended.stderr);
}

#[test]
fn nobody_looks_at_a_second_gpu_where_the_first_one_works() {
    let variables = [("MB_SIM_DEVICES", "3"), ("MB_SIM_EGL_DEVICES", "0,1,2")];
    let ended = run(Nvidia, &variables, &["--encoder", "auto"]);
    ended.assert_well();
    let calls = ["eglGetPlatformDisplay", "NvEncOpenEncodeSessionEx"];
    assert_eq!(calls.map(|call| ended.report.count(&format!("call.{call}"))), [1; 2], "{}", ended.stderr);
    // The context that came up beside EGL is the one that is used.
    let contexts: Vec<_> = ended.report.all("device.").into_iter().collect();
    assert_eq!(contexts, [("device.0", 1)], "{}", ended.stderr);
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
        (
            "0",
            "cuda:cuGLGetDevices_v2:719",
            "a fault that CUDA does not get over in this process: cuGLGetDevices failed",
        ),
        ("0", "cuda:cuGLGetDevices_v2:7777", "cuGLGetDevices failed with CUDA status 7777"),
    ];
    for (egl, fault, why) in rows {
        for encoder in ["nvenc", "auto", "openh264"] {
            let variables = [("MB_SIM_DEVICES", "2"), ("MB_SIM_EGL_DEVICES", egl), ("MB_SIM_FAULT", fault)];
            let ended = run(NvidiaAndMesa, &variables, &["--encoder", encoder, "--device", "0"]);
            assert_eq!((ended.code, ended.stream.len()), (1, 0), "{egl}, {fault}, {encoder}: {}", ended.stderr);
            let (_, error) = ended.stderr.split_once(" ERROR ").unwrap_or_else(|| panic!("{}", ended.stderr));
            for words in ["there is no GPU 0: EGL shows", why] {
                assert!(error.contains(words), "{egl}, {fault}, {encoder}: {words:?} is not in {error}");
            }
            ended.report.assert_nothing_left();
        }
    }
}
