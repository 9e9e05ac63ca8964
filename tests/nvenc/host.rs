//! Pictures from host memory: NVENC takes them by one upload, on a machine that has no GL.

use crate::run::{decoded, size};
use crate::scenes_process as process;
use crate::support::sim;
use mb_encode::parts::{AccessUnit, HostPicture, Nvenc, byte_stream};
use mb_encode::settings::{PixelFormat, Settings, Size};
use mb_encode::{Drawn, Error, Fault};
use process::{Ended, scenes};
use std::time::{Duration, Instant};

const PICTURES: u32 = 3;

/// Plays a scene on a machine with the drivers and without GL.
fn run(scene: &str, name: &str, settings: &[(&str, &str)]) -> Ended {
    process::run_with(scene, name, &sim::drivers_without_gl(), settings)
}

/// What the parent says, or 160x64 where it does not.
fn settings() -> Settings {
    let told = std::env::var("SCENE_SIZE").unwrap_or_else(|_| "160x64".to_owned());
    let (width, height) = told.split_once('x').expect("160x64");
    let side = |text: &str| text.parse().expect("a number");
    let device = std::env::var("SCENE_DEVICE").ok().map(|device| device.parse().expect("a number"));
    Settings { size: size(side(width), side(height)), device, ..Settings::default() }
}

/// Planes in which no two rows, no two columns and no two pictures are alike, and which have nothing in common.
pub fn planes(size: Size, number: u32) -> Vec<u8> {
    let (width, height) = (size.width(), size.height());
    let plane = |width: u32, height: u32, (across, down, each): (u32, u32, u32)| {
        (0..height)
            .flat_map(move |y| (0..width).map(move |x| (x * across + y * down + x * y / 16 + number * each) as u8))
    };
    let chroma = |steps| plane(width / 2, height / 2, steps);
    plane(width, height, (5, 1, 17)).chain(chroma((3, 7, 29))).chain(chroma((11, 2, 41))).collect()
}

fn picture(size: Size, number: u32) -> HostPicture {
    let mut picture = HostPicture::new(size);
    picture.exchange(planes(size, number));
    picture.show_at(Duration::from_millis(40) * number);
    picture
}

fn encode() {
    let settings = settings();
    let mut nvenc = Nvenc::open_for_host(&settings).unwrap_or_else(|error| panic!("{error}"));
    let (mut unit, mut stream) = (AccessUnit::default(), Vec::new());
    for number in 0..PICTURES {
        let picture = picture(settings.size, number);
        nvenc.encode_host(&picture, number == 2, &mut unit).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((unit.is_idr(), unit.pts()), (number != 1, picture.pts()), "picture {number}");
        byte_stream(&unit, &mut stream);
    }
    std::fs::write(process::scene_folder().join("stream.h264"), stream).expect("room for a stream");
    let loaded = std::fs::read_to_string("/proc/self/maps").expect("/proc");
    assert!(!loaded.contains("libEGL") && !loaded.contains("libGL"), "{loaded}");
}

#[test]
fn every_sample_is_the_one_that_was_handed_over_at_every_size_and_pitch() {
    scenes!(encode);
    for (at, pitch) in ["512", "32"].into_iter().enumerate() {
        // The first four lie on the GPU as on the host; the driver does not take the others so.
        for (width, height) in
            [(160, 64), (160, 130), (640, 362), (4096, 64), (146, 130), (176, 66), (642, 362), (1278, 718), (160, 4096)]
        {
            let (size, name) = (size(width, height), format!("{width}x{height}-{at}"));
            let ended = run("encode", &name, &[("SCENE_SIZE", &size.to_string()), ("MB_SIM_PITCH_ALIGN", pitch)]);
            let report = &ended.assert_passed().report;
            report.assert_clean();
            let at_once = if width % 32 == 0 { PICTURES } else { 0 };
            assert_eq!(report.count("call.cuMemcpyHtoD_v2"), u64::from(at_once), "{name}: uploads");
            // The simulated encoder fetches the three planes by three of these.
            let by_rows = 3 * PICTURES + 2 * (PICTURES - at_once);
            assert_eq!(report.count("call.cuMemcpy2D_v2"), u64::from(by_rows), "{name}: uploads by rows");
            let stream = std::fs::read(ended.folder.join("stream.h264")).expect("the scene's stream");
            let pictures = decoded(&stream, size);
            assert_eq!(pictures.len() as u32, PICTURES, "{name}");
            for (number, picture) in pictures.iter().enumerate() {
                assert!(picture.bytes == planes(size, number as u32), "{name}: picture {number} is another one");
            }
        }
    }
}

/// Writes down what came of opening an encoder: the GPU's name, or the error.
fn open() {
    let opened = Nvenc::open_for_host(&settings());
    let text = match &opened {
        Ok(nvenc) => nvenc.gpu().to_owned(),
        Err(error) => {
            assert_eq!(error.fault(), Fault::Machine, "{error}");
            error.to_string()
        }
    };
    drop(opened);
    // The first look reads files; what a machine without a driver pays is seen where they are known.
    let took = (0..20).map(|_| time_of(|| Nvenc::open_for_host(&settings()))).min().expect("several");
    let folder = process::scene_folder();
    std::fs::write(folder.join("opened"), text).expect("a file");
    std::fs::write(folder.join("took"), took.as_micros().to_string()).expect("a file");
}

fn time_of(open: impl Fn() -> Result<Nvenc, Error>) -> Duration {
    let began = Instant::now();
    let opened = open();
    let took = began.elapsed();
    drop(opened);
    took
}

fn read(ended: &Ended, name: &str) -> String {
    std::fs::read_to_string(ended.folder.join(name)).expect("the scene's file")
}

#[test]
fn the_gpu_is_the_one_asked_for_as_cuda_counts_them_else_the_first_that_has_an_encoder() {
    scenes!(open);
    // Which GPUs CUDA shows; which is asked for; an ordered fault; what is opened, or said.
    type Row = (&'static str, Option<&'static str>, &'static str, &'static str);
    let rows: [Row; 11] = [
        ("0,1,2", None, "", "Simulated GPU 0"),
        ("0,1,2", Some("2"), "", "Simulated GPU 2"),
        ("2,0", Some("0"), "", "Simulated GPU 2"),
        ("2,0", Some("1"), "", "Simulated GPU 0"),
        // The first has no encoder; and each of them has none.
        ("0,1,2", None, "open:2x1", "Simulated GPU 1"),
        ("2,1,0", None, "open:1x1,open:2x1", "Simulated GPU 0"),
        (
            "0,1",
            None,
            "open:2",
            "this GPU has no NVENC encoder, or it is out of reach: NvEncOpenEncodeSessionEx failed",
        ),
        ("0,1", Some("0"), "open:2x1", "this GPU has no NVENC encoder"),
        // Another reason is no reason to go on.
        ("0,1", None, "open:21x1", "no NVENC session is free"),
        ("0,1,2", Some("3"), "", "there is no GPU 3: CUDA shows 3 [no-such-gpu]"),
        ("", Some("0"), "", "CUDA shows no GPU: cuInit failed with CUDA_ERROR_NO_DEVICE (100) [cuda-no-gpu]"),
    ];
    for (at, (visible, device, fault, said)) in rows.into_iter().enumerate() {
        let mut variables = vec![("MB_SIM_DEVICES", "3"), ("CUDA_VISIBLE_DEVICES", visible), ("MB_SIM_FAULT", fault)];
        variables.extend(device.map(|device| ("SCENE_DEVICE", device)));
        let ended = run("open", &format!("open-{at}"), &variables);
        ended.assert_passed().report.assert_clean();
        let opened = read(&ended, "opened");
        assert!(opened.starts_with(said), "visible {visible:?}, asked for {device:?}, {fault}: {opened}");
        for word in ["EGL", "GL ", "draw", "render"] {
            assert!(!opened.contains(word), "{word:?} is in {opened}");
        }
    }
}

#[test]
fn a_machine_without_a_driver_is_told_so_at_once() {
    scenes!(open);
    let folder = tempfile::tempdir().expect("an empty folder");
    let none = process::run_with("open", "no-driver", folder.path(), &[]);
    let half = process::run_with("open", "no-nvenc", &sim::cuda_alone(), &[]);
    for (ended, said) in [
        (&none, "there is no NVIDIA driver: libcuda.so.1"),
        (&half, "the NVIDIA driver has no NVENC library: libnvidia-encode.so.1"),
    ] {
        let opened = read(ended.assert_passed(), "opened");
        assert!(opened.starts_with(said), "{opened}");
    }
    let micros: u64 = read(&none, "took").parse().expect("a number");
    assert!(micros < 1000, "{micros} us");
    half.report.assert_clean();
}

/// Loses the encoder at the second picture.
fn lose() {
    let settings = settings();
    let mut nvenc = Nvenc::open_for_host(&settings).unwrap_or_else(|error| panic!("{error}"));
    let mut unit = AccessUnit::default();
    nvenc.encode_host(&picture(settings.size, 0), false, &mut unit).unwrap_or_else(|error| panic!("{error}"));
    let lost = nvenc.encode_host(&picture(settings.size, 1), false, &mut unit).expect_err("the order");
    std::fs::write(process::scene_folder().join("said"), lost.to_string()).expect("a file");
    drop(nvenc);
    let mut nvenc = Nvenc::open_for_host(&settings).unwrap_or_else(|error| panic!("{error}"));
    nvenc.encode_host(&picture(settings.size, 1), false, &mut unit).unwrap_or_else(|error| panic!("{error}"));
    assert!(unit.is_idr());
}

#[test]
fn a_loss_is_told_leaves_nothing_behind_and_the_next_encoder_works() {
    scenes!(lose);
    for (at, (size, order, said)) in [
        ("160x64", "cuda:cuMemcpyHtoD_v2:999@1", "cuMemcpyHtoD failed with CUDA_ERROR_UNKNOWN (999)"),
        ("160x64", "cuda:cuMemcpyHtoD_v2:7777@1", "cuMemcpyHtoD failed with CUDA status 7777"),
        // A picture is five of these, two of ours and three of the simulated encoder's.
        ("146x66", "cuda:cuMemcpy2D_v2:999@5x1", "cuMemcpy2D failed with CUDA_ERROR_UNKNOWN (999)"),
        ("146x66", "cuda:cuMemcpy2D_v2:4@6x1", "cuMemcpy2D failed with CUDA_ERROR_DEINITIALIZED (4)"),
        ("160x64", "map:16@1", "NVENC does not take the picture from CUDA: NvEncMapInputResource failed"),
        ("160x64", "encode:5@1", "NvEncEncodePicture failed with NV_ENC_ERR_DEVICE_NOT_EXIST (5)"),
        ("160x64", "lock:20@1", "NvEncLockBitstream failed with NV_ENC_ERR_GENERIC (20)"),
        ("160x64", "unmap:20@1", "NvEncUnmapInputResource failed with NV_ENC_ERR_GENERIC (20)"),
    ]
    .into_iter()
    .enumerate()
    {
        let ended = run("lose", &format!("lose-{at}"), &[("MB_SIM_FAULT", order), ("SCENE_SIZE", size)]);
        ended.assert_passed().report.assert_clean();
        let lost = read(&ended, "said");
        assert!(lost.contains(said), "{order}: {lost}");
        assert_eq!(ended.report.count("peak.sessions"), 1, "{order}");
    }
}

/// A stream of a program that uses the library.
fn outlive() {
    struct Numbered(Size, u32);
    impl mb_encode::Frames for Numbered {
        fn shape(&self) -> mb_encode::settings::Shape {
            mb_encode::settings::Shape::new(self.0.width(), self.0.height(), PixelFormat::Yuv420p)
        }

        fn fill(&mut self, _: u64, _: Duration, samples: &mut [u8]) -> Result<Drawn, Error> {
            samples.copy_from_slice(&planes(self.0, self.1));
            self.1 += 1;
            Ok(if self.1 > 9 { Drawn::Over } else { Drawn::New })
        }
    }
    let settings = Settings { paced: false, ..settings() };
    let output = mb_encode::Output::File(process::scene_folder().join("stream.h264"));
    let control = mb_encode::Control::new().expect("a descriptor");
    let frames = Numbered(settings.size, 0);
    let streamed = mb_encode::stream::run_frames(&settings, &output, frames, &control, None);
    assert_eq!(streamed.unwrap_or_else(|error| panic!("{error}")).pictures, 9);
}

/// There is no other process to go on with it, so OpenH264 does at once.
#[test]
fn a_stream_of_another_program_outlives_cuda_in_its_process() {
    scenes!(outlive);
    let ended = run("outlive", "outlive", &[("MB_SIM_FAULT", "cuda:cuMemcpyHtoD_v2:700@4")]);
    ended.assert_passed().report.assert_nothing_asked_of_the_dead();
    let stream = std::fs::read(ended.folder.join("stream.h264")).expect("the scene's stream");
    assert_eq!((decoded(&stream, size(160, 64)).len(), crate::losses::idrs(&stream)), (9, vec![0, 4]));
}

/// Orders a fault at each step of opening.
#[test]
fn an_opening_that_fails_leaves_nothing_behind() {
    scenes!(open);
    for (at, (size, order, said)) in [
        ("160x64", "cuda:cuDevicePrimaryCtxRetain:46", "another process has the GPU for itself"),
        ("160x64", "cuda:cuMemAlloc_v2:2", "the GPU is out of memory: cuMemAlloc failed"),
        ("146x66", "cuda:cuMemAllocPitch_v2:2", "the GPU is out of memory: cuMemAllocPitch failed"),
        ("160x64", "initialize:8", "this GPU or driver refuses the settings"),
        ("160x64", "bitstream:10", "the GPU is out of memory: NvEncCreateBitstreamBuffer failed"),
        ("160x64", "register:23", "NVENC does not take the picture from CUDA: NvEncRegisterResource failed"),
    ]
    .into_iter()
    .enumerate()
    {
        let ended = run("open", &format!("fail-{at}"), &[("MB_SIM_FAULT", order), ("SCENE_SIZE", size)]);
        ended.assert_passed().report.assert_clean();
        let opened = read(&ended, "opened");
        assert!(opened.starts_with(said), "{order}: {opened}");
    }
}

const LIVES: u64 = 300;

fn many_lives() {
    let settings = settings();
    let (picture, mut unit) = (picture(settings.size, 0), AccessUnit::default());
    for life in 0..LIVES {
        let mut nvenc = Nvenc::open_for_host(&settings).unwrap_or_else(|error| panic!("life {life}: {error}"));
        nvenc.encode_host(&picture, false, &mut unit).unwrap_or_else(|error| panic!("life {life}: {error}"));
    }
}

#[test]
fn of_hundreds_of_encoders_in_one_process_nothing_is_left() {
    scenes!(many_lives);
    let ended = run("many_lives", "lives", &[("MB_SIM_SESSION_LIMIT", "1")]);
    let report = &ended.assert_passed().report;
    report.assert_clean();
    for (made, released) in [
        ("call.NvEncOpenEncodeSessionEx", "call.NvEncDestroyEncoder"),
        ("call.NvEncRegisterResource", "call.NvEncUnregisterResource"),
        ("call.cuMemAlloc_v2", "call.cuMemFree_v2"),
        ("call.cuDevicePrimaryCtxRetain", "call.cuDevicePrimaryCtxRelease_v2"),
    ] {
        assert_eq!((report.count(made), report.count(released)), (LIVES, LIVES), "{made}, {released}");
    }
}
