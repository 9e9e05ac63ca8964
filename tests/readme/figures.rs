//! Every figure of the README is one of the run of `scripts/bench --write` that stands in `tests/figures.md`, or of
//! `scripts/gpu-check` on a GPU in `tests/gpu.md`, and says so.

use crate::place::REPOSITORY;
use std::path::Path;

const SECTION: &str = "## How fast it is\n";

/// Words of the README, outside its tables of figures, that look measured and are not.
const SETTINGS: [(&str, &str); 2] =
    [("a time, as 4s", "how a GOP may be written"), ("10 s longer unless told otherwise", "MediaMTX's own default")];

/// What follows a figure that was measured.
const UNITS: [&str; 14] =
    ["ms", "µs", "us", "s", "KiB", "MiB", "GiB", "kB", "MB", "dB", "%", "Mb/s", "frames/s", "pictures/s"];

struct Table {
    /// The first is its title.
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(REPOSITORY).join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn cells(line: &str) -> Vec<String> {
    let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
    inner.split('|').map(|cell| cell.trim().to_owned()).collect()
}

fn tables(page: &str) -> Vec<Table> {
    let mut found = Vec::new();
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        if !line.starts_with('|') {
            continue;
        }
        let head = cells(line);
        let rule = lines.next().unwrap_or_default();
        assert!(rule.starts_with("|-") || rule.starts_with("| -"), "a rule below {line}: {rule}");
        let mut rows = Vec::new();
        while let Some(row) = lines.next_if(|line| line.starts_with('|')) {
            rows.push(cells(row));
            assert_eq!(rows[rows.len() - 1].len(), head.len(), "as many cells as in the head: {row}");
        }
        found.push(Table { head, rows });
    }
    found
}

/// The README in three: what stands before its figures, they, and what stands behind.
fn parts_of_page(page: &str) -> (&str, &str, &str) {
    let (before, rest) = page.split_once(SECTION).expect("a section of figures");
    let end = rest.find("\n## ").unwrap_or(rest.len());
    (before, &rest[..end], &rest[end..])
}

/// The table of the run with this title, of which there is one.
fn of_run<'a>(run: &'a [Table], title: &str) -> &'a Table {
    let named: Vec<_> = run.iter().filter(|table| table.head[0] == title).collect();
    assert_eq!(named.len(), 1, "there is one table of figures named {title:?}");
    named[0]
}

#[test]
fn every_figure_of_the_page_is_of_the_run() {
    let page = read("README.md");
    let run: Vec<_> = ["tests/figures.md", "tests/gpu.md"].iter().flat_map(|run| tables(&read(run))).collect();
    let of_page = tables(parts_of_page(&page).1);
    assert!(!of_page.is_empty(), "the README has figures");
    for table in of_page {
        let measured = of_run(&run, &table.head[0]);
        for cells in &table.rows {
            let row = measured.rows.iter().find(|row| row[0] == cells[0]);
            let row = row.unwrap_or_else(|| panic!("{}: there is no row {}", table.head[0], cells[0]));
            for (column, cell) in table.head.iter().zip(cells).skip(1) {
                let at = measured.head.iter().skip(1).position(|name| name == column);
                let at = at.unwrap_or_else(|| panic!("{}: there is no column {column}", table.head[0]));
                assert_eq!(cell, &row[at + 1], "{}: {}: {column}", table.head[0], cells[0]);
            }
        }
    }
}

/// Each row names the part of the check and the figure in it that it is.
#[test]
fn the_gpus_figures_are_those_of_its_check() {
    let results: serde_json::Value = serde_json::from_str(&read("tests/gpu/h200.json")).expect("results of a check");
    assert_eq!((&results["works"], &results["simulated"]), (&true.into(), &false.into()));
    let table = tables(&read("tests/gpu.md")).into_iter().find(|table| table.head[0].contains("H200"));
    let table = table.expect("a table of that GPU");
    assert_eq!(table.head[1..], ["median", "95th percentile", "part and figure"]);
    for row in table.rows {
        let (part, pointer) = row[3].split_once(' ').expect("a part and a figure in it");
        let parts = results["parts"].as_array().expect("parts");
        let figures =
            &parts.iter().find(|it| it["part"] == part).unwrap_or_else(|| panic!("no part {part}"))["figures"];
        let unit = row[0].rsplit_once(", ").map(|(_, unit)| if unit == "µs" { "us" } else { unit }).expect("a unit");
        for (cell, which) in row[1..].iter().zip(["p50", "p95"]) {
            let measured = figures.pointer(&format!("{pointer}/{which}_{unit}")).and_then(serde_json::Value::as_f64);
            let measured = measured.unwrap_or_else(|| panic!("{}: the check has none", row[0]));
            assert_eq!(*cell, format!("{measured:.1}"), "{}: {which}", row[0]);
        }
    }
}

#[test]
fn the_page_says_when_and_on_what_it_was_measured() {
    let (page, run) = (read("README.md"), tables(&read("tests/figures.md")));
    // A line may break between any two words.
    let said = parts_of_page(&page).1.split_whitespace().collect::<Vec<_>>().join(" ");
    let this_run = of_run(&run, "this run");
    for name in ["date", "machine"] {
        let row = this_run.rows.iter().find(|row| row[0] == name).expect("a run says when and where it was");
        assert!(said.contains(&row[1]), "the README's figures are of another {name} than {}", row[1]);
    }
}

#[test]
fn the_pages_chart_is_of_the_run() {
    let (page, run, chart) = (read("README.md"), tables(&read("tests/figures.md")), read("tests/figures.svg"));
    assert!(parts_of_page(&page).1.contains("](tests/figures.svg)"), "the README shows the chart");
    assert!(chart.len() < 100_000, "{} bytes", chart.len());
    let drawn: Vec<_> = run.iter().filter(|table| table.head[0].starts_with("drawn: busy shader")).collect();
    assert!(!drawn.is_empty(), "something was drawn");
    for table in drawn {
        let speed = table.rows.iter().find(|row| row[0] == "frames/s").expect("how fast it was");
        for cell in &speed[1..] {
            assert!(chart.contains(&format!(">{cell}</text>")), "{}: the chart has no {cell}", table.head[0]);
        }
    }
}

/// A page's words: without code, tables and addresses of links.
fn prose(page: &str) -> String {
    let mut words = String::new();
    let mut is_code = false;
    for line in page.lines() {
        is_code ^= line.starts_with("```");
        if !is_code && !line.starts_with("    ") && !line.starts_with('|') {
            words.push_str(line);
            words.push(' ');
        }
    }
    words
}

/// Figures with a unit behind them, each with some of what stands before it.
fn measured(prose: &str) -> Vec<String> {
    let outside_code: String = prose.split('`').step_by(2).collect::<Vec<_>>().join(" ");
    let words: Vec<_> = outside_code.split_whitespace().collect();
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '%' && c != '/');
        let digits = bare.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ',').unwrap_or(bare.len());
        if digits == 0 {
            continue;
        }
        let next = words.get(at + 1).map_or("", |next| next.trim_end_matches(|c: char| ".,;:)".contains(c)));
        let unit = if digits == bare.len() { next } else { &bare[digits..] };
        if UNITS.contains(&unit) {
            found.push(words[at.saturating_sub(4)..words.len().min(at + 5)].join(" "));
        }
    }
    found
}

#[test]
fn no_figure_stands_anywhere_else_on_the_page() {
    let page = read("README.md");
    let mut said = prose(&page);
    for (setting, why) in SETTINGS {
        assert!(page.contains(setting), "the README no longer says {setting:?}, which was {why}: take it off the list");
        said = said.replace(setting, "");
    }
    // Tables elsewhere have no figures either.
    let (before, _, after) = parts_of_page(&page);
    let rows =
        [before, after].map(|part| part.lines().filter(|line| line.starts_with('|')).collect::<Vec<_>>().join(" "));
    let rows = SETTINGS.iter().fold(rows.join(" "), |rows, (setting, _)| rows.replace(setting, ""));
    let found = [measured(&said), measured(&rows.replace('|', " "))].concat();
    assert!(found.is_empty(), "these look measured, and are of no run: {found:#?}");
}

#[test]
fn a_measured_figure_is_found() {
    for (words, count) in [
        ("it takes 41 ms, of which EGL takes 19.", 1),
        ("takes 4 MiB (on this machine) and 3.5% of a core", 2),
        ("within 0.006 % and 1.2 ms", 2),
        ("go2rtc 1.9.14 on Debian 12, `--gop 4s`, H.264 and 1280x720", 0),
        ("in 0.1 s, whatever else", 1),
        ("ten streams in 70 lines", 0),
    ] {
        assert_eq!(measured(words).len(), count, "{words}");
    }
}
