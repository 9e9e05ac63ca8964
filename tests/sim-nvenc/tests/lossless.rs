//! What goes into the textures comes out of the decoder, sample for sample; and the stream around it
//! is the one that the configuration asked for.

#[path = "../../support/rig/mod.rs"]
mod rig;
#[path = "../../support/sim.rs"]
mod sim;

use nvidia_video_codec_sdk::sys::nvEncodeAPI::{NV_ENC_CONFIG, NV_ENC_INITIALIZE_PARAMS};
use rig::host::{Host, planes};
use rig::live::{Live, picture};
use rig::nvenc::Settings;
use rig::process::scenes;
use rig::{cuda, process};
use std::fs;
use std::mem::offset_of;
use std::path::Path;
use std::process::Command;

const FORCE_IDR: u32 = 2;
const OUTPUT_SETS: u32 = 4;

macro_rules! h264 {
    ($($field:tt)*) => { offset_of!(NV_ENC_CONFIG, encodeCodecConfig.h264Config.$($field)*) };
}

/// Types of the NAL units, and a check that each has a four-byte start code.
fn nal_types(stream: &[u8]) -> Vec<u8> {
    let starts = stream.windows(3).enumerate().filter(|(_, bytes)| *bytes == [0, 0, 1]);
    starts
        .map(|(at, _)| {
            assert!(at > 0 && stream[at - 1] == 0, "a start code of three bytes at {at}");
            stream[at + 3] & 31
        })
        .collect()
}

/// Decodes an Annex B stream with a decoder that knows nothing of us.
fn decode(stream: &Path) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-xerror", "-f", "h264", "-i"])
        .arg(stream)
        .args(["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "nv12", "-"])
        .output()
        .expect("ffmpeg is installed");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{complaints}");
    output.stdout
}

fn probe(stream: &Path, entries: &str) -> String {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", entries, "-of", "default=nw=1", "-f", "h264"])
        .arg(stream)
        .output()
        .expect("ffprobe is installed");
    String::from_utf8(output.stdout).expect("text")
}

fn size_from_environment() -> (u32, u32) {
    let size = std::env::var("SCENE_SIZE").expect("a scene is started by its parent");
    let (width, height) = size.split_once('x').expect("160x64");
    (width.parse().expect("a number"), height.parse().expect("a number"))
}

/// Six pictures: two that differ, one repeated, one that differs in a corner, one forced IDR, one more.
fn six_pictures() {
    let size = size_from_environment();
    let live = Live::start(size, std::env::var_os("SCENE_ARRAY").is_some(), |_| {});
    let mut corner = picture(size, 1);
    corner[0] ^= 0x55;
    let pictures = [picture(size, 0), picture(size, 1), picture(size, 1), corner, picture(size, 2), picture(size, 3)];
    let (mut stream, mut kinds, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
    for (number, nv12) in pictures.iter().enumerate() {
        let flags = if number == 4 { FORCE_IDR } else { 0 };
        let (unit, kind) = live.push(nv12, flags).expect("a picture");
        kinds.push(kind);
        sizes.push(unit.len());
        stream.extend(unit);
    }
    assert_eq!(kinds, [3, 0, 0, 0, 3, 0]);
    assert!(sizes[2] < 32, "a repeated picture is all skipped: {} bytes", sizes[2]);
    assert!(sizes[3] < 512, "one macroblock changed: {} bytes", sizes[3]);
    live.end();
    let folder = process::scene_folder();
    fs::write(folder.join("stream.h264"), &stream).expect("a file");
    fs::write(folder.join("pictures.nv12"), pictures.concat()).expect("a file");
}

fn assert_lossless(size: &str, name: &str, settings: &[(&str, &str)]) {
    let settings = [settings, &[("SCENE_SIZE", size)]].concat();
    let ended = process::run("six_pictures", name, &settings);
    ended.assert_passed();
    ended.report.assert_clean();
    assert_eq!(ended.report.count("pictures"), 6);
    assert_eq!(ended.report.count("idr_pictures"), 2);
    let stream = ended.folder.join("stream.h264");
    let bytes = fs::read(&stream).expect("the scene's stream");
    assert_eq!(nal_types(&bytes), [7, 8, 5, 1, 1, 1, 7, 8, 5, 1]);
    let wanted = fs::read(ended.folder.join("pictures.nv12")).expect("the scene's pictures");
    let decoded = decode(&stream);
    assert_eq!(decoded.len(), wanted.len(), "{size}");
    let differs = decoded.iter().zip(&wanted).position(|(one, other)| one != other);
    assert_eq!(differs, None, "{size}: first sample that differs");
}

#[test]
fn small_pictures_come_back_unchanged() {
    scenes!(six_pictures);
    assert_lossless("160x64", "160x64", &[]);
    assert_lossless("146x130", "146x130", &[]);
    assert_lossless("146x50", "146x50", &[]);
}

#[test]
fn large_pictures_come_back_unchanged() {
    scenes!(six_pictures);
    assert_lossless("1280x720", "1280x720", &[]);
    assert_lossless("1918x1078", "1918x1078", &[]);
}

#[test]
fn an_odd_pitch_changes_nothing() {
    scenes!(six_pictures);
    assert_lossless("146x130", "align-4", &[("MB_SIM_PITCH_ALIGN", "4")]);
    assert_lossless("322x182", "512-and-4", &[("MB_SIM_PITCH_ALIGN", "512+4")]);
}

#[test]
fn a_cuda_array_is_as_good_an_input() {
    scenes!(six_pictures);
    assert_lossless("146x130", "array", &[("SCENE_ARRAY", "1")]);
}

/// Three pictures from host memory, with rows as far apart as the parent says.
fn from_the_host() {
    let size = size_from_environment();
    let pitch = std::env::var("SCENE_PITCH").expect("the parent").parse().expect("a number");
    let host = Host::start(size, pitch);
    let pictures: Vec<_> = (0..3).map(|number| picture(size, number)).collect();
    let mut stream = Vec::new();
    for nv12 in &pictures {
        host.upload(&planes(size, nv12));
        stream.extend(host.encode(0).expect("a picture").0);
    }
    host.end();
    let path = process::scene_folder().join("stream.h264");
    fs::write(&path, &stream).expect("a file");
    assert!(decode(&path) == pictures.concat(), "{size:?}, {pitch}: samples differ");
}

#[test]
fn planes_from_host_memory_come_back_unchanged_without_gl() {
    scenes!(from_the_host);
    for (size, pitch) in [("160x64", "160"), ("146x130", "512"), ("322x182", "352"), ("1280x720", "1280")] {
        let settings = [("SCENE_SIZE", size), ("SCENE_PITCH", pitch)];
        process::run("from_the_host", &format!("host-{size}"), &settings).assert_passed().report.assert_clean();
    }
}

#[test]
fn the_stream_says_what_the_configuration_said() {
    scenes!(six_pictures);
    let ended = process::run("six_pictures", "probe", &[("SCENE_SIZE", "1918x1078")]);
    let entries = "stream=profile,level,width,height,color_range,color_space,color_transfer,color_primaries,chroma_location,has_b_frames,refs,r_frame_rate,sample_aspect_ratio";
    let said = probe(&ended.folder.join("stream.h264"), entries);
    for line in [
        "profile=High",
        "width=1918",
        "height=1078",
        "color_range=tv",
        "color_space=bt709",
        "color_transfer=bt709",
        "color_primaries=bt709",
        "chroma_location=left",
        "has_b_frames=0",
        "level=40",
        "refs=1",
        "r_frame_rate=30/1",
        "sample_aspect_ratio=1:1",
    ] {
        assert!(said.lines().any(|said| said == line), "{line} is missing in\n{said}");
    }
}

/// Pictures of a session whose settings `change` made; the picture types and the stream.
fn stream_of(pictures: u32, flags: impl Fn(u32) -> u32, change: impl FnOnce(&mut Settings)) -> (Vec<u32>, Vec<u8>) {
    let live = Live::start((160, 64), false, change);
    let (mut kinds, mut stream) = (Vec::new(), Vec::new());
    for number in 0..pictures {
        let (unit, kind) = live.push(&picture((160, 64), number), flags(number)).expect("a picture");
        kinds.push(kind);
        stream.extend(unit);
    }
    live.end();
    (kinds, stream)
}

/// Whether the SPS of a session says that no picture is ever late.
fn promises_its_rate(change: impl FnOnce(&mut Settings)) -> bool {
    let path = process::scene_folder().join("rate.h264");
    fs::write(&path, stream_of(1, |_| 0, change).1).expect("a file");
    let trace = Command::new("ffmpeg")
        .args(["-v", "trace", "-i", path.to_str().expect("a plain path"), "-c", "copy"])
        .args(["-bsf:v", "trace_headers", "-f", "null", "-"])
        .output()
        .expect("ffmpeg is installed");
    let trace = String::from_utf8_lossy(&trace.stderr).into_owned();
    trace.lines().any(|line| line.contains("fixed_frame_rate_flag") && line.trim_end().ends_with("= 1"))
}

fn promises() {
    let flag = |bit, timing| {
        move |settings: &mut Settings| {
            settings
                .config
                .bit(h264!(_bitfield_1), 13, bit)
                .put(h264!(h264VUIParameters.timingInfoPresentFlag), timing);
        }
    };
    assert!(promises_its_rate(flag(false, 1)));
    assert!(promises_its_rate(flag(false, 0)), "whether or not that is written");
    assert!(!promises_its_rate(flag(true, 1)) && !promises_its_rate(flag(true, 0)), "enableVFR");
}

#[test]
fn a_rate_is_promised_unless_it_may_vary() {
    scenes!(promises);
    process::run("promises", "promises", &[]).assert_passed();
}

fn cadences() {
    // Every idrPeriod pictures, and the count begins again at a forced one.
    let (kinds, _) = stream_of(9, |number| if number == 2 { FORCE_IDR } else { 0 }, |_| {});
    assert_eq!(kinds, [3, 0, 3, 0, 0, 0, 0, 3, 0]);

    // An endless GOP; I pictures where gopLength is shorter than idrPeriod.
    let endless = |settings: &mut Settings| {
        settings.config.put(offset_of!(NV_ENC_CONFIG, gopLength), u32::MAX).put(h264!(idrPeriod), 0);
    };
    assert_eq!(stream_of(7, |_| 0, endless).0, [3, 0, 0, 0, 0, 0, 0]);
    let intra = |settings: &mut Settings| {
        settings.config.put(offset_of!(NV_ENC_CONFIG, gopLength), 2).put(h264!(idrPeriod), 6);
    };
    assert_eq!(stream_of(7, |_| 0, intra).0, [3, 0, 2, 0, 2, 0, 3]);

    // Without repeatSPSPPS the sets come once, and again where a picture asks for them.
    let once = |settings: &mut Settings| {
        settings.config.bit(h264!(_bitfield_1), 12, false);
    };
    let asked = |number| if number == 2 { OUTPUT_SETS } else { 0 };
    assert_eq!(nal_types(&stream_of(6, asked, once).1), [7, 8, 5, 1, 7, 8, 1, 1, 1, 5]);

    // Access unit delimiters, SEI, filler and slices, where asked for.
    let all = |settings: &mut Settings| {
        settings
            .config
            .bit(h264!(_bitfield_1), 6, true)
            .bit(h264!(_bitfield_1), 5, true)
            .bit(h264!(_bitfield_1), 17, true)
            .put(offset_of!(NV_ENC_CONFIG, rcParams.averageBitRate), 6_000_000)
            .put(h264!(sliceModeData), 3);
    };
    let (_, stream) = stream_of(2, |_| 0, all);
    assert_eq!(nal_types(&stream), [9, 7, 8, 6, 5, 5, 5, 12, 9, 6, 1, 1, 1, 12]);
    let path = process::scene_folder().join("all.h264");
    fs::write(&path, &stream).expect("a file");
    let wanted = [picture((160, 64), 0), picture((160, 64), 1)].concat();
    assert!(decode(&path) == wanted, "slices, SEI and filler leave the samples alone");
}

#[test]
fn picture_types_and_nal_units_follow_the_configuration() {
    scenes!(cadences);
    process::run("cadences", "cadences", &[]).assert_passed().report.assert_clean();
}

fn reconfigured() {
    let size = (160, 64);
    let live = Live::start(size, false, |_| {});
    let mut kinds = Vec::new();
    let mut push = |number| kinds.push(live.push(&picture(size, number), 0).expect("a picture").1);
    push(0);
    push(1);
    let mut again = Settings::live(&live.encoder, size);
    assert_eq!(live.encoder.reconfigure(&again.init, false, false), 0);
    push(2);
    assert_eq!(live.encoder.reconfigure(&again.init, true, true), 0);
    push(3);
    again.config.put(offset_of!(NV_ENC_CONFIG, gopLength), 9);
    assert_eq!(live.encoder.reconfigure(&again.init, false, false), 8);
    again.config.put(offset_of!(NV_ENC_CONFIG, gopLength), 5);
    again.init.put(offset_of!(NV_ENC_INITIALIZE_PARAMS, encodeWidth), 320);
    assert_eq!(live.encoder.reconfigure(&again.init, false, false), 8);
    assert_eq!(kinds, [3, 0, 0, 3]);
    live.end();
}

#[test]
fn a_reconfigured_encoder_goes_on_or_begins_anew_as_asked() {
    scenes!(reconfigured);
    let ended = process::run("reconfigured", "reconfigured", &[]);
    ended.assert_passed();
    assert_eq!(ended.report.all("violation.").into_values().sum::<u64>(), 2);
}

fn late_copies() {
    let size = (160, 64);
    let mut live = Live::start(size, false, |_| {});
    assert_eq!(cuda::cuStreamCreate(&mut live.stream, 1), 0);
    let mut streams = (live.stream, live.stream);
    let told = std::env::var_os("SCENE_TELL").is_some();
    if told {
        assert_eq!(live.encoder.set_streams(&mut streams.0, &mut streams.1), 0);
    }
    let (stream, _) = live.push(&picture(size, 0), 0).expect("a picture");
    let path = process::scene_folder().join("stream.h264");
    fs::write(&path, &stream).expect("a file");
    assert_eq!(decode(&path) == picture(size, 0), told, "whoever does not wait sees old pixels");
    assert_eq!(cuda::cuStreamDestroy_v2(live.stream), 0);
    live.end();
}

#[test]
fn a_copy_that_nobody_waits_for_comes_late() {
    scenes!(late_copies);
    let late = ("MB_SIM_ASYNC", "late");
    process::run("late_copies", "late", &[late]).assert_passed().report.assert_clean();
    process::run("late_copies", "told", &[late, ("SCENE_TELL", "1")]).assert_passed().report.assert_clean();
}

fn without_pixels() {
    let size = (1920, 1080);
    let live = Live::start(size, false, |_| {});
    let mut stream = Vec::new();
    let begun = std::time::Instant::now();
    for _ in 0..12 {
        live.copy();
        stream.extend(live.encode(0).expect("a picture").0);
    }
    let taken = begun.elapsed();
    live.end();
    assert!(stream.len() < 30_000 && taken.as_millis() < 200, "{} bytes, {taken:?}", stream.len());
    let path = process::scene_folder().join("stream.h264");
    fs::write(&path, &stream).expect("a file");
    let decoded = decode(&path);
    assert_eq!(decoded.len(), 12 * 1920 * 1080 * 3 / 2);
    assert!(decoded.iter().all(|sample| *sample == 128), "grey");
}

#[test]
fn with_the_pixel_work_off_pictures_are_tiny_and_valid() {
    scenes!(without_pixels);
    let ended = process::run("without_pixels", "null", &[("MB_SIM_ENCODE", "null")]);
    ended.assert_passed().report.assert_clean();
}

fn lowest_rows() {
    let size = (640, 368);
    let live = Live::start(size, false, |_| {});
    let pictures: Vec<_> = (0..3).map(|number| picture(size, number)).collect();
    let mut stream = Vec::new();
    for picture in &pictures {
        stream.extend(live.push(picture, 0).expect("a picture").0);
    }
    live.end();
    let path = process::scene_folder().join("stream.h264");
    fs::write(&path, &stream).expect("a file");
    let decoded = decode(&path);
    let (width, height) = (size.0 as usize, size.1 as usize);
    for (seen, pushed) in decoded.chunks_exact(width * height * 3 / 2).zip(&pictures) {
        // Four rows of macroblocks: 64 of luma, 32 of chroma.
        let [luma, chroma] = [(height - 64) * width, width * height + (height / 2 - 32) * width];
        assert!(seen[..luma].iter().chain(&seen[width * height..chroma]).all(|sample| *sample == 128), "grey");
        assert!(seen[luma..width * height] == pushed[luma..width * height], "luma");
        assert!(seen[chroma..] == pushed[chroma..], "chroma");
    }
    assert_eq!(decoded.len(), 3 * width * height * 3 / 2);
}

#[test]
fn the_lowest_rows_alone_are_coded_where_that_is_asked_for() {
    scenes!(lowest_rows);
    process::run("lowest_rows", "rows", &[("MB_SIM_ROWS", "4")]).assert_passed().report.assert_clean();
}

fn pace() {
    let size = (1280, 720);
    let live = Live::start(size, false, |_| {});
    let pictures: Vec<_> = (0..4).map(|number| picture(size, number)).collect();
    let begun = std::time::Instant::now();
    for number in 0..40 {
        live.push(&pictures[number % 4], 0).expect("a picture");
    }
    let rate = 40.0 / begun.elapsed().as_secs_f64();
    fs::write(process::scene_folder().join("rate"), format!("{rate:.0}\n")).expect("a file");
    live.end();
    assert!(rate > 30.0, "{rate} pictures a second");
}

#[test]
fn it_keeps_up_with_720p() {
    scenes!(pace);
    process::run("pace", "pace", &[]).assert_passed();
}
