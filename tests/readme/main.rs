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

mod page;
mod place;

use mb_encode::parts::{NalUnit, NalUnitType, nal_units};
use mb_encode::settings::Size;
use page::{PAGES, Part, parts, without_variables};
use place::{Group, Place, REPOSITORY, run, size_in};
use rig::{Rig, until};
use rustix::process::Signal;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use support::decode::{Decoder, Form, Source, assert_in_order};
use support::go2rtc::free_ports;
use support::process::{DEADLINE, Process, Reader, mb_encode};

/// A release build takes minutes on a small machine that has other things to do.
const BUILT_WITHIN: Duration = Duration::from_secs(1200);

/// Tests that play streams in real time take turns, so that a small machine plays them smoothly.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a command is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// The program, or the script that wraps it.
    Program,
    /// Another program, with `mb-encode mpegts` behind it.
    Piped,
    /// `scripts/start` with a go2rtc of this machine.
    Start,
    /// While `scripts/start` runs.
    BesideStart,
    /// With a release build.
    Release,
    /// In a crate of the reader's own.
    Embed,
    /// `scripts/gpu-check`, with simulated drivers.
    Gpu,
    /// `kill -USR1`.
    Kill,
    /// By `scripts/docker-test`.
    Docker,
    /// By whoever runs this test, or by `scripts/test`.
    Check,
    /// A part of what `scripts/test` runs.
    Tests,
    /// Not at all: it mends a machine that is not as it should be, or looks at one.
    Remedy,
}

fn how(command: &str) -> Option<How> {
    let words: Vec<_> = without_variables(command).split_whitespace().collect();
    let has = |word| words.contains(&word);
    match words[..] {
        ["mb-encode", "status", ..] => Some(How::BesideStart),
        ["mb-encode" | "scripts/go2rtc_exec_mpegts.sh", ..] => Some(How::Program),
        ["scripts/start"] | ["scripts/start", "status", ..] => Some(How::BesideStart),
        ["scripts/start", ..] if has("--docker") => Some(How::Docker),
        ["scripts/start", ..] if has("--go2rtc") => Some(How::Start),
        ["ffplay", .., address] if address.starts_with("rtsp://") => Some(How::BesideStart),
        ["cargo", "add", ..] => Some(How::Embed),
        ["cargo", "test", ..] => Some(How::Tests),
        ["cargo", "build" | "run" | "doc" | "install", ..] | ["ffprobe", ..] | ["target/release/mb-encode", ..] => {
            Some(How::Release)
        }
        ["scripts/demo", ..] => Some(How::Release),
        ["scripts/gpu-check", ..] => Some(How::Gpu),
        ["kill", "-USR1"] => Some(How::Kill),
        ["docker", "compose" | "build", ..] => Some(How::Docker),
        // What was packed is installed in a bare container.
        ["apt", "install", package] if package.ends_with(".deb") => Some(How::Docker),
        ["apt", "install", ..] | ["systemctl", "start", ..] => Some(How::Remedy),
        ["nvidia-smi" | "modprobe" | "chmod" | "df" | "dmesg" | "free" | "ls" | "pgrep" | "ss" | "ulimit", ..] => {
            Some(How::Remedy)
        }
        ["ffmpeg", "-version"] => Some(How::Program),
        ["ffmpeg", ..] if has("mpegts") => Some(How::Piped),
        ["scripts/test" | "scripts/bench" | "scripts/docker-test" | "scripts/package", ..] => Some(How::Check),
        _ => None,
    }
}

/// The commands to run so, each once. There is at least one.
fn commands(wanted: How) -> Vec<String> {
    let mut found = Vec::new();
    for part in parts() {
        match part {
            Part::Command(command) if how(&command) == Some(wanted) && !found.contains(&command) => found.push(command),
            _ => {}
        }
    }
    assert!(!found.is_empty(), "{PAGES:?} have no command for {wanted:?} any more");
    found
}

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

/// Starts what `line` says, which is a supervisor in the end, on ports of this test's own.
fn start(place: &Place, line: &str) -> Rig {
    for _ in 0..5 {
        let ports = free_ports();
        let mut command = place.shell(&format!("exec {line}"));
        for (name, port) in ["API", "RTSP", "WEBRTC"].iter().zip(ports) {
            command.env(format!("MB_ENCODE_{name}_PORT"), port.to_string());
        }
        if let Some(rig) = Rig::launch(command, &place.path("temp"), ports) {
            return rig;
        }
    }
    panic!("every port was taken, five times in a row");
}

/// With the ports of `ports` instead of the well-known.
fn moved(text: &str, ports: [u16; 3]) -> String {
    let known = ["1984", "8554", "8555"];
    known
        .iter()
        .zip(ports)
        .fold(text.to_owned(), |text, (known, port)| text.replace(&format!(":{known}"), &format!(":{port}")))
}

fn assert_plays(address: &str, line: &str, why: &dyn Fn() -> String) {
    // One that comes too early is sent away, as a person would be who then tries again.
    let marks = until(DEADLINE * 2, &format!("{line}: {address} plays"), || {
        let mut decoder = Decoder::start(Source::Rtsp(address), size_in(line), Form::Yuv420p, None);
        let marks: Vec<_> = decoder.by_ref().take(3).filter_map(|picture| picture.mark()).collect();
        (marks.len() == 3).then_some(marks)
    });
    assert!(marks[2].frame > marks[0].frame, "{line}: {marks:?}\n{}", why());
}

#[test]
fn what_scripts_start_starts_can_be_watched() {
    let _alone = alone();
    for (at, line) in commands(How::Start).iter().enumerate() {
        eprintln!("{line}");
        let place = Place::new();
        let rig = start(&place, line);
        let words: Vec<_> = line.split_whitespace().collect();
        let workers = words.iter().position(|word| *word == "--workers").map(|at| words[at + 1]);
        let workers: usize = workers.expect("each names their number").parse().expect("a number");
        let last = format!("omega-{}", workers - 1);
        assert_plays(&rig.rtsp(&last), line, &|| rig.log());
        let (status, _) = place.run("scripts/start status", DEADLINE);
        let status = String::from_utf8(status).expect("UTF-8");
        assert!(status.contains(&last) && status.contains("go2rtc"), "{status}");
        if at == 0 {
            addresses_answer(&rig);
            commands_beside(&place, &rig);
        }
        rig.process.signal(Signal::INT);
        assert_eq!(rig.process.wait().code(), 0, "{line}");
    }
}

/// Every address that the pages name, but of the stream that is made by hand.
fn addresses_answer(rig: &Rig) {
    let mut seen = 0;
    for part in parts() {
        let Part::Address(address) = part else { continue };
        if address.contains("demo") {
            continue;
        }
        seen += 1;
        let here = moved(&address, rig.ports);
        if address.starts_with("rtsp:") {
            assert_plays(&here, "", &|| rig.log());
            continue;
        }
        let path = here.strip_prefix(&rig.http("")).unwrap_or_else(|| panic!("an address of go2rtc: {address}"));
        let (code, page) = rig.ask("GET", path, "");
        assert!(code == 200 && page.contains("<html"), "{address}: {code}\n{page}");
        let (_, streams) = rig.ask("GET", "api/streams", "");
        for source in path.split(['?', '&']).filter_map(|word| word.strip_prefix("src=")) {
            assert!(streams.contains(&format!("\"{source}\"")), "{address}: {streams}");
        }
    }
    assert!(seen >= 4, "the pages name fewer addresses than they should: {seen}");
}

fn commands_beside(place: &Place, rig: &Rig) {
    for line in commands(How::BesideStart) {
        eprintln!("{line}");
        if line.starts_with("ffplay ") {
            assert_shown(Group::start(&mut place.shell(&moved(&line, rig.ports))));
        } else if line != "scripts/start" {
            let (status, _) = place.run(&line, DEADLINE);
            assert!(String::from_utf8_lossy(&status).contains("omega-0"), "{line}");
        }
        // By itself that is the script's name, and the script runs.
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
    let example = std::fs::read_to_string(Path::new(REPOSITORY).join("examples/own_renderer.rs")).expect("it is there");
    let shown = parts().into_iter().filter_map(|part| if let Part::Rust(shown) = part { Some(shown) } else { None });
    let shown: Vec<_> = shown.collect();
    assert!(!shown.is_empty(), "the pages show no source any more");
    for shown in shown {
        assert!(example.contains(&shown), "examples/own_renderer.rs has other words for:\n{shown}");
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
        if !line.contains("--pack") {
            here = format!("{} --simulated --pictures 2", here.replace(" --simulated", ""));
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
fn go2rtc_plays_the_pieces_of_its_configuration() {
    let _alone = alone();
    let mut played = 0;
    for part in parts() {
        let Part::Config(text) = part else { continue };
        eprintln!("{text}");
        let place = Place::new();
        let streams = place.path("streams");
        let mut workers = Vec::new();
        let text_here = text.replace(" /streams/", &format!(" {}/", streams.display()));
        for word in text_here.split([' ', '#']).filter(|word| word.ends_with(".h264")) {
            std::fs::create_dir_all(&streams).expect("a folder to write to");
            workers.push(Group::start(&mut place.shell(&format!("exec mb-encode --fifo {word}"))));
            until(DEADLINE, "the FIFO is there", || Path::new(word).exists().then_some(()));
        }
        let names: Vec<_> = text.lines().skip(1).filter_map(|line| line.split(':').next()).map(str::trim).collect();
        let (server, ports) = serve(&place, &text_here);
        for name in names {
            let address = format!("rtsp://127.0.0.1:{}/{name}", ports[1]);
            assert_plays(&address, "", &|| server.lines().join("\n"));
            played += 1;
        }
        server.signal(Signal::TERM);
        server.wait();
        workers.into_iter().for_each(Group::end);
    }
    assert!(played >= 3, "the pages show fewer streams than they should: {played}");
}

/// go2rtc with `config` behind the addresses that this test needs.
fn serve(place: &Place, config: &str) -> (Process, [u16; 3]) {
    for _ in 0..5 {
        let ports = free_ports();
        let [api, rtsp, webrtc] = ports;
        std::fs::write(place.path("snippet.yaml"), moved(config, ports)).expect("a folder to write to");
        let line = format!(
            "exec go2rtc -config '{{\"log\": {{\"output\": \"stderr\", \"format\": \"text\"}}, \
             \"api\": {{\"listen\": \"127.0.0.1:{api}\"}}, \"rtsp\": {{\"listen\": \"127.0.0.1:{rtsp}\"}}, \
             \"webrtc\": {{\"listen\": \"127.0.0.1:{webrtc}\", \"ice_servers\": []}}}}' -config snippet.yaml"
        );
        let process = Process::start(&mut place.shell(&line));
        let free = ["[api] listen", "[rtsp] listen", "[webrtc] listen udp"]
            .iter()
            .all(|listener| !process.wait_for_line(listener).contains("address already in use"));
        let lines = process.lines().join("\n");
        assert!(!free || !lines.contains("ERR") && !lines.contains("WRN"), "{config}\n{lines}");
        if free {
            return (process, ports);
        }
    }
    panic!("every port was taken, five times in a row");
}

#[test]
fn a_stream_by_hand_plays() {
    let _alone = alone();
    let scripts: Vec<_> = parts()
        .into_iter()
        .filter_map(|part| if let Part::Script(script) = part { Some(script) } else { None })
        .collect();
    let addresses: Vec<_> = parts()
        .into_iter()
        .filter(|part| matches!(part, Part::Address(address) if address.contains("src=demo")))
        .collect();
    assert_eq!((scripts.len(), addresses.len()), (1, 1));
    let place = Place::new();
    let ports: [u16; 3] = free_ports();
    let mut command = place.shell(&scripts[0]);
    for (name, port) in ["API", "RTSP", "WEBRTC"].iter().zip(ports) {
        command.env(format!("MB_ENCODE_{name}_PORT"), port.to_string());
    }
    let mut group = Group::start(&mut command);
    let address = format!("rtsp://127.0.0.1:{}/demo", ports[1]);
    until(DEADLINE, "go2rtc answers", || std::net::TcpStream::connect(("127.0.0.1", ports[1])).ok());
    // The worker is started beside go2rtc, which finds nothing to read before the worker has made it.
    until(DEADLINE, "the FIFO is there", || place.path("temp/streams/demo.h264").exists().then_some(()));
    let mut decoder = Decoder::start(Source::Rtsp(&address), size_in(&scripts[0]), Form::Yuv420p, None);
    assert_in_order(&decoder.take_marks(3));
    assert!(group.process().is_running());
    group.end();
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
    let (docker_test, test) = (read("scripts/docker-test"), read("scripts/test"));
    for line in commands(How::Docker) {
        if line.starts_with("scripts/start") {
            assert!(docker_test.contains("scripts/start --workers 2 --docker"), "{line}");
            continue;
        }
        if line.ends_with(".deb") {
            assert!(docker_test.contains(".deb"), "{line}: scripts/docker-test installs no package");
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
        "mb-encode go2rtc-config --help",
        "mb-encode doctor --help",
        "mb-encode mpegts --help",
        "mb-encode supervise --help",
        "mb-encode status --help",
        "scripts/start --help",
        "scripts/demo --help",
        "scripts/gpu-check --help",
        "scripts/bench --help",
        "scripts/go2rtc_exec_mpegts.sh --help",
        "scripts/package --help",
    ];
    let known: String =
        known.iter().map(|line| String::from_utf8(place.run(line, DEADLINE).0).expect("UTF-8")).collect();
    let known = known + "Docker's: --gpus --pids-limit";
    let compose: String = std::fs::read_dir(Path::new(REPOSITORY).join("docker"))
        .expect("the folder")
        .map(|file| std::fs::read_to_string(file.expect("it is there").path()).expect("text"))
        .collect();
    let encode = place.run("mb-encode --help", DEADLINE).0;
    let encode = String::from_utf8(encode).expect("UTF-8");
    for part in parts() {
        match part {
            Part::Options(options) => {
                let words: Vec<_> = options.split_whitespace().collect();
                let names = words.iter().filter(|word| word.starts_with("--"));
                let names: Vec<_> = names.filter_map(|word| word.split('=').next()).collect();
                assert!(names.iter().all(|name| known.contains(*name)), "there is no {options}");
                let is_whole = words.len() > 1 && words.last() != Some(&"N") || options == "--no-pace";
                let is_output = ["--fifo", "--out", "--stdout"].contains(&words[0]);
                if is_whole && !is_output && names.iter().all(|name| encode.contains(*name)) {
                    place.run(&format!("mb-encode {options} --frames 2 --out clip.h264"), DEADLINE);
                }
            }
            Part::Variable(setting) => {
                let name = setting.split('=').next().unwrap_or_default();
                assert!(known.contains(name) || compose.contains(name), "nobody reads {name}");
            }
            Part::Path(path) => assert!(Path::new(REPOSITORY).join(&path).exists(), "there is no {}", path.display()),
            _ => {}
        }
    }
}
