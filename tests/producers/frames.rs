//! Python's `Frames`, with a reader that looks at every byte.

use crate::python::{need_packages, python};
use crate::reader::FrameReader;
use crate::support::process::{Ended, Process};
use rustix::fs::{CWD, FileType, Mode};
use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

fn fifo() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.y4m");
    rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
    (folder, path)
}

/// Starts `loop.py`, for at most this many seconds.
pub fn start_loop(fifo: &Path, (width, height): (u32, u32), fps: u32, pixels: &str, seconds: &str) -> Process {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/producers/loop.py");
    let mut command = python();
    command.arg(script).arg(fifo).args([width, height, fps].map(|number| number.to_string())).args([pixels, seconds]);
    Process::start(&mut command)
}

/// When each frame was begun, in seconds of the monotonic clock.
pub fn rendered(lines: &[String]) -> Vec<f64> {
    let moments = lines.iter().filter(|line| line.starts_with("rendered "));
    moments.map(|line| line.rsplit(' ').next().and_then(|at| at.parse().ok()).expect("a time")).collect()
}

pub fn now() -> f64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

fn lines(ended: &Ended) -> Vec<String> {
    ended.stderr.lines().map(str::to_owned).collect()
}

/// Runs Python with `path` as its argument, to a good end. Returns its standard error.
fn run(source: &str, path: &Path) -> String {
    let source = format!("import sys\nfrom mb_frames import Frames\n{source}");
    let ended = Process::start(python().arg("-c").arg(source).arg(path)).wait();
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    ended.stderr
}

#[test]
fn nothing_is_rendered_while_nobody_watches() {
    let (folder, fifo) = fifo();
    for path in [fifo, folder.path().join("missing.y4m"), folder.path().join("no-folder/a.y4m")] {
        let ended = start_loop(&path, (640, 480), 30, "rgb24", "1.5").wait();
        let last = ended.stderr.lines().last().unwrap_or_default().to_owned();
        assert!(last.starts_with("end: ") && last.ends_with(" 0 rendered"), "{}: {}", path.display(), ended.stderr);
        assert!(!last.contains(" 0 steps"), "{last}");
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("it is there").count(), 1, "it makes nothing");
}

#[test]
fn each_reader_gets_a_header_and_whole_frames() {
    // The first fits into a pipe, of the second a thread writes the most.
    for ((width, height), pixels, depth) in [((64, 48), "rgb24", 3), ((1920, 1080), "rgba", 4), ((333, 77), "gray8", 1)]
    {
        let (_folder, fifo) = fifo();
        let producer = start_loop(&fifo, (width, height), 100, pixels, "60");
        let size = (width * height * depth) as usize;
        let mut last = 0;
        for _ in 0..3 {
            let mut reader = FrameReader::open(&fifo);
            let header = format!("W{width} H{height} F100:1 Ip A1:1 C444 XCOLORRANGE=FULL XPIXFMT={pixels}");
            assert_eq!(reader.line(), format!("YUV4MPEG2 {header}"));
            for _ in 0..5 {
                let value = reader.value(size);
                assert!(value > last, "{value} after {last}");
                last = value;
            }
            drop(reader);
            // As long as a viewer's click takes at the very least.
            std::thread::sleep(Duration::from_millis(30));
        }
        producer.signal(Signal::TERM);
        producer.wait();
    }
}

#[test]
fn rendering_stops_with_the_last_reader() {
    for size in [(64, 48), (1920, 1080)] {
        let (_folder, fifo) = fifo();
        let producer = start_loop(&fifo, size, 100, "gray8", "4");
        let mut reader = FrameReader::open(&fifo);
        reader.line();
        for _ in 0..10 {
            reader.value((size.0 * size.1) as usize);
        }
        drop(reader);
        let left = now();
        let ended = producer.wait();
        let after = rendered(&lines(&ended)).into_iter().filter(|&at| at > left).count();
        assert!(after <= 1, "{after} frames were begun after the reader had left\n{}", ended.stderr);
    }
}

#[test]
fn frames_are_rendered_at_the_rate_that_was_asked_for_and_no_faster() {
    let (_folder, fifo) = fifo();
    let producer = start_loop(&fifo, (64, 48), 20, "gray8", "60");
    let mut reader = FrameReader::open(&fifo);
    reader.line();
    for _ in 0..41 {
        reader.value(64 * 48);
    }
    producer.signal(Signal::TERM);
    let moments = rendered(&lines(&producer.wait()));
    // The first comes up to half an interval early.
    assert!(moments[40] - moments[0] >= 39.5 / 20.0, "41 frames within {} s", moments[40] - moments[0]);
}

#[test]
fn a_reader_that_does_not_read_holds_nothing_up() {
    // More than a pipe holds.
    let (_folder, fifo) = fifo();
    let producer = start_loop(&fifo, (640, 480), 100, "rgb24", "2");
    let mut reader = FrameReader::open(&fifo);
    let ended = producer.wait();
    assert_eq!(rendered(&lines(&ended)).len(), 1, "what cannot be written is not rendered\n{}", ended.stderr);
    let steps = ended.stderr.lines().last().and_then(|line| line.split(' ').nth(1)?.parse::<u32>().ok());
    assert!(steps > Some(100), "{}", ended.stderr);
    reader.line();
    let rest = reader.rest();
    assert!(rest.starts_with(b"FRAME\n") && rest.len() < 640 * 480 * 3, "{} bytes", rest.len());
}

#[test]
fn a_reader_that_was_slow_gets_whole_frames_again() {
    let (_folder, fifo) = fifo();
    let producer = start_loop(&fifo, (640, 480), 100, "rgb24", "60");
    let mut reader = FrameReader::open(&fifo);
    reader.line();
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(100));
        reader.value(640 * 480 * 3);
    }
    let moments = rendered(&producer.lines()).len();
    assert!(moments <= 7, "{moments} frames were rendered for 5 that were read");
}

#[test]
fn the_end_of_the_producer_is_the_end_of_its_stream() {
    let (_folder, fifo) = fifo();
    let producer = start_loop(&fifo, (64, 48), 20, "gray8", "1");
    let mut reader = FrameReader::open(&fifo);
    reader.line();
    let rest = reader.rest();
    let frame = "FRAME\n".len() + 64 * 48;
    assert_eq!(rest.len() % frame, 0);
    let ended = producer.wait();
    assert_eq!(rest.len() / frame, rendered(&lines(&ended)).len());
}

#[test]
fn whatever_lies_in_memory_as_it_should_is_a_frame() {
    need_packages();
    let (_folder, fifo) = fifo();
    let source = "
import numpy, os, threading
read = os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK)
rows = numpy.arange(4 * 2 * 3, dtype=numpy.uint8).reshape(2, 4, 3)
flat = bytes(range(24))
mirrored = rows[:, ::-1].tobytes()
assert mirrored != flat
with Frames(sys.argv[1], 4, 2, 10) as out:
    for frame, written in [
        (rows, flat), (rows[:, ::-1], mirrored), (flat, flat), (bytearray(flat), flat), (memoryview(flat), flat),
        (numpy.asfortranarray(rows), flat), (numpy.frombuffer(flat, numpy.float32), flat),
    ]:
        while not out.wanted():
            pass
        assert out.write(frame)
        assert not out.write(frame), 'it is too early for another'
        seen = os.read(read, 1000)
        assert seen.endswith(b'\\nFRAME\\n' + written) or seen == b'FRAME\\n' + written, seen
assert not out.wanted() and not out.write(flat), 'it is closed'
out.close()
assert os.read(read, 10) == b''
";
    assert_eq!(run(source, &fifo), "");
}

#[test]
fn a_wrong_frame_or_format_is_told() {
    let (_folder, fifo) = fifo();
    let source = "
def told(words, make):
    try:
        make()
    except ValueError as error:
        assert words in str(error), error
    else:
        raise AssertionError(words)
with Frames(sys.argv[1], 640, 480) as out:
    told('921600 bytes; this one has 5', lambda: out.write(b'12345'))
    told('shape (480, 640, 4)', lambda: out.write(memoryview(bytes(640 * 480 * 4)).cast('B', (480, 640, 4))))
told('rgb24, bgr24, rgba, bgra, gray8', lambda: Frames(sys.argv[1], 640, 480, pixels='yuv420p'))
";
    assert_eq!(run(source, &fifo), "");
}

#[test]
fn what_is_no_fifo_is_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let clip = folder.path().join("clip.y4m");
    std::fs::write(&clip, "a clip").expect("room");
    let said =
        run("with Frames(sys.argv[1], 2, 2) as out: assert not out.wanted() and not out.write(bytes(12))", &clip);
    assert!(said.contains("mb-encode gets no frames: [Errno 17] not a FIFO") && said.contains("clip.y4m"), "{said}");
    assert_eq!(std::fs::read(&clip).expect("it is there"), b"a clip");
}

#[test]
fn a_forked_child_holds_no_stream_open() {
    let (_folder, fifo) = fifo();
    let source = "
import os, warnings
# Some versions warn of any fork beside a thread.
warnings.simplefilter('ignore', DeprecationWarning)
read = os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK)
out = Frames(sys.argv[1], 2, 2)
assert out.wanted() and out.write(bytes(12))
stay, leave = os.pipe()
told, tell = os.pipe()
if os.fork() == 0:
    os.close(leave)
    os.write(tell, b'!')
    os.read(stay, 1)
    os._exit(0)
assert os.read(told, 1) == b'!'
out.close()
while os.read(read, 1000):
    pass
os.close(leave)
assert os.wait()[1] == 0
";
    assert_eq!(run(source, &fifo), "");
}
