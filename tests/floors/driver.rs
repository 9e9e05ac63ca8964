//! What NVIDIA's driver has to be is written once in the source, and everything outside agrees with it.

use crate::ROOT;
use mb_encode::parts::{API_FLOOR, DRIVER_CAPABILITIES, DRIVER_FLOOR};
use std::path::{Path, PathBuf};

/// Where the source has it.
const HOME: &str = "src/nvidia.rs";

/// What stands outside of the source and speaks of the driver.
const OUTSIDE: [&str; 5] = ["README.md", "docker", "examples", "scripts", "src"];

fn files(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).expect("a folder") {
            files(&entry.expect("an entry").path(), found);
        }
    } else {
        found.push(path.to_owned());
    }
}

/// Every line of text below `name`, with its place.
fn lines(name: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    files(&Path::new(ROOT).join(name), &mut found);
    found.sort();
    let mut lines = Vec::new();
    for file in found {
        // Pictures are no text.
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        let file = file.strip_prefix(ROOT).expect("it is below").display().to_string();
        lines.extend((1..).zip(text.lines()).map(|(at, line)| (format!("{file}:{at}"), line.to_owned())));
    }
    lines
}

/// Whether `text` has `word` with no letter, digit, dot or underscore on either side.
fn has_word(text: &str, word: &str) -> bool {
    let is_end = |c: Option<char>| !c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    text.match_indices(word).any(|(at, _)| {
        let (before, behind) = (&text[..at], &text[at + word.len()..]);
        let is_number = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
        is_end(before.chars().next_back())
            && !before.ends_with('.')
            && is_end(behind.chars().next())
            && !(behind.starts_with('.') && is_number(behind.chars().nth(1)))
    })
}

/// The value behind `NVIDIA_DRIVER_CAPABILITIES`, with `=` or as YAML has it.
fn capabilities(line: &str) -> Option<&str> {
    let (_, value) = line.split_once("NVIDIA_DRIVER_CAPABILITIES")?;
    let value = value.strip_prefix('=').or_else(|| value.strip_prefix(": "))?;
    Some(value.split(|c: char| !c.is_ascii_lowercase() && c != ',').next().unwrap_or_default())
}

/// Versions of drivers that are asked for: of the oldest one's branch, or with `or newer` behind. Others may be named for
/// what is wrong with them.
fn driver_versions(line: &str) -> Vec<&str> {
    let (branch, _) = DRIVER_FLOOR.split_once('.').expect("a branch and more");
    let words: Vec<_> = line.split_whitespace().collect();
    let versions = (0..).zip(&words).map(|(at, word)| (at, word.trim_matches(|c: char| !c.is_ascii_digit())));
    versions
        .filter(|(_, version)| {
            version.split('.').count() == 3 && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        })
        .filter(|(at, version)| {
            let its_branch = version.split('.').next().unwrap_or_default();
            // No other program that is spoken of counts as high.
            let is_driver = its_branch.len() == branch.len();
            is_driver && words[at + 1..].join(" ").starts_with("or newer") || its_branch == branch
        })
        .map(|(_, version)| version)
        .collect()
}

#[test]
fn the_source_says_once_what_driver_it_needs() {
    let (_, list) = DRIVER_CAPABILITIES.split_once('=').expect("a variable and its value");
    let (major, minor) = API_FLOOR;
    let numbers = DRIVER_FLOOR.split('.').map(|number| number.parse::<u32>().expect("a number").to_string());
    let needles = [
        DRIVER_FLOOR.to_owned(),
        numbers.collect::<Vec<_>>().join(", "),
        list.to_owned(),
        format!("{major}.{minor}"),
        format!("({major}, {minor})"),
        format!("{major}_{:03}", minor * 10),
        format!("{major}{:03}", minor * 10),
    ];
    let mut at_home = 0;
    let mut elsewhere = Vec::new();
    for (place, line) in lines("src").into_iter().filter(|(place, _)| place.contains(".rs:")) {
        if needles.iter().any(|needle| has_word(&line, needle)) {
            match place.starts_with(HOME) {
                true => at_home += 1,
                false => elsewhere.push(format!("{place}: {}", line.trim())),
            }
        }
    }
    assert!(
        elsewhere.is_empty(),
        "{HOME} says what driver is needed; take it from there:\n  {}",
        elsewhere.join("\n  ")
    );
    assert_eq!(at_home, 3, "the driver, its API and the capabilities, each once in {HOME}");
}

#[test]
fn all_that_is_not_the_source_says_the_same() {
    let (_, list) = DRIVER_CAPABILITIES.split_once('=').expect("a variable and its value");
    let mut others = Vec::new();
    let (mut drivers, mut lists) = (0, 0);
    for (place, line) in OUTSIDE.iter().flat_map(|name| lines(name)) {
        if let Some(value) = capabilities(&line) {
            lists += 1;
            if value != list && !value.is_empty() {
                others.push(format!("{place}: {value} is not {list}"));
            }
        }
        for version in driver_versions(&line) {
            drivers += 1;
            if version != DRIVER_FLOOR {
                others.push(format!("{place}: driver {version} is not {DRIVER_FLOOR}"));
            }
        }
    }
    assert!(others.is_empty(), "{HOME} has another value:\n  {}", others.join("\n  "));
    assert!(drivers >= 1 && lists >= 3, "they are found: {drivers} drivers, {lists} capabilities");
}

#[test]
fn values_are_found_in_every_form() {
    assert_eq!(capabilities("  NVIDIA_DRIVER_CAPABILITIES: compute,video"), Some("compute,video"));
    assert_eq!(capabilities("ENV NVIDIA_DRIVER_CAPABILITIES=compute,video \\"), Some("compute,video"));
    assert_eq!(capabilities("set `NVIDIA_DRIVER_CAPABILITIES`"), None);
    assert_eq!(driver_versions("Install the driver, 570.86.16 or newer; 1.2 or newer is none"), ["570.86.16"]);
    assert_eq!(driver_versions("go2rtc 1.9.12 or newer, and driver 450.80.02 crashes"), [""; 0]);
    let (branch, _) = DRIVER_FLOOR.split_once('.').expect("a branch and more");
    assert_eq!(driver_versions(&format!("which came with {branch}.30.02.")), [format!("{branch}.30.02")]);
    assert!(has_word("API 12.1.", "12.1") && has_word("(12, 1)", "(12, 1)"));
    assert!(!has_word("112.1", "12.1") && !has_word("12.10", "12.1") && !has_word("12.1.4", "12.1"));
}
