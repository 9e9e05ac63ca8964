//! Streams as other programs make them, and what can be done to them on the way.

use h264_reader::rbsp::{BitWrite, BitWriter, ByteWriter};
use mb_encode::parts::{NalUnitType, nal_units};
use std::process::{Command, Stdio};

type Bits = BitWriter<ByteWriter<Vec<u8>>>;

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

/// Frames of two fields each, by hand: no encoder here makes them. Every sample is written as it is (I_PCM), and every
/// fifth frame begins with an IDR field.
pub fn fields(frames: u32, delimiters: bool) -> Vec<u8> {
    let nal = |header: u8, write: &dyn Fn(&mut Bits) -> std::io::Result<()>| {
        let mut bits = BitWriter::new(ByteWriter::new(vec![0, 0, 0, 1, header]));
        write(&mut bits).unwrap();
        bits.write_rbsp_trailing_bits().unwrap();
        bits.into_writer().into_writer()
    };
    let ues = |bits: &mut Bits, values: &[u32]| values.iter().try_for_each(|&value| bits.write_ue(value));
    let sps = nal(0x67, &|bits| {
        bits.write::<24, u32>(77 << 16 | 30)?;
        // Order type 0; 16 by 32, in fields; two reference frames.
        ues(bits, &[0, 0, 0, 4, 2])?;
        bits.write_bit(false)?;
        ues(bits, &[0, 0])?;
        bits.write::<5, u8>(0b00100)
    });
    let pps = nal(0x68, &|bits| {
        ues(bits, &[0, 0])?;
        bits.write::<2, u8>(0)?;
        ues(bits, &[0, 0, 0])?;
        bits.write::<3, u8>(0)?;
        ues(bits, &[0, 0, 0])?;
        bits.write::<3, u8>(0)
    });
    let mut stream = Vec::new();
    for field in 0..2 * frames {
        let (frame, bottom) = (field / 2, field % 2 == 1);
        let number = frame % 5;
        let is_idr = number == 0 && !bottom;
        if delimiters {
            stream.extend_from_slice(&[0, 0, 0, 1, 9, 0xf0]);
        }
        if is_idr {
            stream.extend([&sps[..], &pps].concat());
        }
        stream.extend(nal(if is_idr { 0x65 } else { 0x61 }, &|bits| {
            ues(bits, &[0, 7, 0])?;
            bits.write::<4, u32>(number)?;
            bits.write_bit(true)?;
            bits.write_bit(bottom)?;
            if is_idr {
                bits.write_ue(frame / 5 % 2)?;
            }
            bits.write::<8, u32>(2 * number + u32::from(bottom))?;
            bits.write_var(if is_idr { 2 } else { 1 }, 0u8)?;
            bits.write_se(0)?;
            bits.write_ue(25)?;
            while bits.writer().is_none() {
                bits.write_bit(false)?;
            }
            (0..384u32).try_for_each(|at| bits.write::<8, u32>(20 + (at + 7 * field) % 200))
        }));
    }
    stream
}
