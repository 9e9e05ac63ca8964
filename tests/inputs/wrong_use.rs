//! What people get wrong about inputs: one message with the code of its explanation, and nothing touched.

use crate::producer::{COLOURS, framed, header, plain, size};
use crate::rig::Worker;
use crate::support::go2rtc;
use crate::support::process::{Process, Reader, mb_encode};
use rustix::fs::{CWD, FileType, Mode};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// One wrong invocation: what it is, its options, what comes on standard input, and what the message has.
struct Row {
    options: Vec<&'static str>,
    stdin: Vec<u8>,
    says: &'static [&'static str],
}

fn row(options: &'static str, says: &'static [&'static str]) -> Row {
    Row { options: options.split(' ').collect(), stdin: Vec::new(), says }
}

/// `--input -` of these bytes.
fn fed(stdin: impl Into<Vec<u8>>, says: &'static [&'static str]) -> Row {
    Row { options: vec!["--stdout", "--input", "-"], stdin: stdin.into(), says }
}

fn rows() -> Vec<Row> {
    let small = size(64, 64);
    let picture = framed(&plain(small, COLOURS[0]));
    let with = |rest: &[u8]| [header(small), picture.clone(), rest.to_vec()].concat();
    vec![
        // Options that do not go together.
        row("--stdout --input-format rgb24", &["[input-missing]", "--input-format", "--input -"]),
        row("--stdout --input-matrix bt601", &["[input-missing]", "--input-matrix"]),
        row("--stdout --input-range full", &["[input-missing]", "--input-range"]),
        row("--fifo new.h264 --input -", &["[input-once]", "--fifo", "--input temp/frames/a.y4m"]),
        row("--fifo new.h264 --input /dev/stdin", &["[input-once]"]),
        row("--fifo new.h264 --input /dev/fd/0", &["[input-once]"]),
        row("--stdout --input - --input-format rgb24", &["[input-size]", "rgb24", "--width 640 --height 480"]),
        row("--stdout --input - --input-format nv12 --width 64", &["[input-size]"]),
        row("--stdout --input - --input-format rgb25", &["--input-format", "rgb24", "nv12"]),
        row("--stdout --input - --input-matrix bt2020", &["--input-matrix", "bt709", "bt601"]),
        row("--stdout --input - --input-range tv", &["--input-range", "limited", "full"]),
        row("--stdout --input - --scene bar", &["--input", "--scene"]),
        row("--stdout --input - --shader file", &["--input", "--shader"]),
        row("--stdout --input - --input-command cat", &["--input", "--input-command"]),
        row("supervise --workers 2 -- --input frames.y4m", &["[input-of-all]", "frames.y4m", "{id}"]),
        row("supervise --workers 1 -- --input -", &["[input-once]"]),
        row("supervise --workers 2 -- --input -", &["[input-once]"]),
        row("--stdout --mpegts=ffmpeg --input frames.y4m", &["[input-ffmpeg]"]),
        // What is at the path.
        row("--stdout --input folder", &["[input-unusable]", "folder", "--input temp/frames/a.y4m"]),
        row("--fifo new.h264 --input folder", &["[input-unusable]", "folder"]),
        row("--stdout --input to-folder", &["[input-unusable]"]),
        row("--stdout --input socket", &["[input-socket]", "unix:socket"]),
        row("--fifo new.h264 --input socket", &["[input-socket]", "unix:socket"]),
        row("--stdout --input file", &["[input-not-y4m]", "begins with \"mine\"", "-f yuv4mpegpipe"]),
        row("--stdout --input empty", &["[input-empty]", "before its first frame"]),
        row("--stdout --input /dev/zero", &["[input-not-y4m]"]),
        row("--stdout --input dangling", &["[input-unusable]", "dangling is a symbolic link to nothing", "--input"]),
        row("--stdout --input loop", &["[input-unusable]", "loop", "--input"]),
        row("--stdout --input file/new.y4m", &["[input-unusable]", "file/new.y4m", "--input"]),
        row("--stdout --input /proc/new.y4m", &["[input-unusable]", "/proc/new.y4m", "--input"]),
        row("--stdout --input .", &["[input-unusable]"]),
        row("--fifo frames.y4m --input frames.y4m", &["[input-is-output]", "--fifo frames.y4m"]),
        row("--fifo frames.y4m --input to-fifo", &["[input-is-output]"]),
        row("--fifo new.h264 --input ./new.h264", &["[input-is-output]"]),
        row("--out clip.y4m --input clip.y4m", &["clip.y4m", "--input", "--out"]),
        // Commands.
        row("--stdout --input-command false", &["[input-command]", "exit status: 1"]),
        row("--stdout --input-command true", &["[input-command]", "before its first frame"]),
        row("--stdout --input-command ./nothing-here", &["[input-command]", "exit status: 127"]),
        row("--stdout --input-command yes", &["[input-not-y4m]", "y\\ny\\n"]),
        // What comes.
        fed("", &["[input-empty]", "before its first frame"]),
        fed("YUV4MPEG2 W64 H64 F30:1\n", &["[input-empty]"]),
        fed("hello, world\n", &["[input-not-y4m]", "hello, world", "--input-format rgb24"]),
        fed(vec![b'A'; 1 << 20], &["[input-not-y4m]"]),
        fed([b"YUV4MPEG2 ".to_vec(), vec![b'X'; 1 << 20]].concat(), &["[input-not-y4m]"]),
        fed("YUV4MPEG2 W64 F30:1\nFRAME\n", &["[y4m-header]", "no width and height"]),
        fed("YUV4MPEG2 W0 H64\nFRAME\n", &["[y4m-header]", "width"]),
        fed("YUV4MPEG2 W64 H99999999999999999999\nFRAME\n", &["[y4m-header]", "height"]),
        fed("YUV4MPEG2 W4294967360 H64\nFRAME\n", &["[y4m-header]", "width"]),
        fed("YUV4MPEG2 W64 H64 It\nFRAME\n", &["[input-interlaced]", "top field first", "yadif"]),
        fed("YUV4MPEG2 W64 H64 C420p10\nFRAME\n", &["[input-format]", "C420p10", "-pix_fmt yuv420p"]),
        fed("YUV4MPEG2 W64 H64 C411\nFRAME\n", &["[input-format]", "C411"]),
        fed("YUV4MPEG2 W64 H64 XPIXFMT=p010\nFRAME\n", &["[input-format]", "p010"]),
        fed(with(b"WRONG\n"), &["[input-out-of-step]", "WRONG"]),
        fed(with(&[0; 5000]), &["[input-out-of-step]"]),
        fed(with(&header(small)), &["[input-out-of-step]", "goes on with another header", "ffmpeg -f concat"]),
        fed(with(b"FRAME"), &[]),
    ]
}

#[test]
fn is_answered_with_one_message_that_has_the_code_of_its_explanation() {
    let mut faults = Vec::new();
    for Row { options, stdin, says } in rows() {
        let folder = tempfile::tempdir().unwrap();
        let _socket = lay_out(folder.path());
        let before = snapshot(folder.path());
        let mut command = mb_encode();
        command.args(&options).current_dir(folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        if options[0] == "supervise" {
            command.env("GO2RTC", go2rtc::find());
        }
        let mut process = Process::start(&mut command);
        let mut writer = process.stdin();
        let mut stdout: Reader<_> = process.stdout();
        // Both end with the process.
        std::thread::spawn(move || drop(writer.write_all(&stdin)));
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        if process.is_running_after(Duration::from_secs(8)) {
            faults.push(format!("{options:?} {says:?}: it runs on\n{}", process.lines().join("\n")));
            continue;
        }
        let ended = process.wait();
        let stderr = &ended.stderr;
        let mut fault = |what: String| faults.push(format!("{options:?} {says:?}: {what}\n{stderr}"));
        // A stream that is cut off is shown as far as it goes.
        let expected = if says.is_empty() { 0 } else { 2 };
        if ended.code() != expected {
            fault(format!("exit code {}", ended.code()));
        }
        says.iter().filter(|words| !stderr.contains(**words)).for_each(|words| fault(format!("no {words:?}")));
        let messages = stderr.lines().filter(|line| line.starts_with("error: ") || line.contains(" ERROR ")).count();
        if messages != usize::from(expected > 0) || stderr.contains("panicked") {
            fault(format!("{messages} messages"));
        }
        if snapshot(folder.path()) != before {
            fault(format!("the folder changed: {:?} became {:?}", before, snapshot(folder.path())));
        }
    }
    assert!(faults.is_empty(), "{} faults:\n\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn who_waits_for_a_first_frame_is_told_what_keeps_it_away() {
    let folder = tempfile::tempdir().unwrap();
    let waiting = [
        (["--input", "mistyped.y4m"], "nothing has come from"),
        (["--input", "unix:mistyped"], "nothing has come from"),
        (["--input-command", "sleep 60"], "nothing has come from the input command; start the program"),
        (["--input-command", "printf 'YUV4MPEG2 W64'; sleep 60"], "the input command has sent none that is whole"),
    ]
    .map(|(options, why)| {
        let mut command = mb_encode();
        command.arg("--stdout").args(options).current_dir(folder.path()).stdout(Stdio::piped());
        (options, why, Process::start(&mut command))
    });
    for (options, why, process) in waiting {
        let said = process.wait_for_line("[input-silent]");
        assert!(said.contains("WARN") && said.contains(why), "{options:?}: {said}");
        process.signal(rustix::process::Signal::TERM);
        let ended = process.wait();
        assert_eq!((ended.code(), ended.stderr.matches("[input-silent]").count()), (0, 1), "{}", ended.stderr);
    }
    let explained = mb_encode().args(["explain", "input-silent"]).output().unwrap();
    assert!(explained.status.success());
}

#[test]
fn each_code_is_explained() {
    let codes: std::collections::BTreeSet<_> =
        rows().iter().flat_map(|row| row.says).filter_map(|words| words.strip_prefix('[')?.strip_suffix(']')).collect();
    assert!(codes.len() >= 13, "{codes:?}");
    for code in codes {
        let output = mb_encode().args(["explain", code]).output().unwrap();
        assert!(output.status.success() && !output.stdout.is_empty(), "{code}");
    }
}

#[test]
fn what_is_there_when_a_reader_comes_is_never_replaced() {
    let worker = Worker::start(&[]);
    let file = worker.folder.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    std::fs::rename(&file, &worker.frames).unwrap();
    assert!(worker.watch_to_the_end().is_empty());
    let said = worker.process.wait_for_line("[input-not-y4m]");
    assert!(said.contains("mine"), "{said}");
    assert_eq!(std::fs::read_to_string(&worker.frames).unwrap(), "mine");
}

fn lay_out(folder: &Path) -> std::os::unix::net::UnixListener {
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, folder.join(name)).unwrap();
    std::fs::write(folder.join("file"), "mine").unwrap();
    std::fs::write(folder.join("empty"), "").unwrap();
    std::fs::write(folder.join("clip.y4m"), header(size(64, 64))).unwrap();
    std::fs::create_dir(folder.join("folder")).unwrap();
    rustix::fs::mknodat(CWD, folder.join("frames.y4m"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    link("folder", "to-folder");
    link("frames.y4m", "to-fifo");
    link("nothing", "dangling");
    link("loop", "loop");
    std::os::unix::net::UnixListener::bind(folder.join("socket")).unwrap()
}

/// Inode, mode and length of what lies in a folder.
fn snapshot(folder: &Path) -> BTreeMap<String, (u64, u32, u64)> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let state = |entry: std::fs::DirEntry| {
        let stat = std::fs::symlink_metadata(entry.path()).unwrap();
        let length = if stat.is_dir() { 0 } else { stat.len() };
        (entry.file_name().to_string_lossy().into_owned(), (stat.ino(), stat.mode(), length))
    };
    entries.map(state).collect()
}
