//! `scripts/go2rtc_exec_mpegts.sh`, which wraps any command.

use crate::child::{child_named, children_of, end, eventually, folder, mb_encode, runs, start, with_program};
use crate::demux::{demux, whole_pictures};
use crate::play::{frame_numbers_at, frame_numbers_in};
use crate::support::go2rtc::Go2rtc;
use crate::support::process::{self, Process, Reader};
use mb_encode::parts::{NalUnit, NalUnitType, nal_units};
use rustix::process::Signal;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};

/// With ffmpeg, and without.
const BOTH: [&[&str]; 2] = [&["--fps", "30"], &[]];

fn wrap(options: &[&str]) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/go2rtc_exec_mpegts.sh"));
    command.args(options).env_remove("MB_ENCODE_MPEGTS").env("MB_ENCODE", env!("CARGO_BIN_EXE_mb-encode"));
    command
}

/// The script where it finds no mb-encode, neither installed nor built.
fn wrap_without_mb_encode(folder: &Path, options: &[&str]) -> Command {
    let scripts = folder.join("scripts");
    std::fs::create_dir_all(&scripts).unwrap();
    let copy = scripts.join("go2rtc_exec_mpegts.sh");
    std::fs::copy(wrap(&[]).get_program(), &copy).unwrap();
    let path = std::env::var("PATH").unwrap();
    let path = path.split(':').filter(|folder| !Path::new(folder).join("mb-encode").exists());
    let mut command = Command::new(copy);
    command.args(options).env_remove("MB_ENCODE_MPEGTS").env_remove("MB_ENCODE");
    command.env("PATH", path.collect::<Vec<_>>().join(":"));
    command
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
    for options in BOTH {
        let mut script = start(wrap(options).args(["--", "cat", &clip]));
        let stream = script.stdout().all();
        assert_eq!(end(script), (0, String::new()));
        assert_eq!(demux(&stream).len(), 60, "{options:?}");
        let out = folder.path().join("clip.ts");
        std::fs::write(&out, stream).unwrap();
        assert_eq!(frame_numbers_in(&out, 60), (0..60).collect::<Vec<_>>(), "{options:?}");
    }
}

#[test]
fn each_picture_is_out_before_the_next_one_is_in() {
    let folder = folder();
    let pictures = pictures(&clip(folder.path()));
    let fifo = folder.path().join("source");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    for options in BOTH {
        let mut script = start(wrap(options).args(["--", "cat"]).arg(&fifo));
        let mut pipe = script.stdout();
        let mut source = std::fs::File::create(&fifo).unwrap();
        let mut stream = Vec::new();
        for (at, picture) in pictures.iter().enumerate() {
            source.write_all(picture).unwrap();
            read_pictures(&mut pipe, &mut stream, at + 1);
        }
        drop(source);
        stream.extend(pipe.all());
        assert_eq!(end(script), (0, String::new()), "{options:?}");
        let wrapped = demux(&stream);
        assert_eq!(wrapped.len(), 60, "{options:?}");
        for (at, (picture, wrapped)) in pictures.iter().zip(&wrapped).enumerate() {
            assert!(nal_units(&wrapped.bytes).skip(1).eq(nal_units(picture)), "{options:?}: picture {at}");
        }
        if !options.is_empty() {
            let grid =
                wrapped.iter().enumerate().map(|(at, picture)| picture.pts.abs_diff(wrapped[0].pts + at as u64 * 3000));
            assert!(grid.max() <= Some(3), "{options:?}");
        }
    }
}

#[test]
fn delimiters_filler_and_sei_of_the_source_make_no_packet_of_their_own() {
    // Each picture has all three.
    const CODE: &str = "aud=1:nal-hrd=cbr:vbv-maxrate=2000:vbv-bufsize=200:keyint=15:threads=1";
    for options in BOTH {
        let mut script = start(wrap(options).args(["--", "ffmpeg", "-v", "error", "-f", "lavfi", "-i"]).args([
            "testsrc2=size=320x240:rate=30:duration=1.5",
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-b:v",
            "2000k",
            "-x264-params",
            CODE,
            "-f",
            "h264",
            "-",
        ]));
        let stream = script.stdout().all();
        assert_eq!(end(script), (0, String::new()), "{options:?}");
        let wrapped = demux(&stream);
        assert_eq!(wrapped.len(), 45, "{options:?}");
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
    let mut command = wrap(&["--fps", "30", "--", "sh", "-c", &format!("cat '{clip}'; exec sleep 600")]);
    let script = start(command.env("PATH", path));
    let (code, said) = end(script);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("ffmpeg ended (exit status: 7): Protocol not on speaking terms"), "{said}");
}

#[test]
fn without_mb_encode_plain_ffmpeg_wraps() {
    let folder = folder();
    let clip = clip(folder.path());
    for options in BOTH {
        let mut script = start(wrap_without_mb_encode(folder.path(), options).args(["--", "cat", &clip]));
        let stream = script.stdout().all();
        assert_eq!(end(script), (0, String::new()));
        let out = folder.path().join("clip.ts");
        std::fs::write(&out, stream).unwrap();
        assert_eq!(frame_numbers_in(&out, 60), (0..60).collect::<Vec<_>>(), "{options:?}");
    }
    let bash = with_program(folder.path(), "bash", "exec /bin/bash \"$@\"");
    std::os::unix::fs::symlink("/usr/bin/dirname", folder.path().join("dirname")).unwrap();
    let only = bash.split(':').next().unwrap();
    let (code, said) = end(start(wrap_without_mb_encode(folder.path(), &["--", "true"]).env("PATH", only)));
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("apt install ffmpeg"), "{said}");
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
    let (start, end_of_it) = pictures[1].split_at(pictures[1].len() / 2);
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
}

#[test]
fn nothing_outlives_it() {
    let folder = folder();
    let clip = clip(folder.path());
    for signal in [Signal::TERM, Signal::KILL] {
        let mut script = start(&mut wrap(&["--fps", "30", "--", "sh", "-c", &format!("cat '{clip}'; exec sleep 600")]));
        let mut pipe = script.stdout();
        pipe.take_bytes(188);
        let (wrapper, command) = (child_named(script.id(), "mb-encode"), child_named(script.id(), "sleep"));
        let ffmpeg = child_named(wrapper, "ffmpeg");
        script.signal(signal);
        assert_eq!(end(script).0, 128 + signal.as_raw());
        for id in [wrapper, command, ffmpeg] {
            eventually("all have ended", || (!runs(id)).then_some(()));
        }
    }
}
