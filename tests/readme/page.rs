//! What the pages have of commands, configurations, addresses and links.

use std::path::{Path, PathBuf};

/// Everything that tells people what to type, from the repository's folder. The last is what `mb-encode explain` shows.
pub const PAGES: [&str; 7] = [
    "README.md",
    "docker/README.md",
    "examples/README.md",
    "examples/kubernetes/README.md",
    "scripts/README.md",
    "tests/README.md",
    "src/explain.md",
];

/// The first words of a command. Within a sentence such a word alone is a name.
const PROGRAMS: &str = "apt apt-get bash cargo chmod curl df dmesg docker docker-compose ffmpeg ffplay ffprobe free git \
                        go2rtc gst-launch-1.0 install kill kubectl ls mb-encode mediamtx modprobe node nvidia-ctk \
                        nvidia-modprobe nvidia-smi openssl pgrep \
                        prometheus promtool python3 rustup sh ss sudo systemctl ulimit umask unset";

/// Something to run or to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// One command by itself.
    Command(String),
    /// Commands that make sense together only.
    Script(String),
    /// A piece of go2rtc's configuration.
    Config(String),
    /// A piece of `examples/own_renderer.rs`.
    Rust(String),
    /// A piece of `examples/python/mb_frames.py`.
    Python(String),
    Address(String),
    /// Options of one of the programs.
    Options(String),
    /// A variable of the environment.
    Variable(String),
    /// A file or a folder in the repository, as it is named from there.
    Path(PathBuf),
}

/// Everything that is on the pages, in its order. Fails over what is none of these.
pub fn parts() -> Vec<Part> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = |page: &str| std::fs::read_to_string(root.join(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
    PAGES.iter().flat_map(|page| parts_of(page, &text(page))).collect()
}

fn parts_of(page: &str, text: &str) -> Vec<Part> {
    let (mut parts, mut prose, mut block) = (Vec::new(), String::new(), Vec::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let fenced: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            match language {
                "rust" => parts.push(Part::Rust(fenced.join("\n"))),
                "python" => parts.push(Part::Python(fenced.join("\n"))),
                // Nothing that somebody would type hides in a drawing.
                "text" => assert!(!fenced.iter().any(|line| is_command(line.trim())), "{page}: {fenced:?}"),
                _ => panic!("{page}: only drawings, Rust and Python are fenced: commands are set in by four blanks"),
            }
        } else if let Some(line) = line.strip_prefix("    ") {
            block.push(line);
        } else if line.is_empty()
            && !block.is_empty()
            && lines.clone().next().is_some_and(|next| next.starts_with("    "))
        {
            // The block goes on behind it.
            block.push(line);
        } else {
            parts.extend(of_block(page, &std::mem::take(&mut block)));
            prose.push_str(line);
            prose.push('\n');
        }
    }
    parts.extend(of_block(page, &block));
    // A paragraph may break within a span.
    let prose = prose.replace('\n', " ");
    parts.extend(prose.split('`').skip(1).step_by(2).filter_map(|span| of_span(page, span)));
    parts.extend(links(page, &prose));
    parts
}

fn of_block(page: &str, block: &[&str]) -> Vec<Part> {
    let command = |line: &&str| {
        let command = line.split("  #").next().unwrap_or_default().trim();
        let is_one = is_command(command) || PROGRAMS.split(' ').any(|name| name == command);
        assert!(is_one, "in {page} stands a line that this test cannot run: {line}");
        Part::Command(command.to_owned())
    };
    match block.first() {
        // An example of the doctor's words; its own test holds it against what the doctor says.
        Some(first) if first.starts_with("OK    ") => Vec::new(),
        Some(&"streams:") => vec![Part::Config(block.join("\n"))],
        Some(_) if block.iter().any(|line| line.starts_with("mb-encode gate --go2rtc ")) => {
            vec![Part::Script(block.join("\n"))]
        }
        _ => block.iter().filter(|line| !line.is_empty()).map(command).collect(),
    }
}

fn of_span(page: &str, span: &str) -> Option<Part> {
    let text = span.to_owned();
    if is_command(span) {
        Some(Part::Command(text))
    } else if span.starts_with("--") && span != "--" {
        Some(Part::Options(text))
    } else if span.contains("://") {
        Some(Part::Address(text))
    } else if span.starts_with("webrtc: ") {
        Some(Part::Config(text))
    } else if span.starts_with("MB_ENCODE_") || span.starts_with("METABONK_") {
        Some(Part::Variable(text))
    } else {
        assert!(!span.contains(' '), "in {page} stands something that this test cannot run: {span}");
        let folders = ["docker/", "examples/", "scripts/", "src/", "tests/"];
        folders.iter().any(|folder| span.starts_with(folder)).then_some(Part::Path(text.into()))
    }
}

/// The files that a page links to. What lies on other machines is not asked for; a heading must be there.
fn links(page: &str, prose: &str) -> Vec<Part> {
    let folder = Path::new(page).parent().unwrap_or(Path::new(""));
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let mut paths = Vec::new();
    for target in targets.filter(|target| !target.starts_with("https://")) {
        let (file, heading) = target.split_once('#').unwrap_or((target, ""));
        if file.is_empty() {
            let anchor = |line: &str| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
            let root = Path::new(env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(root.join(page)).expect("it was read before");
            let is_there = text.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == heading);
            assert!(is_there, "{page} has no heading for {target}");
        } else {
            paths.push(Part::Path(folder.join(file)));
        }
    }
    paths
}

/// Without the variables that are set for a command alone.
pub fn without_variables(command: &str) -> &str {
    let mut rest = command;
    while let Some((name, value)) = rest.split_once('=') {
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        // What a shell puts in may have blanks.
        let end = if value.starts_with("$(") { ") " } else { " " };
        match value.split_once(end) {
            Some((_, more)) if is_name => rest = more.trim_start(),
            _ => break,
        }
    }
    rest
}

fn is_command(text: &str) -> bool {
    let text = without_variables(text);
    let (first, has_more) = text.split_once(' ').map_or((text, false), |(first, _)| (first, true));
    let is_script = ["scripts/", "DIR/"].iter().any(|folder| first.starts_with(folder))
        && !first.ends_with('/')
        && !first.contains('.');
    is_script
        || first == "scripts/go2rtc_exec_mpegts.sh" && has_more
        || has_more && (PROGRAMS.split(' ').any(|name| name == first) || first.starts_with("target/"))
}
