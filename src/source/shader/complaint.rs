//! What a GLSL compiler says about a file, in the file's own lines. Mesa writes `0:12(5): error: …`, NVIDIA `0(12) : error
//! C1503: …`, and others `ERROR: 0:12: …`.

use super::scan::Scan;

/// As many lines of a log as a person reads. Mesa lists every function that a call could have meant.
const LINES: usize = 12;

/// Where a line of a log points to.
enum Place {
    /// A line of the file.
    Line(usize),
    /// In front of the file.
    Head,
    /// Behind it.
    Tail,
}

/// The log of the compiler that got the file `name`, with `head` lines in front of it. Whatever is no error is left out
/// where there are errors.
pub fn told(name: &str, log: &str, head: usize, scan: &Scan) -> String {
    let lines: Vec<_> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    let has_errors = lines.iter().any(|line| is_error(line));
    let in_file = scan.code.matches('\n').count() + 1;
    let mut told = Vec::new();
    let mut is_kept = true;
    for line in lines {
        let Some((number, words)) = numbered(line) else {
            // A link error, or what belongs to the line before.
            if is_kept {
                told.push(line.to_owned());
            }
            continue;
        };
        is_kept = !has_errors || is_error(line);
        if !is_kept {
            continue;
        }
        let place = match number.checked_sub(head) {
            None | Some(0) => Place::Head,
            Some(line) if line <= in_file => Place::Line(line),
            Some(_) => Place::Tail,
        };
        told.push(match place {
            Place::Line(line) => format!("{name}:{line}: {words}"),
            Place::Head => format!("{name}: in what is declared for it: {words}"),
            // It is called there.
            Place::Tail => match scan.function("mainImage") {
                Some(line) => format!("{name}:{line}: mainImage(out vec4, in vec2): {words}"),
                None => format!("{name}: mainImage(out vec4, in vec2): {words}"),
            },
        });
    }
    told.dedup();
    let left_out = told.len().saturating_sub(LINES);
    told.truncate(LINES);
    if left_out > 0 {
        told.push(format!("… and {left_out} lines more"));
    }
    told.join("\n")
}

fn is_error(line: &str) -> bool {
    line.to_ascii_lowercase().contains("error")
}

/// The line's number, and the words behind it.
fn numbered(text: &str) -> Option<(usize, &str)> {
    let rest = text.strip_prefix("ERROR: ").or_else(|| text.strip_prefix("WARNING: ")).unwrap_or(text);
    let rest = rest.strip_prefix("0:").or_else(|| rest.strip_prefix("0("))?;
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let line = rest[..digits].parse().ok()?;
    // Behind the number: `(5): error: …`, `) : error C0000: …` or `: …`.
    let words = rest[digits..].split_once(": ").map_or("", |(_, words)| words);
    Some((line, words.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told_of(log: &str) -> String {
        told("a.glsl", log, 10, &Scan::of("\nvoid mainImage(vec4 c) {\n}\n\n"))
    }

    #[test]
    fn each_drivers_log_gets_the_files_own_lines() {
        assert_eq!(told_of("0:13(12): error: `x' undeclared"), "a.glsl:3: error: `x' undeclared");
        assert_eq!(
            told_of("0(14) : error C1503: undefined variable \"x\""),
            "a.glsl:4: error C1503: undefined variable \"x\""
        );
        assert_eq!(told_of("ERROR: 0:11: 'x' : undeclared identifier"), "a.glsl:1: 'x' : undeclared identifier");
        assert_eq!(told_of("out of memory\n"), "out of memory");
        assert_eq!(told_of("0:4(2): error: no"), "a.glsl: in what is declared for it: error: no");
        assert_eq!(
            told_of("0:99(2): error: no"),
            "a.glsl:2: mainImage(out vec4, in vec2): error: no",
            "behind the file"
        );
    }

    #[test]
    fn warnings_and_long_lists_do_not_hide_the_cause() {
        let log = "0:11(1): warning: w\n0:12(2): error: a\n   candidates are: b\n0:12(2): error: a\n0:13(1): warning: w\n   more of w\n";
        assert_eq!(told_of(log), "a.glsl:2: error: a\n   candidates are: b\na.glsl:2: error: a");
        assert_eq!(told_of("0:12(2): warning: only\n"), "a.glsl:2: warning: only");
        let long = told_of(&"0:12(2): error: a\n  b\n".repeat(50));
        assert_eq!((long.lines().count(), long.lines().last()), (13, Some("… and 88 lines more")));
    }
}
