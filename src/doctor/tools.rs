//! Programs that stand beside this one.

use super::child::listen;
use super::finding::{Finding, State};
use super::part::Part;
use crate::os::environment::variable;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Neither program does anything but print its version.
const LIMIT: Duration = Duration::from_secs(10);

/// The first go2rtc with the keys that lock it down.
const GO2RTC_WITH_LOCKS: [u32; 3] = [1, 9, 12];

pub(super) fn ffmpeg(limit: Duration) -> Finding {
    let remedy = "install it for --mpegts=ffmpeg: apt install ffmpeg";
    match first_line(Command::new("ffmpeg"), "-version", limit) {
        Ok(line) if line.starts_with("ffmpeg version") => {
            let version = line.split_whitespace().nth(2).unwrap_or("of an unknown version");
            Finding::new(Part::Ffmpeg, State::Ok, version, "")
        }
        Ok(line) => Finding::new(Part::Ffmpeg, State::Warn, format!("ffmpeg -version says: {line}"), remedy),
        Err(why) => Finding::new(Part::Ffmpeg, State::Warn, why, remedy),
    }
}

pub(super) fn go2rtc(limit: Duration) -> Finding {
    let remedy = "where it runs elsewhere, nothing is to do; else get it from github.com/AlexxIT/go2rtc/releases\n\
                  and put it on PATH, or its path in GO2RTC";
    let program = variable("GO2RTC");
    let program = program.map_or_else(|| PathBuf::from("go2rtc"), PathBuf::from);
    match first_line(Command::new(&program), "-version", limit) {
        Ok(line) => match line.strip_prefix("go2rtc version ").and_then(parse_version) {
            Some(version) if version < GO2RTC_WITH_LOCKS => Finding::new(
                Part::Go2rtc,
                State::Warn,
                format!("{}: before 1.9.12 it has no keys to lock it down", show(version)),
                "update it: github.com/AlexxIT/go2rtc/releases",
            ),
            Some(version) => Finding::new(Part::Go2rtc, State::Ok, show(version), ""),
            None => Finding::new(Part::Go2rtc, State::Warn, format!("go2rtc -version says: {line}"), remedy),
        },
        Err(why) => Finding::new(Part::Go2rtc, State::Warn, why, remedy),
    }
}

fn show([major, minor, patch]: [u32; 3]) -> String {
    format!("{major}.{minor}.{patch}")
}

/// The number that `text` begins with, as in `1.9.14 (a1b2c3d) linux/amd64`.
fn parse_version(text: &str) -> Option<[u32; 3]> {
    let mut parts = text.split_whitespace().next()?.split(['.', '-', '+']).map(str::parse);
    let mut next = || parts.next()?.ok();
    Some([next()?, next()?, next()?])
}

fn first_line(mut command: Command, argument: &str, limit: Duration) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut first = None;
    command.arg(argument);
    let ended = listen(command, limit.min(LIMIT), |line| {
        first.get_or_insert_with(|| line.trim().to_owned());
    });
    match (ended, first) {
        (Err(error), _) if error.kind() == std::io::ErrorKind::NotFound => Err(format!("{name} is not installed")),
        (Err(error), _) => Err(format!("{name} does not start: {error}")),
        (Ok(end), _) if end.status.is_none() => Err(format!("{name} {argument} does not answer")),
        (Ok(_), Some(line)) if !line.is_empty() => Ok(line),
        (Ok(end), _) => {
            let said = end.said.lines().next().unwrap_or("nothing").to_owned();
            Err(format!("{name} {argument} does not work, it says: {said}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(parse_version("1.9.14 () linux/amd64"), Some([1, 9, 14]));
        assert_eq!(parse_version("1.9.9+dev.a1b2c3d linux/amd64"), Some([1, 9, 9]));
        assert_eq!(parse_version("dev"), None);
        assert!([1, 9, 9] < GO2RTC_WITH_LOCKS && [1, 10, 0] > GO2RTC_WITH_LOCKS);
    }
}
