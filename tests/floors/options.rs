//! Options are the program's: what lies below its processes serves programs that have none, and names none.

use crate::source::{Module, Source};
use proc_macro2::{TokenStream, TokenTree};
use std::collections::BTreeSet;

/// The rooms that know how the program is called.
const PROGRAM: [&str; 2] = ["cli", "service"];

/// What looks like an option in other rooms: below which path, what, and why it stands there.
const ELSEWHERE: [(&str, &str, &str); 7] = [
    ("", "--gpus", "the container runtime's"),
    ("error.rs", "--pids-limit", "the container runtime's"),
    ("sink/writer.rs", "--out", "with the path that is meant"),
    ("sink/writer.rs", "--fifo", "likewise"),
    ("doctor/", "--release", "cargo's"),
    ("doctor/", "--encoder", "the self-check is the program's, and says which value works"),
    ("doctor/", "--mpegts", "likewise"),
];

/// The options in a text, without their values.
fn options(text: &str) -> Vec<&str> {
    let starts = text.match_indices("--").map(|(at, _)| at).filter(|&at| {
        let before = text[..at].chars().next_back();
        !before.is_some_and(|before| before.is_ascii_alphanumeric() || before == '-')
            && text[at + 2..].starts_with(|first: char| first.is_ascii_lowercase())
    });
    starts
        .map(|at| {
            let rest = &text[at + 2..];
            let is_name = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
            &text[at..at + 2 + rest.find(|letter| !is_name(letter)).unwrap_or(rest.len())]
        })
        .collect()
}

/// Calls `found` with each string literal, but for those of tests and of doc comments.
fn literals(tokens: TokenStream, found: &mut impl FnMut(usize, String)) {
    let mut tokens = tokens.into_iter().peekable();
    let mut before = [String::new(), String::new()];
    while let Some(token) = tokens.next() {
        let text = token.to_string();
        match token {
            TokenTree::Punct(punct) if punct.as_char() == '#' => {
                // `#[doc = "…"]` and `#[cfg(test)]` alike; what a test module says is its own.
                before = [String::new(), String::new()];
                let is_attribute = |token: &TokenTree| matches!(token, TokenTree::Group(_)) || token.to_string() == "!";
                while let Some(attribute) = tokens.next_if(is_attribute) {
                    if let TokenTree::Group(_) = attribute {
                        break;
                    }
                }
                continue;
            }
            TokenTree::Group(_) if before[0] == "mod" && before[1] == "tests" => {}
            TokenTree::Group(group) => literals(group.stream(), found),
            TokenTree::Literal(literal) => {
                if let Ok(string) = syn::parse_str::<syn::LitStr>(&literal.to_string()) {
                    found(literal.span().start().line, string.value());
                }
            }
            _ => {}
        }
        before = [std::mem::take(&mut before[1]), text];
    }
}

/// Every option that a file below the program names, and the exceptions that were met.
fn named(source: &Source) -> (Vec<String>, BTreeSet<usize>) {
    let (mut broken, mut met) = (Vec::new(), BTreeSet::new());
    for (module, (path, text)) in &source.files {
        if module.first().is_some_and(|room| PROGRAM.contains(&room.as_str())) {
            continue;
        }
        literals(text.parse().expect("tokens"), &mut |line, literal| {
            for option in options(&literal) {
                let is_it = |&(place, what, _): &(&str, &str, &str)| path.starts_with(place) && what == option;
                match ELSEWHERE.iter().position(is_it) {
                    Some(at) => drop(met.insert(at)),
                    None => broken.push(format!("{}: {option}", source.place(module, line))),
                }
            }
        });
    }
    (broken, met)
}

#[test]
fn below_the_program_no_text_names_an_option() {
    let (broken, met) = named(&crate::house().0);
    crate::assert_none(
        broken,
        "texts name options that a program without them shows as well:",
        "leave the remedy empty, and write it behind an arrow into the code's entry in src/explain.md",
    );
    let stale: Vec<_> = (0..ELSEWHERE.len()).filter(|at| !met.contains(at)).map(|at| ELSEWHERE[at]).collect();
    assert!(stale.is_empty(), "exceptions that nothing needs: {stale:?}");
}

#[test]
fn an_option_is_found_in_every_kind_of_literal_and_in_no_comment() {
    assert_eq!(options("use --encoder openh264, --mpegts=native or a--b -- --- --X"), ["--encoder", "--mpegts"]);
    let text = "/// --doc\nfn f() { g(format!(\"{} --one\", 1), r#\"--two\"#, \"-- three\", concat!(\"--four\", \"\")); }\n\
                // --five\n#[doc = \"--six\"]\nmod tests { const X: &str = \"--seven\"; }\n\
                #[cfg(test)]\nmod tests { fn f() { g(\"--eight\") } }\n";
    let source = Source::of([("gl.rs".to_owned(), text.to_owned()), ("cli.rs".to_owned(), text.to_owned())]);
    assert_eq!(named(&source).0, ["src/gl.rs:2: --one", "src/gl.rs:2: --two", "src/gl.rs:2: --four"]);
    assert!(source.files.contains_key(&Module::from(["cli".to_owned()])));
}
