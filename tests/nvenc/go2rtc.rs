//! One stream through a real go2rtc, which starts the program itself.

use crate::run::{Run, size};
use crate::support::children;
use crate::support::decode::{Decoder, Form, Source, assert_in_order};
use crate::support::go2rtc::Go2rtc;
use crate::support::process::{DEADLINE, ready};
use rustix::event::PollFlags;
use rustix::fd::AsFd as _;

const PICTURES: usize = 90;

/// The command as the source of a stream.
fn source(run: &Run) -> String {
    // go2rtc starts no shell and hands its own environment on, so `env` says what is different.
    let variables = run.command.get_envs().filter_map(|(name, value)| Some((name.to_str()?, value?.to_str()?)));
    let variables: Vec<String> = variables.map(|(name, value)| format!("{name}={value}")).collect();
    let options: Vec<&str> = run.command.get_args().map(|option| option.to_str().expect("plain words")).collect();
    let program = run.command.get_program().to_str().expect("a plain path");
    // As the manual writes it.
    let tail = "#video=h264#raw#killsignal=15#killtimeout=5";
    format!("exec:env {} {program} {}{tail}", variables.join(" "), options.join(" "))
}

fn streaming() -> Run {
    Run::new(&["--stdout", "--width", "320", "--height", "180", "--fps", "30"])
}

#[test]
fn exec_mode_plays_every_picture_once_and_gives_the_gpu_back() {
    let run = streaming();
    let go2rtc = Go2rtc::start(&[("demo", &source(&run))]);

    let limit = Some(PICTURES as u32);
    let mut viewer = Decoder::start(Source::Rtsp(&go2rtc.rtsp("demo")), size(320, 180), Form::Yuv420p, limit);
    let mut marks = viewer.take_marks(1);
    let encoders = children::watch(go2rtc.id());
    assert_eq!(encoders.len(), 1, "one encoder runs while it is watched");
    marks.extend(viewer.take_marks(PICTURES - 1));
    viewer.finish();
    assert_in_order(&marks);
    assert!(ready(encoders[0].as_fd(), PollFlags::IN, DEADLINE), "it ends with its last viewer\n{}", go2rtc.log());
    let report = run.report();
    report.assert_clean();
    assert!(report.count("pictures") >= PICTURES as u64, "coded by NVENC");
}

#[test]
fn why_there_is_no_nvenc_and_what_to_do_reaches_the_viewer() {
    let run = streaming().env(&[("MB_SIM_FAULT", "open:21")]);
    let go2rtc = Go2rtc::start(&[("demo", &source(&run))]);
    let (status, answer) = go2rtc.get("api/stream.mp4?src=demo");
    assert_eq!(status, 500, "{answer}");
    for words in ["no NVENC session is free", "NV_ENC_ERR_INCOMPATIBLE_CLIENT_KEY (21)", "nvidia-smi encodersessions"] {
        assert!(answer.contains(words), "{words:?} is not in what the viewer is told: {answer}");
    }
    run.report().assert_clean();
}
