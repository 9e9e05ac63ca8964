//! `scripts/go2rtc_exec_mpegts.sh`, which wraps any command.

use crate::child::{child_named, children_of, end, eventually, folder, mb_encode, runs, start, with_program};
use crate::demux::{demux, whole_pictures};
use crate::play::{frame_numbers_at, frame_numbers_in};
use crate::support::go2rtc::Go2rtc;
use crate::support::process::{self, Process, Reader};
use mb_encode::parts::{NalUnit, NalUnitType, nal_units};
use rustix::process::Signal;
use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/go2rtc_exec_mpegts.sh");

/// What wraps, and the options of the script: on a grid by ffmpeg, on a grid, and stamped.
const EACH: [(&str, &[&str]); 3] = [("ffmpeg", &["--fps", "30"]), ("native", &["--fps", "30"]), ("", &[])];

/// The script with the program as it was built for this test. `how` is its MB_ENCODE_MPEGTS, where it is not empty.
fn wrap_with(how: &str, options: &[&str]) -> Command {
    let mut command = process::clean(Command::new(SCRIPT));
    command.args(options).env("MB_ENCODE", env!("CARGO_BIN_EXE_mb-encode"));
    if !how.is_empty() {
        command.env("MB_ENCODE_MPEGTS", how);
    }
    command
}

fn wrap(options: &[&str]) -> Command {
    wrap_with("", options)
}

/// Sixty pictures of raw H.264.
fn clip(folder: &Path) -> String {
    let clip = folder.join("clip.h264");
    let mut command = mb_encode(&["--no-pace", "--frames", "60", "--fps", "30", "--gop", "30"]);
    assert_eq!(end(start(command.arg("--out").arg(&clip))).0, 0);
    clip.display().to_string()
}

/// Each picture of a clip by itself.
fn pictures(clip: &str) -> Vec<Vec<u8>> {
    let mut pictures = vec![Vec::new()];
    for unit in nal_units(&std::fs::read(clip).unwrap()) {
        let picture = pictures.last_mut().unwrap();
        match unit.nal_unit_type() {
            NalUnitType::Filler => {}
            kind => {
                picture.extend_from_slice(&[0, 0, 0, 1]);
                picture.extend_from_slice(unit.bytes());
                if matches!(kind, NalUnitType::Slice | NalUnitType::IdrSlice) {
                    pictures.push(Vec::new());
                }
            }
        }
    }
    pictures.pop();
    assert_eq!(pictures.len(), 60);
    pictures
}

fn types(picture: &[u8]) -> Vec<NalUnitType> {
    nal_units(picture).map(NalUnit::nal_unit_type).collect()
}

/// Reads on until `stream` holds that many whole pictures.
fn read_pictures(pipe: &mut Reader<ChildStdout>, stream: &mut Vec<u8>, count: usize) {
    while whole_pictures(stream).is_empty() || demux(whole_pictures(stream)).len() < count {
        let mut some = [0; 4096];
        let read = pipe.read(&mut some).expect("a picture comes before the next one is written");
        assert!(read > 0, "it ended before picture {count}");
        stream.extend_from_slice(&some[..read]);
    }
}

#[test]
fn mb_encode_behind_it_wraps_its_own_stream() {
    let mut command = wrap(&["--"]);
    let encode = mb_encode(&["--stdout", "--frames", "20", "--fps", "30"]);
    command.arg(encode.get_program()).args(encode.get_args());
    let mut script = start(&mut command);
    assert_eq!(demux(&script.stdout().all()).len(), 20);
    assert_eq!(end(script), (0, String::new()));
}

#[test]
fn every_picture_of_another_command_arrives() {
    let folder = folder();
    let clip = clip(folder.path());
    for (how, options) in EACH {
        let mut script = start(wrap_with(how, options).args(["--", "cat", &clip]));
        let stream = script.stdout().all();
        assert_eq!(end(script), (0, String::new()));
        assert_eq!(demux(&stream).len(), 60, "{how} {options:?}");
        let out = folder.path().join("clip.ts");
        std::fs::write(&out, stream).unwrap();
        assert_eq!(frame_numbers_in(&out, 60), (0..60).collect::<Vec<_>>(), "{how} {options:?}");
    }
}

#[test]
fn each_picture_is_out_before_the_next_one_is_in() {
    let folder = folder();
    let pictures = pictures(&clip(folder.path()));
    let fifo = folder.path().join("source");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    for (how, options) in EACH {
        let mut script = start(wrap_with(how, options).args(["--", "cat"]).arg(&fifo));
        let mut pipe = script.stdout();
        let mut source = std::fs::File::create(&fifo).unwrap();
        let mut stream = Vec::new();
        for (at, picture) in pictures.iter().enumerate() {
            source.write_all(picture).unwrap();
            read_pictures(&mut pipe, &mut stream, at + 1);
        }
        drop(source);
        stream.extend(pipe.all());
        assert_eq!(end(script), (0, String::new()), "{how} {options:?}");
        let wrapped = demux(&stream);
        assert_eq!(wrapped.len(), 60, "{how} {options:?}");
        for (at, (picture, wrapped)) in pictures.iter().zip(&wrapped).enumerate() {
            assert!(nal_units(&wrapped.bytes).skip(1).eq(nal_units(picture)), "{how} {options:?}: picture {at}");
        }
        if !options.is_empty() {
            let grid =
                wrapped.iter().enumerate().map(|(at, picture)| picture.pts.abs_diff(wrapped[0].pts + at as u64 * 3000));
            assert!(grid.max() <= Some(3), "{how} {options:?}");
        }
    }
}

#[test]
fn delimiters_filler_and_sei_of_the_source_make_no_packet_of_their_own() {
    // Each picture has all three.
    const CODE: &str = "aud=1:nal-hrd=cbr:vbv-maxrate=2000:vbv-bufsize=200:keyint=15:threads=1";
    for (how, options) in EACH {
        let mut script =
            start(wrap_with(how, options).args(["--", "ffmpeg", "-v", "error", "-f", "lavfi", "-i"]).args([
                "testsrc2=size=320x240:rate=30:duration=1.5",
                "-c:v",
                "libx264",
                "-preset",
                "ultrafast",
                "-b:v",
                "2000k",
                "-x264-params",
                CODE,
                // Whole pictures: else its buffer ends within one, and a busy machine makes a pause there.
                "-flush_packets",
                "1",
                "-f",
                "h264",
                "-",
            ]));
        let stream = script.stdout().all();
        assert_eq!(end(script), (0, String::new()), "{how} {options:?}");
        let wrapped = demux(&stream);
        assert_eq!(wrapped.len(), 45, "{how} {options:?}");
        for picture in wrapped {
            let types = types(&picture.bytes);
            // Behind the delimiter, and not in its place.
            assert_eq!(types[..3], [NalUnitType::AccessUnitDelimiter, NalUnitType::Sps, NalUnitType::Pps]);
            assert!(types.contains(&NalUnitType::Sei) && !types.contains(&NalUnitType::Filler), "{types:?}");
        }
    }
}

#[test]
fn go2rtc_plays_another_command_without_losing_a_picture() {
    let folder = folder();
    let camera = mb_encode(&["--stdout", "--fps", "15"]);
    let words = std::iter::once(camera.get_program()).chain(camera.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    with_program(folder.path(), "camera", &format!("exec {}", words.join(" ")));
    for options in ["--fps 15 ", ""] {
        let wrapper = wrap(&[]);
        let script = wrapper.get_program().display();
        let camera = folder.path().join("camera");
        let source = format!(
            "exec:env MB_ENCODE={} {script} {options}-- {}#killsignal=15#killtimeout=5",
            env!("CARGO_BIN_EXE_mb-encode"),
            camera.display()
        );
        let go2rtc = Go2rtc::start(&[("demo", &source)]);
        let frames = frame_numbers_at(&go2rtc.rtsp("demo"), 40);
        assert!(frames.windows(2).all(|pair| pair[1] == pair[0] + 1), "{options}: {frames:?}");
        eventually("go2rtc ends the source", || children_of(go2rtc.id()).is_empty().then_some(()));
        assert!(runs(go2rtc.id()), "{options}: go2rtc has crashed");
    }
}

#[test]
fn an_ffmpeg_that_dies_is_quoted_and_ends_the_command() {
    let folder = folder();
    let clip = clip(folder.path());
    let path = with_program(folder.path(), "ffmpeg", "echo 'Protocol not on speaking terms' >&2; exit 7");
    let options = ["--fps", "30", "--", "sh", "-c", &format!("cat '{clip}'; exec sleep 600")];
    let mut command = wrap_with("ffmpeg", &options);
    let script = start(command.env("PATH", path));
    let (code, said) = end(script);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("ffmpeg ended (exit status: 7): Protocol not on speaking terms"), "{said}");
}

#[test]
fn it_finds_the_program_or_says_that_there_is_none() {
    let folder = folder();
    let (scripts, built) = (folder.path().join("scripts"), folder.path().join("target/release"));
    for folder in [&scripts, &built] {
        std::fs::create_dir_all(folder).unwrap();
    }
    let copy = scripts.join("go2rtc_exec_mpegts.sh");
    std::fs::copy(SCRIPT, &copy).unwrap();
    let path = std::env::var("PATH").unwrap();
    let path: Vec<_> = path.split(':').filter(|folder| !Path::new(folder).join("mb-encode").exists()).collect();
    let run = |named: &str, first: &str| {
        let mut command = process::clean(Command::new(&copy));
        command.args(["--", "true"]).env("MB_ENCODE", named).env("PATH", format!("{first}:{}", path.join(":")));
        end(start(&mut command))
    };
    let (code, said) = run("", "");
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("cargo build --release"), "{said}");
    with_program(&built, "mb-encode", "exit 7");
    assert_eq!(run("", "").0, 7);
    let installed = folder.path().join("bin");
    std::fs::create_dir(&installed).unwrap();
    with_program(&installed, "mb-encode", "exit 8");
    assert_eq!(run("", installed.to_str().unwrap()).0, 8);
    let named = folder.path().join("mine");
    with_program(folder.path(), "mine", "echo \"$*\" >&2");
    assert_eq!(run(named.to_str().unwrap(), installed.to_str().unwrap()), (0, "mpegts -- true\n".into()));
    let (code, said) = run("/nowhere/mb-encode", installed.to_str().unwrap());
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("/nowhere/mb-encode"), "{said}");
}

/// `mb-encode mpegts` by itself.
fn wrap_stdin(options: &[&str]) -> Process {
    let mut command = process::mb_encode();
    Process::start(command.arg("mpegts").args(options).stdin(Stdio::piped()).stdout(Stdio::piped()))
}

#[test]
fn a_pause_within_a_picture_costs_that_picture_alone() {
    let folder = folder();
    let pictures = pictures(&clip(folder.path()));
    let mut wrap = wrap_stdin(&[]);
    let (mut source, mut pipe) = (wrap.stdin(), wrap.stdout());
    let mut stream = Vec::new();
    source.write_all(&pictures[0]).unwrap();
    read_pictures(&mut pipe, &mut stream, 1);
    // No picture ends in a zero byte, so none is taken to have ended behind one.
    let half = (pictures[1].len() / 2..).find(|&at| pictures[1][at - 1] != 0).expect("the last byte is none");
    let (start, end_of_it) = pictures[1].split_at(half);
    source.write_all(start).unwrap();
    read_pictures(&mut pipe, &mut stream, 2);
    source.write_all(end_of_it).unwrap();
    source.write_all(&pictures[2..].concat()).unwrap();
    wrap.wait_for_line("paused within a frame");
    drop(source);
    stream.extend(pipe.all());
    assert_eq!(wrap.wait().code(), 0);
    let wrapped = demux(&stream);
    assert_eq!(wrapped.len(), 60);
    for (at, (picture, wrapped)) in pictures.iter().zip(&wrapped).enumerate() {
        assert_eq!(nal_units(&wrapped.bytes).skip(1).eq(nal_units(picture)), at != 1, "picture {at}");
    }
}

#[test]
fn what_is_no_h264_is_refused() {
    for (options, input, why) in [
        (&[][..], &b"G and so on"[..], "it starts with [47, 20, 61, 6e]"),
        (&[], &[0, 0, 0, 1, 9, 0xf0], "there was no picture in it"),
        (&["--how", "ffmpeg"], &[], "--fps 30"),
        (&["--how", "gstreamer"], &[], "native"),
    ] {
        let mut wrap = wrap_stdin(options);
        // It may have ended by then.
        let _ = wrap.stdin().write_all(input);
        assert_eq!(wrap.stdout().all(), [0u8; 0]);
        let (code, said) = end(wrap);
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(why), "{said}");
    }
    // The command has said why.
    let mut wrap = wrap_stdin(&[]);
    drop(wrap.stdin());
    assert_eq!(end(wrap), (0, String::new()));
}

#[test]
fn exit_codes_are_passed_on_and_wrong_use_is_named() {
    let folder = folder();
    let clip = clip(folder.path());
    let run = |command: &mut Command| {
        let mut script = start(command);
        script.stdout().all();
        end(script)
    };
    assert_eq!(run(&mut wrap(&["--", "sh", "-c", &format!("cat '{clip}'; exit 9")])).0, 9);
    assert_eq!(run(&mut wrap(&["--", "sh", "-c", &format!("cat '{clip}'; kill -KILL $$")])).0, 128 + 9);
    for wrong in [&["--"][..], &[], &["mb-encode"], &["--fps", "fast", "--", "cat"]] {
        let (code, said) = run(&mut wrap(wrong));
        assert_eq!(code, 2, "{wrong:?}: {said}");
        assert!(said.contains("--help"), "{wrong:?}: {said}");
    }
    let (code, said) = run(process::mb_encode().args(["mpegts", "--", "nosuchprogram"]));
    assert_eq!(code, 2, "{said}");
    assert!(said.lines().next().is_some_and(|line| line.contains("nosuchprogram")), "{said}");
}

#[test]
fn nothing_outlives_it() {
    let folder = folder();
    let clip = clip(folder.path());
    for signal in [Signal::TERM, Signal::KILL] {
        let options = ["--fps", "30", "--", "sh", "-c", &format!("cat '{clip}'; exec sleep 600")];
        let mut script = start(&mut wrap_with("ffmpeg", &options));
        let mut pipe = script.stdout();
        pipe.take_bytes(188);
        let (ffmpeg, command) = (child_named(script.id(), "ffmpeg"), child_named(script.id(), "sleep"));
        script.signal(signal);
        assert_eq!(end(script).0, 128 + signal.as_raw());
        for id in [command, ffmpeg] {
            eventually("all have ended", || (!runs(id)).then_some(()));
        }
    }
}

#[test]
fn a_command_that_does_not_end_when_asked_is_killed() {
    let folder = folder();
    let clip = clip(folder.path());
    let command = format!("trap '' TERM; cat '{clip}'; exec sleep 600");
    let mut script = start(&mut wrap(&["--", "sh", "-c", &command]));
    let mut pipe = script.stdout();
    pipe.take_bytes(188);
    let command = child_named(script.id(), "sleep");
    let asked = Instant::now();
    script.signal(Signal::TERM);
    assert_eq!(end(script).0, 128 + Signal::KILL.as_raw());
    let took = asked.elapsed();
    assert!(Duration::from_secs(1) < took && took < Duration::from_secs(2), "{took:?}");
    assert!(!runs(command));
}

#[test]
fn ctrl_c_ends_both() {
    let folder = folder();
    let clip = clip(folder.path());
    for how in ["native", "ffmpeg"] {
        let options = ["--fps", "30", "--", "sh", "-c", &format!("cat '{clip}'; exec sleep 600")];
        let mut script = start(wrap_with(how, &options).process_group(0));
        let mut pipe = script.stdout();
        pipe.take_bytes(188);
        child_named(script.id(), "sleep");
        let children = children_of(script.id());
        let group = rustix::process::Pid::from_raw(script.id() as i32).unwrap();
        rustix::process::kill_process_group(group, Signal::INT).unwrap();
        assert_eq!(end(script), (128 + Signal::INT.as_raw(), String::new()), "{how}");
        assert!(children.iter().all(|(id, _)| !runs(*id)), "{how}: {children:?}");
    }
}

#[test]
fn a_command_whose_reader_has_left_is_ended() {
    let folder = folder();
    let clip = clip(folder.path());
    let mut script = start(&mut wrap(&["--", "sh", "-c", &format!("cat '{clip}'; exec sleep 600")]));
    script.stdout().take_bytes(188);
    assert_eq!(end(script), (0, String::new()));
}
