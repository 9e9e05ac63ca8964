//! Where GL and CUDA cannot share: NVENC gets each frame all the same, through host memory, and the program says so in one
//! line. So it is under WSL2, with cuda-compat's libcuda, where software draws, or another GPU than CUDA shows.

use crate::losses::idrs;
use crate::pixels::{Planes, codes, drawn, shader};
use crate::run::{Ended, Run, at_once, decoded, size};
use crate::scenes_process as process;
use crate::support::decode::Picture;
use crate::support::sim;
use mb_encode::gl::Gl;
use mb_encode::parts::{Layout, TestCard, ycbcr_from_rgb};
use mb_encode::settings::EncoderChoice;
use mb_encode::stream::{self, Vitals};
use mb_encode::{Control, Output, Renderer, Settings};
use process::scenes;
use std::path::PathBuf;

const SMALL: [&str; 7] = ["--stdout", "--no-pace", "--frames", "3", "--width", "320", "--height"];
const ON_NVIDIA: (&str, &str) = ("MB_SIM_EGL_DEVICES", "0");

/// A machine on which GL and CUDA have nothing to do with each other.
struct Machine {
    /// Where its libcuda lies, below a folder; the usual place where that is "".
    libcuda: &'static str,
    env: &'static [(&'static str, &'static str)],
    /// What the one line says.
    said: &'static [&'static str],
}

const NOT_NVIDIA: &str = "not drawn by an NVIDIA GPU but by llvmpipe";
const APART: &str = "GL and CUDA do not work together";

const fn machine(env: &'static [(&'static str, &'static str)], said: &'static [&'static str]) -> Machine {
    Machine { libcuda: "", env, said }
}

const MACHINES: [Machine; 15] = [
    // Mesa draws, as under WSL2, or where NVIDIA's EGL is not installed.
    Machine { libcuda: "usr/lib/wsl/lib", env: &[], said: &[NOT_NVIDIA, "OPERATING_SYSTEM (304)"] },
    machine(&[("MB_SIM_GL_DEVICE", "none")], &[NOT_NVIDIA, "INVALID_GRAPHICS_CONTEXT (219)", "[not-nvidia-gl]"]),
    machine(&[("MB_SIM_FAULT", "cuda:cuGLGetDevices_v2:100")], &[NOT_NVIDIA, "NO_DEVICE (100)"]),
    machine(&[("MB_SIM_FAULT", "cuda:cuGLGetDevices_v2:999")], &[NOT_NVIDIA, "UNKNOWN (999)"]),
    machine(&[("MB_SIM_FAULT", "cuda:cuGLGetDevices_v2:7777")], &[NOT_NVIDIA, "CUDA status 7777"]),
    machine(&[("MB_SIM_EGL_DEVICES", "broken:0")], &[NOT_NVIDIA, "EGL found no working driver"]),
    // NVIDIA's EGL draws, and its libcuda has no part in it.
    Machine { libcuda: "cuda/compat", env: &[ON_NVIDIA], said: &[APART, "NOT_SUPPORTED (801)", "cuda-compat"] },
    Machine { libcuda: "usr/lib/wsl/lib", env: &[ON_NVIDIA], said: &[APART, "OPERATING_SYSTEM (304)", "WSL2"] },
    machine(&[ON_NVIDIA, ("MB_SIM_FAULT", "cuda:cuGLGetDevices_v2:999")], &[APART, "UNKNOWN (999)"]),
    machine(&[ON_NVIDIA, ("MB_SIM_FAULT", "cuda:cuGLGetDevices_v2:219")], &[APART, "(219)", "[gl-cuda-interop]"]),
    machine(
        &[ON_NVIDIA, ("MB_SIM_FAULT", "cuda:cuGraphicsGLRegisterImage:304")],
        &[APART, "RegisterImage failed", "304"],
    ),
    machine(&[("MB_SIM_FAULT", "cuda:cuGraphicsGLRegisterImage:801@1")], &[APART, "NOT_SUPPORTED (801)"]),
    machine(&[("MB_SIM_FAULT", "cuda:cuGraphicsGLRegisterImage:999")], &[APART, "UNKNOWN (999)"]),
    machine(&[("MB_SIM_FAULT", "cuda:cuGraphicsGLRegisterImage:219")], &[APART, "GRAPHICS_CONTEXT (219)"]),
    // The GPU that draws is none of CUDA's.
    machine(
        &[ON_NVIDIA, ("MB_SIM_DEVICES", "2"), ("CUDA_VISIBLE_DEVICES", "1")],
        &["the GPU that draws is hidden from CUDA", "cuGLGetDevices", "[gpu-hidden]"],
    ),
];

impl Machine {
    fn drivers(&self) -> PathBuf {
        if self.libcuda.is_empty() { sim::drivers().to_owned() } else { sim::drivers_from(self.libcuda) }
    }

    fn run(&self, options: &[&str]) -> Run {
        let run = Run::with_drivers(&self.drivers(), options).env(self.env);
        if self.env.iter().any(|(name, _)| *name == ON_NVIDIA.0) {
            return run.env(&[("__EGL_VENDOR_LIBRARY_FILENAMES", sim::egl_vendor().to_str().expect("a plain path"))]);
        }
        run
    }

    /// Checks a stream of so many pictures: NVENC's, each uploaded, with one line about it.
    fn check(&self, ended: &Ended, pictures: u64) {
        let what = format!("{:?} {:?}: {}", self.libcuda, self.env, ended.stderr);
        assert_eq!(ended.code, 0, "{what}");
        ended.report.assert_clean();
        assert_eq!(ended.report.count("pictures"), pictures, "{what}");
        assert_eq!(ended.report.count("call.cuMemcpyHtoD_v2"), pictures, "{what}");
        for shared in ["call.cuGraphicsMapResources", "call.cuGraphicsSubResourceGetMappedArray"] {
            assert_eq!(ended.report.count(shared), 0, "{what}");
        }
        // A GPU that was passed over is told of, too.
        let lines: Vec<_> = ended.stderr.lines().filter(|line| !line.contains(" INFO drawing in software")).collect();
        assert!(matches!(lines[..], [line] if line.contains(" WARN ")), "{what}");
        for words in ["to NVENC through host memory"].iter().chain(self.said) {
            assert!(ended.stderr.contains(words), "{words:?} is not in {what}");
        }
        assert!(!ended.stderr.contains("lost") && !ended.stderr.contains("OpenH264"), "{what}");
    }
}

#[test]
fn each_picture_gets_to_nvenc_and_one_line_says_how() {
    for machine in &MACHINES {
        at_once(&["nvenc", "auto"], |encoder| {
            let ended =
                machine.run(&[&SMALL[..], &["180", "--encoder", encoder, "--log-level", "info"]].concat()).finish();
            machine.check(&ended, 3);
            let frames: Vec<_> = ended.pictures(size(320, 180)).iter().map(|it| it.mark().map(|it| it.frame)).collect();
            assert_eq!(frames, [Some(0), Some(1), Some(2)], "{:?} {encoder}", machine.env);
        });
    }
}

/// A GPU that is asked for is found by EGL's own number where CUDA cannot say which one draws.
#[test]
fn the_gpu_that_is_asked_for_draws_and_encodes_where_cuda_cannot_say_which_one_draws() {
    let variables = [("MB_SIM_DEVICES", "2"), ("MB_SIM_EGL_DEVICES", "1,0")];
    for status in ["219", "304", "801", "999"] {
        let fault = format!("cuda:cuGLGetDevices_v2:{status}");
        for (device, gpu) in [("0", "Simulated GPU 0"), ("1", "Simulated GPU 1")] {
            let options = ["180", "--device", device, "--log-level", "debug"];
            let mut run = Run::new(&[&SMALL[..], &options].concat()).env(&variables);
            run.command.env("__EGL_VENDOR_LIBRARY_FILENAMES", sim::egl_vendor());
            let ended = run.env(&[("MB_SIM_FAULT", &fault)]).finish();
            let what = format!("{status}, --device {device}: {}", ended.stderr);
            assert_eq!(ended.code, 0, "{what}");
            ended.report.assert_clean();
            assert_eq!(ended.report.count("pictures"), 3, "{what}");
            assert!(ended.stderr.contains(gpu), "{gpu}: {what}");
        }
    }
}

/// What keeps NVENC from being used even so is what is said: that is the one to mend.
#[test]
fn where_nvenc_fails_as_well_its_own_reason_is_told() {
    for (fault, code) in
        [("open:2", "[no-nvenc]"), ("open:10", "[nvenc-sessions]"), ("initialize:8", "[nvenc-settings]")]
    {
        let variables = [("MB_SIM_GL_DEVICE", "none"), ("MB_SIM_FAULT", fault)];
        let ended = Run::new(&[&SMALL[..], &["180"]].concat()).env(&variables).finish();
        assert_eq!((ended.code, ended.stream.len()), (1, 0), "{}", ended.stderr);
        assert!(ended.stderr.contains(code), "{}", ended.stderr);
        let ended = Run::new(&[&SMALL[..], &["180", "--encoder", "auto"]].concat()).env(&variables).finish();
        ended.assert_well();
        let lines: Vec<_> = ended.stderr.lines().collect();
        assert!(
            matches!(lines[..], [line] if line.contains("falling back to OpenH264") && line.contains(code)),
            "{lines:?}"
        );
    }
}

/// The farthest that a picture's codes are from the exact ones: Y, and Cb and Cr.
fn farthest(picture: &Picture, number: u32) -> [f64; 2] {
    let seen = Planes::of(picture);
    let source = |x, y| drawn(x, y, number).map(f64::from);
    let off = |seen: u8, exact: f64| (f64::from(seen) - exact).abs();
    let mut far = [0.0_f64; 2];
    for y in 0..picture.size.height() {
        for x in 0..picture.size.width() {
            let [luma, cb, cr] = seen.at(x, y);
            far[0] = far[0].max(off(luma, codes(source(x, y))[0]));
            if x % 2 == 0 && y % 2 == 0 {
                let four = [source(x, y), source(x + 1, y), source(x, y + 1), source(x + 1, y + 1)];
                let mean = [0, 1, 2].map(|part| four.iter().map(|pixel| pixel[part]).sum::<f64>() / 4.0);
                let [_, exact_cb, exact_cr] = codes(mean);
                far[1] = far[1].max(off(cb, exact_cb)).max(off(cr, exact_cr));
            }
        }
    }
    far
}

#[test]
fn every_sample_is_in_its_place_and_of_its_colour_at_every_size_and_pitch() {
    let sizes = [(160, 64), (146, 66), (176, 130), (642, 362), (1278, 718), (4096, 64), (146, 4096)];
    for (at, (width, height)) in sizes.into_iter().enumerate() {
        let size = size(width, height);
        let mut run = Run::new(&["--stdout", "--no-pace", "--frames", "3"]);
        let file = run.folder.path().join("pattern.glsl");
        std::fs::write(&file, shader(size)).expect("room for a shader");
        run.command.arg("--shader").arg(&file);
        run.command.args(["--width", &width.to_string(), "--height", &height.to_string()]);
        let pitch = ["512", "32"][at % 2];
        let ended = run.env(&[("MB_SIM_GL_DEVICE", "none"), ("MB_SIM_PITCH_ALIGN", pitch)]).finish();
        let pictures = ended.assert_well().pictures(size);
        assert_eq!(pictures.len(), 3, "{size}");
        for (number, picture) in pictures.iter().enumerate() {
            // The processor converts in whole numbers, to a code beside the nearest one at most.
            let [luma, chroma] = farthest(picture, number as u32);
            assert!(luma < 1.25 && chroma < 1.25, "{size}, picture {number}: {luma:.3}, {chroma:.3} off");
        }
    }
}

#[test]
fn the_test_cards_patches_have_the_published_codes() {
    let size = size(642, 362);
    let run = Run::new(&["--stdout", "--no-pace", "--frames", "2", "--width", "642", "--height", "362"]);
    let ended = run.env(&[("MB_SIM_GL_DEVICE", "none")]).finish();
    for (number, picture) in ended.assert_well().pictures(size).iter().enumerate() {
        let planes = Planes::of(picture);
        for (region, rgb) in Layout::new(size).patches() {
            let (x, y) = (region.x + region.width / 2, size.height() - region.y - region.height / 2);
            let seen = planes.at(x, y);
            let near = seen.iter().zip(ycbcr_from_rgb(rgb)).all(|(seen, right)| seen.abs_diff(right) <= 1);
            assert!(near, "picture {number}: {rgb:?} is {seen:?}, not {:?}", ycbcr_from_rgb(rgb));
        }
        assert_eq!(picture.mark().map(|mark| mark.frame as usize), Some(number));
    }
}

#[test]
fn a_loss_costs_an_idr_and_no_picture() {
    let orders = ["encode:5@4", "lock:20@4", "cuda:cuMemcpyHtoD_v2:999@4"];
    at_once(&orders, |order| {
        let options = ["--stdout", "--no-pace", "--gop", "3600", "--frames", "9", "--width", "320", "--height", "180"];
        let variables = [("MB_SIM_GL_DEVICE", "none"), ("MB_SIM_FAULT", *order)];
        let ended = Run::new(&options).env(&variables).finish();
        ended.assert_well();
        let frames: Vec<_> = ended.pictures(size(320, 180)).iter().map(|it| it.mark().map(|it| it.frame)).collect();
        assert_eq!(frames, (0..9).map(Some).collect::<Vec<_>>(), "{order}: {}", ended.stderr);
        assert_eq!(idrs(&ended.stream), [0, 4], "{order}: {}", ended.stderr);
        assert_eq!(ended.report.count("peak.sessions"), 1, "{order}");
    });
}

#[test]
fn a_gl_that_hangs_as_it_is_read_back_is_no_encoder_that_hangs() {
    let options = ["--stdout", "--frames", "30", "--width", "320", "--height", "180", "--hang-timeout", "1"];
    let mut run = Run::new(&options);
    run.command.env("__EGL_VENDOR_LIBRARY_FILENAMES", sim::egl_vendor());
    let fault = ("MB_SIM_FAULT", "cuda:cuGLGetDevices_v2:304");
    let ended = run.env(&[ON_NVIDIA, fault, ("MB_SIM_HANG", "glReadPixels@9")]).finish();
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("reading back a frame"), "{}", ended.stderr);
}

/// Streams in this process, with a renderer that counts how often it was made, and tells what was chosen.
fn watched() {
    let settings = Settings {
        size: size(320, 180),
        encoder: EncoderChoice::Nvenc,
        paced: false,
        pictures: Some(6),
        ..Settings::default()
    };
    let (vitals, control) = (Vitals::default(), Control::new().expect("a descriptor"));
    let mut made = 0;
    let make = |gl: &Gl, settings: &Settings| {
        made += 1;
        Ok(Box::new(TestCard::new(gl, settings.size, "apart")?) as Box<dyn Renderer>)
    };
    let file = process::scene_folder().join("stream.h264");
    let totals = stream::run_with(&settings, &Output::File(file), make, &control, None, &vitals).expect("a stream");
    let chosen = vitals.chosen().expect("it streamed");
    assert_eq!((chosen.encoder.as_str(), chosen.gpu.as_deref()), ("NVENC", Some("Simulated GPU 0")));
    let apart = std::env::var("MB_SIM_GL_DEVICE").is_ok() || std::env::var("MB_SIM_FAULT").is_ok();
    assert_eq!((chosen.through_host, totals.pictures, made), (apart, 6, 1));
}

#[test]
fn what_was_chosen_says_so_and_the_context_that_was_drawn_in_stays() {
    scenes!(watched);
    for (name, variables) in [
        ("shared", &[][..]),
        ("software", &[("MB_SIM_GL_DEVICE", "none")]),
        ("registering", &[("MB_SIM_FAULT", "cuda:cuGraphicsGLRegisterImage:304@1")]),
    ] {
        let ended = process::run("watched", name, variables);
        ended.assert_passed().report.assert_clean();
        let stream = std::fs::read(ended.folder.join("stream.h264")).expect("the scene's stream");
        let marks: Vec<_> = decoded(&stream, size(320, 180)).iter().map(|it| it.mark().map(|it| it.frame)).collect();
        assert_eq!(marks, (0..6).map(Some).collect::<Vec<_>>(), "{name}");
    }
}
