//! Which streams a wall shows and how it plays them, in both browsers; and what strangers may do there, which is nothing.

use crate::alone;
use crate::rig::{Rig, until};
use crate::sight::{describe, encoded, tiles, wait_for_encoded, wait_for_play, wait_for_tile};
use crate::support::browser::{Browser, mark_of};
use crate::support::process::DEADLINE;
use mb_encode::settings::Size;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

const SMALL: &str = "--width 320 --height 180 --fps 15";

fn names(browser: &Browser) -> Vec<String> {
    tiles(browser).into_iter().map(|tile| tile.name).collect()
}

#[test]
fn an_address_selects_streams_and_their_mode() {
    let _alone = alone();
    let rig = Rig::start(&["--workers", "4"], SMALL);
    let browser = Browser::start(900, 600);
    for (query, chosen, way) in [
        ("?src=omega-3&src=omega-1", &["omega-3", "omega-1"][..], "MSE"),
        ("?src=omega-2,omega-0,omega-2&mode=webrtc", &["omega-2", "omega-0"], "WebRTC"),
        ("?src=omega-1&mode=mse", &["omega-1"], "MSE"),
        ("?mode=webrtc,mse,mp4", &["omega-0", "omega-1", "omega-2", "omega-3"], "WebRTC"),
    ] {
        browser.open(&rig.http(query));
        let chosen: Vec<_> = chosen.iter().map(|&name| name.to_owned()).collect();
        until(DEADLINE, query, || (names(&browser) == chosen).then_some(()));
        wait_for_play(&browser, &chosen);
        wait_for_encoded(&rig, &chosen);
        for name in &chosen {
            wait_for_tile(&browser, name, way, |tile| tile.by.starts_with(way) && tile.rate.ends_with(" fps"));
        }
    }
    // A mode of one picture a keyframe.
    browser.open(&rig.http("?src=omega-1&mode=mp4"));
    wait_for_tile(&browser, "omega-1", "plays by MP4", |tile| tile.by.starts_with("MP4"));

    browser.open(&rig.http("?src=omega-9&src=omega-0&mode=mjpeg,<b>x</b>"));
    let none = wait_for_tile(&browser, "omega-9", "is no stream", |tile| tile.state == "down");
    assert_eq!(none.why, "there is no such stream");
    wait_for_play(&browser, &["omega-0".to_owned()]);
    let notice = browser.tell("return document.getElementById('notice').textContent");
    let expected = "mjpeg is not served here; there is no mode <b>x</b>: use webrtc, webrtc/tcp, mse, mp4";
    assert_eq!(notice, expected);
    // What an address enlarges is large at once.
    browser.open("about:blank");
    browser.open(&rig.http("#omega-2"));
    wait_for_tile(&browser, "omega-2", "is large", |tile| tile.state == "playing" && tile.by.starts_with("WebRTC"));
    assert_eq!(encoded(&rig), ["omega-2"]);

    assert_hostile_words_stay_words(&rig, &browser);
    assert_nobody_changes_anything(&rig, &browser);
}

/// The page is given a list with markup wherever words can be.
fn assert_hostile_words_stay_words(rig: &Rig, browser: &Browser) {
    browser.open(&rig.http(""));
    until(DEADLINE, "tiles", || (names(browser).len() == 4).then_some(()));
    let markup = "<img src=x onerror='window.hit=1'><script>window.hit=1</script>\"'&lt;";
    let tile = json!({ "name": format!("{markup}/../omega-0?src=b#"), "state": "down", "why": markup, "remedy": markup,
        "starts_in_seconds": 1, "frames_per_second": null, "encoder": markup, "gpu": markup });
    let list = json!({ "streams": [tile], "go2rtc": { "state": "running" } });
    browser.tell(&format!("const list = {list}; window.fetch = async () => Response.json(list);"));
    let tile =
        until(DEADLINE, "the list is taken", || tiles(browser).into_iter().find(|tile| tile.why.contains(markup)));
    assert!(tile.name.starts_with(markup) && tile.state == "down" && tile.by.contains(markup), "{tile:?}");
    assert_eq!(names(browser).len(), 1, "streams that have gone lose their tiles");
    assert_eq!(browser.tell("return document.querySelectorAll('img').length + (window.hit ?? 0)"), 0);
    assert_eq!(browser.tell("return document.scripts.length"), 1);
    // Not even an injected script would run.
    let blocked = browser.tell(
        "const script = document.createElement('script'); script.textContent = 'window.hit = 1';
         document.body.append(script); return window.hit ?? 'blocked'",
    );
    assert_eq!(blocked, "blocked");
    let elsewhere = browser.run(
        "const done = arguments[arguments.length - 1];
         const frame = document.createElement('iframe'); document.body.append(frame);
         new frame.contentWindow.XMLHttpRequest();
         addEventListener('securitypolicyviolation', event => done(event.effectiveDirective));
         new Image().src = 'http://127.0.0.1:9/x.png';",
        json!([]),
    );
    assert_eq!(elsewhere, "img-src");
}

fn assert_nobody_changes_anything(rig: &Rig, browser: &Browser) {
    browser.open(&rig.http(""));
    let tries = browser.run(
        "const done = arguments[arguments.length - 1];
         const ask = (method, path) => fetch(path, {method}).then(answer => answer.status, String);
         Promise.all([ask('PUT', 'api/streams?name=a&src=rtsp://127.0.0.1:9/x'), ask('DELETE', 'api/streams?src=omega-0'),
             ask('POST', '/'), ask('POST', 'wall.json'), ask('GET', 'api/config'), ask('GET', 'api')]).then(done);",
        json!([]),
    );
    assert_eq!(tries, json!([405, 405, 404, 404, 404, 404]));

    for (method, target, kind) in
        [("GET", "/", "text/html"), ("HEAD", "/", "text/html"), ("GET", "/wall.json", "application/json")]
    {
        let answer = raw(rig.ports[0], method, target, "127.0.0.1");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains(&format!("Content-Type: {kind};")), "{head}");
        for header in [
            "Content-Security-Policy: default-src 'none'",
            "frame-ancestors",
            "X-Content-Type-Options: nosniff",
            "Referrer-Policy: no-referrer",
            "Cache-Control: no-store",
            "Cross-Origin-Resource-Policy: same-origin",
        ] {
            assert!(head.contains(header), "{header} is not in {head}");
        }
        assert!(!head.contains("Access-Control") && !head.contains("unsafe"), "{head}");
        assert_eq!(body.is_empty(), method == "HEAD");
    }
    for target in ["/", "/wall.json"] {
        assert!(raw(rig.ports[0], "GET", target, "evil.example").starts_with("HTTP/1.1 421 "), "{target}");
    }
    // go2rtc's own pages are where they were, and its list beside them.
    for (path, words) in
        [("stream.html?src=omega-0", "video-stream.js"), ("index.html", "go2rtc"), ("video-rtc.js", "VideoRTC")]
    {
        let (status, page) = rig.ask("GET", path, "");
        assert!(status == 200 && page.contains(words), "{path}: {status} {page}");
    }
    let (_, list) = rig.ask("GET", "wall.json", "");
    let list: Value = serde_json::from_str(&list).expect("JSON");
    assert_eq!(list["go2rtc"]["state"], "running");
    assert_eq!(list["streams"].as_array().map(Vec::len), Some(4), "{list}");
}

fn raw(port: u16, method: &str, target: &str, host: &str) -> String {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    write!(socket, "{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("it answers");
    answer
}

/// Only go2rtc knows what runs, and the wall asks it.
#[test]
fn the_wall_plays_in_exec_mode() {
    let _alone = alone();
    let rig = Rig::start(&["--workers", "3", "--mode", "exec"], SMALL);
    let browser = Browser::start(900, 600);
    browser.open(&rig.http(""));
    until(DEADLINE, "tiles", || (names(&browser).len() == 3).then_some(()));
    wait_for_play(&browser, &names(&browser));
    // go2rtc's own player stays a second behind, however quick everything is.
    let mut behind = Vec::new();
    let keeps_up = until(DEADLINE, "a tile keeps up", || {
        behind.push(behind_by(&browser));
        behind.last().filter(|&&behind| behind < SECOND_BEHIND / 2).copied()
    });
    eprintln!("a tile by MSE is {keeps_up:?} behind; before {behind:?}");
}

const SECOND_BEHIND: Duration = Duration::from_secs(1);
/// As many as come in a second.
const PICTURES: usize = 15;

/// How long ago the pictures were drawn that the first tile shows, in the middle of some.
fn behind_by(browser: &Browser) -> Duration {
    let size = Size::new(320, 180).expect("a legal size");
    let seen = browser.look(LOOK, PICTURES, size);
    let late = |sight: &Value| {
        let mark = mark_of(&sight["blocks"], size)?;
        Some(sight["at"].as_u64()?.saturating_sub(mark.wall_clock_ms))
    };
    let mut all: Vec<_> = seen.as_array().into_iter().flatten().filter_map(late).collect();
    all.sort_unstable();
    let middle = all.get(PICTURES / 2).unwrap_or_else(|| panic!("no strip in {seen}"));
    Duration::from_millis(*middle)
}

const LOOK: &str = "
const video = document.querySelector('.tile video');
const sights = [];
const look = () => {
    sights.push({blocks: blocksOf(video), at: Date.now()});
    if (sights.length < wanted) video.requestVideoFrameCallback(look);
    else done(sights);
};
setTimeout(() => done({tookTooLong: true, seen: sights.length, readyState: video.readyState}), 20000);
video.requestVideoFrameCallback(look);
";

#[test]
fn the_wall_plays_in_firefox() {
    let _alone = alone();
    let rig = Rig::start(&["--workers", "3"], SMALL);
    let browser = Browser::start_firefox(900, 600);
    browser.open(&rig.http(""));
    let all: Vec<_> = (0..3).map(|at| format!("omega-{at}")).collect();
    until(DEADLINE, "tiles", || (names(&browser) == all).then_some(()));
    eprintln!("Firefox: all play {:?} after the page was there", wait_for_play(&browser, &all));
    for name in &all {
        wait_for_tile(&browser, name, "plays by MSE", |tile| tile.by.starts_with("MSE") && tile.rate.ends_with(" fps"));
    }
    let (role, label) = browser.role_and_name(".tile");
    assert!(role == "button" && label.starts_with("omega-0, playing, "), "{role}: {label}");
    browser.click(".tile");
    let large = wait_for_tile(&browser, "omega-0", "is large", |tile| tile.visible && tile.state == "playing");
    wait_for_encoded(&rig, &all[..1]);
    assert!(!large.by.is_empty(), "{}", describe(&browser));
    browser.press('\u{e00c}');
    wait_for_play(&browser, &all);
}
