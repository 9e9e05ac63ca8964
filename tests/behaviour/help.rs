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
    assert_eq!(without, ["help", "version", "stdout", "fifo", "out"]);
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
        for hidden in ["tied", "probe"] {
            assert!(!told.iter().any(|word| word == hidden), "{args:?} tells of {hidden}");
        }
    }
    // They are there all the same.
    run(&["tied", "--help"]);
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
