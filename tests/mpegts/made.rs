//! Streams as other programs make them, and what can be done to them on the way.

use mb_encode::parts::{NalUnitType, nal_units};
use std::process::{Command, Stdio};

/// Runs a program to its end, and returns what it wrote.
pub fn run(command: &mut Command) -> Vec<u8> {
    let output = command.stdin(Stdio::null()).output().expect("the program is installed");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A stream by x264, with its own options and those of ffmpeg.
pub fn x264(size: &str, frames: u32, options: &str, more: &[&str]) -> Vec<u8> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-f", "lavfi", "-i", &format!("testsrc2=size={size}:rate=30")]);
    command.args(["-frames:v", &frames.to_string(), "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "veryfast"]);
    command.args(["-x264-params", &format!("threads=1:scenecut=0:repeat-headers=1:{options}")]).args(more);
    run(command.args(["-f", "h264", "-"]))
}

/// A stream by GStreamer's OpenH264, with the encoder's options.
pub fn gstreamer(frames: u32, options: &[&str], quiet: bool) -> Vec<u8> {
    let mut command = Command::new("gst-launch-1.0");
    if quiet {
        command.arg("-q");
    }
    command.args(["videotestsrc", &format!("num-buffers={frames}"), "!"]);
    command.args(["video/x-raw,width=160,height=120,framerate=30/1", "!", "openh264enc"]).args(options);
    run(command.args(["!", "video/x-h264,stream-format=byte-stream", "!", "fdsink"]))
}

/// A stream by this program.
pub fn own(frames: u32) -> Vec<u8> {
    let mut command = crate::support::process::mb_encode();
    command.args([
        "--stdout",
        "--no-pace",
        "--encoder",
        "openh264",
        "--width",
        "160",
        "--height",
        "120",
        "--gop",
        "10",
    ]);
    run(command.args(["--frames", &frames.to_string()]))
}

/// The NAL units of a stream.
pub fn units(stream: &[u8]) -> Vec<Vec<u8>> {
    nal_units(stream).map(|nal| nal.bytes().to_vec()).collect()
}

pub fn kind(nal: &[u8]) -> u8 {
    nal[0] & 0x1f
}

/// NAL units behind start codes of so many bytes.
pub fn joined(units: &[Vec<u8>], start_code: usize) -> Vec<u8> {
    let code = [&vec![0; start_code - 1][..], &[1]].concat();
    units.iter().flat_map(|nal| [&code[..], nal].concat()).collect()
}

/// The NAL units of a stream, each as what `change` makes of it.
pub fn changed(stream: &[u8], change: impl FnMut(Vec<u8>) -> Vec<Vec<u8>>) -> Vec<u8> {
    joined(&units(stream).into_iter().flat_map(change).collect::<Vec<_>>(), 4)
}

/// The stream from the first IDR picture on that has its parameter sets in front, if there is one.
pub fn from_first_idr(stream: &[u8]) -> Option<Vec<u8>> {
    let units = units(stream);
    let mut sets = None;
    for (at, nal) in nal_units(stream).enumerate() {
        match nal.nal_unit_type() {
            NalUnitType::Sps => sets = sets.or(Some(at)),
            NalUnitType::Slice => sets = None,
            NalUnitType::IdrSlice if sets.is_some() => return Some(joined(&units[sets?..], 4)),
            _ => {}
        }
    }
    None
}

/// Every picture that ffmpeg decodes, as its checksum.
pub fn decoded(format: &str, stream: &[u8]) -> Vec<String> {
    let folder = crate::folder();
    let file = folder.path().join("stream");
    std::fs::write(&file, stream).unwrap();
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "fatal", "-threads", "1", "-f", format, "-i"]).arg(&file);
    command.args(["-map", "0:v", "-fps_mode", "passthrough", "-autoscale", "0", "-f", "framemd5", "-"]);
    let table = String::from_utf8(run(&mut command)).expect("text");
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit(',').next().expect("a checksum").trim().to_owned()).collect()
}
