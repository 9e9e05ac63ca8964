//! The source as a graph: which file names what of which other one, and on which line.
//!
//! What a path names is followed through the doors, which only pass on what others define: `crate::gl::Gl` and
//! `super::Gl` are both what `src/gl/context.rs` defines. Code of tests may name what it likes.

use proc_macro2::{Span, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use syn::visit::{self, Visit};
use syn::{Attribute, ItemMod, ItemUse, UseTree, Visibility};

/// A module's place: `["gl", "context"]` for `src/gl/context.rs`, and nothing for the crate's root.
pub type Module = Vec<String>;

/// Something of this crate that a file names.
#[derive(Debug)]
pub struct Named {
    /// Who names it.
    pub by: Module,
    pub line: usize,
    /// As it is written, from the crate's root.
    pub path: Vec<String>,
    /// Where it is defined.
    pub defined_in: Module,
    /// What it is called there; `None` for the module itself.
    pub item: Option<String>,
}

/// A word that needs no meaning to be found.
#[derive(Debug)]
pub struct Word {
    pub by: Module,
    pub line: usize,
    pub word: &'static str,
}

/// Every file below `src/`, read.
#[derive(Debug, Default)]
pub struct Source {
    /// The path below `src/` and the text of each module.
    pub files: BTreeMap<Module, (String, String)>,
    pub named: Vec<Named>,
    pub words: Vec<Word>,
}

impl Source {
    /// Reads a folder, with all that is below it.
    pub fn read(folder: &Path) -> Self {
        let mut files = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(at) = folders.pop() {
            for entry in std::fs::read_dir(&at).expect("the source is there") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let name = path.strip_prefix(folder).expect("it is below").display().to_string();
                    files.push((name, std::fs::read_to_string(&path).expect("UTF-8")));
                }
            }
        }
        Self::of(files)
    }

    /// The source that these files are, each by its path below `src/`.
    pub fn of(files: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut this = Self::default();
        for (path, text) in files {
            let name = path.strip_suffix(".rs").expect("a Rust file");
            let module = if name == "lib" { Vec::new() } else { name.split('/').map(str::to_owned).collect() };
            this.files.insert(module, (path, text));
        }
        let mut readers = BTreeMap::new();
        for (module, (path, text)) in &this.files {
            let file = syn::parse_file(text).unwrap_or_else(|error| panic!("src/{path}: {error}"));
            let mut reader = Reader { modules: &this.files, module, inside: module.clone(), uses: Vec::new() };
            reader.visit_file(&file);
            readers.insert(module.clone(), reader.uses);
            words(text.parse().expect("tokens"), &mut |line, word| {
                this.words.push(Word { by: module.clone(), line, word });
            });
        }
        // What each file passes on or takes in, by the name that it has there.
        let names: Names = readers
            .iter()
            .map(|(module, uses)| {
                let named = uses.iter().filter_map(|its| Some((its.name.clone()?, its.path.clone())));
                (module.clone(), named.collect())
            })
            .collect();
        for (module, uses) in &readers {
            for its in uses.iter().filter(|its| !its.is_door) {
                let (defined_in, item) = resolve(&this.files, &names, &its.path, 0);
                if defined_in != *module && !defined_in.is_empty() {
                    let (by, path) = (module.clone(), its.path.clone());
                    this.named.push(Named { by, line: its.line, path, defined_in, item });
                }
            }
        }
        this
    }

    /// A place that an editor opens.
    pub fn place(&self, module: &Module, line: usize) -> String {
        format!("src/{}:{line}", self.files[module].0)
    }
}

type Names = BTreeMap<Module, BTreeMap<String, Vec<String>>>;

/// Follows a path to the file that defines what it names.
fn resolve(
    files: &BTreeMap<Module, (String, String)>,
    names: &Names,
    path: &[String],
    hops: u32,
) -> (Module, Option<String>) {
    let mut module = Module::new();
    for (at, name) in path.iter().enumerate() {
        let child: Module = module.iter().chain([name]).cloned().collect();
        if files.contains_key(&child) {
            module = child;
            continue;
        }
        return match names.get(&module).and_then(|names| names.get(name)) {
            Some(target) if hops < 8 => {
                let target: Vec<_> = target.iter().chain(&path[at + 1..]).cloned().collect();
                resolve(files, names, &target, hops + 1)
            }
            _ => (module, Some(name.clone())),
        };
    }
    (module, None)
}

/// One name that a file uses.
#[derive(Debug)]
struct Use {
    line: usize,
    /// From the crate's root.
    path: Vec<String>,
    /// What it is called from here on; `None` where it is only used.
    name: Option<String>,
    /// Passed on from a file below, and not used here.
    is_door: bool,
}

/// Reads one file.
struct Reader<'a> {
    modules: &'a BTreeMap<Module, (String, String)>,
    module: &'a Module,
    /// The module that is read now: the file's, or one inside it.
    inside: Module,
    uses: Vec<Use>,
}

impl Reader<'_> {
    /// A path from the crate's root; `None` for what is not of this crate.
    fn absolute(&self, path: &[String]) -> Option<Vec<String>> {
        let mut from = self.inside.clone();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => {
                from.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|first| first == "super") {
                    from.pop();
                    rest = &rest[1..];
                }
            }
            first => {
                from.push(first.to_owned());
                if path.len() < 2 || !self.modules.contains_key(&from) {
                    return None;
                }
                from.pop();
            }
        }
        from.extend(rest.iter().cloned());
        Some(from)
    }

    fn note(&mut self, path: &[String], name: Option<String>, is_passed_on: bool, span: Span) {
        if let Some(path) = self.absolute(path) {
            let is_door = is_passed_on && path.starts_with(self.module);
            self.uses.push(Use { line: span.start().line, path, name, is_door });
        }
    }

    fn note_tree(&mut self, tree: &UseTree, path: &mut Vec<String>, is_passed_on: bool) {
        match tree {
            UseTree::Path(part) => {
                path.push(part.ident.to_string());
                self.note_tree(&part.tree, path, is_passed_on);
                path.pop();
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.note_tree(tree, path, is_passed_on)),
            UseTree::Glob(glob) => self.note(path, None, is_passed_on, glob.star_token.spans[0]),
            UseTree::Name(name) => {
                let ident = name.ident.to_string();
                // `use a::{self}` names `a`.
                let called = if ident == "self" { path.last().cloned() } else { Some(ident.clone()) };
                let whole: Vec<_> = path.iter().cloned().chain((ident != "self").then_some(ident)).collect();
                self.note(&whole, called, is_passed_on, name.ident.span());
            }
            UseTree::Rename(rename) => {
                let ident = rename.ident.to_string();
                let whole: Vec<_> = path.iter().cloned().chain((ident != "self").then_some(ident)).collect();
                self.note(&whole, Some(rename.rename.to_string()), is_passed_on, rename.ident.span());
            }
        }
    }

    /// Paths in what is given to a macro, which may be no Rust.
    fn note_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        let mut at = Span::call_site();
        for token in
            tokens.into_iter().chain([TokenTree::Punct(proc_macro2::Punct::new(';', proc_macro2::Spacing::Alone))])
        {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) if colons == 2 && !path.is_empty() => {
                    path.push(ident.to_string());
                    colons = 0;
                }
                other => {
                    if path.len() > 1 {
                        self.note(&path, None, false, at);
                    }
                    path.clear();
                    colons = 0;
                    match other {
                        TokenTree::Ident(ident) => {
                            at = ident.span();
                            path.push(ident.to_string());
                        }
                        TokenTree::Group(group) => self.note_tokens(group.stream()),
                        _ => {}
                    }
                }
            }
        }
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
    })
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if is_for_tests(&item.attrs) || item.content.is_none() {
            return;
        }
        self.inside.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.inside.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if !is_for_tests(&item.attrs) && item.leading_colon.is_none() {
            let is_passed_on = !matches!(item.vis, Visibility::Inherited);
            self.note_tree(&item.tree, &mut Vec::new(), is_passed_on);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            let names: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.note(&names, None, false, path.segments[0].ident.span());
        }
        visit::visit_path(self, path);
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {
        // `pub(super)` names nothing.
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.note_tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }
}

/// Finds `unsafe`, `clap` and `std::process::exit`, wherever they stand.
fn words(tokens: TokenStream, found: &mut impl FnMut(usize, &'static str)) {
    let mut before = [String::new(), String::new()];
    for token in tokens {
        let text = match &token {
            TokenTree::Group(group) => {
                words(group.stream(), found);
                String::new()
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' => continue,
            token => token.to_string(),
        };
        let line = token.span().start().line;
        match text.as_str() {
            "unsafe" => found(line, "unsafe"),
            "clap" => found(line, "clap"),
            "exit" if before[1] == "process" => found(line, "std::process::exit"),
            _ => {}
        }
        before = [std::mem::take(&mut before[1]), text];
    }
}

/// Each circle once: the places that lead around it, shortest way first.
pub fn circles<N: Ord + Clone>(edges: &BTreeMap<N, BTreeSet<N>>) -> Vec<Vec<N>> {
    let mut circles: Vec<Vec<N>> = Vec::new();
    for (from, targets) in edges {
        for to in targets {
            let Some(way) = way(edges, to, from) else { continue };
            if !circles.iter().any(|circle| way.iter().all(|place| circle.contains(place))) {
                circles.push(way);
            }
        }
    }
    circles
}

/// The shortest way from one place to another, with both ends.
fn way<N: Ord + Clone>(edges: &BTreeMap<N, BTreeSet<N>>, from: &N, to: &N) -> Option<Vec<N>> {
    let mut ways = std::collections::VecDeque::from([vec![from.clone()]]);
    let mut seen = BTreeSet::from([from.clone()]);
    while let Some(way) = ways.pop_front() {
        let last = way.last().expect("it has a start");
        if last == to {
            return Some(way);
        }
        for next in edges.get(last).into_iter().flatten() {
            if seen.insert(next.clone()) {
                ways.push_back(way.iter().chain([next]).cloned().collect());
            }
        }
    }
    None
}
