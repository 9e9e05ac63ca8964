//! What the program says about itself.

use crate::support::process::{Ended, Process, mb_encode};
use std::process::{Command, Stdio};

fn run(args: &[&str]) -> (String, Ended) {
    let mut process = Process::start(mb_encode().args(args).stdout(Stdio::piped()));
    let text = String::from_utf8(process.stdout().all()).unwrap();
    let ended = process.wait();
    assert_eq!((ended.code(), ended.stderr.as_str()), (0, ""), "{args:?}");
    (text, ended)
}

const SHELLS: [&str; 5] = ["bash", "elvish", "fish", "powershell", "zsh"];

#[test]
fn the_help_has_groups_examples_and_exit_codes() {
    let (help, _) = run(&["--help"]);
    let at = |words: &str| help.find(words).unwrap_or_else(|| panic!("{words:?} is not in the help:\n{help}"));
    let groups = ["Output (exactly one):", "Picture:", "Encoding:", "Logging:", "Examples:", "Signals:", "Exit codes:"];
    assert!(groups.map(at).is_sorted(), "the groups are in order");
    for words in ["exec:mb-encode --stdout#video=h264#raw", "mb-encode --fifo ", "--out clip.h264 --frames 240"] {
        at(words);
    }
    for (code, meaning) in [(0, "done"), (1, "failed"), (2, "wrong use")] {
        let line = help[at("Exit codes:")..].lines().find(|line| line.trim_start().starts_with(&code.to_string()));
        assert!(line.is_some_and(|line| line.contains(meaning)), "{code}");
    }
    assert!(help.lines().all(|line| line.chars().count() <= 110));
}

#[test]
fn every_option_has_its_environment_variable_in_the_help() {
    let (help, _) = run(&["--help"]);
    // An option begins a line; what is said about it goes on in lines that are indented further.
    let begins = |line: &str| line.find("--").filter(|&at| at <= 6 && line[..at].trim().len() <= 3).is_some();
    let mut options: Vec<Vec<&str>> = Vec::new();
    for line in help.lines().take_while(|line| !line.starts_with("Examples:")) {
        if begins(line) {
            options.push(Vec::new());
        }
        if let Some(option) = options.last_mut() {
            option.extend(line.split_whitespace());
        }
    }
    let mut without = Vec::new();
    for words in &options {
        let name = words.iter().find_map(|word| word.strip_prefix("--")).expect("it begins with one");
        let name = name.split(['[', '=']).next().unwrap_or(name);
        let variable = format!("[env: MB_ENCODE_{}]", name.to_uppercase().replace('-', "_"));
        if !words.join(" ").contains(&variable) {
            without.push(name);
        }
    }
    assert_eq!(without, ["help", "version", "stdout", "fifo", "out", "listen", "insecure-no-token"]);
    assert_eq!(options.len(), without.len() + help.matches("[env:").count(), "an option was overlooked: {options:?}");
}

#[test]
fn options_may_come_from_the_environment_and_the_command_line_wins() {
    let mut command = mb_encode();
    command.envs([("MB_ENCODE_WIDTH", "64"), ("MB_ENCODE_HEIGHT", "64"), ("MB_ENCODE_FRAMES", "9")]);
    command.envs([("MB_ENCODE_FPS", "1"), ("MB_ENCODE_NO_PACE", "1"), ("MB_ENCODE_GOP", "2")]);
    command.args(["--stdout", "--frames", "4"]);
    let mut process = Process::start(command.stdout(Stdio::piped()));
    let stream = process.stdout().all();
    let ended = process.wait();
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    let types: Vec<u8> = crate::annex_b::nals(&stream).iter().map(crate::annex_b::Nal::unit_type).collect();
    let slices: Vec<u8> = types.into_iter().filter(|t| matches!(t, 1 | 5)).collect();
    assert_eq!(slices, [5, 1, 5, 1]);
}

#[test]
fn a_scene_on_the_command_line_wins_over_a_shader_from_the_environment() {
    let mut command = mb_encode();
    command.args(["--stdout", "--scene", "bar", "--frames", "1"]).env("MB_ENCODE_SHADER", "nothing.glsl");
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_config_can_be_printed() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = mb_encode();
    command.args(["go2rtc-config", "--mode", "exec", "--out", "-"]).current_dir(folder.path());
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.starts_with(b"# go2rtc's config"), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is written");
}

#[test]
fn a_flag_from_the_environment_can_be_said_in_the_usual_ways() {
    for (value, faster) in
        [("1", true), ("true", true), ("yes", true), ("on", true), ("0", false), ("false", false), ("no", false)]
    {
        let mut command = mb_encode();
        command.args(["--stdout", "--width", "64", "--height", "64", "--fps", "1", "--frames", "4"]);
        let mut process = Process::start(command.env("MB_ENCODE_NO_PACE", value).stdout(Stdio::piped()));
        let begun = std::time::Instant::now();
        process.stdout().all();
        let took = begun.elapsed();
        let ended = process.wait();
        assert_eq!(ended.code(), 0, "MB_ENCODE_NO_PACE={value}: {}", ended.stderr);
        assert_eq!(took.as_secs_f64() < 2.9, faster, "MB_ENCODE_NO_PACE={value}: {took:?}");
    }
}

/// Subcommands that read variables, with what makes each of them end soon after it has read them all.
const READERS: [(&str, &[&str]); 7] = [
    ("", &[]),
    ("doctor", &["--probe", "openh264"]),
    ("gate", &["--go2rtc", "go2rtc", "--config", "none.yaml"]),
    ("go2rtc-config", &[]),
    ("mpegts", &[]),
    ("supervise", &["--", "--width", "641"]),
    ("status", &[]),
];

/// The variables that the help of a subcommand names, which is the program's own where `name` is empty.
fn variables(name: &str) -> Vec<String> {
    let words: Vec<_> = [name, "--help"].into_iter().filter(|word| !word.is_empty()).collect();
    // A name may have gone to the next line.
    let help = run(&words).0.split_whitespace().collect::<Vec<_>>().join(" ");
    help.split("[env: ").skip(1).map(|rest| rest.split(']').next().unwrap().to_owned()).collect()
}

/// The exit code, what was printed, and what was said, without the times.
fn outcome(args: &[&str], empty: &[String]) -> (Option<i32>, Vec<u8>, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = mb_encode();
    command.args(args).envs(empty.iter().map(|name| (name, ""))).current_dir(folder.path()).stdin(Stdio::null());
    let output = command.output().expect("it starts");
    let said = String::from_utf8(output.stderr).unwrap();
    let untimed = |line: &str| match line.split_once(' ') {
        Some((time, rest)) if time.ends_with('Z') => rest.to_owned(),
        _ => line.to_owned(),
    };
    (output.status.code(), output.stdout, said.lines().map(untimed).collect::<Vec<_>>().join("\n"))
}

#[test]
fn an_empty_variable_is_an_unset_one_everywhere() {
    let help = run(&["--help"]).0;
    let names = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    for name in names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help") {
        assert!(variables(name).is_empty() || READERS.iter().any(|reader| reader.0 == name), "{name} is not tried");
    }
    for (name, rest) in READERS {
        let args: Vec<_> = [name].into_iter().filter(|name| !name.is_empty()).chain(rest.iter().copied()).collect();
        let variables = variables(name);
        assert!(!variables.is_empty(), "{name} reads none");
        let unset = outcome(&args, &[]);
        for empty in variables.iter().map(std::slice::from_ref).chain([&variables[..]]) {
            assert_eq!(outcome(&args, empty), unset, "{args:?} {empty:?}");
        }
        // The help is whole all the same.
        if !name.is_empty() {
            assert_eq!(outcome(&[name, "--help"], &variables), outcome(&[name, "--help"], &[]));
        }
    }
    // What shows no clock is the same to the byte.
    let stream = ["--stdout", "--frames", "2", "--no-pace", "--scene", "bar"];
    assert!(!outcome(&stream, &[]).1.is_empty());
    assert!(outcome(&stream, &variables("")) == outcome(&stream, &[]), "{:?}", variables(""));
}

#[test]
fn variables_are_read_in_one_place() {
    let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    let mut readers = Vec::new();
    // To CUDA an empty one of its own hides every GPU, and cargo's own are set where it builds.
    let others = ["vars_os", "\"CUDA_", "\"OUT_DIR\"", "\"HOST\""];
    let reads = |line: &str| line.contains("env::var") && !others.iter().any(|other| line.contains(other));
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read_to_string(&path).unwrap().lines().any(reads) {
                readers.push(path.file_name().unwrap().to_owned());
            }
        }
    }
    assert_eq!(readers, ["environment.rs"]);
}

#[test]
fn the_version_is_the_packages() {
    assert_eq!(run(&["--version"]).0, format!("mb-encode {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn completions_and_man_page_are_there() {
    for shell in SHELLS {
        let (script, _) = run(&["completions", shell]);
        assert!(script.contains("mb-encode") && script.contains("bitrate"), "{shell}");
    }
    let (page, _) = run(&["man"]);
    assert!(page.contains(".TH mb-encode 1") && page.contains("Exit codes"), "{page}");
}

#[test]
fn what_the_program_starts_for_itself_is_nobodys_business() {
    let words = |text: &str| -> Vec<String> { text.split(|c: char| !c.is_alphanumeric()).map(str::to_owned).collect() };
    let mut asked: Vec<Vec<&str>> = SHELLS.iter().map(|shell| vec!["completions", shell]).collect();
    asked.extend([vec!["--help"], vec!["-h"], vec!["doctor", "--help"], vec!["man"]]);
    for args in asked {
        let told = words(&run(&args).0);
        // What it is that is looked through.
        assert!(told.iter().any(|word| word == "doctor"), "{args:?}");
        assert!(!told.iter().any(|word| word == "probe"), "{args:?} tells of --probe");
    }
    // It is there all the same.
    let refused = Process::start(mb_encode().args(["doctor", "--probe", "x"])).wait();
    assert!(refused.stderr.contains("must be one of"), "{}", refused.stderr);
}

#[test]
fn the_completions_for_bash_are_a_script_that_it_takes() {
    let (script, _) = run(&["completions", "bash"]);
    let mut bash = Command::new("bash");
    bash.args(["-c", "eval \"$1\" && complete -p mb-encode", "bash", &script]).stdout(Stdio::piped());
    let mut process = Process::start(&mut bash);
    let said = process.stdout().all();
    let ended = process.wait();
    assert_eq!((ended.code(), ended.stderr.as_str()), (0, ""));
    assert!(!said.is_empty());
}

#[test]
fn whoever_reads_only_the_first_line_sees_no_error() {
    let mut all: Vec<Vec<&str>> = SHELLS.iter().map(|shell| vec!["completions", shell]).collect();
    all.extend([vec!["man"], vec!["--help"], vec!["-h"], vec!["--version"]]);
    for args in all {
        let mut process = Process::start(mb_encode().args(&args).stdout(Stdio::piped()));
        drop(process.stdout());
        let ended = process.wait();
        assert_eq!((ended.code(), ended.stderr.as_str()), (0, ""), "{args:?}");
    }
}

#[test]
fn what_cannot_be_printed_is_no_success() {
    let mut all: Vec<Vec<&str>> = SHELLS.iter().map(|shell| vec!["completions", shell]).collect();
    all.extend([vec!["man"], vec!["--help"], vec!["doctor", "-h"], vec!["--version"], vec!["explain"]]);
    for args in all {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let ended = Process::start(mb_encode().args(&args).stdout(full)).wait();
        assert_eq!(ended.code(), 1, "{args:?}");
        assert!(ended.stderr.contains("No space left") && ended.stderr.contains("[print-failed]"), "{}", ended.stderr);
    }
}
