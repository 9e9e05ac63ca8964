//! Runs every command of the pages that tell people what to type (see [`page::PAGES`]), and fails over one that it does
//! not know how to run.
//!
//! Shortened are only these: what would go on for ever is ended when it has shown that it works; ffplay plays into a
//! screen of no kind and stops after a second; ports are free ones instead of the well-known; `/streams` is a folder
//! of the test. What needs Docker is run by `scripts/docker-test`, and what `scripts/test` is made of by itself. Only
//! what mends a machine in trouble is not run.
#![allow(clippy::print_stderr, reason = "what runs is told beside what is asserted")]

#[path = "../support/mod.rs"]
mod support;

#[allow(dead_code, reason = "the tests of the whole system use more of it")]
#[path = "../distribution/rig.rs"]
mod rig;

mod figures;
mod how;
mod page;
mod place;
mod playing;

use how::{How, commands, how};
use mb_encode::parts::{NalUnit, NalUnitType, nal_units};
use mb_encode::settings::Size;
use page::{Part, parts};
use place::{Group, Place, REPOSITORY, run};
use rig::until;
use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use support::decode::{Decoder, Form, Source};
use support::go2rtc::free_ports;
use support::http::Stream;
use support::process::{DEADLINE, Reader, mb_encode};
use support::turn::alone;

/// A release build takes minutes on a small machine that has other things to do.
const BUILT_WITHIN: Duration = Duration::from_secs(1200);

#[test]
fn it_is_known_how_to_run_every_command() {
    let unknown: Vec<_> =
        parts().into_iter().filter(|part| matches!(part, Part::Command(command) if how(command).is_none())).collect();
    assert!(unknown.is_empty(), "teach tests/readme to run what the pages ask their readers to: {unknown:?}");
}

/// Reads the start of a stream, which is one of go2rtc's two kinds.
fn assert_streams(line: &str, mut stream: Reader<impl std::io::Read + std::os::fd::AsFd>) {
    let start = stream.take_bytes(752);
    let wanted: &[u8] = if line.contains("mpegts") { &[0x47, 0x40, 0x11] } else { &[0, 0, 0, 1, 0x67] };
    assert_eq!(start[0], wanted[0], "{line}: {:02x?}", &start[..8]);
    assert!(wanted[0] == 0x47 || start.starts_with(wanted), "{line}: {:02x?}", &start[..8]);
}

#[test]
fn the_program_does_what_is_written() {
    for line in commands(How::Program) {
        eprintln!("{line}");
        let place = Place::new();
        // The folder there is the repository's own.
        let line = line.replace("--out examples/kubernetes/base/", "--out ");
        let words: Vec<_> = line.split_whitespace().collect();
        if line.contains("| ffplay") {
            assert_shown(Group::start(&mut place.shell(&line)));
        } else if words.contains(&"--stdout") {
            let mut group = Group::start(place.shell(&line).stdout(Stdio::piped()));
            assert_streams(&line, group.stdout());
            group.end();
        } else if let Some(at) = words.iter().position(|word| *word == "--fifo") {
            let fifo = place.path(words[at + 1]);
            // As `scripts/start` or the config's maker have made it.
            std::fs::create_dir_all(fifo.parent().expect("a folder")).expect("a folder to write to");
            let group = Group::start(&mut place.shell(&line));
            until(DEADLINE, "the FIFO is there", || fifo.exists().then_some(()));
            let mut reader = Group::start(Command::new("cat").arg(&fifo).stdin(Stdio::null()).stdout(Stdio::piped()));
            assert_streams(&line, reader.stdout());
            reader.end();
            group.end();
        } else if let Some(at) = words.iter().position(|word| *word == "--listen" && words[1] != "go2rtc-config") {
            let [port] = free_ports();
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            let group = Group::start(&mut place.shell(&line.replace(words[at + 1], &address.to_string())));
            until(DEADLINE, "it listens", || TcpStream::connect(address).ok());
            assert_eq!(Stream::open(address, "/stream.ts").take(1), [0x47], "{line}");
            group.end();
        } else {
            let (stdout, stderr) = place.run(&line, DEADLINE);
            let made = words.iter().position(|word| *word == "--out").map(|at| words[at + 1]);
            let made = made.filter(|file| *file != "-").map(|file| place.path(file));
            let made = made.map(|file| std::fs::read(file).expect("the file is there"));
            assert!(!made.unwrap_or(stdout).is_empty() || !stderr.is_empty(), "{line} says and makes nothing");
        }
    }
}

#[test]
fn another_programs_stream_is_wrapped() {
    for line in commands(How::Piped) {
        eprintln!("{line}");
        let place = Place::new();
        place.run(&line, DEADLINE);
        let (_, file) = line.rsplit_once('>').expect("it goes to a file");
        let size = Size::new(640, 360).expect("even");
        let mut decoder = Decoder::start(Source::MpegTs(&place.path(file)), size, Form::Yuv420p, None);
        assert_eq!(decoder.by_ref().count(), 300, "{line}: ten seconds");
        decoder.finish();
    }
}

/// ffplay goes on for ever, and gives the same exit code whether it has played or not; but it says what it plays.
fn assert_shown(mut player: Group) {
    player.process().wait_for_line("Video: h264");
    player.end();
}

#[test]
fn what_needs_a_release_build_works_with_one() {
    let _alone = alone();
    let place = Place::new();
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let target = Path::new(REPOSITORY).join(target);
    std::os::unix::fs::symlink(&target, place.path("target")).expect("a folder to write to");
    let mut shown = Vec::new();
    for line in commands(How::Release) {
        eprintln!("{line}");
        let demo = line.strip_prefix("scripts/demo");
        if let Some((source, _player)) = line.split_once(" | ") {
            let mut build = place.shell(&source.replace("cargo run", "cargo build"));
            build.current_dir(REPOSITORY);
            run(source, build, BUILT_WITHIN);
            assert_shown(Group::start(place.shell(&line).current_dir(REPOSITORY)));
            continue;
        }
        let manifest = Path::new(REPOSITORY).join("Cargo.toml");
        let here = match demo {
            Some(rest) => format!("scripts/demo --seconds 3{}", rest.split(" --seconds").next().unwrap_or_default()),
            // From here, so that what it writes stays here.
            None => line.replace("cargo run", &format!("cargo run --manifest-path {}", manifest.display())),
        };
        if shown.contains(&here) {
            // The same with an end, which it was given the first time.
            continue;
        }
        let mut command = place.shell(&here);
        if demo.is_some() || line.starts_with("cargo") && here == line {
            // Cargo tells packages apart by their paths.
            command.current_dir(REPOSITORY).env("BROWSER", "true").env("CARGO_INSTALL_ROOT", place.path("installed"));
        }
        shown.push(here);
        let (_, words) = run(&line, command, BUILT_WITHIN);
        assert!(!line.starts_with("ffprobe") || words.contains("Video: h264"), "{line}: {words}");
    }
}

#[test]
fn a_crate_of_ones_own_takes_the_library_in() {
    for line in commands(How::Embed) {
        eprintln!("{line}");
        let place = Place::new();
        std::os::unix::fs::symlink(REPOSITORY, place.path("mb-encode")).expect("a folder to write to");
        place.run("cargo init --quiet --lib --vcs none mine", DEADLINE);
        let mut command = place.shell(&line);
        command.current_dir(place.path("mine"));
        run(&line, command, DEADLINE);
        let manifest = std::fs::read_to_string(place.path("mine/Cargo.toml")).expect("it was made");
        let line_of_it = manifest.lines().find(|line| line.starts_with("mb-encode = ")).expect("it was added");
        assert!(line_of_it.contains("default-features = false"), "{manifest}");
    }
}

#[test]
fn the_shown_source_is_the_examples() {
    let mut seen = Vec::new();
    for part in parts() {
        let (file, shown) = match part {
            Part::Rust(shown) => ("examples/own_renderer.rs", shown),
            Part::Python(shown) => {
                // There it stands in a text, set in by four blanks.
                let lines: Vec<_> = shown.lines().map(|line| format!("    {line}")).collect();
                ("examples/python/mb_frames.py", lines.join("\n"))
            }
            _ => continue,
        };
        let example = std::fs::read_to_string(Path::new(REPOSITORY).join(file)).expect("it is there");
        assert!(example.contains(&shown), "{file} has other words for:\n{shown}");
        seen.push(file);
    }
    for file in ["examples/own_renderer.rs", "examples/python/mb_frames.py"] {
        assert!(seen.contains(&file), "the pages show nothing of {file} any more");
    }
}

#[test]
fn what_checks_a_gpu_runs_with_simulated_ones() {
    let _alone = alone();
    let place = Place::new();
    let packed = place.path("packed");
    let mut lines = commands(How::Gpu);
    // It makes what another one takes.
    lines.sort_by_key(|line| !line.contains("--pack"));
    let mut run_before = Vec::new();
    for line in lines {
        let mut here = line.replace("DIR", &packed.display().to_string());
        here = here.replace("temp/", &format!("{}/", place.path("temp").display()));
        if !line.contains("--pack") {
            here = format!("{} --simulated --pictures 2", here.replace(" --simulated", ""));
        }
        if line.starts_with("DIR/") {
            // The whole way goes with the others.
            here += " --only clip";
        }
        if run_before.contains(&here) {
            continue;
        }
        eprintln!("{line}");
        let mut command = place.shell(&here);
        // Cargo tells packages apart by their paths.
        command.current_dir(REPOSITORY);
        run(&line, command, BUILT_WITHIN);
        run_before.push(here);
    }
}

#[test]
fn an_idr_picture_is_made_where_one_is_asked_for() {
    let [line] = &commands(How::Kill)[..] else { panic!("one way to ask") };
    let place = Place::new();
    let mut encode = mb_encode();
    encode.args(["--stdout", "--width", "320", "--height", "240", "--fps", "30", "--gop", "3600"]);
    let mut encode = Group::start(encode.stdin(Stdio::null()).stdout(Stdio::piped()));
    let (mut stdout, mut stream) = (encode.stdout(), Vec::new());
    let count =
        |stream: &[u8], wanted| nal_units(stream).map(NalUnit::nal_unit_type).filter(|its| *its == wanted).count();
    let mut read_until = |wanted, at_least| {
        while count(&stream, wanted) < at_least {
            let mut bytes = [0; 4096];
            let read = stdout.read(&mut bytes).expect("the stream goes on");
            assert!(read > 0, "the stream has ended");
            stream.extend_from_slice(&bytes[..read]);
        }
        count(&stream, NalUnitType::IdrSlice)
    };
    assert_eq!(read_until(NalUnitType::Slice, 3), 1, "one IDR picture, and then none for minutes");
    place.run(&format!("{line} {}", encode.process().id()), DEADLINE);
    read_until(NalUnitType::IdrSlice, 2);
    encode.end();
}

#[test]
fn what_needs_docker_is_run_with_it() {
    let read = |path: &str| std::fs::read_to_string(Path::new(REPOSITORY).join(path)).expect("it is there");
    let (start, package) = (read("scripts/docker-test.d/start.sh"), read("scripts/docker-test.d/package.sh"));
    let (exec, fifo) = (read("scripts/docker-test.d/exec.sh"), read("scripts/docker-test.d/fifo.sh"));
    // Where it names the Dockerfile of the images for clusters.
    let images = read("scripts/docker-test.d/images.sh");
    let docker_test = [&read("scripts/docker-test")[..], &package, &exec, &fifo, &images].concat();
    let test = read("scripts/test");
    for line in commands(How::Docker) {
        if line.starts_with("scripts/start") {
            assert!(start.contains("scripts/start --workers 2 --docker"), "{line}");
            continue;
        }
        if line.starts_with("install ") || line.starts_with("mb-encode gate ") {
            let words: Vec<_> = line.split_whitespace().filter(|word| !word.starts_with("temp/")).collect();
            assert!(words.iter().all(|word| fifo.contains(word)), "{line}");
            continue;
        }
        if line.ends_with(".deb") {
            assert!(package.contains(".deb"), "{line}: scripts/docker-test installs no package");
            continue;
        }
        let is_file = |word: &&str| word.ends_with(".yml") || word.ends_with(".Dockerfile");
        let files: Vec<_> = line.split_whitespace().filter(is_file).collect();
        assert!(!files.is_empty(), "{line}");
        // A Dockerfile is named by the compose file that builds it.
        let compose = read("docker/docker-compose.go2rtc.exec.yml");
        for file in files {
            let is_known = docker_test.contains(file) || compose.contains(&format!("dockerfile: {file}"));
            assert!(is_known, "{line}: scripts/docker-test knows no {file}");
        }
    }
    for line in commands(How::Check) {
        let words: Vec<_> = line.split_whitespace().collect();
        let (help, _) = place::run(&line, Place::new().shell(&format!("{} --help", words[0])), DEADLINE);
        let help = String::from_utf8(help).expect("UTF-8");
        let options = words.iter().filter(|word| word.starts_with("--"));
        assert!(options.clone().all(|option| help.contains(option)), "{line}: {help}");
        // A line of its own: step 'docker' scripts/docker-test
        let step = format!("' {}", words[0]);
        let is_run = test.contains(&step) || docker_test.contains(&format!("/{}", words[0]));
        assert!(words[0] == "scripts/test" || is_run, "{line} is not run by scripts/test");
    }
    for line in commands(How::Tests) {
        let words: Vec<_> = line.split_whitespace().collect();
        let mut named = words.windows(2).filter(|pair| ["--test", "-p"].contains(&pair[0])).map(|pair| pair[1]);
        assert!(named.all(|name| Path::new(REPOSITORY).join("tests").join(name).is_dir()), "{line}");
    }
    assert!(read(".ci/run").contains("scripts/test"));
}

#[test]
fn every_option_variable_and_path_exists() {
    let place = Place::new();
    let known = [
        "mb-encode --help",
        "mb-encode gate --help",
        "mb-encode go2rtc-config --help",
        "mb-encode doctor --help",
        "mb-encode mpegts --help",
        "mb-encode supervise --help",
        "mb-encode status --help",
        "scripts/start --help",
        "scripts/demo --help",
        "scripts/gpu-check --help",
        "scripts/bench --help",
        "scripts/soak --help",
        "scripts/cluster-test --help",
        "scripts/go2rtc_exec_mpegts.sh --help",
        "scripts/package --help",
    ];
    let known: String =
        known.iter().map(|line| String::from_utf8(place.run(line, DEADLINE).0).expect("UTF-8")).collect();
    let known = known + "Docker's: --gpus --pids-limit --group-add";
    let compose: String = std::fs::read_dir(Path::new(REPOSITORY).join("docker"))
        .expect("the folder")
        .map(|file| std::fs::read_to_string(file.expect("it is there").path()).expect("text"))
        .collect();
    // Which picture it takes.
    let wall = std::fs::read_to_string(Path::new(REPOSITORY).join("tests/wall/looks.rs")).expect("text");
    let encode = place.run("mb-encode --help", DEADLINE).0;
    let encode = String::from_utf8(encode).expect("UTF-8");
    place.run("ffmpeg -v error -f lavfi -i testsrc=duration=1 -pix_fmt yuv420p frames.y4m", DEADLINE);
    for part in parts() {
        match part {
            Part::Options(options) => {
                let words: Vec<_> = options.split_whitespace().collect();
                let names = words.iter().filter(|word| word.starts_with("--"));
                let names: Vec<_> = names.filter_map(|word| word.split('=').next()).collect();
                assert!(names.iter().all(|name| known.contains(*name)), "there is no {options}");
                let is_whole = words.len() > 1 && words.last() != Some(&"N") || options == "--no-pace";
                let is_output = ["--fifo", "--listen", "--out", "--stdout"].contains(&words[0]);
                // They need somebody who makes frames: see `tests/producers`.
                let is_input = ["--input", "--input-command"].contains(&words[0]);
                if is_whole && !is_output && !is_input && names.iter().all(|name| encode.contains(*name)) {
                    let of_input = if words[0].starts_with("--input-") { "--input frames.y4m" } else { "" };
                    place.run(&format!("mb-encode {options} {of_input} --frames 2 --out clip.h264"), DEADLINE);
                }
            }
            Part::Variable(setting) => {
                let name = setting.split('=').next().unwrap_or_default();
                assert!(known.contains(name) || compose.contains(name) || wall.contains(name), "nobody reads {name}");
            }
            Part::Path(path) => assert!(Path::new(REPOSITORY).join(&path).exists(), "there is no {}", path.display()),
            _ => {}
        }
    }
}
