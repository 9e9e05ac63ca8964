//! Frames of other programs through a real go2rtc into a real browser.

use crate::distribution::Rig;
use crate::producer::{COLOURS, Colour, framed, header, marked, open_now, size};
use crate::support::browser::{Browser, mark_of};
use mb_encode::settings::Size;
use serde_json::Value;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

fn picture() -> Size {
    size(640, 360)
}

/// A program that shows its frame number in a colour of its own, 20 times a second, while somebody watches.
struct Simulation {
    over: Arc<AtomicBool>,
    rendered: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Simulation {
    fn start(fifo: PathBuf, colour: Colour) -> Self {
        let (over, rendered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (is_over, count) = (Arc::clone(&over), Arc::clone(&rendered));
        let thread = std::thread::spawn(move || {
            let mut file = None;
            while !is_over.load(Ordering::Relaxed) {
                if file.is_none() {
                    file = open_now(&fifo).ok();
                    if let Some(file) = &mut file {
                        let _ = file.write_all(&header(picture()));
                    }
                }
                if let Some(open) = &mut file {
                    let frame = count.fetch_add(1, Ordering::Relaxed);
                    if open.write_all(&framed(&marked(picture(), colour, frame as u32))).is_err() {
                        file = None;
                    }
                }
                std::thread::sleep(Duration::from_millis(if file.is_some() { 50 } else { 5 }));
            }
        });
        Self { over, rendered, thread: Some(thread) }
    }

    fn rendered(&self) -> u64 {
        self.rendered.load(Ordering::Relaxed)
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A supervisor of so many workers, and a program for each.
struct Playing {
    // Before the folder goes.
    simulations: Vec<Simulation>,
    rig: Rig,
    _folder: tempfile::TempDir,
}

impl Playing {
    fn start(workers: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let frames = folder.path().join("frames");
        let options = format!("--encoder openh264 --input {}/{{id}}.y4m", frames.display());
        let rig = Rig::start_in(&folder.path().join("temp"), &["--workers", &workers.to_string()], &options);
        (0..workers).for_each(|at| drop(rig.wait_for_status(&format!("omega-{at}"), "waiting")));
        let simulation = |at: usize| Simulation::start(frames.join(format!("omega-{at}.y4m")), COLOURS[at]);
        Self { simulations: (0..workers).map(simulation).collect(), rig, _folder: folder }
    }

    fn rendered(&self) -> Vec<u64> {
        self.simulations.iter().map(Simulation::rendered).collect()
    }

    /// Checks what a page has seen of one stream.
    fn check(&self, sight: &Value, at: usize) {
        let read = |name: &str| {
            let mark = mark_of(&sight[name], picture());
            mark.unwrap_or_else(|| panic!("no strip in {sight}\n{}", self.rig.log()))
        };
        let (first, later) = (read("first"), read("later"));
        assert!(later.frame > first.frame, "omega-{at} stands still: {first:?} {later:?}");
        assert!(later.wall_clock_ms > first.wall_clock_ms);
        let seen: Vec<f64> = sight["colour"].as_array().expect("RGB").iter().filter_map(Value::as_f64).collect();
        let expected = rgb(COLOURS[at]);
        let off = seen.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(off <= 6.0, "omega-{at} has the colour {seen:?} and should have {expected:?}");
    }
}

/// BT.709 in limited range, as a browser shows it.
fn rgb([y, cb, cr]: Colour) -> [f64; 3] {
    let (y, cb, cr) = ((f64::from(y) - 16.0) / 219.0, (f64::from(cb) - 128.0) / 224.0, (f64::from(cr) - 128.0) / 224.0);
    let (red, blue) = (y + 1.5748 * cr, y + 1.8556 * cb);
    let green = (y - 0.2126 * red - 0.0722 * blue) / 0.7152;
    [red, green, blue].map(|value| (255.0 * value).clamp(0.0, 255.0))
}

fn sights<'a>(seen: &'a Value, browser: &Browser, rig: &Rig) -> &'a [Value] {
    let sights = seen.as_array();
    sights.unwrap_or_else(|| panic!("{seen}\n{}\n{}", browser.log(), rig.log()))
}

#[test]
fn nothing_is_rendered_until_four_streams_play_on_one_page_and_nothing_after() {
    let _alone = crate::alone();
    let playing = Playing::start(4);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(playing.rendered(), [0; 4], "nobody watches");
    let all = playing.rig.addresses.iter().find(|line| line.starts_with("all ")).expect("an address for all");
    let browser = Browser::start(1280, 720);
    browser.open(all.split_whitespace().nth(1).expect("an address"));
    let seen = browser.look(&format!("{WATCH}{LOOK_AT_ALL}"), 4, picture());
    for (at, sight) in sights(&seen, &browser, &playing.rig).iter().enumerate() {
        assert_eq!(sight["src"], format!("omega-{at}"));
        assert_eq!(sight["mode"], "RTC", "{sight}");
        playing.check(sight, at);
    }
    browser.open("about:blank");
    let left = Instant::now();
    // go2rtc keeps a source for a moment after its last viewer.
    (0..4).for_each(|at| drop(playing.rig.wait_for_status(&format!("omega-{at}"), "waiting")));
    let rendered = playing.rendered();
    eprintln!("nothing is rendered {:?} after the page was left, and {rendered:?} frames were", left.elapsed());
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(playing.rendered(), rendered);
}

#[test]
fn a_stream_plays_over_mse() {
    let _alone = crate::alone();
    let playing = Playing::start(1);
    let browser = Browser::start(1280, 720);
    browser.open(&playing.rig.http("stream.html?src=omega-0&mode=mse"));
    let seen = browser.look(&format!("{WATCH}{LOOK_AT_ALL}"), 1, picture());
    let sight = &sights(&seen, &browser, &playing.rig)[0];
    assert_eq!(sight["mode"], "MSE", "{sight}");
    playing.check(sight, 0);
}

#[test]
fn from_a_click_to_the_first_picture_it_takes_no_time_worth_a_word() {
    let _alone = crate::alone();
    let playing = Playing::start(1);
    let browser = Browser::start(1280, 720);
    // A page of go2rtc's that has the player, and shows nothing.
    browser.open(&playing.rig.http("stream.html"));
    for mode in ["webrtc", "mse"] {
        let mut times = Vec::new();
        for _ in 0..3 {
            playing.rig.wait_for_status("omega-0", "waiting");
            let rendered = playing.rendered();
            let script = format!("{WATCH}const mode = '{mode}';{CLICK}");
            let seen = browser.look(&script, 1, picture());
            let sight = &sights(&seen, &browser, &playing.rig)[0];
            playing.check(sight, 0);
            assert!(playing.rendered() > rendered);
            times.push(sight["took"].as_f64().expect("milliseconds"));
        }
        eprintln!("{mode}: from the click to the first picture {times:.0?} ms");
    }
}

/// Two looks at a video, the second one some pictures later, and the colour in its upper right corner.
const WATCH: &str = "
const frame = video => new Promise(shown => video.requestVideoFrameCallback(shown));
const pixel = canvas(16, 16);
const twoLooks = async (stream, begun) => {
    const video = stream.querySelector('video');
    do await frame(video); while (video.videoWidth !== 640);
    const took = performance.now() - begun;
    const first = blocksOf(video);
    for (let n = 0; n < 15; n++) await frame(video);
    const later = blocksOf(video);
    pixel.drawImage(video, 600, 20, 16, 16, 0, 0, 16, 16);
    const colour = [...pixel.getImageData(8, 8, 1, 1).data].slice(0, 3);
    const mode = stream.querySelector('.mode')?.innerText;
    const src = new URL(stream.wsURL ?? stream.src, location.href).searchParams.get('src');
    return {src, mode, first, later, colour, took};
};
setTimeout(() => done({
    tookTooLong: true,
    state: [...document.querySelectorAll('video-stream')].map(stream => [
        stream.querySelector('.mode')?.innerText, stream.querySelector('.status')?.innerText,
        stream.querySelector('video')?.videoWidth, stream.querySelector('video')?.currentTime,
    ]),
}), 50000);
";

const LOOK_AT_ALL: &str = "
const streams = [...document.querySelectorAll('video-stream')];
if (streams.length !== wanted) done({streams: streams.length});
Promise.all(streams.map(stream => twoLooks(stream, 0))).then(done, error => done({error: String(error)}));
";

/// Adds a player, as a click on a link does, and removes it when it was looked at.
const CLICK: &str = "
document.querySelectorAll('video-stream').forEach(stream => stream.remove());
const begun = performance.now();
const stream = document.createElement('video-stream');
stream.mode = mode;
stream.background = true;
document.body.appendChild(stream);
stream.src = new URL('api/ws?src=omega-0', location.href);
twoLooks(stream, begun).then(sight => {
    stream.remove();
    stream.ondisconnect?.();
    done([sight]);
}, error => done({error: String(error)}));
";
