//! Ten streams at once, each to its own viewer, and all on one page.

use crate::alone;
use crate::rig::{Rig, SMALL, assert_all_end, small, ticks};
use crate::support::browser::{Browser, mark_of};
use crate::support::children;
use crate::support::decode::{Decoder, Form, Picture, Source, assert_in_order};
use crate::support::process::mb_encode;
use mb_encode::parts::Mark;
use rustix::process::Pid;
use std::time::{Duration, Instant};

const WORKERS: usize = 10;
const PICTURES: usize = 45;

fn ids() -> Vec<String> {
    (0..WORKERS).map(|at| format!("omega-{at}")).collect()
}

/// The part of a test card where its label is, as one byte a pixel.
fn label_of(picture: &Picture) -> Vec<u8> {
    // Letters of 8x8 texels, two pixels each, at the top left; seven of them make an id.
    let width = small().width() as usize;
    picture.luma().chunks(width).take(16).flat_map(|row| row[..8 + 7 * 16].iter().copied()).collect()
}

/// What an id looks like, from a run of its own with nothing of a stream in between.
fn reference(id: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let clip = folder.path().join("clip.h264");
    let mut command = mb_encode();
    command.args(SMALL.split(' ')).args(["--frames", "1", "--no-pace", "--label", id, "--out"]).arg(&clip);
    assert!(command.status().expect("it can be run").success());
    let mut decoder = Decoder::start(Source::File(&clip), small(), Form::Yuv420p, None);
    label_of(&decoder.take_pictures(1)[0])
}

fn distance(a: &[u8], b: &[u8]) -> u64 {
    a.iter().zip(b).map(|(&a, &b)| u64::from(a.abs_diff(b))).sum()
}

fn marks(pictures: &[Picture]) -> Vec<Mark> {
    pictures.iter().map(|picture| picture.mark().expect("a strip")).collect()
}

/// Ten viewers see a stream each, in order and with its own id in it. Then they leave, and `made_by`, whose children the
/// encoders are, has none left.
fn assert_ten_play(rig: &Rig, made_by: &[Pid]) {
    let references: Vec<_> = ids().iter().map(|id| reference(id)).collect();
    let viewers: Vec<_> = ids().iter().map(|id| rig.watch(id)).collect();
    let watch = |mut viewer: Decoder| {
        let pictures = viewer.take_pictures(PICTURES);
        (viewer, pictures)
    };
    let seen: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = viewers.into_iter().map(|viewer| scope.spawn(|| watch(viewer))).collect();
        threads.into_iter().map(|thread| thread.join().expect("the stream plays")).collect()
    });
    for (at, (_, pictures)) in seen.iter().enumerate() {
        assert_in_order(&marks(pictures));
        let label = label_of(&pictures[PICTURES - 1]);
        let nearest = (0..WORKERS).min_by_key(|&id| distance(&label, &references[id]));
        assert_eq!(nearest, Some(at), "the stream omega-{at} shows another one's id");
    }
    let figures = rig.wait_for_status("omega-9", "fps");
    assert!(figures.contains("streaming"), "{figures}");

    let encoders: Vec<_> = made_by.iter().flat_map(|pid| children::watch(pid.as_raw_nonzero().get() as u32)).collect();
    assert_eq!(encoders.len(), WORKERS, "an encoder for each viewer");
    drop(seen);
    let left = Instant::now();
    assert_all_end(&encoders, Duration::from_secs(5));
    eprintln!("all encoders ended {:?} after the viewers", left.elapsed());
    for id in ids() {
        rig.wait_for_status(&id, "waiting");
    }
    std::thread::sleep(Duration::from_secs(2).saturating_sub(left.elapsed()));
}

#[test]
fn ten_streams_play_to_ten_viewers_and_cost_nothing_without_them() {
    let _alone = alone();
    assert_ten_cost_nothing(&Rig::start(&["--workers", "10"], SMALL));
}

#[test]
fn ten_streams_in_http_mode_play_to_ten_viewers_and_on_one_page_and_cost_nothing_without_them() {
    let _alone = alone();
    let rig = Rig::start(&["--workers", "10", "--mode", "http"], SMALL);
    assert_ten_cost_nothing(&rig);
    assert_one_page_shows_all(&rig);
}

fn assert_ten_cost_nothing(rig: &Rig) {
    let workers: Vec<_> = ids().iter().map(|id| rig.worker(id)).collect();
    assert_ten_play(rig, &workers);
    let all_ticks = || workers.iter().map(|&pid| ticks(pid)).sum::<u64>();
    let before = all_ticks();
    // Time in which nothing is to happen can only be waited out.
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(all_ticks(), before, "workers without a reader use the CPU");
    assert_eq!(workers, ids().iter().map(|id| rig.worker(id)).collect::<Vec<_>>(), "none was started again");
}

#[test]
fn ten_streams_in_exec_mode_play_to_ten_viewers_and_end_with_them() {
    let _alone = alone();
    let rig = Rig::start(&["--workers", "10", "--mode", "exec"], SMALL);
    assert_ten_play(&rig, &[rig.go2rtc()]);
    assert!(children::of(rig.go2rtc().as_raw_nonzero().get() as u32).is_empty(), "go2rtc has nothing left to end");
}

#[test]
fn exec_mode_plays_and_its_status_tells_so() {
    let _alone = alone();
    let rig = Rig::start(&["--workers", "2", "--mode", "exec"], SMALL);
    let mut viewer = rig.watch("omega-1");
    let pictures = viewer.take_pictures(15);
    assert_in_order(&marks(&pictures));
    let nearest = ids()[..2].iter().map(|id| distance(&label_of(&pictures[14]), &reference(id))).collect::<Vec<_>>();
    assert!(nearest[1] < nearest[0], "{nearest:?}");
    let line = rig.wait_for_status("omega-1", "fps");
    let rate: f64 = line.split(' ').find_map(|word| word.parse().ok()).expect("a number");
    assert!((5.0..25.0).contains(&rate), "{line}");
    rig.wait_for_status("omega-0", "waiting");
}

#[test]
fn preloaded_streams_run_before_anybody_watches() {
    let _alone = alone();
    let rig = Rig::start(&["--workers", "2", "--preload"], SMALL);
    for id in ["omega-0", "omega-1"] {
        // The figures of the first two seconds.
        rig.wait_for_status(id, "fps");
    }
    let first = rig.watch("omega-1").take_marks(1)[0];
    assert!(first.frame > 0, "it was running");
}

#[test]
fn one_page_shows_all_ten() {
    let _alone = alone();
    assert_one_page_shows_all(&Rig::start(&["--workers", "10"], SMALL));
}

fn assert_one_page_shows_all(rig: &Rig) {
    let all = rig.addresses.iter().find(|line| line.starts_with("all ")).expect("an address for all");
    let address = all.split_whitespace().nth(1).expect("an address");
    let browser = Browser::start(1280, 720);
    browser.open(address);

    let seen = browser.look(LOOK_AT_ALL, WORKERS, small());
    let sights = seen.as_array().unwrap_or_else(|| panic!("{seen}\n{}\n{}", browser.log(), rig.log()));
    assert_eq!(sights.len(), WORKERS);
    for (at, sight) in sights.iter().enumerate() {
        assert_eq!(sight["src"], format!("omega-{at}"));
        let read = |name: &str| mark_of(&sight[name], small()).unwrap_or_else(|| panic!("no strip in {sight}"));
        let (first, later) = (read("first"), read("later"));
        assert!(later.frame > first.frame, "omega-{at} stands still: {first:?} {later:?}");
    }
    let modes: Vec<_> = sights.iter().map(|sight| sight["mode"].as_str().unwrap_or("?")).collect();
    eprintln!("played as {modes:?}");
    assert!(modes.iter().all(|mode| *mode == "RTC"), "WebRTC was to be had: {modes:?}");
}

/// Where WebRTC does not get through, the picture comes over the page's own connection.
#[test]
fn one_page_shows_a_stream_by_mse() {
    let _alone = alone();
    let rig = Rig::start(&["--workers", "1"], SMALL);
    let browser = Browser::start(1280, 720);
    browser.open(&rig.http("stream.html?src=omega-0&mode=mse"));
    let seen = browser.look(LOOK_AT_ALL, 1, small());
    let sight = &seen.as_array().unwrap_or_else(|| panic!("{seen}\n{}\n{}", browser.log(), rig.log()))[0];
    let read = |name: &str| mark_of(&sight[name], small()).unwrap_or_else(|| panic!("no strip in {sight}"));
    assert!(read("later").frame > read("first").frame && sight["mode"] == "MSE", "{sight}");
}

/// Looks at every video twice, the second time when it shows a later picture.
const LOOK_AT_ALL: &str = "
const frame = video => new Promise(shown => video.requestVideoFrameCallback(shown));
const watch = async stream => {
    const video = stream.querySelector('video');
    do await frame(video); while (video.videoWidth !== 640);
    const first = blocksOf(video);
    for (let n = 0; n < 15; n++) await frame(video);
    const mode = stream.querySelector('.mode')?.innerText;
    return {src: new URL(stream.wsURL ?? stream.src, location.href).searchParams.get('src'), first, later: blocksOf(video), mode};
};
const streams = [...document.querySelectorAll('video-stream')];
const state = () => streams.map(stream => {
    const video = stream.querySelector('video');
    return [stream.querySelector('.mode')?.innerText, stream.querySelector('.status')?.innerText, video?.videoWidth,
        video?.currentTime, video?.readyState];
});
if (streams.length !== wanted) done({streams: streams.length});
setTimeout(() => done({tookTooLong: true, state: state()}), 50000);
Promise.all(streams.map(watch)).then(done, error => done({error: String(error), state: state()}));
";
