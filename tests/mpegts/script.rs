//! `scripts/go2rtc_exec_mpegts.sh`, which wraps any command.

use crate::child::{Folder, Running, children, eventually, mb_encode, runs};
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
fn clip(folder: &Folder) -> String {
    let clip = folder.path("clip.h264");
    let mut command = mb_encode(&["--no-pace", "--frames", "60", "--fps", "30", "--gop", "30"]);
    assert_eq!(Running::start(command.arg("--out").arg(&clip)).end().0, 0);
    clip.display().to_string()
}

#[test]
fn mb_encode_behind_it_wraps_its_own_stream() {
    let mut command = wrap(&["--"]);
    let encode = mb_encode(&["--stdout", "--frames", "20", "--fps", "30"]);
    command.arg(encode.get_program()).args(encode.get_args());
    let mut script = Running::start(&mut command);
    assert_eq!(demux(&script.stdout().all()).len(), 20);
    assert_eq!(script.end(), (0, String::new()));
}

#[test]
fn every_picture_of_another_command_arrives() {
    let folder = Folder::new("other");
    let clip = clip(&folder);
    for options in [&["--fps", "30"][..], &[]] {
        let mut script = Running::start(wrap(options).args(["--", "cat", &clip]));
        let stream = script.stdout().all();
        assert_eq!(script.end(), (0, String::new()));
        let pictures = if options.is_empty() {
            // All of them arrived at once, so their times say nothing.
            60
        } else {
            demux(&stream).len()
        };
        assert_eq!(pictures, 60);
        let out = folder.path("clip.ts");
        std::fs::write(&out, stream).unwrap();
        assert_eq!(frame_numbers_in(&out), (0..60).collect::<Vec<_>>());
    }
}

#[test]
fn the_first_picture_is_out_when_the_second_one_is_in() {
    let folder = Folder::new("first");
    let clip = clip(&folder);
    // The start of the clip, and then nothing, for as long as the test lasts.
    let mut script = Running::start(&mut wrap(&["--", "sh", "-c", &format!("head -c 20000 '{clip}'; exec sleep 600")]));
    let stream = script.stdout().at_least(188 * 4);
    assert!(stream.starts_with(&[0x47]));
}

#[test]
fn exit_codes_are_passed_on_and_wrong_use_is_named() {
    let folder = Folder::new("codes");
    let clip = clip(&folder);
    let run = |command: &mut Command| {
        let mut script = Running::start(command);
        script.stdout().all();
        script.end()
    };
    assert_eq!(run(&mut wrap(&["--", "sh", "-c", &format!("cat '{clip}'; exit 9")])).0, 9);
    assert_eq!(run(&mut wrap(&["--", "sh", "-c", &format!("cat '{clip}'; kill -KILL $$")])).0, 128 + 9);
    for wrong in [&["--"][..], &[], &["mb-encode"], &["--fps", "fast", "--", "cat"]] {
        let (code, said) = run(&mut wrap(wrong));
        assert_eq!(code, 2, "{wrong:?}: {said}");
        assert!(said.contains("--help"), "{wrong:?}: {said}");
    }
    let bash = folder.with_program("bash", "exec /bin/bash \"$@\"");
    let only = bash.split(':').next().unwrap();
    let (code, said) = run(wrap(&["--", "true"]).env("PATH", only));
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("apt install ffmpeg"), "{said}");
}

#[test]
fn nothing_outlives_it() {
    let folder = Folder::new("outlive");
    let clip = clip(&folder);
    for signal in [Signal::TERM, Signal::KILL] {
        let mut script = Running::start(&mut wrap(&["--", "sh", "-c", &format!("cat '{clip}'; exec sleep 600")]));
        let mut pipe = script.stdout();
        pipe.at_least(188);
        let both = eventually("both run", || {
            let both = children(script.id());
            let names: Vec<_> = both.iter().map(|(_, name)| name.as_str()).collect();
            (names.contains(&"ffmpeg") && names.contains(&"sleep")).then_some(both)
        });
        script.signal(signal);
        assert_eq!(script.end().0, 128 + signal.as_raw());
        for (id, name) in both {
            eventually(&name, || (!runs(id)).then_some(()));
        }
    }
}
