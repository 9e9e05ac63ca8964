//! The tables of `src/lib.rs`: which room is on which floor, and what is allowed only in some places.

use std::collections::BTreeMap;

/// What the two tables say.
#[derive(Debug, Default)]
pub struct Table {
    /// Each room's floor.
    pub rooms: BTreeMap<String, u32>,
    /// The highest floor that each floor may use.
    pub may_use: BTreeMap<u32, u32>,
    /// What is allowed only in some places: a word of the language, a crate, or a path in this crate.
    pub only_in: Vec<(String, Vec<Place>)>,
    /// How long a file may be.
    pub max_lines: usize,
}

/// Where something is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Floor(u32),
    Room(String),
    /// By its path below `src/`.
    File(String),
}

impl Table {
    /// Reads the doc comment of a crate's root.
    pub fn read(root: &str) -> Self {
        let mut table = Self::default();
        for line in root.lines().filter_map(|line| line.strip_prefix("//! |")) {
            let cells: Vec<_> = line.trim_end().trim_end_matches('|').split('|').map(str::trim).collect();
            match (cells[..].first().copied().unwrap_or_default(), &cells[1..]) {
                ("floor" | "what", _) => {}
                (rule, _) if rule.starts_with("---") => {}
                ("lines of a file", [most, ..]) => table.max_lines = numbers(most)[0] as usize,
                (what, [places, _because]) => {
                    let mut allowed: Vec<_> = quoted(places).into_iter().map(Place::named).collect();
                    if places.contains("floor") {
                        allowed.extend(numbers(places).into_iter().map(Place::Floor));
                    }
                    assert!(!allowed.is_empty(), "`{line}` names no place");
                    table.only_in.extend(quoted(what).into_iter().map(|what| (what, allowed.clone())));
                }
                (floor, [rooms, _what, may_use]) => {
                    let floor = numbers(floor)[0];
                    table.rooms.extend(quoted(rooms).into_iter().map(|room| (room, floor)));
                    table.may_use.insert(floor, *numbers(may_use).last().expect("a floor that may be used"));
                }
                _ => panic!("`{line}` is a row of neither table"),
            }
        }
        assert!(table.rooms.len() > 10 && table.only_in.len() > 5 && table.max_lines > 0, "both tables: {table:?}");
        table
    }

    /// Whether `what` may stand in the file `path` (below `src/`) of `room`. Nothing is said of what no row names.
    pub fn allows(&self, what: &str, room: &str, path: &str) -> bool {
        let mut rows = self.only_in.iter().filter(|(named, _)| named == what).peekable();
        rows.peek().is_none()
            || rows.flat_map(|(_, places)| places).any(|place| match place {
                Place::Floor(floor) => self.rooms.get(room) == Some(floor),
                Place::Room(named) => named == room,
                Place::File(named) => named == path,
            })
    }
}

impl Place {
    fn named(name: String) -> Self {
        if name.ends_with(".rs") { Self::File(name) } else { Self::Room(name) }
    }
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn numbers(cell: &str) -> Vec<u32> {
    cell.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}
