//! Whether everybody can read the wall: in light and dark, on a phone, and with how much contrast. And its picture.

use crate::alone;
use crate::rig::{Rig, until};
use crate::sight::{tiles, wait_for_play};
use crate::support::browser::Browser;
use crate::support::process::DEADLINE;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};
use std::path::Path;

/// Of text and what is behind it, as WCAG 2.2 wants it at level AA (1.4.3), and of a focus ring (1.4.11).
const OF_TEXT: f64 = 4.5;
const OF_RING: f64 = 3.0;

/// Each text with its colour, and the colour of the nearest ground behind it.
const COLOURS: &str = "
const parse = colour => colour.match(/[\\d.]+/g).map(Number);
const ground = element => {
    for (let at = element; at; at = at.parentElement) {
        const [r, g, b, a = 1] = parse(getComputedStyle(at).backgroundColor);
        if (a === 1) return [r, g, b];
    }
    return [255, 255, 255];
};
const texts = [...document.querySelectorAll('h1, #count, #notice, #back, .name, .state, .by, .rate, .why')];
const ring = document.createElement('i');
ring.style.color = getComputedStyle(document.documentElement).getPropertyValue('--ring');
document.body.append(ring);
const rings = [['ring', parse(getComputedStyle(ring).color), ground(ring)]];
ring.remove();
return texts.map(text => [text.className || text.id || text.localName, parse(getComputedStyle(text).color), ground(text)])
    .concat(rings);";

/// The contrast ratio of WCAG 2.2.
fn contrast(a: &Value, b: &Value) -> f64 {
    let luminance = |colour: &Value| {
        let part = |at: usize| {
            let part = colour[at].as_f64().expect("a number") / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(0) + 0.7152 * part(1) + 0.0722 * part(2)
    };
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn everybody_can_read_it() {
    let _alone = alone();
    let rig = Rig::start(&["--workers", "3"], "--width 320 --height 180 --fps 15");
    let browser = Browser::start(1000, 600);
    browser.open(&rig.http("?mode=nonsense"));
    until(DEADLINE, "tiles", || (tiles(&browser).len() == 3).then_some(()));
    let mut grounds = Vec::new();
    for scheme in ["light", "dark"] {
        let feature = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        browser.chromium("Emulation.setEmulatedMedia", feature);
        // In every state that a tile may have.
        for state in ["playing", "connecting", "waiting", "down"] {
            browser.tell(&format!("document.querySelectorAll('li').forEach(item => item.dataset.state = '{state}')"));
            let colours = browser.tell(COLOURS);
            let colours = colours.as_array().expect("colours");
            assert!(colours.len() > 12, "{colours:?}");
            for colour in colours {
                let ratio = contrast(&colour[1], &colour[2]);
                let least = if colour[0] == "ring" { OF_RING } else { OF_TEXT };
                assert!(ratio >= least, "{scheme}, {state}: {ratio:.2} of {colour}");
            }
            grounds.push(colours[0][2].clone());
        }
    }
    assert_ne!(grounds.first(), grounds.last(), "light is not dark");

    let motion = json!({ "features": [{ "name": "prefers-reduced-motion", "value": "reduce" }] });
    browser.chromium("Emulation.setEmulatedMedia", motion);
    let moves = "const [item] = document.querySelectorAll('li'); item.dataset.state = 'connecting';
        return getComputedStyle(item.querySelector('.state'), '::before').animationName";
    assert_eq!(browser.tell(moves), "none");

    // A phone.
    browser.resize(360, 740);
    let sizes = "const tiles = [...document.querySelectorAll('.tile')].map(tile => tile.getBoundingClientRect());
        return {columns: new Set(tiles.map(tile => tile.left)).size, least: Math.min(...tiles.map(tile => tile.height)),
            over: document.documentElement.scrollWidth - innerWidth}";
    let sizes = until(DEADLINE, "one column", || Some(browser.tell(sizes)).filter(|sizes| sizes["columns"] == 1));
    assert!(sizes["over"].as_f64() <= Some(0.0) && sizes["least"].as_f64() > Some(150.0), "{sizes}");
    wait_for_play(&browser, &["omega-0".to_owned()]);
    browser.click(".tile");
    let back =
        "const {width, height} = document.getElementById('back').getBoundingClientRect(); return [width, height]";
    let back = until(DEADLINE, "a way back", || Some(browser.tell(back)).filter(|size| size[0].as_f64() > Some(0.0)));
    assert!(back[0].as_f64() >= Some(44.0) && back[1].as_f64() >= Some(44.0), "for a finger: {back}");
    assert_eq!(browser.tell("return document.documentElement.scrollWidth <= innerWidth"), true);

    let marks = "return ['header', 'main', 'h1', 'ul', 'li'].map(name => document.querySelectorAll(name).length)";
    assert_eq!(browser.tell(marks), json!([1, 1, 1, 1, 3]));
    for (selector, role) in
        [("header", "banner"), ("main", "main"), ("h1", "heading"), ("ul", "list"), ("#back", "button")]
    {
        assert_eq!(browser.role_and_name(selector).0, role, "{selector}");
    }
}

/// The tiles are as large as they can be, whatever the window.
#[test]
fn shaders_fill_the_window() {
    let _alone = alone();
    let shaders = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/shaders");
    let folder = tempfile::tempdir().expect("a folder");
    let names = ["hills", "tunnel", "waves", "clock", "cells", "ink"];
    for (at, name) in names.iter().enumerate() {
        let link = folder.path().join(format!("omega-{at}.glsl"));
        std::os::unix::fs::symlink(shaders.join(format!("{name}.glsl")), link).expect("a link");
    }
    let options = format!("--width 640 --height 360 --fps 15 --shader {}/{{id}}.glsl", folder.path().display());
    let rig = Rig::start(&["--workers", "6"], &options);
    let browser = Browser::start(1000, 480);
    browser.chromium(
        "Emulation.setEmulatedMedia",
        json!({ "features": [{ "name": "prefers-color-scheme", "value": "dark" }] }),
    );
    browser.open(&rig.http(""));
    let all: Vec<_> = (0..6).map(|at| format!("omega-{at}")).collect();
    until(DEADLINE, "tiles", || (tiles(&browser).len() == 6).then_some(()));
    wait_for_play(&browser, &all);
    for (width, height, columns) in [(1000, 480, "3"), (600, 800, "2"), (1600, 400, "6")] {
        browser.resize(width, height);
        let fits = "return [document.getElementById('wall').dataset.columns, document.documentElement.scrollHeight - innerHeight,
            document.documentElement.scrollWidth - innerWidth]";
        let fits = until(DEADLINE, "all fit", || Some(browser.tell(fits)).filter(|fits| fits[0] == json!(columns)));
        assert!(fits[1].as_f64() <= Some(0.0) && fits[2].as_f64() <= Some(0.0), "{width}x{height}: {fits}");
        assert!(tiles(&browser).iter().all(|tile| tile.visible), "{width}x{height}");
    }
    if let Some(path) = std::env::var_os("MB_ENCODE_WALL") {
        browser.resize(1000, 480);
        wait_for_play(&browser, &all);
        let moving = || tiles(&browser).iter().all(|tile| tile.rate.starts_with("15")).then_some(());
        until(DEADLINE, "all play at their rate", moving);
        let picture = browser.chromium("Page.captureScreenshot", json!({ "format": "webp", "quality": 85 }));
        let picture = BASE64_STANDARD.decode(picture["data"].as_str().expect("base64")).expect("base64");
        std::fs::write(path, picture).expect("$MB_ENCODE_WALL can be written");
    }
}
