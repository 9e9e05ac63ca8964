//! What is seen is encoded, and nothing else: among forty streams, by scrolling, behind another tab, and enlarged.

use crate::alone;
use crate::rig::{Rig, until};
use crate::sight::{encoded, tiles, visible, wait_for_encoded, wait_for_play, wait_for_tile};
use crate::support::browser::Browser;
use crate::support::process::DEADLINE;
use std::time::{Duration, Instant};

const SMALLEST: &str = "--width 160 --height 90 --fps 15";
const ESCAPE: char = '\u{e00c}';
const ENTER: char = '\u{e007}';
const LEFT: char = '\u{e012}';
const UP: char = '\u{e013}';
const RIGHT: char = '\u{e014}';
const DOWN: char = '\u{e015}';
const END: char = '\u{e010}';
const HOME: char = '\u{e011}';
/// On a machine with little else to do it is a third of this.
const LATEST: Duration = Duration::from_secs(3);

/// Scrolls so that the top of a row is the top of the window.
fn scroll_to_row(browser: &Browser, row: usize) {
    let script = "const tiles = document.querySelectorAll('.tile');
        const tile = tiles[ROW * document.getElementById('wall').dataset.columns];
        scrollBy(0, tile.getBoundingClientRect().top);";
    browser.tell(&script.replace("ROW", &row.to_string()));
}

fn focused(browser: &Browser) -> String {
    let name = browser.tell("return document.activeElement.querySelector('.name')?.textContent");
    name.as_str().unwrap_or_default().to_owned()
}

#[test]
fn of_forty_streams_those_that_are_seen_are_encoded() {
    let _alone = alone();
    let rig = Rig::start(&["--workers", "40"], SMALLEST);
    let address = rig.addresses[0].split_whitespace().nth(1).expect("an address").to_owned();
    assert!(rig.addresses[0].starts_with("wall ") && address == rig.http(""), "{:?}", rig.addresses);
    let browser = Browser::start(800, 360);
    assert_eq!(encoded(&rig), [""; 0], "nobody looks yet");
    let opened = Instant::now();
    browser.open(&address);
    until(DEADLINE, "a tile plays", || tiles(&browser).iter().any(|tile| tile.state == "playing").then_some(()));
    eprintln!("the first tile plays {:?} after the page was asked for", opened.elapsed());
    let seen = visible(&browser);
    assert_eq!(seen, (0..6).map(|at| format!("omega-{at}")).collect::<Vec<_>>());
    wait_for_encoded(&rig, &seen);
    wait_for_play(&browser, &seen);

    for row in [2, 6, 11, 3, 0] {
        scroll_to_row(&browser, row);
        let seen = visible(&browser);
        let of_row: Vec<_> = (3 * row..40).take(6).map(|at| format!("omega-{at}")).collect();
        // The last rows do not get to the top.
        assert!(seen == of_row || row == 11 || row == 0, "{seen:?}");
        let (encoded, plays) = (wait_for_encoded(&rig, &seen), wait_for_play(&browser, &seen));
        eprintln!("scrolled: exactly {} encoded after {encoded:?}, all play {plays:?} later", seen.len());
        assert!(encoded < LATEST, "{encoded:?}");
    }

    browser.behind_another_tab(|| {
        let took = wait_for_encoded(&rig, &[]);
        eprintln!("behind another tab: nothing is encoded after {took:?}");
        assert!(took < LATEST, "{took:?}");
    });
    let seen = visible(&browser);
    wait_for_encoded(&rig, &seen);
    eprintln!("in front again: all play {:?} later", wait_for_play(&browser, &seen));

    assert_enlarges(&rig, &browser);
    assert_keys_move(&browser);

    let (role, name) = browser.role_and_name(".tile");
    assert_eq!(role, "button");
    let words: Vec<_> = name.split(", ").collect();
    assert!(words[0] == "omega-0" && words.len() >= 2, "{name}");

    let log = browser.log();
    assert!(!log.contains("Content Security Policy"), "the page does what its policy forbids: {log}");
    drop(browser);
    wait_for_encoded(&rig, &[]);
}

fn assert_enlarges(rig: &Rig, browser: &Browser) {
    scroll_to_row(browser, 2);
    let name = "omega-7".to_owned();
    let before = browser.tell("return scrollY");
    browser.click("[aria-label^='omega-7,']");
    wait_for_tile(browser, &name, "plays by WebRTC", |tile| {
        tile.state == "playing" && tile.by.starts_with("WebRTC") && tile.by.contains("OpenH264")
    });
    assert_eq!(visible(browser), std::slice::from_ref(&name));
    wait_for_encoded(rig, std::slice::from_ref(&name));
    let (_, label) = browser.role_and_name(".large .tile");
    assert!(label.starts_with("omega-7, enlarged, playing"), "{label}");
    assert_eq!(browser.tell("return document.title"), "omega-7");

    browser.press(RIGHT);
    wait_for_tile(browser, "omega-8", "is the next one", |tile| tile.visible && tile.state == "playing");
    browser.press(LEFT);
    wait_for_tile(browser, &name, "is the one before", |tile| tile.visible && tile.state == "playing");
    browser.press(ESCAPE);
    until(DEADLINE, "all are back", || (visible(browser).len() > 1).then_some(()));
    assert_eq!(browser.tell("return scrollY"), before, "where it was");
    assert_eq!(focused(browser), name);
    let seen = visible(browser);
    wait_for_encoded(rig, &seen);
    wait_for_play(browser, &seen);
}

fn assert_keys_move(browser: &Browser) {
    assert_eq!(focused(browser), "omega-7");
    for (key, name) in [
        (RIGHT, "omega-8"),
        (DOWN, "omega-11"),
        (LEFT, "omega-10"),
        (UP, "omega-7"),
        (END, "omega-39"),
        (HOME, "omega-0"),
        (LEFT, "omega-0"),
        (RIGHT, "omega-1"),
    ] {
        browser.press(key);
        assert_eq!(focused(browser), name);
        assert!(visible(browser).contains(&name.to_owned()), "{name} is in sight");
    }
    let outline = browser.tell("return getComputedStyle(document.activeElement).outlineStyle");
    assert_eq!(outline, "solid", "the focus shows");
    assert_eq!(browser.tell("return document.querySelectorAll('.tile[tabindex=\"0\"]').length"), 1, "one stop for Tab");
    browser.press(ENTER);
    wait_for_tile(browser, "omega-1", "is large", |tile| tile.state == "playing" && tile.by.starts_with("WebRTC"));
    browser.click("#back");
    until(DEADLINE, "all are back", || (visible(browser).len() > 1).then_some(()));
}
