//! Holds the source to the tables in the doc comment of `src/lib.rs`, which are what people read: imports go downwards,
//! there is no circle, and what is allowed in some places only stands in no other.

mod driver;
mod options;
mod source;
mod table;

use source::{Module, Named, Source, circles};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use table::Table;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn house() -> (Source, Table) {
    let source = Source::read(&Path::new(ROOT).join("src"));
    let table = Table::read(&source.files[&Module::new()].1);
    (source, table)
}

/// The root only opens and passes on, `main.rs` only calls it, and `build.rs` is run before there is anything.
fn is_room(module: &Module) -> bool {
    !module.is_empty() && module != &["main"] && module != &["build"]
}

fn uses(source: &Source) -> impl Iterator<Item = &Named> {
    source.named.iter().filter(|named| is_room(&named.by))
}

fn assert_none(broken: Vec<String>, rule: &str, what_to_do: &str) {
    assert!(broken.is_empty(), "{rule}\n  {}\n{what_to_do}", broken.join("\n  "));
}

fn upward(source: &Source, table: &Table) -> Vec<String> {
    let mut broken = Vec::new();
    for named in uses(source) {
        let (from, to) = (&named.by[0], &named.defined_in[0]);
        let (Some(floor), Some(above)) = (table.rooms.get(from), table.rooms.get(to)) else { continue };
        if *above > table.may_use[floor] {
            broken.push(format!(
                "{}: {from} (floor {floor}) uses crate::{}, which is on floor {above}",
                source.place(&named.by, named.line),
                named.path.join("::")
            ));
        }
    }
    broken
}

/// Circles of whatever `key` makes of a file and the file that it uses.
fn circles_of<N: Ord + Clone>(
    source: &Source,
    key: impl Fn(&Named) -> Option<(N, N)>,
    show: impl Fn(&N) -> String,
) -> Vec<String> {
    let mut edges: BTreeMap<N, BTreeSet<N>> = BTreeMap::new();
    let mut places: BTreeMap<(N, N), String> = BTreeMap::new();
    for named in uses(source) {
        let Some((from, to)) = key(named).filter(|(from, to)| from != to) else { continue };
        edges.entry(from.clone()).or_default().insert(to.clone());
        places.entry((from, to)).or_insert_with(|| source.place(&named.by, named.line));
    }
    let told = |circle: &Vec<N>| {
        let steps = circle.iter().zip(circle.iter().cycle().skip(1));
        let steps: Vec<_> = steps
            .map(|(from, to)| format!("{} uses {} ({})", show(from), show(to), places[&(from.clone(), to.clone())]))
            .collect();
        steps.join(", ")
    };
    circles(&edges).iter().map(told).collect()
}

fn room_circles(source: &Source) -> Vec<String> {
    circles_of(source, |named| Some((named.by[0].clone(), named.defined_in[0].clone())), String::clone)
}

fn file_circles(source: &Source) -> Vec<String> {
    let within =
        |named: &Named| (named.by[0] == named.defined_in[0]).then(|| (named.by.clone(), named.defined_in.clone()));
    circles_of(source, within, |module| format!("src/{}", source.files[module].0))
}

fn out_of_place(source: &Source, table: &Table) -> Vec<String> {
    let mut broken = BTreeSet::new();
    let mut check = |by: &Module, line: usize, wanted: &[&str]| {
        let path = &source.files[by].0;
        let room = by.first().map_or("", String::as_str);
        if !wanted.iter().any(|what| table.allows(what, room, path)) {
            broken.insert(format!("{}: {}", source.place(by, line), wanted[0]));
        }
    };
    for word in &source.words {
        check(&word.by, word.line, &[word.word]);
    }
    for named in uses(source) {
        let room = format!("crate::{}", named.defined_in[0]);
        let item = format!("{room}::{}", named.item.as_deref().unwrap_or_default());
        let known = table.only_in.iter().any(|(what, _)| *what == item);
        let wanted = [room.as_str(), item.as_str()];
        check(&named.by, named.line, &wanted[..1 + usize::from(known)]);
    }
    broken.into_iter().collect()
}

fn too_long(source: &Source, table: &Table) -> Vec<String> {
    let files = source.files.values().map(|(path, text)| (path, text.lines().count()));
    files
        .filter(|(_, lines)| *lines > table.max_lines)
        .map(|(path, lines)| format!("src/{path}: {lines} lines"))
        .collect()
}

#[test]
fn every_room_is_in_the_table_and_every_room_of_the_table_is_there() {
    let (source, table) = house();
    let rooms: BTreeSet<_> = source.files.keys().filter(|module| is_room(module)).map(|module| &module[0]).collect();
    assert_eq!(rooms, table.rooms.keys().collect(), "the table in src/lib.rs names the rooms of src, each once");
}

#[test]
fn imports_go_downwards() {
    let (source, table) = house();
    assert_none(
        upward(&source, &table),
        "a file uses what is above it:",
        "move what it needs down to the floor of whoever needs it, or have it handed in from above as a value or a closure",
    );
}

#[test]
fn no_rooms_make_a_circle() {
    assert_none(
        room_circles(&house().0),
        "rooms of one floor use each other in a circle:",
        "move what both need into a room below them, or hand it in from above",
    );
}

#[test]
fn no_files_of_a_room_make_a_circle() {
    assert_none(
        file_circles(&house().0),
        "files of one room use each other in a circle:",
        "move what both need into a file of its own; a door (the file named after its folder) defines nothing that the \
         files behind it use",
    );
}

#[test]
fn what_is_allowed_in_some_places_is_in_no_other() {
    let (source, table) = house();
    assert_none(
        out_of_place(&source, &table),
        "these are allowed in some places only, and not here:",
        "see the second table in src/lib.rs for where; change it only with a reason that fits into its last column",
    );
}

#[test]
fn no_file_is_too_long() {
    let (source, table) = house();
    assert_none(too_long(&source, &table), "files are too long:", "split them by noun");
}

/// A house of a few lines, in which all that is looked for is found.
fn crooked_house() -> Source {
    Source::of(
        [
            ("lib.rs", "mod a; mod b; mod c; pub use b::Thing;"),
            ("a.rs", "use crate::{c::{self, Top}, Thing};\nfn f() { let _ = format!(\"{}\", crate::b::door::X); }"),
            ("b.rs", "mod door;\nmod inner;\npub use inner::Thing;\npub struct Own;"),
            ("b/door.rs", "use super::inner;\nuse super::Own;\npub const X: u8 = 0;"),
            (
                "b/inner.rs",
                "use super::door::X;\nuse ::c::Top;\npub struct Thing;\n#[cfg(test)]\nmod tests { use crate::c::Top; }",
            ),
            (
                "c.rs",
                "use clap::Parser;\nfn g() { unsafe { f() } std::process::exit(1) }\npub struct Top(crate::a::A);",
            ),
        ]
        .map(|(path, text)| (path.to_owned(), text.to_owned())),
    )
}

#[test]
fn what_is_broken_is_found_where_it_is() {
    let source = crooked_house();
    let rows = "//! | 0 | `a` `b` | | floor 0 |\n//! | 1 | `c` | | floors 0 to 1 |\n//! | lines of a file | 3 | |\n\
                //! | `clap` `unsafe` | `b` | x |\n//! | `std::process::exit` | `c.rs` | x |\n//! | `crate::b` | `b` | x |\n\
                //! | `crate::b::Thing` | `a` | x |\n";
    // A table has more rooms than these.
    let more: String =
        (0..9).map(|at| format!("//! | 2 | `room{at}` | | floor 2 |\n//! | `word{at}` | `a` | x |\n")).collect();
    let table = Table::read(&(rows.to_owned() + &more));
    assert_eq!(
        upward(&source, &table),
        [
            "src/a.rs:1: a (floor 0) uses crate::c, which is on floor 1",
            "src/a.rs:1: a (floor 0) uses crate::c::Top, which is on floor 1"
        ]
    );
    assert_eq!(room_circles(&source), ["c uses a (src/c.rs:3), a uses c (src/a.rs:1)"]);
    assert_eq!(
        file_circles(&source),
        ["src/b/inner.rs uses src/b/door.rs (src/b/inner.rs:1), src/b/door.rs uses src/b/inner.rs (src/b/door.rs:1)"]
    );
    assert_eq!(
        out_of_place(&source, &table),
        ["src/a.rs:2: crate::b", "src/c.rs:1: clap", "src/c.rs:2: unsafe"],
        "what a door passes on is known by its name"
    );
    assert_eq!(too_long(&source, &table), ["src/b.rs: 4 lines", "src/b/inner.rs: 5 lines"]);
}
