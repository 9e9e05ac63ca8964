//! go2rtc's own page in a real browser: what it shows is read back from a canvas.

use crate::support::browser::{Browser, mark_of};
use crate::support::go2rtc::Go2rtc;
use crate::{alone, exec_source, size};
use mb_encode::parts::Mark;
use mb_encode::settings::Size;
use serde_json::Value;

const PICTURES: usize = 60;

/// What a page showed at one moment.
struct Sight {
    mark: Mark,
    /// Wall clock when the strip had been read, in milliseconds since 1970.
    read_at_ms: u64,
    /// The video element's own time, in seconds.
    current_time: f64,
    /// Mean and spread of the picture's luma, of 255.
    mean: f64,
    deviation: f64,
}

#[test]
fn webrtc_plays_in_a_browser() {
    let sights = play("webrtc", std::env::var_os("MB_ENCODE_SCREENSHOT").as_deref());
    assert_plays("webrtc", &sights);
}

#[test]
fn mse_plays_in_a_browser() {
    assert_plays("mse", &play("mse", None));
}

fn assert_plays(mode: &str, sights: &[Sight]) {
    for sight in sights {
        assert!(sight.mean > 32.0 && sight.deviation > 32.0, "{mode}: a dark or empty picture: {}", describe(sight));
    }
    for pair in sights.windows(2) {
        assert!(pair[1].mark.frame >= pair[0].mark.frame, "{mode}: {} then {}", describe(&pair[0]), describe(&pair[1]));
    }
    let (first, last) = (&sights[0], &sights[sights.len() - 1]);
    // A picture can be seen twice, where the page is asked again before the next one has come.
    assert!(last.mark.frame - first.mark.frame >= PICTURES as u32 / 2, "{mode}: hardly any progress");
    assert!(last.mark.wall_clock_ms > first.mark.wall_clock_ms);
    assert!(last.current_time > first.current_time, "{mode}: the video's time stands still");

    let mut delays: Vec<_> =
        sights.iter().map(|sight| sight.read_at_ms.saturating_sub(sight.mark.wall_clock_ms)).collect();
    delays.sort_unstable();
    let (median, longest) = (delays[delays.len() / 2], delays[delays.len() - 1]);
    eprintln!(
        "{mode}: from drawing to the canvas {} ms at best, {median} ms in the middle, {longest} ms at worst, of {}",
        delays[0],
        delays.len()
    );
}

fn describe(sight: &Sight) -> String {
    let Sight { mark, current_time, mean, deviation, .. } = sight;
    format!("frame {} at {current_time} s, mean {mean:.0}, deviation {deviation:.0}", mark.frame)
}

/// Opens go2rtc's page in one mode and looks at [`PICTURES`] pictures. Then `keep` gets a picture of the page.
fn play(mode: &str, keep: Option<&std::ffi::OsStr>) -> Vec<Sight> {
    let _alone = alone();
    let picture = size(1280, 720);
    let go2rtc = Go2rtc::start(&[("demo", &exec_source("--stdout --width 1280 --height 720 --fps 30"))]);
    let browser = Browser::start(picture.width(), picture.height());
    browser.open(&go2rtc.http(&format!("stream.html?src=demo&mode={mode}")));

    let seen = browser.look(LOOK, PICTURES, picture);
    let context = || format!("go2rtc:\n{}\nthe page:\n{}", go2rtc.log(), browser.log());
    let Some(sights) = seen.as_array() else {
        panic!("{mode} does not play: {seen}\n{}", context());
    };
    let sights = sights
        .iter()
        .map(|sight| read(sight, picture).unwrap_or_else(|| panic!("{mode}: no strip in {sight}\n{}", context())));
    let sights: Vec<_> = sights.collect();
    if let Some(path) = keep {
        std::fs::write(path, browser.screenshot()).expect("$MB_ENCODE_SCREENSHOT can be written");
    }
    sights
}

/// Reads one sight as [`LOOK`] gives it.
fn read(sight: &Value, picture: Size) -> Option<Sight> {
    Some(Sight {
        mark: mark_of(&sight["blocks"], picture)?,
        read_at_ms: sight["readAt"].as_u64()?,
        current_time: sight["currentTime"].as_f64()?,
        mean: sight["mean"].as_f64()?,
        deviation: sight["deviation"].as_f64()?,
    })
}

/// Looks at `wanted` pictures as they are shown. Gives a list of sights, or else what the page was doing when it took
/// too long.
const LOOK: &str = "
const video = document.querySelector('video');
const sights = [];
const whole = canvas(32, 18);

const look = () => {
    const blocks = blocksOf(video);
    const readAt = Date.now();
    whole.drawImage(video, 0, 0, 32, 18);
    const small = whole.getImageData(0, 0, 32, 18).data;
    const lumas = Array.from({length: 32 * 18}, (_, at) => luma(small, at * 4));
    const mean = lumas.reduce((sum, l) => sum + l) / lumas.length;
    const deviation = Math.sqrt(lumas.reduce((sum, l) => sum + (l - mean) ** 2, 0) / lumas.length);
    sights.push({blocks, readAt, currentTime: video.currentTime, mean, deviation});
    if (sights.length < wanted) {
        video.requestVideoFrameCallback(look);
    } else {
        done(sights);
    }
};
setTimeout(() => done({
    tookTooLong: true,
    seen: sights.length,
    mode: document.querySelector('.mode')?.innerText,
    status: document.querySelector('.status')?.innerText,
    size: [video.videoWidth, video.videoHeight],
    readyState: video.readyState,
    paused: video.paused,
    error: video.error?.message,
}), 50000);
video.requestVideoFrameCallback(look);
";
