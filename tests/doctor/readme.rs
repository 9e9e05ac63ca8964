//! The README explains every message that ends a stream, and none that there is not.
//!
//! The messages are read out of the source itself: what stands first in each `Error::input(…)` and
//! `Error::machine(…)`, and in the program also in each `context(…)`, with `…` for what is put in while it runs.

use crate::{doctor_with, run, sim};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Expr, ExprCall, ExprMethodCall, ExprTuple, Item, ItemMod, Lit, Token};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Folders and files whose errors nobody meets as the end of a stream, and why.
const ELSEWHERE: [(&str, &str); 3] = [
    ("src/doctor/", "the doctor prints its own findings, each with its remedy"),
    ("src/settings.rs", "values on the command line are refused by the parser, in its own words"),
    ("src/error.rs", "makes errors from what it is given"),
];

/// Messages that only a program which uses the library can meet.
const FOR_PROGRAMMERS: [&str; 3] =
    ["this thread already has a GL context", "the … does not compile", "the GL driver makes no program"];

/// Every message of one source file, and the calls whose message stands elsewhere.
#[derive(Default)]
struct Messages {
    found: Vec<String>,
    /// `Error::machine(meaning, remedy)`: the meanings are in a table of this file, in pairs with their remedies.
    from_table: bool,
    pairs: Vec<String>,
    unreadable: Vec<String>,
}

impl<'ast> Visit<'ast> for Messages {
    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if let Expr::Path(function) = &*call.func {
            let segments: Vec<_> = function.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            if let ["Error", kind @ ("input" | "machine")] = *segments.iter().map(String::as_str).collect::<Vec<_>>() {
                match call.args.first().map(|argument| (text_of(argument), argument)) {
                    Some((Some(text), _)) => self.found.push(text),
                    Some((None, Expr::Path(name))) if name.path.is_ident("meaning") => self.from_table = true,
                    _ => self.unreadable.push(format!("Error::{kind} number {}", self.found.len() + 1)),
                }
            }
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        if call.method == "context" || call.method == "with_context" {
            let argument = match call.args.first() {
                Some(Expr::Closure(closure)) => Some(&*closure.body),
                argument => argument,
            };
            match argument.and_then(text_of) {
                Some(text) => self.found.push(text),
                None => self.unreadable.push(format!("{} behind message {}", call.method, self.found.len())),
            }
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_tuple(&mut self, tuple: &'ast ExprTuple) {
        let texts: Vec<_> = tuple.elems.iter().map(text_of).collect();
        if let [Some(meaning), Some(_)] = &texts[..] {
            self.pairs.push(meaning.clone());
        }
        visit::visit_expr_tuple(self, tuple);
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if module.ident != "tests" {
            visit::visit_item_mod(self, module);
        }
    }
}

/// What a literal or a `format!` says.
fn text_of(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Str(text) => Some(text.value()),
            _ => None,
        },
        Expr::Macro(call) if call.mac.path.is_ident("format") => {
            let arguments = call.mac.parse_body_with(Punctuated::<Expr, Token![,]>::parse_terminated).ok()?;
            text_of(arguments.first()?).map(|text| without_values(&text))
        }
        _ => None,
    }
}

/// Each `{…}` of a format string as `…`.
fn without_values(format: &str) -> String {
    let mut parts = format.split('{');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push('…');
        text.push_str(part.split_once('}').map_or("", |(_, rest)| rest));
    }
    text
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Every message that a person may meet, and where it is made.
fn messages() -> BTreeMap<String, PathBuf> {
    let mut files = Vec::new();
    sources(&Path::new(ROOT).join("src"), &mut files);
    let mut all = BTreeMap::new();
    for file in files {
        let name = file.strip_prefix(ROOT).unwrap().to_owned();
        if ELSEWHERE.iter().any(|(elsewhere, _)| name.starts_with(elsewhere.trim_end_matches('/'))) {
            continue;
        }
        let mut syntax = syn::parse_file(&std::fs::read_to_string(&file).unwrap()).unwrap();
        syntax.items.retain(|item| !matches!(item, Item::Mod(module) if module.ident == "tests"));
        let mut messages = Messages::default();
        messages.visit_file(&syntax);
        assert!(
            messages.unreadable.is_empty(),
            "{}: write the message into the call, so that this test finds it: {:?}",
            name.display(),
            messages.unreadable
        );
        assert!(!messages.from_table || messages.pairs.len() > 5, "{}: its table was not found", name.display());
        let pairs = if messages.from_table { messages.pairs } else { Vec::new() };
        all.extend(messages.found.into_iter().chain(pairs).map(|message| (message, name.clone())));
    }
    for message in FOR_PROGRAMMERS {
        assert!(all.remove(message).is_some(), "there is no message {message:?} any more");
    }
    all
}

/// The README's section for messages.
fn section() -> String {
    let readme = std::fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    let section = readme.split("\n## ").find_map(|section| section.strip_prefix("When something is wrong\n"));
    section.expect("the README has a section for messages").to_owned()
}

/// Its headings in their order, with the text below each.
fn headings() -> Vec<(String, String)> {
    let section = section();
    let entries = section.split("\n### ").skip(1).map(|entry| entry.split_once('\n').unwrap_or((entry, "")));
    let mut headings: Vec<_> = entries.map(|(heading, text)| (heading.to_owned(), text.trim().to_owned())).collect();
    // Headings one right below the other share their text.
    for at in (1..headings.len()).rev() {
        if headings[at - 1].1.is_empty() {
            headings[at - 1].1 = headings[at].1.clone();
        }
    }
    headings
}

/// Whether `heading` is `message`, where a `…` of the heading stands for anything.
fn is_heading_of(heading: &str, message: &str) -> bool {
    let mut parts = heading.split('…');
    let Some(mut rest) = message.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts: Vec<_> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn every_message_has_a_heading_and_every_heading_a_message() {
    let messages = messages();
    assert!(messages.len() > 50, "the source has messages: {messages:#?}");
    let headings = headings();
    let without: Vec<_> = messages
        .iter()
        .filter(|(message, _)| !headings.iter().any(|(heading, _)| is_heading_of(heading, message)))
        .collect();
    assert!(without.is_empty(), "the README has no heading for: {without:#?}");
    let stale: Vec<_> = headings
        .iter()
        .filter(|(heading, _)| !messages.keys().any(|message| is_heading_of(heading, message)))
        .collect();
    assert!(stale.is_empty(), "no message goes with the README's headings: {stale:#?}");
}

#[test]
fn each_heading_is_there_once_and_says_more_than_the_message() {
    let headings = headings();
    for (at, (heading, text)) in headings.iter().enumerate() {
        assert!(headings[..at].iter().all(|(before, _)| before != heading), "{heading:?} is there twice");
        // A heading of nothing but a placeholder would go with everything.
        assert!(heading.replace('…', "").trim().len() >= 9, "{heading:?}");
        assert!(text.len() >= 40, "{heading:?} is not explained: {text:?}");
    }
}

#[test]
fn the_report_that_is_shown_is_one() {
    let said = run(doctor_with(sim::drivers()).env("MB_SIM_FAULT", "open:10")).text;
    let section = section();
    let shown = section.split("\n### ").next().unwrap().lines().filter_map(|line| line.strip_prefix("    "));
    // The first is the command.
    let shown: Vec<_> = shown.skip(1).collect();
    assert!(shown.len() > 5, "{shown:?}");
    for line in shown {
        assert!(said.lines().any(|said| said == line), "{line:?} is not in\n{said}");
    }
}

#[test]
fn a_message_goes_with_its_own_heading_only() {
    assert!(is_heading_of("cannot make the FIFO …", "cannot make the FIFO …: its name is too long"));
    assert!(is_heading_of("… is …, not a FIFO", "… is …, not a FIFO"));
    assert!(is_heading_of("the GPU was lost", "the GPU was lost"));
    assert!(!is_heading_of("the GPU was lost", "the GPU was lost and stays lost"));
    assert!(!is_heading_of("cannot make a socket", "cannot make the FIFO …"));
    assert_eq!(without_values("no {} in {name:?}, {0}"), "no … in …, …");
}
