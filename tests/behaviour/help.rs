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
    // What a program starts for itself is nobody's business.
    for hidden in ["--rehearse", "--serve-reader"] {
        assert!(!help.contains(hidden), "{hidden}");
    }
    assert!(help.lines().all(|line| line.chars().count() <= 110));
}

#[test]
fn every_option_has_its_environment_variable_in_the_help() {
    // Where a line is too long it is broken at any blank.
    let help = run(&["--help"]).0.split_whitespace().collect::<Vec<_>>().join(" ");
    for name in [
        "WIDTH",
        "HEIGHT",
        "FPS",
        "FRAMES",
        "BITRATE",
        "GOP",
        "ENCODER",
        "SCENE",
        "SHADER",
        "LABEL",
        "DEVICE",
        "NO_PACE",
        "LOG_LEVEL",
        "LOG_FORMAT",
        "STATS",
        "FIFO_MODE",
        "PIPE_SIZE",
    ] {
        let option = format!("--{}", name.to_lowercase().replace('_', "-"));
        assert!(help.contains(&option), "{option}");
        assert!(help.contains(&format!("[env: MB_ENCODE_{name}]")), "{name}");
    }
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
        assert!(!script.contains("serve-reader") && !script.contains("rehearse"), "{shell}");
    }
    let (page, _) = run(&["man"]);
    assert!(page.contains(".TH mb-encode 1") && page.contains("Exit codes"), "{page}");
    assert!(!page.contains("serve\\-reader"));
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
