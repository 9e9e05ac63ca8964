//! Streams in MPEG-TS as go2rtc and players take them, and what happens when ffmpeg, the reader or this program ends.

mod child;
mod demux;
mod play;
mod script;

use child::{DEADLINE, Folder, Running, child_named, children, eventually, mb_encode, runs};
use demux::{demux, whole_pictures};
use play::{Go2rtc, frame_numbers_in};
use rustix::process::Signal;
use std::time::Instant;

const BOTH: [&str; 2] = ["--mpegts", "--mpegts=native"];

/// The frame numbers of a stream from its first picture on, none missing.
fn counting(count: usize) -> Vec<u32> {
    (0..count as u32).collect()
}

#[test]
fn every_picture_is_there_on_the_grid() {
    for how in BOTH {
        for (fps, ticks) in [("30", 3000), ("30000/1001", 3003)] {
            let folder = Folder::new("grid");
            let out = folder.path("clip.ts");
            let mut command =
                mb_encode(&[how, "--no-pace", "--frames", "75", "--fps", fps, "--gop", "30", "--log-level", "warn"]);
            let (code, said) = Running::start(command.arg("--out").arg(&out)).end();
            assert_eq!((code, said.as_str()), (0, ""), "{how}");

            let pictures = demux(&std::fs::read(&out).unwrap());
            assert_eq!(pictures.len(), 75, "{how}");
            for (at, picture) in pictures.iter().enumerate() {
                assert_eq!(picture.is_idr, at % 30 == 0, "{how}: picture {at}");
                // ffmpeg counts in a clock that is no multiple of 90 kHz, and rounds.
                let expected = pictures[0].pts + at as u64 * ticks;
                assert!(picture.pts.abs_diff(expected) <= if how == "--mpegts" { 3 } else { 0 }, "{how}: picture {at}");
            }
            assert_eq!(frame_numbers_in(&out), counting(75), "{how}");
        }
    }
}

#[test]
fn standard_output_carries_the_same_in_real_time() {
    for how in BOTH {
        let folder = Folder::new("stdout");
        let mut encode = Running::start(&mut mb_encode(&["--stdout", how, "--fps", "30", "--frames", "45"]));
        let stream = encode.stdout().all();
        assert_eq!(encode.end().0, 0);
        assert_eq!(demux(&stream).len(), 45, "{how}");
        let out = folder.path("clip.ts");
        std::fs::write(&out, stream).unwrap();
        assert_eq!(frame_numbers_in(&out), counting(45), "{how}");
    }
}

#[test]
fn a_picture_is_whole_before_the_next_one_is_drawn() {
    for how in BOTH {
        // One a second, so that the second one is not there yet when the first has been read.
        let mut encode = Running::start(&mut mb_encode(&["--stdout", how, "--fps", "1", "--frames", "2"]));
        let mut pipe = encode.stdout();
        let mut stream = Vec::new();
        while whole_pictures(&stream).is_empty() {
            let some = pipe.some();
            assert!(!some.is_empty(), "{how}: it ended without a picture");
            stream.extend(some);
        }
        assert_eq!(demux(&stream).len(), 1, "{how}: the second picture came with the first");
        stream.extend(pipe.all());
        assert_eq!(encode.end().0, 0);
        assert_eq!(demux(&stream).len(), 2, "{how}");
    }
}

#[test]
fn go2rtc_plays_it_without_losing_a_picture() {
    for how in BOTH {
        let folder = Folder::new("go2rtc");
        let command = mb_encode(&["--stdout", how, "--fps", "15"]);
        let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
        let words: Vec<_> = words.into_iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let source = format!("exec:{}#video=h264#killsignal=15#killtimeout=5", words.join(" "));
        let go2rtc = Go2rtc::start(&folder.path("go2rtc.yaml"), &source);
        let frames = go2rtc.frame_numbers(40);
        assert_eq!(frames.len(), 40, "{how}");
        assert!(frames.windows(2).all(|pair| pair[1] == pair[0] + 1), "{how}: {frames:?}");
        // Nobody watches any more.
        eventually("go2rtc ends the source", || children(go2rtc.id()).is_empty().then_some(()));
        assert!(runs(go2rtc.id()), "{how}: go2rtc has crashed");
        // And again: a new one each time.
        assert_eq!(go2rtc.frame_numbers(5).len(), 5, "{how}");
    }
}

#[test]
fn without_ffmpeg_it_says_how_to_get_it_and_native_works() {
    let folder = Folder::new("missing");
    let out = folder.path("clip.ts");
    let run = |how, target: &str| {
        let mut command = mb_encode(&[how, "--frames", "3", target]);
        if target != "--stdout" {
            command.arg(&out);
        }
        let (code, said) = Running::start(command.env("PATH", folder.path("empty"))).end();
        (code, said)
    };
    for target in ["--out", "--stdout", "--fifo"] {
        let (code, said) = run("--mpegts", target);
        assert_eq!(code, 1, "{target}: {said}");
        assert!(said.contains("ffmpeg is not installed") && said.contains("apt install ffmpeg"), "{target}: {said}");
        assert!(said.contains("--mpegts=native") && said.find("install it").unwrap() < 512, "{target}: {said}");
        assert!(!out.exists(), "{target}: nothing was touched");
    }
    assert_eq!(run("--mpegts=native", "--out").0, 0);
    assert_eq!(demux(&std::fs::read(&out).unwrap()).len(), 3);
}

#[test]
fn an_ffmpeg_that_dies_is_quoted() {
    let folder = Folder::new("dying");
    let at_once = folder.with_program("ffmpeg", "echo 'Protocol not on speaking terms' >&2; exit 7");
    let mut command = mb_encode(&["--stdout", "--mpegts"]);
    let (code, said) = Running::start(command.env("PATH", at_once)).end();
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
    let later = folder.with_program("ffmpeg", &later);
    let mut encode = Running::start(mb_encode(&["--stdout", "--mpegts"]).env("PATH", later));
    let stream = encode.stdout().all();
    assert!(stream.len() <= 18_800 && stream.starts_with(&[0x47]), "{} bytes", stream.len());
    let (code, said) = encode.end();
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("ffmpeg ended (signal: 15 (SIGTERM)): the disk is on fire"), "{said}");
    assert!(said.len() < 4000, "{} bytes", said.len());
}

#[test]
fn an_ffmpeg_that_stalls_is_named_and_ended() {
    let folder = Folder::new("stalling");
    let path = folder.with_program("ffmpeg", "echo 'a hard day' >&2; exec sleep 600");
    let encode = Running::start(mb_encode(&["--stdout", "--mpegts"]).env("PATH", &path));
    let sleeper = child_named(encode.id(), "sleep");
    let (code, said) = encode.end();
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("ffmpeg has stalled") && said.contains("a hard day"), "{said}");
    assert!(!runs(sleeper));

    // A stop does not wait for it, and neither does a reader that leaves.
    for leave in [false, true] {
        let mut encode = Running::start(mb_encode(&["--stdout", "--mpegts"]).env("PATH", &path));
        let sleeper = child_named(encode.id(), "sleep");
        let pipe = encode.stdout();
        if leave {
            drop(pipe);
        } else {
            encode.signal(Signal::TERM);
        }
        assert_eq!(encode.end(), (0, String::new()), "leave: {leave}");
        assert!(!runs(sleeper));
    }
}

#[test]
fn ffmpeg_ends_with_a_killed_mb_encode_also_behind_a_stalled_reader() {
    let mut encode = Running::start(&mut mb_encode(&["--stdout", "--mpegts"]));
    let ffmpeg = child_named(encode.id(), "ffmpeg");
    // The reader takes the start and nothing more, and stays.
    let mut pipe = encode.stdout();
    pipe.at_least(188);
    std::thread::sleep(std::time::Duration::from_millis(500));
    encode.signal(Signal::KILL);
    assert_eq!(encode.end().0, 128 + 9);
    eventually("ffmpeg ends", || (!runs(ffmpeg)).then_some(()));
    drop(pipe);
}

#[test]
fn a_stop_ends_the_stream_between_two_pictures() {
    for how in BOTH {
        let mut encode = Running::start(&mut mb_encode(&["--stdout", how, "--fps", "30"]));
        let mut pipe = encode.stdout();
        let mut stream = pipe.at_least(20_000);
        encode.signal(Signal::TERM);
        stream.extend(pipe.all());
        assert_eq!(encode.end(), (0, String::new()), "{how}");
        // Every picture whole, and no delimiter alone at the end.
        assert!(demux(&stream).len() > 1, "{how}");
    }
}

#[test]
fn a_stop_waits_for_no_stalled_reader_and_a_reader_may_leave() {
    for how in BOTH {
        let mut encode = Running::start(&mut mb_encode(&["--stdout", how, "--no-pace"]));
        let mut pipe = encode.stdout();
        pipe.at_least(188);
        // Until the pipe is full.
        std::thread::sleep(std::time::Duration::from_millis(500));
        let asked = Instant::now();
        encode.signal(Signal::TERM);
        assert_eq!(encode.end(), (0, String::new()), "{how}");
        assert!(asked.elapsed() < DEADLINE / 4, "{how}: {:?}", asked.elapsed());
        drop(pipe);

        let mut encode = Running::start(&mut mb_encode(&["--stdout", how, "--fps", "30"]));
        let mut pipe = encode.stdout();
        pipe.at_least(188);
        drop(pipe);
        assert_eq!(encode.end(), (0, String::new()), "{how}");
    }
}

#[test]
fn a_slow_reader_misses_pictures_and_no_picture_is_broken() {
    for how in BOTH {
        let folder = Folder::new("slow");
        let mut encode = Running::start(&mut mb_encode(&["--stdout", how, "--fps", "30", "--frames", "60"]));
        let mut pipe = encode.stdout();
        let mut stream = pipe.at_least(188);
        std::thread::sleep(std::time::Duration::from_millis(1500));
        stream.extend(pipe.all());
        assert_eq!(encode.end().0, 0, "{how}");
        let pictures = demux(&stream);
        assert_eq!(pictures.len(), 60, "{how}");
        let gap = pictures.windows(2).map(|pair| pair[1].pts - pair[0].pts).max().unwrap();
        // A second and more was skipped. Only who takes the pacer's times says so.
        assert_eq!(gap > 90_000, how == "--mpegts=native", "{how}: {gap}");
        let out = folder.path("clip.ts");
        std::fs::write(&out, stream).unwrap();
        assert_eq!(frame_numbers_in(&out), counting(60), "{how}");
    }
}

#[test]
fn each_reader_of_a_fifo_gets_a_stream_and_an_ffmpeg_of_its_own() {
    for how in BOTH {
        let folder = Folder::new("fifo");
        let fifo = folder.path("demo.ts");
        let worker = Running::start(mb_encode(&[how, "--fps", "30", "--log-level", "warn"]).arg("--fifo").arg(&fifo));
        eventually("the FIFO is there", || fifo.exists().then_some(()));
        let mut seen = Vec::new();
        for _ in 0..2 {
            let mut reader = Running::start(std::process::Command::new("cat").arg(&fifo));
            let mut pipe = reader.stdout();
            let stream = pipe.at_least(15_000);
            assert!(stream.starts_with(&[0x47]), "{how}");
            let encode = child_named(worker.id(), "exe");
            assert!(!seen.contains(&encode), "{how}: a process for each reader");
            seen.push(encode);
            if how == "--mpegts" {
                seen.push(child_named(encode, "ffmpeg"));
            }
            drop((pipe, reader));
            // From its first byte on, whatever is cut off at the end.
            assert!(demux(whole_pictures(&stream)).len() > 1, "{how}");
            eventually("the stream ends", || children(worker.id()).is_empty().then_some(()));
        }
        assert!(seen.iter().all(|&id| !runs(id)), "{how}");
        worker.signal(Signal::TERM);
        assert_eq!(worker.end(), (0, String::new()), "{how}");
    }
}

#[test]
fn the_option_is_checked_and_the_environment_may_set_it() {
    let (code, said) = Running::start(&mut mb_encode(&["--stdout", "--mpegts=gstreamer"])).end();
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("ffmpeg") && said.contains("native"), "{said}");

    let mut command = mb_encode(&["--stdout", "--frames", "2", "--no-pace"]);
    let mut encode = Running::start(command.env("MB_ENCODE_MPEGTS", "native"));
    assert_eq!(demux(&encode.stdout().all()).len(), 2);
    assert_eq!(encode.end().0, 0);
}
