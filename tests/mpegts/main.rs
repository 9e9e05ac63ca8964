//! Streams in MPEG-TS as go2rtc and players take them, and what happens when ffmpeg, the reader or this program ends.

#[path = "../support/mod.rs"]
mod support;

mod child;
mod demux;
mod made;
mod play;
mod script;
mod streams;

use child::{child_named, children_of, end, eventually, folder, mb_encode, runs, start, with_program};
use demux::{demux, whole_pictures};
use play::{frame_numbers_at, frame_numbers_in};
use rustix::process::Signal;
use std::io::Read;
use std::time::{Duration, Instant};
use support::go2rtc::Go2rtc;
use support::process::DEADLINE;

const BOTH: [&str; 2] = ["--mpegts=ffmpeg", "--mpegts=native"];

/// The frame numbers of a stream from its first picture on, none missing.
fn counting(count: usize) -> Vec<u32> {
    (0..count as u32).collect()
}

#[test]
fn every_picture_is_there_on_the_grid() {
    for how in BOTH {
        for (fps, ticks) in [("30", 3000), ("30000/1001", 3003)] {
            let folder = folder();
            let out = folder.path().join("clip.ts");
            let mut command =
                mb_encode(&[how, "--no-pace", "--frames", "75", "--fps", fps, "--gop", "30", "--log-level", "warn"]);
            let (code, said) = end(start(command.arg("--out").arg(&out)));
            assert_eq!((code, said.as_str()), (0, ""), "{how}");

            let pictures = demux(&std::fs::read(&out).unwrap());
            assert_eq!(pictures.len(), 75, "{how}");
            for (at, picture) in pictures.iter().enumerate() {
                assert_eq!(picture.is_idr, at % 30 == 0, "{how}: picture {at}");
                // ffmpeg counts in a clock that is no multiple of 90 kHz, and rounds.
                let expected = pictures[0].pts + at as u64 * ticks;
                assert!(
                    picture.pts.abs_diff(expected) <= if how == "--mpegts=ffmpeg" { 3 } else { 0 },
                    "{how}: picture {at}"
                );
            }
            assert_eq!(frame_numbers_in(&out, 75), counting(75), "{how}");
        }
    }
}

#[test]
fn standard_output_carries_the_same_in_real_time() {
    for how in BOTH {
        let folder = folder();
        let mut encode = start(&mut mb_encode(&["--stdout", how, "--fps", "30", "--frames", "45"]));
        let stream = encode.stdout().all();
        assert_eq!(end(encode).0, 0);
        assert_eq!(demux(&stream).len(), 45, "{how}");
        let out = folder.path().join("clip.ts");
        std::fs::write(&out, stream).unwrap();
        assert_eq!(frame_numbers_in(&out, 45), counting(45), "{how}");
    }
}

#[test]
fn one_that_is_started_again_has_later_times() {
    let coded = made::x264("160x120", 10, "bframes=0:keyint=10", &[]);
    let source = folder();
    let file = source.path().join("coded.h264");
    std::fs::write(&file, coded).unwrap();
    let file = file.to_str().unwrap();
    let real_time = ["ffmpeg", "-v", "error", "-re", "-r", "30", "-i", file, "-c", "copy", "-f", "h264", "-"];
    let wrapped = |options: &[&'static str]| [&["mpegts"], options, &["--"], &real_time[..]].concat();
    for options in [
        vec!["--stdout", BOTH[0], "--fps", "30", "--frames", "10"],
        vec!["--stdout", BOTH[1], "--fps", "30", "--frames", "10"],
        wrapped(&[]),
        wrapped(&["--fps", "30"]),
        wrapped(&["--fps", "30", "--how", "ffmpeg"]),
    ] {
        let times = || -> Vec<u64> {
            let mut command = support::process::mb_encode();
            let mut encode = start(command.args(&options));
            let stream = encode.stdout().all();
            assert_eq!(end(encode).0, 0);
            demux(&stream).iter().map(|picture| picture.pts).collect()
        };
        let (first, second) = (times(), times());
        assert_eq!((first.len(), second.len()), (10, 10), "{options:?}");
        // The clock of 33 bits starts anew after 26.5 hours.
        let ahead = second[0].wrapping_sub(first[9]) & ((1 << 33) - 1);
        assert!(ahead < 60 * 90_000, "{options:?}: {first:?}, then {second:?}");
    }
}

#[test]
fn a_picture_is_whole_before_the_next_one_is_drawn() {
    for how in BOTH {
        // One a second, so that the second one is not there yet when the first has been read.
        let mut encode = start(&mut mb_encode(&["--stdout", how, "--fps", "1", "--frames", "2"]));
        let mut pipe = encode.stdout();
        let mut stream = Vec::new();
        while whole_pictures(&stream).is_empty() {
            let mut some = [0; 4096];
            let read = pipe.read(&mut some).expect("the first picture comes alone");
            assert!(read > 0, "{how}: it ended without a picture");
            stream.extend_from_slice(&some[..read]);
        }
        assert_eq!(demux(&stream).len(), 1, "{how}: the second picture came with the first");
        stream.extend(pipe.all());
        assert_eq!(end(encode).0, 0);
        assert_eq!(demux(&stream).len(), 2, "{how}");
    }
}

#[test]
fn go2rtc_plays_it_without_losing_a_picture() {
    for how in BOTH {
        let command = mb_encode(&["--stdout", how, "--fps", "15"]);
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
        let source = format!("exec:{}#killsignal=15#killtimeout=5", words.join(" "));
        let go2rtc = Go2rtc::start(&[("demo", &source)]);
        let frames = frame_numbers_at(&go2rtc.rtsp("demo"), 40);
        assert!(frames.windows(2).all(|pair| pair[1] == pair[0] + 1), "{how}: {frames:?}");
        // Nobody watches any more.
        eventually("go2rtc ends the source", || children_of(go2rtc.id()).is_empty().then_some(()));
        assert!(runs(go2rtc.id()), "{how}: go2rtc has crashed");
        // And again: a new one each time.
        frame_numbers_at(&go2rtc.rtsp("demo"), 5);
    }
}

#[test]
fn over_rtsp_the_first_viewer_gets_an_idr_picture_at_once() {
    for how in BOTH {
        let command = mb_encode(&["--stdout", how, "--fps", "30", "--gop", "300"]);
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
        let go2rtc = Go2rtc::start(&[("demo", &format!("exec:{}#killsignal=15#killtimeout=5", words.join(" ")))]);
        for _ in 0..2 {
            let mut command = std::process::Command::new("ffprobe");
            command.args(["-v", "error", "-rtsp_transport", "tcp", "-read_intervals", "%+1.5"]);
            command.args(["-show_entries", "packet=flags", "-of", "csv=p=0", &go2rtc.rtsp("demo")]);
            let packets = String::from_utf8(made::run(&mut command)).unwrap();
            let packets: Vec<_> = packets.lines().filter(|line| !line.is_empty()).collect();
            let first = packets.iter().position(|flags| flags.starts_with('K'));
            // The very first one is lost in most cases, and the second with it on a busy machine.
            assert!(first.is_some_and(|first| first < 3), "{how}: {packets:?}");
            eventually("go2rtc ends the source", || children_of(go2rtc.id()).is_empty().then_some(()));
        }
    }
}

#[test]
fn without_ffmpeg_it_says_how_to_get_it_and_native_works() {
    let folder = folder();
    let out = folder.path().join("clip.ts");
    let run = |how, target: &str| {
        let mut command = mb_encode(&[how, "--frames", "3", target]);
        if target != "--stdout" {
            command.arg(&out);
        }
        let (code, said) = end(start(command.env("PATH", folder.path().join("empty"))));
        (code, said)
    };
    for target in ["--out", "--stdout", "--fifo"] {
        let (code, said) = run("--mpegts=ffmpeg", target);
        assert_eq!(code, 1, "{target}: {said}");
        assert!(said.contains("ffmpeg is not installed") && said.contains("apt install ffmpeg"), "{target}: {said}");
        assert!(said.contains("--mpegts=native") && said.find("install it").unwrap() < 512, "{target}: {said}");
        assert!(!out.exists(), "{target}: nothing was touched");
    }
    for how in ["--mpegts=native", "--mpegts"] {
        assert_eq!(run(how, "--out").0, 0, "{how}");
        assert_eq!(demux(&std::fs::read(&out).unwrap()).len(), 3, "{how}");
    }
}

#[test]
fn an_ffmpeg_that_dies_is_quoted() {
    let folder = folder();
    let at_once = with_program(folder.path(), "ffmpeg", "echo 'Protocol not on speaking terms' >&2; exit 7");
    let mut command = mb_encode(&["--stdout", "--mpegts=ffmpeg"]);
    let (code, said) = end(start(command.env("PATH", at_once)));
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("ffmpeg ended (exit status: 7): Protocol not on speaking terms"), "{said}");

    // After the stream has begun, and with more to say than anybody wants to read.
    let own_path = std::env::var("PATH").unwrap();
    let later = format!(
        "PATH='{own_path}'
        ffmpeg \"$@\" | {{
            dd bs=188 count=100 iflag=fullblock status=none
            yes 'the disk is on fire' | head -c 300000 >&2
            kill -TERM $$
        }}"
    );
    let later = with_program(folder.path(), "ffmpeg", &later);
    let mut encode = start(mb_encode(&["--stdout", "--mpegts=ffmpeg"]).env("PATH", later));
    let stream = encode.stdout().all();
    assert!(stream.len() <= 18_800 && stream.starts_with(&[0x47]), "{} bytes", stream.len());
    let (code, said) = end(encode);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("ffmpeg ended (signal: 15 (SIGTERM)): the disk is on fire"), "{said}");
    assert!(said.len() < 4000, "{} bytes", said.len());
}

#[test]
fn an_ffmpeg_that_stalls_is_named_and_ended() {
    let folder = folder();
    let path = with_program(folder.path(), "ffmpeg", "echo 'a hard day' >&2; exec sleep 600");
    let encode = start(mb_encode(&["--stdout", "--mpegts=ffmpeg"]).env("PATH", &path));
    let sleeper = child_named(encode.id(), "sleep");
    let (code, said) = end(encode);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("ffmpeg stalled") && said.contains("a hard day"), "{said}");
    assert!(!runs(sleeper));

    // A stop does not wait for it, and neither does a reader that leaves.
    for leave in [false, true] {
        let mut encode = start(mb_encode(&["--stdout", "--mpegts=ffmpeg"]).env("PATH", &path));
        let sleeper = child_named(encode.id(), "sleep");
        let pipe = encode.stdout();
        if leave {
            drop(pipe);
        } else {
            encode.signal(Signal::TERM);
        }
        assert_eq!(end(encode), (0, String::new()), "leave: {leave}");
        assert!(!runs(sleeper));
    }
}

#[test]
fn ffmpeg_ends_with_a_killed_mb_encode_also_behind_a_stalled_reader() {
    let mut encode = start(&mut mb_encode(&["--stdout", "--mpegts=ffmpeg"]));
    let ffmpeg = child_named(encode.id(), "ffmpeg");
    // The reader takes the start and nothing more, and stays.
    let mut pipe = encode.stdout();
    pipe.take_bytes(188);
    std::thread::sleep(Duration::from_millis(500));
    encode.signal(Signal::KILL);
    assert_eq!(end(encode).0, 128 + 9);
    eventually("ffmpeg ends", || (!runs(ffmpeg)).then_some(()));
    drop(pipe);
}

#[test]
fn a_stop_ends_the_stream_between_two_pictures() {
    for how in BOTH {
        let mut encode = start(&mut mb_encode(&["--stdout", how, "--fps", "30"]));
        let mut pipe = encode.stdout();
        let mut stream = pipe.take_bytes(20_000);
        encode.signal(Signal::TERM);
        stream.extend(pipe.all());
        assert_eq!(end(encode), (0, String::new()), "{how}");
        // Every picture whole, and no delimiter alone at the end.
        assert!(demux(&stream).len() > 1, "{how}");
    }
}

#[test]
fn a_stop_waits_for_no_stalled_reader_and_a_reader_may_leave() {
    for how in BOTH {
        let mut encode = start(&mut mb_encode(&["--stdout", how, "--no-pace"]));
        let mut pipe = encode.stdout();
        pipe.take_bytes(188);
        // Until the pipe is full.
        std::thread::sleep(Duration::from_millis(500));
        let asked = Instant::now();
        encode.signal(Signal::TERM);
        assert_eq!(end(encode), (0, String::new()), "{how}");
        assert!(asked.elapsed() < DEADLINE / 4, "{how}: {:?}", asked.elapsed());
        drop(pipe);

        let mut encode = start(&mut mb_encode(&["--stdout", how, "--fps", "30"]));
        let mut pipe = encode.stdout();
        pipe.take_bytes(188);
        drop(pipe);
        assert_eq!(end(encode), (0, String::new()), "{how}");
    }
}

#[test]
fn a_slow_reader_misses_pictures_and_no_picture_is_broken() {
    for how in BOTH {
        let folder = folder();
        let mut encode = start(&mut mb_encode(&["--stdout", how, "--fps", "30", "--frames", "60"]));
        let mut pipe = encode.stdout();
        let mut stream = pipe.take_bytes(188);
        std::thread::sleep(Duration::from_millis(1500));
        stream.extend(pipe.all());
        assert_eq!(end(encode).0, 0, "{how}");
        let pictures = demux(&stream);
        assert_eq!(pictures.len(), 60, "{how}");
        let gap = pictures.windows(2).map(|pair| pair[1].pts - pair[0].pts).max().unwrap();
        // A second and more was skipped. Only who takes the pacer's times says so.
        assert_eq!(gap > 90_000, how == "--mpegts=native", "{how}: {gap}");
        let out = folder.path().join("clip.ts");
        std::fs::write(&out, stream).unwrap();
        assert_eq!(frame_numbers_in(&out, 60), counting(60), "{how}");
    }
}

#[test]
fn each_reader_of_a_fifo_gets_a_stream_and_an_ffmpeg_of_its_own() {
    for how in BOTH {
        let folder = folder();
        let fifo = folder.path().join("demo.ts");
        let worker = start(mb_encode(&[how, "--fps", "30", "--log-level", "warn"]).arg("--fifo").arg(&fifo));
        eventually("the FIFO is there", || fifo.exists().then_some(()));
        let mut seen = Vec::new();
        for _ in 0..2 {
            let mut reader = start(std::process::Command::new("cat").arg(&fifo));
            let mut pipe = reader.stdout();
            let stream = pipe.take_bytes(15_000);
            assert!(stream.starts_with(&[0x47]), "{how}");
            let encode = child_named(worker.id(), "exe");
            assert!(!seen.contains(&encode), "{how}: a process for each reader");
            seen.push(encode);
            if how == "--mpegts=ffmpeg" {
                seen.push(child_named(encode, "ffmpeg"));
            }
            drop((pipe, reader));
            // From its first byte on, whatever is cut off at the end.
            assert!(demux(whole_pictures(&stream)).len() > 1, "{how}");
            eventually("the stream ends", || children_of(worker.id()).is_empty().then_some(()));
        }
        assert!(seen.iter().all(|&id| !runs(id)), "{how}");
        worker.signal(Signal::TERM);
        assert_eq!(end(worker), (0, String::new()), "{how}");
    }
}

#[test]
fn the_option_is_checked_and_the_environment_may_set_it() {
    let (code, said) = end(start(&mut mb_encode(&["--stdout", "--mpegts=gstreamer"])));
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("ffmpeg") && said.contains("native"), "{said}");

    let mut command = mb_encode(&["--stdout", "--frames", "2", "--no-pace"]);
    let mut encode = start(command.env("MB_ENCODE_MPEGTS", "native"));
    assert_eq!(demux(&encode.stdout().all()).len(), 2);
    assert_eq!(end(encode).0, 0);
}
