//! What people get wrong: each time one message that names the fix, the right exit code, and nothing done.

use crate::support::process::{Process, mb_encode, pass_environment};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Where standard output goes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stdout {
    Pipe,
    Closed,
    ReadOnly,
    Terminal,
}

/// One wrong invocation.
struct Row {
    /// Split at blanks; `\xff` stands for a byte that is not UTF-8, `''` for nothing.
    args: &'static str,
    env: &'static [(&'static str, &'static str)],
    stdout: Stdout,
    code: i32,
    /// All of these are in the message.
    says: &'static [&'static str],
}

const fn row(args: &'static str, says: &'static [&'static str]) -> Row {
    Row { args, env: &[], stdout: Stdout::Pipe, code: 2, says }
}

const fn env(name_and_value: &'static [(&'static str, &'static str)], says: &'static [&'static str]) -> Row {
    Row { env: name_and_value, ..row("--stdout", says) }
}

const fn failed(args: &'static str, says: &'static [&'static str]) -> Row {
    Row { code: 1, ..row(args, says) }
}

const fn stdout(stdout: Stdout, says: &'static [&'static str]) -> Row {
    Row { stdout, ..row("--stdout --frames 2", says) }
}

const SIDE: &[&str] = &["from 64 to 4096"];
const FPS: &[&str] = &["--fps", "from 1 to 240", "30000/1001"];
const BITRATE: &[&str] = &["--bitrate", "from 64k to 400M"];
const GOP: &[&str] = &["--gop", "from 1 to 3600"];
const MODE: &[&str] = &["--fifo-mode", "from 0600 to 0777"];
const PIPE: &[&str] = &["--pipe-size", "from 4k to 1M"];
const ONE_OUTPUT: &[&str] = &["--stdout", "--fifo", "--out", "--listen", "mb-encode --out clip.h264"];
const NO_FIFO: &[&str] = &["not a FIFO", "--out"];

const ROWS: &[Row] = &[
    // The usage is that of the command.
    row("--fifo a.h264 --listen 127.0.0.1:9", &["Usage: mb-encode --stdout |"]),
    row("supervise --mode exec", &["Usage: mb-encode supervise ["]),
    row("go2rtc-config --mode http -- --width 640", &["Usage: mb-encode go2rtc-config ["]),
    // No output, or several.
    row("", ONE_OUTPUT),
    row("--frames 3", ONE_OUTPUT),
    row("--stdout --out new.h264", &["--stdout and --out", "give exactly one"]),
    row("--stdout --fifo new", &["--stdout and --fifo", "give exactly one"]),
    row("--fifo new --out new.h264", &["--fifo and --out", "give exactly one"]),
    row("--stdout --fifo new --out new.h264", ONE_OUTPUT),
    row("--stdout --listen 127.0.0.1:0", &["--stdout and --listen", "give exactly one"]),
    row("--listen", &["--listen <ADDRESS:PORT>"]),
    row("--listen 9000", &["--listen", "127.0.0.1:9000"]),
    row("--listen localhost:9000", &["--listen", "127.0.0.1:9000"]),
    row("--listen 127.0.0.1:65536", &["--listen", "127.0.0.1:9000"]),
    row("--listen 0.0.0.0:9000", &["--listen 0.0.0.0:9000", "--token-file", "--insecure-no-token"]),
    row("--listen 127.0.0.1:0 --max-readers 0", &["--max-readers", "a whole number from 1 to 64"]),
    row("--listen 127.0.0.1:0 --token-file folder", &["--token-file folder is a folder", "openssl rand"]),
    row("--listen 127.0.0.1:0 --token-file fifo", &["fifo is no file", "openssl rand"]),
    row("--listen 127.0.0.1:0 --insecure-no-token --token-file t", &["--insecure-no-token", "--token-file"]),
    row("--out", &["--out <PATH>"]),
    row("--fifo", &["--fifo <PATH>"]),
    row("--out ''", &["--out"]),
    row("--fifo ''", &["--fifo"]),
    row("--out new.h264 --out new2.h264", &["--out", "cannot be used multiple times"]),
    // What is none of its words.
    row("stdout", &["stdout", "--help"]),
    row("encode --stdout", &["encode", "--help"]),
    row("clip.h264", &["clip.h264", "--help"]),
    row("--stdin", &["--stdin", "--stdout"]),
    row("--stdout --witdh 640", &["--witdh", "--width"]),
    row("--stdout -w 640", &["-w", "--help"]),
    row("--stdout new.h264", &["'new.h264' belongs to no option", "--help"]),
    row(
        "--stdout --label my new stream --frames 2",
        &["'new' belongs to no option", "in quotes: --label 'my new stream'"],
    ),
    row("--stdout doctor", &["the subcommand 'doctor' cannot be used with", "--stdout"]),
    row("--stdout=yes", &["--stdout", "yes"]),
    row("completions", &["<SHELL>"]),
    row("completions csh", &["csh", "bash", "fish", "zsh"]),
    row("man --stdout", &["--stdout"]),
    // Sizes.
    row("--stdout --width 0", SIDE),
    row("--stdout --width 62", SIDE),
    row("--stdout --width 65", &["even", "write 64 or 66"]),
    row("--stdout --width 4095", &["even", "write 4094 or 4096"]),
    row("--stdout --width 4098", SIDE),
    row("--stdout --width 4294967297", SIDE),
    row("--stdout --width -640", &["-6", "--help"]),
    row("--stdout --width=-640", SIDE),
    row("--stdout --width 640.0", SIDE),
    row("--stdout --width 640px", SIDE),
    row("--stdout --width 640x360", SIDE),
    row("--stdout --width", &["--width <PIXELS>"]),
    row("--stdout --height 63", SIDE),
    row("--stdout --height 721", &["even", "write 720 or 722"]),
    row("--stdout --height 99999", SIDE),
    row("--stdout --width 4096 --height 4096 --encoder openh264", &["4096x4096", "3840x2160"]),
    row("--stdout --width 64 --height 4096 --encoder openh264", &["64x4096", "3840x2160"]),
    row("--out new.h264 --width 4096 --height 4096 --encoder openh264", &["4096x4096", "3840x2160"]),
    row("--fifo new --width 4096 --height 4096 --encoder openh264", &["4096x4096", "3840x2160"]),
    // Frame rates.
    row("--stdout --fps 0", FPS),
    row("--stdout --fps 241", FPS),
    row("--stdout --fps 29.97", FPS),
    row("--stdout --fps=-30", FPS),
    row("--stdout --fps 30/0", FPS),
    row("--stdout --fps 0/0", FPS),
    row("--stdout --fps 1/2", FPS),
    row("--stdout --fps 30/1/1", FPS),
    row("--stdout --fps 30000/1001/", FPS),
    row("--stdout --fps 99999999999/1001", FPS),
    row("--stdout --fps ntsc", FPS),
    // Bitrates.
    row("--stdout --bitrate 0", BITRATE),
    row("--stdout --bitrate 63k", BITRATE),
    row("--stdout --bitrate 6", BITRATE),
    row("--stdout --bitrate 401M", BITRATE),
    row("--stdout --bitrate 6G", BITRATE),
    row("--stdout --bitrate=-6M", BITRATE),
    row("--stdout --bitrate 6Mbit", BITRATE),
    row("--stdout --bitrate 1e7", BITRATE),
    row("--stdout --bitrate inf", BITRATE),
    row("--stdout --bitrate ''", &["--bitrate", "64k"]),
    row("--stdout --bitrate 400M --encoder openh264", &["400M", "288M"]),
    row("--out file --bitrate 289M --encoder openh264", &["289M", "288M"]),
    // GOPs, frames, statistics, devices.
    row("--stdout --gop 0", GOP),
    row("--stdout --gop 3601", GOP),
    row("--stdout --gop=-1", GOP),
    row("--stdout --gop 61s", GOP),
    row("--stdout --gop 1h", GOP),
    row("--stdout --gop 0ms", GOP),
    row("--stdout --frames=-1", &["--frames", "from 0"]),
    row("--stdout --frames many", &["--frames", "from 0"]),
    row("--stdout --frames 18446744073709551616", &["--frames"]),
    row("--stdout --frames 1.5", &["--frames", "from 0"]),
    row("--stdout --stats 0", &["--stats", "86400"]),
    row("--stdout --stats 0.5", &["--stats", "86400"]),
    row("--stdout --stats 86401", &["--stats", "86400"]),
    row("--stdout --device=-1", &["--device", "from 0"]),
    row("--stdout --device gpu", &["--device", "from 0"]),
    row("--stdout --device /dev/dri/card0", &["--device", "from 0"]),
    failed("--stdout --device 99", &["GPU 99", "nvidia-smi -L"]),
    failed("--fifo new --device 99", &["GPU 99", "nvidia-smi -L"]),
    failed("--out new.h264 --device 99", &["GPU 99", "nvidia-smi -L"]),
    failed("--out file --device 99", &["GPU 99", "nvidia-smi -L"]),
    // Timeouts.
    row("--stdout --hang-timeout 0", &["--hang-timeout", "from 1 to 3600"]),
    row("--stdout --hang-timeout 3601", &["--hang-timeout", "from 1 to 3600"]),
    row("--stdout --hang-timeout 0.5", &["--hang-timeout", "from 1 to 3600"]),
    row("--stdout --start-timeout 0", &["--start-timeout", "from 1 to 3600"]),
    row("--stdout --start-timeout never", &["--start-timeout", "from 1 to 3600"]),
    env(&[("MB_ENCODE_HANG_TIMEOUT", "no")], &["--hang-timeout", "change MB_ENCODE_HANG_TIMEOUT"]),
    env(&[("MB_ENCODE_START_TIMEOUT", "0")], &["--start-timeout", "change MB_ENCODE_START_TIMEOUT"]),
    // Words that have to be one of a few.
    row("--stdout --encoder x264", &["--encoder", "auto", "nvenc", "openh264"]),
    row("--stdout --scene cube", &["--scene", "testcard", "bar"]),
    row("--stdout --log-level loud", &["--log-level", "off", "error", "warn", "info", "debug", "trace"]),
    row("--stdout --log-format xml", &["--log-format", "text", "json"]),
    // The FIFO's options.
    row("--fifo new --fifo-mode 0888", MODE),
    row("--fifo new --fifo-mode 1777", MODE),
    row("--fifo new --fifo-mode 0440", MODE),
    row("--fifo new --fifo-mode rw-rw----", MODE),
    row("--fifo new --fifo-mode -660", &["-6", "--help"]),
    row("--fifo new --pipe-size 0", PIPE),
    row("--fifo new --pipe-size 4095", PIPE),
    row("--fifo new --pipe-size 2M", PIPE),
    row("--fifo new --pipe-size big", PIPE),
    // Paths of FIFOs.
    row("--fifo file", NO_FIFO),
    row("--fifo folder", &["not a FIFO"]),
    row("--fifo .", &["not a FIFO"]),
    row("--fifo ..", &["not a FIFO"]),
    row("--fifo /", &["not a FIFO"]),
    row("--fifo to-file", NO_FIFO),
    row("--fifo to-folder", &["not a FIFO"]),
    row("--fifo dangling", &["dangling", "symbolic link to nothing"]),
    row("--fifo loop", &["loop", "symbolic link"]),
    row("--fifo socket", &["a socket, not a FIFO"]),
    row("--fifo /dev/null", &["a device, not a FIFO"]),
    row("--fifo file/new", &["file/new", "folder"]),
    row("--fifo to-file/new", &["to-file/new", "folder"]),
    row("--fifo to-file/a/b/new", &["to-file/a/b/new", "folder"]),
    row("--fifo /proc/new", &["/proc/new", "folder"]),
    row("--fifo /proc/a/b/new", &["/proc/a/b/new", "folder"]),
    row("--fifo /sys/new", &["/sys/new", "folder"]),
    row("--fifo nowhere/\u{1}long", &["too long"]),
    // Paths of files.
    row("--out folder", &["folder", "--out folder/clip.h264"]),
    row("--out to-folder", &["to-folder", "--out to-folder/clip.h264"]),
    row("--out .", &["--out ./clip.h264"]),
    row("--out nowhere/new.h264", &["nowhere/new.h264", "folder that exists"]),
    row("--out nowhere/", &["nowhere/"]),
    row("--out file/new.h264", &["file/new.h264", "folder"]),
    row("--out /proc/new.h264", &["/proc/new.h264", "folder"]),
    row("--out /sys/new.h264", &["/sys/new.h264", "folder"]),
    row("--out fifo", &["fifo is a FIFO", "--fifo fifo"]),
    row("--out to-fifo", &["to-fifo is a FIFO", "--fifo to-fifo"]),
    row("--out socket", &["socket", "--out clip.h264"]),
    row("--out loop", &["loop", "--out clip.h264"]),
    row("--out \u{1}long", &["too long"]),
    row("--out good.glsl --shader good.glsl", &["good.glsl", "--shader", "--out"]),
    row("--out to-good.glsl --shader ./good.glsl", &["good.glsl", "--shader", "--out"]),
    // Shaders.
    row("--stdout --shader nothing.glsl", &["nothing.glsl", "mainImage"]),
    row("--stdout --shader folder", &["folder", "mainImage"]),
    row("--stdout --shader ''", &["--shader"]),
    row("--stdout --shader broken.glsl", &["broken.glsl:3:", "undefined_name"]),
    row("--out new.h264 --shader broken.glsl", &["broken.glsl:3:", "undefined_name"]),
    row("--out file --shader broken.glsl", &["broken.glsl:3:", "undefined_name"]),
    row("--fifo new --shader broken.glsl", &["broken.glsl:3:", "undefined_name"]),
    row("--stdout --shader syntax.glsl", &["syntax.glsl:2:"]),
    row("--stdout --shader other-signature.glsl", &["other-signature.glsl", "mainImage(out vec4, in vec2)"]),
    row("--stdout --shader folder", &["folder", "Is a directory", "text file"]),
    row("--stdout --shader no-main-image.glsl", &["no-main-image.glsl", "mainImage(out vec4"]),
    row("--stdout --shader empty.glsl", &["empty.glsl", "it is empty", "mainImage(out vec4"]),
    row("--stdout --shader comment.glsl", &["comment.glsl", "mainImage(out vec4"]),
    row("--stdout --shader binary.glsl", &["binary.glsl:1:", "U+"]),
    row("--stdout --shader latin1.glsl", &["latin1.glsl:2:", "U+00E9"]),
    row("--stdout --shader zeros.glsl", &["zeros.glsl"]),
    row("--stdout --shader unclosed.glsl", &["unclosed.glsl"]),
    row("--stdout --shader cube.glsl", &["cube.glsl:2:", "'texture'", "cube maps"]),
    row("--stdout --shader good.glsl --channel0 nothing.png", &["cannot read the picture nothing.png", "PNG or JPEG"]),
    row("--stdout --shader good.glsl --channel1 folder", &["folder", "Is a directory"]),
    row("--stdout --shader good.glsl --channel3 good.glsl", &["good.glsl is neither PNG nor JPEG", "convert it"]),
    row("--fifo new --shader good.glsl --channel3 good.glsl", &["good.glsl is neither PNG nor JPEG"]),
    row("--stdout --channel2 picture.png", &["--channel2", "--shader FILE"]),
    row("--out picture.png --shader good.glsl --channel2 picture.png", &["--channel2", "--out"]),
    row("--stdout --shader /dev/zero", &["/dev/zero", "longer than 1 MiB", "text file"]),
    row("--stdout --shader good.glsl --scene bar", &["--shader", "--scene"]),
    Row {
        env: &[("MB_ENCODE_SCENE", "bar"), ("MB_ENCODE_SHADER", "good.glsl")],
        ..row("--stdout", &["--shader", "--scene"])
    },
    // Values that look like something else.
    row("--out new.ts --mpegts native", &["write --mpegts=native"]),
    row("--out new.ts --mpegts ffmpeg", &["write --mpegts=ffmpeg"]),
    row("--stdout --frames -3", &["--frames", "from 0"]),
    row("--stdout --width -64", SIDE),
    // Configs.
    row("go2rtc-config --rtsp-port 1984", &["--api-port and --rtsp-port are both 1984"]),
    row("go2rtc-config --rtsp-port 8555", &["--rtsp-port and --webrtc-port are both 8555"]),
    row("supervise --api-port 8555", &["--api-port and --webrtc-port are both 8555"]),
    row("supervise --out -", &["--out names the file", "go2rtc-config"]),
    row("go2rtc-config -- --width 640", &["--mode exec", "mb-encode --fifo"]),
    row("go2rtc-config --mode http -- --width 640", &["--mode exec", "mb-encode --listen 127.0.0.1:9000"]),
    row("go2rtc-config --source http://a/{n}", &["--mode http"]),
    row(
        "go2rtc-config --mode http --source http://a/x?token=y",
        &["--source", "http://worker-{n}.example:9000/stream.ts"],
    ),
    row("go2rtc-config --workers 65", &["--workers 65", "1 to 64"]),
    row("go2rtc-config --workers many", &["--workers", "a whole number from 1 to 1000"]),
    row("go2rtc-config --workers -1", &["--workers", "a whole number from 1 to 1000"]),
    row("supervise --api-port 0", &["--api-port", "a whole number from 1 to 65535"]),
    row("supervise --api-port 65536", &["--api-port", "a whole number from 1 to 65535"]),
    row("doctor --timeout 0", &["--timeout", "a whole number from 1 to 600"]),
    row("supervise --mode http --worker-port 8550", &["--rtsp-port 8554", "8550 to 8555", "--worker-port"]),
    row("supervise --mode http --worker-port 65531", &["--worker-port 65531", "65530 is the highest"]),
    row("supervise --mode http --compose x", &["--mode http has no container", "--go2rtc"]),
    row("go2rtc-config --mode exec --out fifo", &["is a FIFO", "left as it is", "--out temp/go2rtc.yaml"]),
    row("go2rtc-config --mode exec --out /dev/null", &["is a device", "left as it is", "--out -"]),
    // The same options from the environment.
    env(&[("MB_ENCODE_WIDTH", "wide")], &["--width", "from 64 to 4096"]),
    env(&[("MB_ENCODE_HEIGHT", "65")], &["--height", "write 64 or 66"]),
    env(&[("MB_ENCODE_FPS", "fast")], FPS),
    env(&[("MB_ENCODE_FRAMES", "-1")], &["--frames", "from 0"]),
    env(&[("MB_ENCODE_BITRATE", "6G")], BITRATE),
    env(&[("MB_ENCODE_BITRATE", "6G")], &["change MB_ENCODE_BITRATE"]),
    env(&[("MB_ENCODE_GOP", "0")], GOP),
    env(&[("MB_ENCODE_ENCODER", "x264")], &["--encoder", "openh264"]),
    env(&[("MB_ENCODE_SCENE", "cube")], &["--scene", "testcard"]),
    env(&[("MB_ENCODE_SHADER", "nothing.glsl")], &["nothing.glsl", "mainImage"]),
    env(&[("MB_ENCODE_DEVICE", "gpu")], &["--device", "from 0"]),
    env(&[("MB_ENCODE_NO_PACE", "maybe")], &["--no-pace", "true", "false"]),
    env(&[("MB_ENCODE_LOG_LEVEL", "loud")], &["--log-level", "trace"]),
    env(&[("MB_ENCODE_LOG_FORMAT", "xml")], &["--log-format", "json"]),
    env(&[("MB_ENCODE_STATS", "0")], &["--stats", "86400"]),
    env(&[("MB_ENCODE_FIFO_MODE", "0999")], MODE),
    env(&[("MB_ENCODE_PIPE_SIZE", "1G")], PIPE),
    // Not UTF-8.
    row("--stdout --label \\xff", &["UTF-8", "--help"]),
    row("--stdout --width 6\\xff40", &["UTF-8", "--help"]),
    row("--stdout --\\xff", &["--help"]),
    row("\\xff", &["--help"]),
    row("--out nowhere/\\xff", &["nowhere/", "folder that exists"]),
    row("--stdout --shader \\xff.glsl", &["mainImage"]),
    env(&[("MB_ENCODE_LABEL", "\\xff")], &["UTF-8", "--help", "change MB_ENCODE_LABEL"]),
    env(&[("MB_ENCODE_FPS", "6\\xff")], &["UTF-8", "--help"]),
    // Standard output that takes no video.
    stdout(Stdout::Closed, &["standard output", "mb-encode --stdout |"]),
    stdout(Stdout::Terminal, &["standard output is a terminal", "mb-encode --stdout |", "mb-encode --out clip.h264"]),
    Row { code: 1, ..stdout(Stdout::ReadOnly, &["standard output", "mb-encode --stdout |"]) },
];

#[test]
fn is_answered_with_one_message_and_nothing_is_done() {
    assert!(ROWS.len() >= 60);
    let mut faults = Vec::new();
    for row in ROWS {
        let folder = tempfile::tempdir().unwrap();
        let _socket = lay_out(folder.path());
        let before = snapshot(folder.path());
        let (ended, written) = run(row, folder.path());
        let mut fault = |what: String| {
            faults.push(format!("{:?} {:?} {:?}: {what}\n{}", row.args, row.env, row.stdout, ended.1));
        };
        let (code, stderr) = (ended.0, &ended.1);
        if code != row.code {
            fault(format!("exit code {code}, expected {}", row.code));
        }
        for words in row.says {
            if !stderr.contains(words) {
                fault(format!("does not say {words:?}"));
            }
        }
        let messages = stderr.lines().filter(|line| line.starts_with("error: ") || line.contains(" ERROR ")).count();
        let first = stderr.lines().next().unwrap_or_default();
        if messages != 1 || !(first.starts_with("error: ") || first.contains(" ERROR ")) {
            fault(format!("{messages} messages, and the first line is {first:?}"));
        }
        if stderr.contains("panicked") || stderr.contains("RUST_BACKTRACE") {
            fault("it panicked".to_owned());
        }
        if !written.is_empty() {
            fault(format!("{} bytes on standard output", written.len()));
        }
        let after = snapshot(folder.path());
        if after != before {
            let names = |a: &Snapshot, b: &Snapshot| -> Vec<PathBuf> {
                a.iter().filter(|(path, state)| b.get(*path) != Some(state)).map(|(path, _)| path.clone()).collect()
            };
            fault(format!("the folder changed: {:?} became {:?}", names(&before, &after), names(&after, &before)));
        }
    }
    assert!(faults.is_empty(), "{} faults:\n\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn of_a_fifo_that_is_served_already_disturbs_neither_its_worker_nor_its_reader() {
    use crate::annex_b::go2rtc_packets;
    use crate::fifo::Worker;
    let worker = Worker::start(&[]);
    let mut reader = worker.connect();
    let mut stream = reader.units(2);
    let mut second = mb_encode();
    second.arg("--fifo").arg(&worker.path).stdout(Stdio::null());
    let ended = Process::start(&mut second).wait();
    assert_eq!(ended.code(), 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("another mb-encode serves the FIFO"), "{}", ended.stderr);
    stream.extend(reader.units(10));
    assert_eq!(go2rtc_packets(&stream).len(), 12);
}

/// What the paths in [`ROWS`] name.
fn lay_out(folder: &Path) -> std::os::unix::net::UnixListener {
    let write = |name: &str, text: &[u8]| std::fs::write(folder.join(name), text).unwrap();
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, folder.join(name)).unwrap();
    const IMAGE: &str = "void mainImage(out vec4 fragColor, in vec2 fragCoord) {\n";
    write("file", b"mine");
    write("good.glsl", format!("{IMAGE}    fragColor = vec4(1.0);\n}}\n").as_bytes());
    write("broken.glsl", format!("{IMAGE}    float x = 1.0;\n    fragColor = vec4(undefined_name);\n}}\n").as_bytes());
    write("syntax.glsl", format!("{IMAGE}    fragColor = = vec4(1.0);\n}}\n").as_bytes());
    write("other-signature.glsl", b"vec4 mainImage(vec2 at) {\n    return vec4(at, 0.0, 1.0);\n}\n");
    write("no-main-image.glsl", b"void image() {\n}\n");
    write("comment.glsl", b"// mainImage is what it lacks\n");
    write("empty.glsl", b"");
    write("binary.glsl", b"\x7fELF\x02\x01\x01\xff\xfe\x00mainImage");
    write("latin1.glsl", &[IMAGE.as_bytes(), b"    fragColor = vec4(caf\xe9);\n}\n"].concat());
    write("zeros.glsl", b"mainImage\0\0\0\0");
    write("unclosed.glsl", format!("{IMAGE}    fragColor = vec4(1.0);\n").as_bytes());
    write("cube.glsl", format!("{IMAGE}    fragColor = texture(iChannel0, vec3(fragCoord, 1.0));\n}}\n").as_bytes());
    write("picture.png", b"whatever it is");
    std::fs::create_dir(folder.join("folder")).unwrap();
    rustix::fs::mknodat(CWD, folder.join("fifo"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    link("file", "to-file");
    link("folder", "to-folder");
    link("fifo", "to-fifo");
    link("good.glsl", "to-good.glsl");
    link("nothing", "dangling");
    link("loop", "loop");
    std::os::unix::net::UnixListener::bind(folder.join("socket")).unwrap()
}

/// Type, permissions, inode, length, time of change and contents of everything under a folder.
type Snapshot = BTreeMap<PathBuf, (u32, u64, u64, (i64, i64), Vec<u8>)>;

fn snapshot(folder: &Path) -> Snapshot {
    let mut all = Snapshot::new();
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        let stat = std::fs::symlink_metadata(&path).unwrap();
        let kind = stat.file_type();
        let contents = match kind {
            _ if kind.is_symlink() => std::fs::read_link(&path).unwrap().into_os_string().into_vec(),
            _ if kind.is_file() => std::fs::read(&path).unwrap(),
            _ => {
                assert!(kind.is_dir() || kind.is_fifo() || kind.is_socket());
                Vec::new()
            }
        };
        if kind.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        all.insert(path, (stat.mode(), stat.ino(), stat.len(), (stat.mtime(), stat.mtime_nsec()), contents));
    }
    all
}

fn words(text: &str) -> OsString {
    let mut bytes = text.as_bytes().to_vec();
    while let Some(at) = bytes.windows(4).position(|part| part == br"\xff") {
        bytes.splice(at..at + 4, [0xff]);
    }
    let long = "n".repeat(300);
    match bytes.as_slice() {
        b"''" => OsString::new(),
        _ if text.contains('\u{1}') => text.replace('\u{1}', &long).into(),
        _ => OsString::from_vec(bytes),
    }
}

/// Runs one row in `folder` and gives its exit code, its message and what it wrote to standard output.
fn run(row: &Row, folder: &Path) -> ((i32, String), Vec<u8>) {
    let program = mb_encode();
    let mut command = match row.stdout {
        Stdout::Closed => {
            let mut shell = Command::new("sh");
            shell.args(["-c", "exec \"$@\" >&-", "sh"]).arg(program.get_program());
            pass_environment(&program, &mut shell);
            shell
        }
        _ => program,
    };
    command.args(row.args.split_whitespace().map(words)).current_dir(folder).stdin(Stdio::null());
    for (name, value) in row.env {
        command.env(name, words(value));
    }
    let terminal = (row.stdout == Stdout::Terminal).then(open_terminal);
    command.stdout(match row.stdout {
        Stdout::Pipe => Stdio::piped(),
        Stdout::Closed => Stdio::null(),
        Stdout::ReadOnly => std::fs::File::open("/dev/null").unwrap().into(),
        Stdout::Terminal => terminal.as_ref().unwrap().1.try_clone().unwrap().into(),
    });
    let mut process = Process::start(&mut command);
    drop(command);
    // Where it starts to stream instead, this reads all of it until the limit.
    let reading = (row.stdout == Stdout::Pipe).then(|| {
        let mut reader = process.stdout();
        std::thread::spawn(move || reader.all())
    });
    if !process.is_running_after(Duration::from_secs(10)) {
        let ended = process.wait();
        let written = match (reading, &terminal) {
            (Some(reading), _) => reading.join().unwrap(),
            (None, Some((master, _))) => read_now(master),
            (None, None) => Vec::new(),
        };
        return ((ended.code(), ended.stderr), written);
    }
    let lines = process.lines().join("\n");
    drop(process);
    ((-1, format!("still running after 10 s\n{lines}")), Vec::new())
}

/// A terminal as its two ends: the screen's, and the program's.
fn open_terminal() -> (rustix::fd::OwnedFd, rustix::fd::OwnedFd) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let path = Path::new(OsStr::from_bytes(name.as_bytes()));
    let slave = rustix::fs::open(path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    (master, slave)
}

/// What is there to read, without waiting.
fn read_now(fd: &rustix::fd::OwnedFd) -> Vec<u8> {
    rustix::fs::fcntl_setfl(fd, OFlags::NONBLOCK).unwrap();
    let mut bytes = vec![0; 65_536];
    let count = rustix::io::read(fd, &mut bytes).unwrap_or(0);
    bytes.truncate(count);
    bytes
}
