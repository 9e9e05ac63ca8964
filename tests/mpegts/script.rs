//! `scripts/go2rtc_exec_mpegts.sh`, which wraps any command.

use crate::child::{children_of, end, eventually, folder, mb_encode, runs, start, with_program};
use crate::demux::demux;
use crate::play::frame_numbers_in;
use rustix::process::Signal;
use std::path::Path;
use std::process::Command;

fn wrap(options: &[&str]) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/go2rtc_exec_mpegts.sh"));
    command.args(options).env_remove("MB_ENCODE_MPEGTS");
    command
}

/// Sixty pictures of raw H.264.
fn clip(folder: &Path) -> String {
    let clip = folder.join("clip.h264");
    let mut command = mb_encode(&["--no-pace", "--frames", "60", "--fps", "30", "--gop", "30"]);
    assert_eq!(end(start(command.arg("--out").arg(&clip))).0, 0);
    clip.display().to_string()
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
    for options in [&["--fps", "30"][..], &[]] {
        let mut script = start(wrap(options).args(["--", "cat", &clip]));
        let stream = script.stdout().all();
        assert_eq!(end(script), (0, String::new()));
        let pictures = if options.is_empty() {
            // All of them arrived at once, so their times say nothing.
            60
        } else {
            demux(&stream).len()
        };
        assert_eq!(pictures, 60);
        let out = folder.path().join("clip.ts");
        std::fs::write(&out, stream).unwrap();
        assert_eq!(frame_numbers_in(&out, 60), (0..60).collect::<Vec<_>>());
    }
}

#[test]
fn the_first_picture_is_out_when_the_second_one_is_in() {
    let folder = folder();
    let clip = clip(folder.path());
    // The start of the clip, and then nothing, for as long as the test lasts.
    let mut script = start(&mut wrap(&["--", "sh", "-c", &format!("head -c 20000 '{clip}'; exec sleep 600")]));
    let stream = script.stdout().take_bytes(188 * 4);
    assert!(stream.starts_with(&[0x47]));
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
    let bash = with_program(folder.path(), "bash", "exec /bin/bash \"$@\"");
    let only = bash.split(':').next().unwrap();
    let (code, said) = run(wrap(&["--", "true"]).env("PATH", only));
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("apt install ffmpeg"), "{said}");
}

#[test]
fn nothing_outlives_it() {
    let folder = folder();
    let clip = clip(folder.path());
    for signal in [Signal::TERM, Signal::KILL] {
        let mut script = start(&mut wrap(&["--", "sh", "-c", &format!("cat '{clip}'; exec sleep 600")]));
        let mut pipe = script.stdout();
        pipe.take_bytes(188);
        let both = eventually("both run", || {
            let both = children_of(script.id());
            let names: Vec<_> = both.iter().map(|(_, name)| name.as_str()).collect();
            (names.contains(&"ffmpeg") && names.contains(&"sleep")).then_some(both)
        });
        script.signal(signal);
        assert_eq!(end(script).0, 128 + signal.as_raw());
        for (id, name) in both {
            eventually(&name, || (!runs(id)).then_some(()));
        }
    }
}
