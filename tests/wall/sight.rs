//! What a wall shows, read back from its page.

use crate::rig::{Rig, until};
use crate::support::browser::Browser;
use crate::support::process::{DEADLINE, mb_encode};
use serde_json::Value;
use std::time::{Duration, Instant};

/// One tile.
#[derive(Clone, Debug)]
pub struct Tile {
    pub name: String,
    pub state: String,
    pub why: String,
    /// How it plays, and what encodes it.
    pub by: String,
    pub rate: String,
    /// Whether any of it is within the window.
    pub visible: bool,
}

/// All tiles, in their order.
pub fn tiles(browser: &Browser) -> Vec<Tile> {
    let told = browser.tell(TILES);
    let tile = |tile: &Value| {
        let text = |name: &str| tile[name].as_str().unwrap_or_default().to_owned();
        Tile {
            name: text("name"),
            state: text("state"),
            why: text("why"),
            by: text("by"),
            rate: text("rate"),
            visible: tile["visible"] == true,
        }
    };
    told.as_array().unwrap_or_else(|| panic!("no tiles: {told}")).iter().map(tile).collect()
}

const TILES: &str = "return [...document.querySelectorAll('.tile')].map(tile => {
    const text = name => tile.querySelector('.' + name).textContent;
    const {width, height, top, bottom, left, right} = tile.getBoundingClientRect();
    const visible = width > 0 && height > 0 && bottom > 0 && top < innerHeight && right > 0 && left < innerWidth;
    return {name: text('name'), state: tile.parentElement.dataset.state, why: text('why'), by: text('by'),
        rate: text('rate'), visible};
});";

/// The names of the tiles that are visible.
pub fn visible(browser: &Browser) -> Vec<String> {
    tiles(browser).into_iter().filter(|tile| tile.visible).map(|tile| tile.name).collect()
}

/// The workers that have a reader.
pub fn encoded(rig: &Rig) -> Vec<String> {
    let output = mb_encode().args(["status", "--json", "--temp"]).arg(&rig.temp).output().expect("it can be run");
    let status: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let members = status["members"].as_array().expect("members").iter();
    let streaming = members.filter(|member| member["state"] == "streaming");
    streaming.map(|member| member["name"].as_str().expect("a name").to_owned()).collect()
}

/// Waits until just the `expected` streams are encoded, and returns for how long.
pub fn wait_for_encoded(rig: &Rig, expected: &[String]) -> Duration {
    let begun = Instant::now();
    let expected = sorted(expected);
    let what = || (sorted(&encoded(rig)) == expected).then_some(());
    until(DEADLINE, &format!("{expected:?} are encoded"), what);
    begun.elapsed()
}

fn sorted(names: &[String]) -> Vec<String> {
    let mut names = names.to_vec();
    names.sort();
    names
}

/// Waits until the tile `name` is as `wanted` says, and returns it.
pub fn wait_for_tile(browser: &Browser, name: &str, why: &str, wanted: impl Fn(&Tile) -> bool) -> Tile {
    until(DEADLINE, &format!("{name} {why}; the page:\n{}", describe(browser)), || {
        tiles(browser).into_iter().find(|tile| tile.name == name && wanted(tile))
    })
}

/// Waits until all of `names` play.
pub fn wait_for_play(browser: &Browser, names: &[String]) -> Duration {
    let begun = Instant::now();
    until(DEADLINE, &format!("{names:?} play; the page:\n{}", describe(browser)), || {
        let playing = |name: &String| tiles(browser).iter().any(|tile| tile.name == *name && tile.state == "playing");
        names.iter().all(playing).then_some(())
    });
    begun.elapsed()
}

/// What the page shows, for a message.
pub fn describe(browser: &Browser) -> String {
    tiles(browser).iter().map(|tile| format!("{tile:?}\n")).collect()
}
