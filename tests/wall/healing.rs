//! What dies comes back by itself, and what is down says why.

use crate::alone;
use crate::rig::{Rig, kill, until};
use crate::sight::{describe, tiles, wait_for_play, wait_for_tile};
use crate::support::browser::Browser;
use crate::support::process::DEADLINE;
use std::time::{Duration, Instant};

const SMALL: &str = "--width 320 --height 180 --fps 30";
/// On a machine with little else to do.
const PLAYS_AGAIN: Duration = Duration::from_secs(3);

/// Notes for how long at most the tile of `omega-0` showed no new picture.
const WATCH: &str = "
const video = () => document.querySelector('.tile video');
let last = performance.now(), shown = null, count = -1;
window.longest = 0;
window.watching = setInterval(() => {
    const now = performance.now(), current = video();
    const total = current?.getVideoPlaybackQuality().totalVideoFrames ?? 0;
    if (total > 0 && (current !== shown || total !== count)) {
        window.longest = Math.max(window.longest, now - last);
        last = now;
    }
    [shown, count] = [current, total];
    window.open = now - last;
}, 20);";

#[test]
fn a_killed_worker_plays_again_by_itself() {
    let _alone = alone();
    let rig = Rig::start(&["--workers", "2"], SMALL);
    let browser = Browser::start(1024, 600);
    for mode in ["mse", "webrtc"] {
        browser.open(&rig.http(&format!("?mode={mode}")));
        let names: Vec<_> = tiles_of(&browser, 2);
        wait_for_play(&browser, &names);
        browser.tell(WATCH);
        let (worker, killed) = (rig.worker("omega-0"), Instant::now());
        kill(worker);
        until(DEADLINE, "it was started again", || (rig.worker("omega-0") != worker).then_some(()));
        rig.wait_for_status("omega-0", "streaming");
        let plays = || {
            let longest = browser.tell("return window.open < 100 ? window.longest : null").as_f64()?;
            Some(Duration::from_secs_f64(longest / 1e3))
        };
        let longest = until(DEADLINE, &format!("it plays again\n{}", describe(&browser)), plays);
        eprintln!(
            "{mode}: a killed worker's tile has no new picture for {longest:?}, and plays {:?} later",
            killed.elapsed()
        );
        assert!(longest < PLAYS_AGAIN, "{longest:?}");
    }

    let killed = Instant::now();
    kill(rig.go2rtc());
    let down = wait_for_tile(&browser, "omega-0", "is down", |tile| tile.state == "down" || tile.state == "connecting");
    assert!(down.why.is_empty() || down.why.contains("go2rtc") || down.why.contains("server"), "{down:?}");
    wait_for_play(&browser, &tiles_of(&browser, 2));
    eprintln!("go2rtc was killed: both tiles play {:?} later", killed.elapsed());
}

fn tiles_of(browser: &Browser, count: usize) -> Vec<String> {
    until(DEADLINE, "there are tiles", || {
        let names: Vec<_> = tiles(browser).into_iter().map(|tile| tile.name).collect();
        (names.len() == count).then_some(names)
    })
}

#[test]
fn what_is_down_says_why_and_plays_once_that_is_mended() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let shader = |id: &str| folder.path().join(format!("{id}.glsl"));
    let good = "void mainImage(out vec4 colour, in vec2 at) { colour = vec4(fract(iTime), 0.5, 0.0, 1.0); }\n";
    let broken = "void mainImage(out vec4 colour, in vec2 at) { colour = vec4(absent); }\n";
    std::fs::write(shader("omega-0"), good).expect("room");
    std::fs::write(shader("omega-1"), broken).expect("room");
    let options = format!("{SMALL} --shader {}/{{id}}.glsl", folder.path().display());
    let rig = Rig::start(&["--workers", "2"], &options);
    let browser = Browser::start(1024, 600);
    browser.open(&rig.http(""));
    let down =
        wait_for_tile(&browser, "omega-1", "is down", |tile| tile.state == "down" && tile.why.contains("compile"));
    assert!(down.why.contains("omega-1.glsl"), "{down:?}");
    let (_, list) = rig.ask("GET", "wall.json", "");
    let place = folder.path().to_str().expect("UTF-8");
    assert!(list.contains("compile") && !list.contains(place) && !list.contains("pid"), "{list}");
    wait_for_play(&browser, &["omega-0".to_owned()]);
    let (role, label) = browser.role_and_name("li[data-state=down] .tile");
    assert!(role == "button" && label.starts_with("omega-1, down: ") && label.contains("compile"), "{role}: {label}");
    // What happens at once is read out a second apart.
    until(DEADLINE, "it is said", || {
        let said = browser.tell("return document.querySelector('[aria-live=polite]').textContent");
        said.as_str().filter(|said| said.starts_with("omega-1 is down: ")).map(str::to_owned)
    });
    let table = rig.wait_for_status("omega-1", "down");
    assert!(table.contains("compile"), "{table}");

    std::fs::write(shader("omega-1"), good).expect("room");
    wait_for_play(&browser, &["omega-1".to_owned()]);
    let said = until(DEADLINE, "it is said", || {
        let said = browser.tell("return document.querySelector('[aria-live=polite]').textContent");
        said.as_str().filter(|said| said.contains("plays again")).map(str::to_owned)
    });
    assert_eq!(said, "omega-1 plays again");
}
