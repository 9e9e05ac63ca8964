//! `src/explain.md` explains every message that the program can end with, and none that there is not.
//!
//! The messages are read out of the source itself: what stands behind the code in each `Error::input(…)` and
//! `Error::machine(…)`, and each line of the log that ends with a code in brackets, with `…` for what is put in while it
//! runs.

use crate::{doctor_with, run, sim};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Expr, ExprCall, ExprMethodCall, ExprTuple, Item, ItemMod, Lit, Macro, Token};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Files whose errors nobody meets as the end of a stream, and why.
const ELSEWHERE: [(&str, &str); 3] = [
    ("src/settings.rs", "values on the command line are refused by the parser, in its own words"),
    ("src/settings/", "likewise"),
    ("src/error.rs", "makes errors from what it is given"),
];

/// A code as it ends a line of the log.
fn code_behind(text: &str) -> Option<(&str, &str)> {
    let (text, code) = text.strip_suffix(']')?.rsplit_once(" [")?;
    let is_code =
        !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-' || byte.is_ascii_digit());
    is_code.then_some((text, code))
}

/// A message with its code.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Message {
    text: String,
    code: String,
}

/// Every message of one source file, and the calls whose message stands elsewhere.
#[derive(Default)]
struct Messages {
    found: Vec<Message>,
    /// `Error::machine(code, meaning, remedy)`: the meanings are in a table of this file, with their remedies.
    from_table: bool,
    pairs: Vec<Message>,
    unreadable: Vec<String>,
}

impl<'ast> Visit<'ast> for Messages {
    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if let Expr::Path(function) = &*call.func {
            let segments: Vec<_> = function.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            if let ["Error", kind @ ("input" | "machine")] = *segments.iter().map(String::as_str).collect::<Vec<_>>() {
                let [code, what, _remedy] = &*call.args.iter().collect::<Vec<_>>() else {
                    panic!("Error::{kind} with {} arguments", call.args.len())
                };
                match (text_of(code), text_of(what), what) {
                    (Some(code), Some(text), _) => self.found.push(Message { text, code }),
                    (None, None, Expr::Path(name)) if name.path.is_ident("meaning") => self.from_table = true,
                    _ => self.unreadable.push(format!("Error::{kind} number {}", self.found.len() + 1)),
                }
            }
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        if call.method == "context" || call.method == "with_context" {
            self.unreadable.push(format!("{}, which has no code: make it an Error", call.method));
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        let name = call.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
        if ["error", "warn", "info"].contains(&name.as_str()) {
            for token in call.tokens.clone() {
                let Ok(literal) = syn::parse2::<syn::LitStr>(token.into()) else { continue };
                if let Some((text, code)) = code_behind(&literal.value()) {
                    self.found.push(Message { text: without_values(text), code: code.to_owned() });
                }
            }
        }
        visit::visit_macro(self, call);
    }

    fn visit_expr_tuple(&mut self, tuple: &'ast ExprTuple) {
        let texts: Vec<_> = tuple.elems.iter().map(text_of).collect();
        if let [Some(code), Some(text), Some(_)] = &texts[..] {
            self.pairs.push(Message { text: text.clone(), code: code.clone() });
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
fn messages() -> BTreeMap<Message, PathBuf> {
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
    all
}

/// One code of `explain.md`.
#[derive(Debug)]
struct Entry {
    code: String,
    messages: Vec<String>,
    text: String,
}

fn entries() -> Vec<Entry> {
    let page = std::fs::read_to_string(Path::new(ROOT).join("src/explain.md")).unwrap();
    let entry = |entry: &str| {
        let (code, rest) = entry.split_once('\n').unwrap_or((entry, ""));
        let text = rest.split("\n# ").next().unwrap_or_default();
        let (messages, text): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.starts_with("> "));
        Entry {
            code: code.to_owned(),
            messages: messages.into_iter().map(|line| line["> ".len()..].to_owned()).collect(),
            text: text.join("\n").trim().to_owned(),
        }
    };
    page.split("\n## ").skip(1).map(entry).collect()
}

impl Entry {
    fn explains(&self, message: &Message) -> bool {
        message.code == self.code && self.messages.iter().any(|written| stands_for(written, &message.text))
    }
}

/// Whether `written` is `message`, where a `…` of `written` stands for anything.
fn stands_for(written: &str, message: &str) -> bool {
    let mut parts = written.split('…');
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
fn every_message_is_explained_and_every_explanation_has_a_message() {
    let messages = messages();
    assert!(messages.len() > 50, "the source has messages: {messages:#?}");
    let entries = entries();
    let without: Vec<_> =
        messages.iter().filter(|(message, _)| !entries.iter().any(|entry| entry.explains(message))).collect();
    assert!(without.is_empty(), "src/explain.md does not explain: {without:#?}");
    let is_said = |(code, written): &(&str, &str)| {
        messages.keys().any(|message| message.code == *code && stands_for(written, &message.text))
    };
    let written =
        entries.iter().flat_map(|entry| entry.messages.iter().map(|message| (entry.code.as_str(), message.as_str())));
    let stale: Vec<_> = written.filter(|written| !is_said(written)).collect();
    assert!(stale.is_empty(), "no message goes with these of src/explain.md: {stale:#?}");
}

#[test]
fn each_entry_is_there_once_and_says_more_than_the_message() {
    let entries = entries();
    let mut written = BTreeSet::new();
    for (at, entry) in entries.iter().enumerate() {
        assert!(entries[..at].iter().all(|before| before.code != entry.code), "{} is there twice", entry.code);
        assert!(!entry.messages.is_empty(), "{} goes with no message", entry.code);
        for message in &entry.messages {
            assert!(written.insert(message), "{message:?} is there twice");
            // A message of nothing but a placeholder would go with everything.
            assert!(message.replace('…', "").trim().len() >= 9, "{message:?}");
        }
        assert!(entry.text.len() >= 40, "{} is not explained: {:?}", entry.code, entry.text);
    }
}

#[test]
fn the_report_in_the_readme_is_one() {
    let said = run(doctor_with(sim::drivers()).env("MB_SIM_FAULT", "open:10")).text;
    let readme = std::fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    let shown = readme.lines().filter_map(|line| line.strip_prefix("    ")).skip_while(|line| !line.starts_with("OK "));
    let states = ["OK ", "WARN ", "FAIL ", "SKIP ", " "];
    let shown: Vec<_> = shown.take_while(|line| states.iter().any(|state| line.starts_with(state))).collect();
    assert!(shown.len() >= 4, "{shown:?}");
    for line in shown {
        assert!(said.lines().any(|said| said == line), "{line:?} is not in\n{said}");
    }
}

#[test]
fn a_message_goes_with_its_own_entry_only() {
    assert!(stands_for("cannot make the FIFO …", "cannot make the FIFO …: its name is too long"));
    assert!(stands_for("… is …, not a FIFO", "… is …, not a FIFO"));
    assert!(stands_for("the GPU was lost", "the GPU was lost"));
    assert!(!stands_for("the GPU was lost", "the GPU was lost and stays lost"));
    assert!(!stands_for("cannot make a socket", "cannot make the FIFO …"));
    assert_eq!(without_values("no {} in {name:?}, {0}"), "no … in …, …");
}
