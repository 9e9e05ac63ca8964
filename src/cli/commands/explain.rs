//! `mb-encode explain`: what a message means and what to do about it, by its code or by its words.
//!
//! The texts are in `explain.md`, the one place for them: this prints them, and so does the man page. It runs nothing
//! and looks at nothing on the machine; that is the doctor's part.

use crate::Error;
use crate::cli::print::print;
use std::borrow::Cow;
use std::fmt::Write as _;

const TEXT: &str = include_str!("../../explain.md");
/// A question in free words gets this many answers at most.
const MOST_ANSWERS: usize = 3;

/// Show what a message means and what to do about it
///
/// Without a code or a text, lists all of them.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  mb-encode explain nvenc-sessions
  mb-encode explain 'cannot make the FIFO /run/a.h264: Permission denied'

Exit codes:
  0   explained
  2   no explanation for that")]
pub struct ExplainArgs {
    /// A message's code, the message itself, or a whole line of a log
    #[arg(value_name = "CODE|TEXT", allow_hyphen_values = true)]
    about: Vec<String>,
}

pub fn run(args: &ExplainArgs) -> anyhow::Result<()> {
    let about = args.about.join(" ");
    if about.trim().is_empty() {
        return print(list().as_bytes());
    }
    let found = find(&about);
    if found.is_empty() {
        return Err(Error::input(
            "no-explanation",
            format!("no explanation for '{}'", beginning(about.trim())),
            "list all codes: mb-encode explain",
        )
        .into());
    }
    let texts: Vec<_> = found.iter().map(Entry::shown).collect();
    print(texts.join("\n").as_bytes())
}

/// As much of a text as a message can quote.
fn beginning(text: &str) -> Cow<'_, str> {
    const LETTERS: usize = 80;
    match text.char_indices().nth(LETTERS) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// What there is to say about one code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub topic: &'static str,
    /// Words with dashes between them; never changes its meaning.
    pub code: &'static str,
    /// The messages that end with this code, with `…` for what is filled in.
    pub messages: Vec<&'static str>,
    /// Lines that are printed with the messages, where the error brings no remedy of its own. May be empty.
    pub remedy: Vec<&'static str>,
    /// Paragraphs, and commands behind four blanks.
    pub text: &'static str,
}

impl Entry {
    /// For a terminal.
    fn shown(&self) -> String {
        let mut shown = format!("{}\n", self.code);
        for message in &self.messages {
            let _ = writeln!(shown, "  {message}");
        }
        for line in &self.remedy {
            let _ = writeln!(shown, "  -> {line}");
        }
        shown.push('\n');
        for line in self.text.lines() {
            let indent = if line.is_empty() { "" } else { "    " };
            let _ = writeln!(shown, "{indent}{line}");
        }
        shown
    }
}

/// All entries, in the order in which a stream meets the parts.
pub fn entries() -> Vec<Entry> {
    let mut entries = Vec::new();
    for topic in TEXT.split("\n# ").skip(1) {
        let (topic, rest) = topic.split_once('\n').unwrap_or((topic, ""));
        for entry in rest.split("\n## ").skip(1) {
            let (code, rest) = entry.split_once('\n').unwrap_or((entry, ""));
            let messages: Vec<_> = rest.lines().map_while(|line| line.strip_prefix("> ")).collect();
            let remedy: Vec<_> = rest.lines().skip(messages.len()).map_while(|line| line.strip_prefix("-> ")).collect();
            let length =
                |lines: &[&str], mark: &str| lines.iter().map(|line| mark.len() + line.len() + 1).sum::<usize>();
            let above = length(&messages, "> ") + length(&remedy, "-> ");
            entries.push(Entry { topic, code, messages, remedy, text: rest[above..].trim_end() });
        }
    }
    entries
}

/// What to do about the error with this code, in a line or two.
pub fn remedy(code: &str) -> Option<String> {
    let entry = entries().into_iter().find(|entry| entry.code == code)?;
    (!entry.remedy.is_empty()).then(|| entry.remedy.join("\n"))
}

/// The entries about `query`, best first: the one with that code, else those whose messages stand in it, else those
/// that share the most words with it.
pub fn find(query: &str) -> Vec<Entry> {
    let entries = entries();
    let is_named = |entry: &&Entry| query.trim() == entry.code || query.contains(&format!("[{}]", entry.code));
    let named: Vec<_> = entries.iter().filter(is_named).cloned().collect();
    if !named.is_empty() {
        return named;
    }
    let quoted = by_message(query, &entries);
    if quoted.is_empty() { by_words(query, entries) } else { quoted }
}

/// The entries with a message that stands in `query`. Of two that overlap, the one that says more is meant.
fn by_message(query: &str, entries: &[Entry]) -> Vec<Entry> {
    let query = plain(query);
    let mut hits: Vec<_> = entries
        .iter()
        .flat_map(|entry| entry.messages.iter().map(move |message| (entry, message)))
        .filter_map(|(entry, message)| place_of(message, &query).map(|(at, letters)| (entry, at, letters)))
        .collect();
    hits.sort_by_key(|&(_, _, letters)| std::cmp::Reverse(letters));
    let mut meant: Vec<(&Entry, std::ops::Range<usize>)> = Vec::new();
    for (entry, at, _) in hits {
        if meant.iter().all(|(other, there)| *other != entry && (at.end <= there.start || there.end <= at.start)) {
            meant.push((entry, at));
        }
    }
    // The cause below a message stands behind it.
    meant.sort_by_key(|(_, at)| at.start);
    meant.into_iter().map(|(entry, _)| entry.clone()).collect()
}

/// Where `message` stands in `query`, with anything for each `…`, and how many letters of it do.
fn place_of(message: &str, query: &str) -> Option<(std::ops::Range<usize>, usize)> {
    let message = plain(message);
    let mut place: Option<std::ops::Range<usize>> = None;
    let mut letters = 0;
    for part in message.split('…').filter(|part| !part.trim().is_empty()) {
        let from = place.as_ref().map_or(0, |place| place.end);
        let at = from + query[from..].find(part)?;
        place = Some(place.map_or(at, |place| place.start)..at + part.len());
        letters += part.len();
    }
    // " is " alone stands in half of all sentences.
    place.filter(|_| letters >= 8).map(|place| (place, letters))
}

/// One blank between words, and no capitals: a terminal may have broken the line.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

fn by_words(query: &str, entries: Vec<Entry>) -> Vec<Entry> {
    let query = plain(query);
    let wanted: Vec<_> = query.split(|letter: char| !letter.is_alphanumeric()).filter(|word| word.len() > 2).collect();
    let score = |entry: &Entry| -> usize {
        let (messages, text) = (plain(&entry.messages.join(" ")), plain(&entry.remedy.join(" ")) + &plain(entry.text));
        let worth = |word: &&str| {
            4 * usize::from(entry.code.contains(word))
                + 2 * usize::from(messages.contains(word))
                + usize::from(text.contains(word))
        };
        wanted.iter().map(worth).sum()
    };
    let mut scored: Vec<_> = entries.into_iter().map(|entry| (score(&entry), entry)).collect();
    scored.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    let best = scored.first().map_or(0, |(score, _)| *score);
    // A word that stands in passing in some text is no answer beside one that is in a code.
    let answers = scored.into_iter().take_while(|(score, _)| *score > 0 && 2 * score >= best);
    answers.take(MOST_ANSWERS).map(|(_, entry)| entry).collect()
}

/// Every code with its first message, by topic.
fn list() -> String {
    let entries = entries();
    let width = entries.iter().map(|entry| entry.code.len()).max().unwrap_or(0);
    let (mut list, mut topic) = (String::new(), "");
    for entry in &entries {
        if entry.topic != topic {
            let gap = if topic.is_empty() { "" } else { "\n" };
            let _ = writeln!(list, "{gap}{}", entry.topic);
            topic = entry.topic;
        }
        let _ = writeln!(list, "  {:width$}  {}", entry.code, entry.messages[0]);
    }
    list.push_str("\nShow one: mb-encode explain CODE\n");
    list
}

/// The man page's section, as roff.
pub fn man_section() -> String {
    let mut page = String::from(".SH MESSAGES\n");
    let mut topic = "";
    for entry in entries() {
        if entry.topic != topic {
            let _ = writeln!(page, ".SS {}", roff(entry.topic));
            topic = entry.topic;
        }
        let _ = writeln!(page, ".TP\n.B {}", roff(entry.code));
        let above: Vec<_> = entry.messages.iter().chain(&entry.remedy).copied().collect();
        let _ = writeln!(page, "{}\n.IP", roff(&above.join("\n")).replace('\n', "\n.br\n"));
        let mut is_command = false;
        for line in entry.text.lines() {
            if line.is_empty() {
                page.push_str(".IP\n");
                is_command = false;
                continue;
            }
            let command = line.strip_prefix("    ");
            // Each command is a line of its own.
            if is_command && command.is_some() {
                page.push_str(".br\n");
            }
            is_command = command.is_some();
            let _ = writeln!(page, "{}", roff(command.unwrap_or(line)));
        }
    }
    page
}

/// Text that roff takes as it is, with what is between backticks in bold.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    let mut shown = String::new();
    for (at, part) in text.split('`').enumerate() {
        let _ = if at % 2 == 0 { write!(shown, "{part}") } else { write!(shown, "\\fB{part}\\fR") };
    }
    // At the start of a line these are roff's own.
    let shown = shown.replace("\n.", "\n\\&.").replace("\n'", "\n\\&'");
    if shown.starts_with(['.', '\'']) { format!("\\&{shown}") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(query: &str) -> Vec<&'static str> {
        find(query).iter().map(|entry| entry.code).collect()
    }

    #[test]
    fn each_code_is_short_and_there_once_with_its_messages_and_a_text() {
        let entries = entries();
        assert!(entries.len() > 70, "{}", entries.len());
        for (at, entry) in entries.iter().enumerate() {
            let code = entry.code;
            let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9'));
            assert!(code.len() <= 20 && code.split('-').all(is_word), "{code:?}");
            assert!(entries[..at].iter().all(|before| before.code != code), "{code} is there twice");
            assert!(!entry.messages.is_empty(), "{code} has no message");
            assert!(
                entry.text.len() >= 40 && !entry.text.contains("\n> ") && !entry.text.contains("\n-> "),
                "{code}: {:?}",
                entry.text
            );
            assert!(!entry.topic.is_empty());
            // What is between backticks stays on its line, for roff.
            assert!(entry.text.lines().all(|line| line.matches('`').count() % 2 == 0), "{code}: {}", entry.text);
            assert_eq!(codes(code), [code]);
        }
    }

    #[test]
    fn who_is_told_to_choose_a_gpu_is_told_how_they_are_counted() {
        let mut told = 0;
        for Entry { code, remedy, .. } in entries() {
            let remedy = remedy.join(" ");
            let mut words = remedy.split(|c: char| !c.is_alphanumeric() && c != '-');
            let chooses = words.any(|word| word == "--device");
            told += usize::from(chooses);
            assert!(!chooses || remedy.contains("CUDA_DEVICE_ORDER=PCI_BUS_ID"), "{code}: {remedy}");
        }
        assert!(told > 3, "{told}");
    }

    #[test]
    fn every_message_finds_its_own_entry() {
        for entry in entries() {
            for message in &entry.messages {
                let pasted = format!("2026-11-25T20:15:42.1Z ERROR {}: os error", message.replace('…', "7"));
                assert_eq!(find(&pasted).first().map(|found| found.code), Some(entry.code), "{pasted}");
            }
        }
    }

    #[test]
    fn an_error_that_brings_no_remedy_finds_it_by_its_code() {
        assert!(remedy("start-hang").unwrap().contains("--start-timeout"));
        assert_eq!(remedy("ffmpeg-pipes").as_deref(), Some("do without it: --mpegts=native"));
        assert_eq!(remedy("nvenc-sessions").unwrap().lines().count(), 2);
        assert_eq!((remedy("write-failed"), remedy("")), (None, None));
    }

    #[test]
    fn a_code_behind_a_message_decides() {
        assert_eq!(codes("ERROR cannot write /tmp/x: no idea [fifo-taken]\n  choose another path"), ["fifo-taken"]);
    }

    #[test]
    fn a_log_line_finds_the_message_and_its_cause() {
        let line = "2026-11-25T20:15:42Z  WARN NVENC unavailable: No NVENC  session\n is free: \
                    NvEncOpenEncodeSessionEx failed with NV_ENC_ERR_OUT_OF_MEMORY (10)";
        assert_eq!(codes(line), ["nvenc-sessions"]);
        let two = "NVENC failed and did not come back in 5 attempts: the GPU was lost: NvEncLockBitstream failed";
        assert_eq!(codes(two), ["nvenc-gone", "gpu-lost"]);
        assert_eq!(codes("cannot write to the FIFO a.h264: Permission denied (os error 13)"), ["fifo-unwritable"]);
        assert_eq!(codes("a.h264 is a regular file, not a FIFO; it was left as it is"), ["fifo-not-a-fifo"]);
    }

    #[test]
    fn words_find_what_shares_the_most_of_them() {
        assert_eq!(codes("nvenc sessions geforce").first(), Some(&"nvenc-sessions"));
        assert_eq!(codes("port").first(), Some(&"port-taken"));
        assert!(codes("disk full").contains(&"write-failed"), "{:?}", codes("disk full"));
        assert!(codes("xyzzy").is_empty() && codes("…").is_empty());
    }

    #[test]
    fn a_terminal_and_roff_get_the_same_entry() {
        let entry = &find("gpu-exclusive")[0];
        let shown = entry.shown();
        assert!(shown.starts_with("gpu-exclusive\n  another process has the GPU for itself\n\n    The GPU"), "{shown}");
        assert!(shown.ends_with("\n        nvidia-smi -c DEFAULT\n"), "{shown}");
        let man = man_section();
        assert!(man.contains(".B gpu\\-exclusive\nanother process"), "{man}");
        assert!(man.contains("\n.IP\nnvidia\\-smi \\-c DEFAULT\n"), "{man}");
        let is_ours =
            |line: &str| [".SH", ".SS", ".TP", ".B ", ".IP", ".br"].iter().any(|known| line.starts_with(known));
        assert!(man.lines().all(|line| !line.starts_with(['.', '\'']) || is_ours(line)), "{man}");
        assert_eq!(roff(".a `b-c`\n'd\\"), "\\&.a \\fBb\\-c\\fR\n\\&'d\\e");
        assert!(list().contains("\nNVENC\n  no-nvenc-library"), "{}", list());
    }
}
