//! go2rtc's own page in a real browser: what it shows is read back from a canvas.

use crate::support::browser::{Browser, mark_of};
use crate::support::go2rtc::{Go2rtc, free_ports};
use crate::support::process::{DEADLINE, Process, mb_encode};
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

/// From the click to the first frame on the page, cold, where go2rtc reads by HTTP and where it starts the program itself.
#[test]
fn a_stream_by_http_begins_no_later_than_one_by_exec() {
    let _alone = alone();
    let picture = size(640, 360);
    let options = "--width 640 --height 360 --fps 30";
    let [port] = free_ports();
    let address = format!("127.0.0.1:{port}");
    let worker = Process::start(mb_encode().args(options.split(' ')).args(["--listen", &address]));
    worker.wait_for_line("listening at");
    let (by_http, by_exec) =
        (format!("http://{address}/stream.ts"), exec_source(&format!("--stdout --mpegts {options}")));
    let go2rtc = Go2rtc::start(&[("http", &by_http), ("exec", &by_exec)]);
    let browser = Browser::start(picture.width(), picture.height());
    let first_frame = |stream: &str| {
        browser.open(&go2rtc.http(&format!("stream.html?src={stream}&mode=webrtc")));
        let seen = browser.run(FIRST_FRAME, serde_json::json!([]));
        // Nobody watches in between, so that each one is the first.
        browser.open("about:blank");
        until_unwatched(&go2rtc);
        seen.as_f64().unwrap_or_else(|| panic!("{stream} does not play: {seen}\n{}", go2rtc.log()))
    };
    first_frame("exec");
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..9 {
        times[0].push(first_frame("http"));
        times[1].push(first_frame("exec"));
    }
    times.iter_mut().for_each(|times| times.sort_by(f64::total_cmp));
    let [http, exec] = times;
    eprintln!("click to first frame: {:.0} ms by HTTP, {:.0} by exec (medians of {})", http[4], exec[4], http.len());
    // Both are the start of the same process; what differs between two medians of a few is the machine.
    assert!(http[4] <= exec[4] * 1.25, "by HTTP {http:?}, by exec {exec:?}");
}

fn until_unwatched(go2rtc: &Go2rtc) {
    let begun = std::time::Instant::now();
    loop {
        let (_, streams) = go2rtc.get("api/streams");
        let streams: Value = serde_json::from_str(&streams).expect("JSON");
        let is_watched = |stream: &Value| stream["consumers"].as_array().is_some_and(|list| !list.is_empty());
        if !streams.as_object().expect("streams").values().any(is_watched) {
            // What it has read from ends now.
            return std::thread::sleep(std::time::Duration::from_millis(300));
        }
        assert!(begun.elapsed() < DEADLINE, "somebody still watches: {streams}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// When the first frame was shown, in milliseconds since the page was asked for.
const FIRST_FRAME: &str = "
const done = arguments[arguments.length - 1];
const wait = () => {
    const video = document.querySelector('video');
    if (!video) return setTimeout(wait, 1);
    if (video.currentTime > 0 && video.videoWidth > 0) return done(performance.now());
    video.requestVideoFrameCallback(() => done(performance.now()));
};
setTimeout(() => done('nothing came'), 20000);
wait();
";

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
