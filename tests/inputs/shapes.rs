//! Every way in which frames can be handed over, and every form that they can have.

use crate::producer::{COLOURS, Colour, clip, framed, header, marked, plain, show, size};
use crate::rig::{Viewer, Worker, colours, decode, is_near, plain_of, settled};
use crate::support::decode::{all_marks, assert_frames_rise_by_one};
use crate::support::process::{Ended, Process, mb_encode, pass_environment};
use std::io::Write as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SIZE: (u32, u32) = (320, 180);
const COUNT: u32 = 30;

/// `mb-encode --stdout` with options, in a folder.
fn command(folder: &Path, options: &[&str]) -> Command {
    let mut command = mb_encode();
    command.current_dir(folder).args(["--stdout", "--encoder", "openh264", "--log-level", "debug"]).args(options);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// Runs a command that is given `stdin`, to its end. Returns what it wrote.
fn output_of(mut command: Command, stdin: Option<Vec<u8>>) -> (Vec<u8>, Ended) {
    if stdin.is_some() {
        command.stdin(Stdio::piped());
    }
    let mut process = Process::start(&mut command);
    let writer = stdin.map(|bytes| {
        let mut stdin = process.stdin();
        // Where it takes no more, what comes out tells.
        std::thread::spawn(move || drop(stdin.write_all(&bytes)))
    });
    let stream = process.stdout().all();
    if let Some(writer) = writer {
        writer.join().expect("it writes");
    }
    (stream, process.wait())
}

/// Checks that a stream has all pictures of the clip, in their order.
fn assert_every_frame(how: &str, (stream, ended): &(Vec<u8>, Ended)) {
    assert_eq!(ended.code(), 0, "{how}: {}", ended.stderr);
    let marks = all_marks(stream, SIZE);
    assert_frames_rise_by_one(&marks);
    assert_eq!(marks.len(), COUNT as usize, "{how}");
}

fn a_clip() -> Vec<u8> {
    clip(size(SIZE.0, SIZE.1), COLOURS[3], COUNT)
}

#[test]
fn every_frame_of_a_file_is_encoded_with_and_without_pace() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("clip.y4m"), a_clip()).unwrap();
    for options in [&["--no-pace"][..], &[]] {
        let run = output_of(command(folder.path(), &[&["--input", "clip.y4m"], options].concat()), None);
        assert_every_frame(&format!("{options:?}"), &run);
    }
}

#[test]
fn every_frame_is_encoded_without_pace_from_standard_input_and_from_what_a_shell_hands_over() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("clip.y4m"), a_clip()).unwrap();
    for name in ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"] {
        let run = output_of(command(folder.path(), &["--no-pace", "--input", name]), Some(a_clip()));
        assert_every_frame(name, &run);
    }
    let program = command(folder.path(), &["--no-pace", "--input"]);
    let mut shell = Command::new("bash");
    shell.args(["-c", "\"$@\" <(cat clip.y4m)", "bash"]).arg(program.get_program()).args(program.get_args());
    pass_environment(&program, &mut shell);
    shell.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::piped());
    assert_every_frame("<(…)", &output_of(shell, None));
    let run = output_of(command(folder.path(), &["--no-pace", "--input-command", "cat clip.y4m"]), None);
    assert_every_frame("--input-command", &run);
}

#[test]
fn a_fifo_is_read_by_a_stream_to_standard_output_too() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("new/frames.y4m");
    let mut run = command(folder.path(), &["--no-pace", "--frames", "30", "--input", "new/frames.y4m"]);
    let mut process = Process::start(&mut run);
    settled("the FIFO is made", || std::fs::metadata(&fifo).is_ok_and(|it| it.file_type().is_fifo()));
    assert_eq!(std::fs::metadata(&fifo).unwrap().mode() & 0o7777, 0o600);
    let writer = std::thread::spawn(move || {
        let mut file = std::fs::OpenOptions::new().write(true).open(fifo).unwrap();
        file.write_all(&a_clip()).unwrap();
    });
    let stream = process.stdout().all();
    writer.join().unwrap();
    assert_every_frame("FIFO", &(stream, process.wait()));
}

#[test]
fn a_live_source_that_is_faster_than_the_frame_rate_is_dropped_from_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let mut shown = header(size(SIZE.0, SIZE.1));
    // More than all pipes on the way hold, at once.
    (0..600).for_each(|at| shown.extend(framed(&marked(size(SIZE.0, SIZE.1), COLOURS[3], at))));
    let (stream, ended) = output_of(command(folder.path(), &["--fps", "20", "--input", "-"]), Some(shown));
    let took = begun.elapsed();
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    let marks = all_marks(&stream, SIZE);
    assert!(marks.windows(2).all(|pair| pair[0].frame < pair[1].frame), "{marks:?}");
    let most = took.as_secs_f64() * 20.0 + 2.0;
    assert!((marks.len() as f64) < most, "{} pictures in {took:?}", marks.len());
    assert_eq!(marks.last().map(|mark| mark.frame), Some(599), "the latest one wins");
}

/// A colour as each format has it, and what it comes out as.
fn formats() -> Vec<(&'static str, Vec<u8>)> {
    // BT.709, limited range: red 200, green 60, blue 30.
    let (width, height) = (SIZE.0 as usize, SIZE.1 as usize);
    let pixels = width * height;
    let [y, cb, cr] = RGB_AS_YUV;
    let quarter = |value: u8| vec![value; pixels / 4];
    vec![
        ("rgb24", [200, 60, 30].repeat(pixels)),
        ("bgr24", [30, 60, 200].repeat(pixels)),
        ("rgba", [200, 60, 30, 7].repeat(pixels)),
        ("bgra", [30, 60, 200, 7].repeat(pixels)),
        ("gray8", vec![y; pixels]),
        ("yuv420p", [vec![y; pixels], quarter(cb), quarter(cr)].concat()),
        ("yuv422p", [vec![y; pixels], vec![cb; pixels / 2], vec![cr; pixels / 2]].concat()),
        ("yuv444p", [vec![y; pixels], vec![cb; pixels], vec![cr; pixels]].concat()),
        ("nv12", [vec![y; pixels], [cb, cr].repeat(pixels / 4)].concat()),
    ]
}

/// 16 + 219 (0.2126 R + 0.7152 G + 0.0722 B) / 255, and 128 + 224 (B - Y') / (1.8556 255) and so on.
const RGB_AS_YUV: Colour = [91, 101, 191];

#[test]
fn raw_frames_of_every_format_are_shown_in_their_colours() {
    let folder = tempfile::tempdir().unwrap();
    for (format, picture) in formats() {
        let stdin = picture.repeat(5);
        let options = ["--no-pace", "--input", "-", "--input-format", format, "--width", "320", "--height", "180"];
        let (stream, ended) = output_of(command(folder.path(), &options), Some(stdin));
        assert_eq!(ended.code(), 0, "{format}: {}", ended.stderr);
        let pictures = decode(&stream, size(SIZE.0, SIZE.1));
        assert_eq!(pictures.len(), 5, "{format}");
        let expected = if format == "gray8" { [RGB_AS_YUV[0], 128, 128] } else { RGB_AS_YUV };
        for picture in &pictures {
            let colour = plain_of(picture);
            assert!(is_near(colour, expected), "{format}: {colour:?}, and it should be {expected:?}");
        }
    }
}

#[test]
fn raw_frames_that_end_in_the_middle_of_one_are_shown_as_far_as_they_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut stdin = plain(size(SIZE.0, SIZE.1), COLOURS[0]).repeat(4);
    stdin.truncate(stdin.len() - 1);
    let options = ["--no-pace", "--input", "-", "--input-format", "yuv420p", "--width", "320", "--height", "180"];
    let (stream, ended) = output_of(command(folder.path(), &options), Some(stdin));
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("in the middle of a frame, after 3 whole frames"), "{}", ended.stderr);
    assert_eq!(colours(&stream, size(SIZE.0, SIZE.1), &COLOURS), [0; 3]);
}

#[test]
fn two_workers_with_one_name_for_both_inputs_show_each_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let temp = folder.path().join("temp");
    let frames = folder.path().join("frames/{id}.y4m");
    let options = format!("--input {} --encoder openh264", frames.display());
    let rig = crate::distribution::Rig::start_in(&temp, &["--workers", "2"], &options);
    let picture = size(640, 360);
    std::thread::scope(|scope| {
        for (at, id) in ["omega-0", "omega-1"].into_iter().enumerate() {
            let fifo = folder.path().join(format!("frames/{id}.y4m"));
            let mut viewer = rig.watch(id);
            scope.spawn(move || {
                let mut file = show(&fifo, picture, COLOURS[at], 1);
                // Until the viewer leaves.
                while file.write_all(&framed(&plain(picture, COLOURS[at]))).is_ok() {
                    std::thread::sleep(Duration::from_millis(30));
                }
            });
            for picture in viewer.take_pictures(20) {
                let colour = plain_of(&picture);
                assert!(is_near(colour, COLOURS[at]), "{id} shows {colour:?}");
            }
        }
    });
}

#[test]
fn a_command_and_a_file_are_shown_to_one_reader_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("clip.y4m"), a_clip()).unwrap();
    let frames = folder.path().join("clip.y4m");
    let worker = Worker::start_with(folder, frames, &["--input-command", "cat clip.y4m"], &["--no-pace"]);
    for _ in 0..2 {
        let marks = all_marks(&worker.watch_to_the_end(), SIZE);
        assert_frames_rise_by_one(&marks);
        assert_eq!(marks.len(), COUNT as usize);
    }
    let Worker { process, folder, frames, .. } = worker;
    drop(process);
    let worker = Worker::start_with(folder, frames, &["--input", "clip.y4m"], &["--no-pace"]);
    for _ in 0..2 {
        assert_eq!(all_marks(&worker.watch_to_the_end(), SIZE).len(), COUNT as usize);
    }
}

#[test]
fn the_size_and_the_rate_are_the_inputs_unless_they_are_given() {
    let worker = Worker::start(&[]);
    let picture = size(352, 288);
    let viewer = worker.watch();
    let file = show(&worker.frames, picture, COLOURS[2], 5);
    viewer.wait_for_pictures(3);
    assert!(colours(&viewer.leave(), picture, &COLOURS).iter().all(|&at| at == 2));
    drop(file);
    let said = worker.process.wait_for_line("352x288");
    assert!(said.contains("60 fps"), "{said}");
}

#[test]
fn a_fifo_that_is_there_keeps_its_mode_and_is_found_through_a_link() {
    use rustix::fs::{CWD, FileType, Mode};
    let folder = tempfile::tempdir().unwrap();
    let real = folder.path().join("real.y4m");
    rustix::fs::mknodat(CWD, &real, FileType::Fifo, Mode::from_raw_mode(0o620), 0).unwrap();
    let mode = || std::fs::metadata(&real).unwrap().mode() & 0o7777;
    let before = mode();
    let frames = folder.path().join("frames.y4m");
    std::os::unix::fs::symlink("real.y4m", &frames).unwrap();
    let worker = Worker::start_with(folder, frames.clone(), &["--input", "frames.y4m"], &[]);
    for at in 1..=2 {
        let viewer = worker.watch();
        let file = show(&frames, size(320, 180), COLOURS[0], 3);
        viewer.wait_for_pictures(2);
        viewer.leave();
        worker.wait_until_idle();
        drop(file);
        assert!(frames.is_symlink());
        assert_eq!(mode(), before, "after reader {at}");
    }
}

impl Worker {
    /// Watches until the stream ends.
    pub fn watch_to_the_end(&self) -> Vec<u8> {
        let stream = Viewer::of(&self.stream).rest();
        self.wait_until_idle();
        stream
    }
}

#[test]
fn noise_is_encoded_in_small_pictures_as_well() {
    let folder = tempfile::tempdir().unwrap();
    for (width, height) in [(320, 240), (640, 360)] {
        let size = size(width, height);
        let mut state = 1_u64;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u8
        };
        let mut stream = header(size);
        for _ in 0..12 {
            stream.extend(framed(&(0..size.pixels() * 3 / 2).map(|_| noise()).collect::<Vec<_>>()));
        }
        let (stream, ended) =
            output_of(command(folder.path(), &["--no-pace", "--bitrate", "2M", "--input", "-"]), Some(stream));
        assert_eq!(ended.code(), 0, "{size}: {}", ended.stderr);
        assert_eq!(decode(&stream, size).len(), 12, "{size}");
    }
}
