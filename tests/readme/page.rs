//! What the README has of commands, configurations and addresses.

const TEXT: &str = include_str!("../../README.md");

/// The first words of a command. Alone such a word is a name.
const PROGRAMS: &str = "apt apt-get bash cargo chmod curl docker docker-compose ffmpeg ffplay ffprobe free git go2rtc kill ls \
                        mb-encode modprobe nvidia-smi pgrep rustup ss sudo systemctl ulimit";

/// Something to run or to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// One command by itself.
    Command(String),
    /// Commands that make sense together only.
    Script(String),
    /// A piece of go2rtc's configuration.
    Config(String),
    Address(String),
    /// Options of one of the programs.
    Options(String),
    /// A variable of the environment.
    Variable(String),
    /// A file or a folder in the repository.
    Path(String),
}

/// Everything that is there, in its order. Fails over what is none of these.
pub fn parts() -> Vec<Part> {
    let (mut parts, mut prose, mut block) = (Vec::new(), String::new(), Vec::new());
    let mut lines = TEXT.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            assert_eq!(language, "rust", "only Rust is fenced here: commands are set in by four blanks");
            assert!(lines.any(|line| line == "```"), "a fence is not closed");
        } else if let Some(line) = line.strip_prefix("    ") {
            block.push(line);
        } else if line.is_empty()
            && !block.is_empty()
            && lines.clone().next().is_some_and(|next| next.starts_with("    "))
        {
            // The block goes on behind it.
            block.push(line);
        } else {
            parts.extend(of_block(&std::mem::take(&mut block)));
            prose.push_str(line);
            prose.push('\n');
        }
    }
    parts.extend(of_block(&block));
    // A paragraph may break within a span.
    let prose = prose.replace('\n', " ");
    parts.extend(prose.split('`').skip(1).step_by(2).filter_map(of_span));
    parts
}

fn of_block(block: &[&str]) -> Vec<Part> {
    let command = |line: &&str| {
        let command = line.split("  #").next().unwrap_or_default().trim();
        assert!(is_command(command), "in the README stands a line that this test cannot run: {line}");
        Part::Command(command.to_owned())
    };
    match block.first() {
        // The one drawing, and an example of the doctor's words.
        Some(first) if first.starts_with("renderer (EGL, OpenGL) ->") || first.starts_with("OK    ") => Vec::new(),
        Some(&"streams:") => vec![Part::Config(block.join("\n"))],
        Some(_) if block.iter().any(|line| line.starts_with("go2rtc ")) => vec![Part::Script(block.join("\n"))],
        _ => block.iter().map(command).collect(),
    }
}

fn of_span(span: &str) -> Option<Part> {
    let text = span.to_owned();
    if is_command(span) {
        Some(Part::Command(text))
    } else if span.starts_with("--") {
        Some(Part::Options(text))
    } else if span.contains("://") {
        Some(Part::Address(text))
    } else if span.starts_with("webrtc: ") {
        Some(Part::Config(text))
    } else if span.starts_with("MB_ENCODE_") || span.starts_with("METABONK_") {
        Some(Part::Variable(text))
    } else {
        assert!(!span.contains(' '), "in the README stands something that this test cannot run: {span}");
        let folders = ["docker/", "examples/", "scripts/", "src/", "tests/"];
        folders.iter().any(|folder| span.starts_with(folder)).then_some(Part::Path(text))
    }
}

fn is_command(text: &str) -> bool {
    let (first, has_more) = text.split_once(' ').map_or((text, false), |(first, _)| (first, true));
    first.starts_with("scripts/")
        || has_more && (PROGRAMS.split(' ').any(|name| name == first) || first.starts_with("target/"))
}
