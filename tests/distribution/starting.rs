//! Starting and ending: one at a time, all or nothing left.

use crate::alone;
use crate::rig::{Rig, SMALL, assert_all_end, port_options};
use crate::support::decode::assert_in_order;
use crate::support::go2rtc::{self, free_ports};
use crate::support::process::{clean, mb_encode};
use rustix::process::Signal;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const ENDS_WITHIN: Duration = Duration::from_secs(2);

fn assert_nobody_reads(streams: &Path) {
    for fifo in std::fs::read_dir(streams).expect("the folder is left") {
        let fifo = fifo.expect("it is there").path();
        let opened = std::fs::OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&fifo);
        assert_eq!(opened.expect_err("nobody reads").raw_os_error(), Some(libc::ENXIO), "{}", fifo.display());
    }
}

#[test]
fn a_signal_ends_all_of_it_in_two_seconds() {
    for signal in [Signal::TERM, Signal::INT] {
        let _alone = alone();
        let folder = tempfile::tempdir().expect("a folder");
        let temp = folder.path().join("temp");
        let rig = Rig::start_in(&temp, &["--workers", "4"], SMALL);
        let mut viewers = [rig.watch("omega-0"), rig.watch("omega-1")];
        viewers.iter_mut().for_each(|viewer| drop(viewer.take_marks(2)));
        let family = rig.family();
        assert!(family.len() >= 4 + 1 + 2 + 2, "workers, go2rtc, encoders and readers: {}", family.len());

        let begun = Instant::now();
        rig.process.signal(signal);
        let ended = rig.process.wait();
        eprintln!("{signal:?}: ended in {:?}", begun.elapsed());
        assert_eq!(ended.code(), 0, "{}", ended.stderr);
        assert!(begun.elapsed() < ENDS_WITHIN, "{:?}", begun.elapsed());
        assert_all_end(&family, ENDS_WITHIN.saturating_sub(begun.elapsed()));
        assert_nobody_reads(&temp.join("streams"));
        assert!(!temp.join("status.sock").exists());
    }
}

/// Somebody else may take the port that was chosen for go2rtc and the gate to meet at.
#[test]
fn a_go2rtc_that_cannot_listen_gets_another_port_to_meet_the_gate_at() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let (temp, said) = (folder.path().join("temp"), folder.path().join("said"));
    // The first one listens nowhere; all say what they were told last.
    let wrapper = folder.path().join("go2rtc");
    let script = format!(
        "#!/bin/bash\nprintf '%s\\n' \"${{!#}}\" >>'{0}'\n(($(wc -l <'{0}') > 1)) || exec sleep 60\nexec '{1}' \"$@\"\n",
        said.display(),
        go2rtc::find().display()
    );
    std::fs::write(&wrapper, script).expect("a folder to write to");
    std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    let ports = free_ports();
    let mut command = mb_encode();
    command.arg("supervise").arg("--temp").arg(&temp).arg("--go2rtc").arg(&wrapper).args(["--workers", "1"]);
    command.args(port_options(ports)).arg("--").args(SMALL.split_whitespace());
    let rig = Rig::launch(command, &temp, ports).expect("the ports were free");
    assert_in_order(&rig.watch("omega-0").take_marks(5));
    let told = std::fs::read_to_string(&said).expect("it was started");
    let told: Vec<_> = told.lines().collect();
    assert!(told.len() == 2 && told[0] != told[1], "{told:?}");
}

#[test]
fn a_killed_supervisor_leaves_nothing_behind() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let temp = folder.path().join("temp");
    let rig = Rig::start_in(&temp, &["--workers", "2"], SMALL);
    let mut viewer = rig.watch("omega-0");
    viewer.take_marks(2);
    let family = rig.family();
    rig.process.signal(Signal::KILL);
    assert_all_end(&family, Duration::from_secs(5));
    rig.process.wait();
    assert_nobody_reads(&temp.join("streams"));
    // And the next one starts over what is left.
    let rig = Rig::start_in(&temp, &["--workers", "2"], SMALL);
    assert_in_order(&rig.watch("omega-0").take_marks(3));
}

#[test]
fn a_second_one_in_the_same_folder_says_so() {
    let rig = Rig::start(&["--workers", "1"], SMALL);
    let mut second = mb_encode();
    second.arg("supervise").arg("--temp").arg(&rig.temp).arg("--go2rtc").arg(go2rtc::find());
    let output = second.output().expect("it can be run");
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("another supervisor is already running in"), "{message}");
    assert_eq!(rig.status().1, 0);
}

#[test]
fn a_taken_port_is_told_before_anything_runs() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("it is bound").port();
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = mb_encode();
    command.args(["supervise", "--workers", "1", "--rtsp-port", &port.to_string(), "--temp"]).arg(folder.path());
    command.args(["--api-port", &free_ports::<1>()[0].to_string(), "--go2rtc"]).arg(go2rtc::find());
    let output = command.output().expect("it can be run");
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("--rtsp-port"), "{message}");

    let first = (port - 1).to_string();
    let mut command = mb_encode();
    command
        .args(["supervise", "--mode", "http", "--workers", "2", "--worker-port", &first, "--temp"])
        .arg(folder.path());
    let output = command.output().expect("it can be run");
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("--worker-port") && message.contains("[port-taken]"), "{message}");
}

#[test]
fn status_of_nothing_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = mb_encode().arg("status").arg("--temp").arg(folder.path()).output().expect("it can be run");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing runs in"));
}

fn script() -> Command {
    let mut command = clean(Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/start")));
    command.env("MB_ENCODE", env!("CARGO_BIN_EXE_mb-encode")).env("GO2RTC", go2rtc::find());
    command
}

/// Starts the script, on other ports where those are taken.
fn start_script(temp: &Path, change: impl Fn(&mut Command)) -> Rig {
    for _ in 0..5 {
        let ports = free_ports();
        let mut command = script();
        change(&mut command);
        command.arg("--temp").arg(temp).args(port_options(ports)).args(SMALL.split(' '));
        if let Some(rig) = Rig::launch(command, temp, ports) {
            return rig;
        }
    }
    panic!("every port was taken, five times in a row");
}

#[test]
fn the_script_starts_what_it_is_asked_to() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let temp = folder.path().join("temp");
    let rig = start_script(&temp, |command| {
        command.args(["--mode", "train", "--workers", "2", "--go2rtc"]);
    });
    let api = format!("http://127.0.0.1:{}", rig.ports[0]);
    let expected = [
        format!("{api}/stream.html?src=omega-0&mode=webrtc"),
        format!("{api}/stream.html?src=omega-0&src=omega-1&mode=webrtc"),
        rig.rtsp("omega-1"),
    ];
    let addresses = rig.addresses.join("\n");
    assert!(expected.iter().all(|address| addresses.contains(address)), "{addresses}");
    assert!(rig.log().contains("--mode train"), "{}", rig.log());
    assert_in_order(&rig.watch("omega-1").take_marks(5));
    let mut status = script();
    let status = status.arg("status").arg("--temp").arg(&temp).output().expect("it can be run");
    let lines = String::from_utf8_lossy(&status.stdout);
    assert!(status.status.success() && lines.contains("omega-0  waiting"), "{lines}");
    let second = script().arg("--temp").arg(&temp).args(["--go2rtc"]).output().expect("it can be run");
    let message = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(2), "{message}");
    assert!(message.contains("another supervisor is already running in"), "{message}");
    let family = rig.family();
    rig.process.signal(Signal::TERM);
    assert_eq!(rig.process.wait().code(), 0);
    assert_all_end(&family, ENDS_WITHIN);
}

#[test]
fn the_script_starts_workers_by_http() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let rig = start_script(&folder.path().join("temp"), |command| {
        let first = go2rtc::free_run(2).to_string();
        command.args(["--mode=http", "--workers", "2", "--go2rtc", "--worker-port", &first, "--preload"]);
        command.args(["--devices", "all"]);
    });
    for id in ["omega-0", "omega-1"] {
        rig.wait_for_status(id, "fps");
    }
    assert_in_order(&rig.watch("omega-1").take_marks(5));
    assert!(!rig.temp.join("streams").exists(), "nobody needs FIFOs");
}

/// As in the program that the workers come from.
#[test]
fn variables_say_where_the_config_and_the_fifos_are() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let (config, fifos) = (folder.path().join("mine/config.yaml"), folder.path().join("pipes"));
    let set = |command: &mut Command| {
        command.env("METABONK_GO2RTC_CONFIG", &config).env("METABONK_STREAM_FIFO_DIR", &fifos);
    };
    let made = |name: &str| {
        use std::os::unix::fs::FileTypeExt as _;
        let fifo = std::fs::metadata(fifos.join(name)).expect("a FIFO");
        assert!(fifo.file_type().is_fifo());
        assert_eq!(fifo.permissions().mode() & 0o777, 0o640, "written by its owner, read by its group");
    };
    let mut command = mb_encode();
    set(&mut command);
    command.args(["go2rtc-config", "--workers", "2", "--format", "mpegts"]);
    assert!(command.status().expect("it can be run").success());
    made("omega-1.ts");
    let text = std::fs::read_to_string(&config).expect("the config");
    assert!(text.contains("omega-1: exec:cat /streams/omega-1.ts#"), "{text}");

    let rig = start_script(&folder.path().join("temp"), |command| {
        set(command);
        command.args(["--workers", "2", "--go2rtc"]);
    });
    made("omega-0.h264");
    let told = crate::rig::command_line(rig.go2rtc()).join("\n");
    assert!(told.contains(&format!("\"exec:cat {}/omega-1.h264#", fifos.display())), "{told}");
    assert_in_order(&rig.watch("omega-1").take_marks(3));
}

#[test]
fn the_script_hands_compose_what_it_needs() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let (temp, bin) = (folder.path().join("temp"), folder.path().join("bin"));
    std::fs::create_dir(&bin).expect("a folder");
    // Writes down how it is called, and is the container itself.
    let docker = bin.join("docker");
    let text = "#!/bin/sh\necho \"$* | $MB_ENCODE_UID:$MB_ENCODE_GID $METABONK_STREAM_FIFO_DIR $MB_ENCODE_HEALTH_URL\" >>\"$CALLS\"\n\
        case \"$*\" in *' up '*) exec \"$GO2RTC\" -config \"$METABONK_GO2RTC_CONFIG\" -config \"{\n\
        api: {unix_listen: $MB_ENCODE_GATE_DIR/go2rtc.sock}, rtsp: {listen: '127.0.0.1:$MB_ENCODE_INNER_RTSP_PORT'}\n\
        }\" ;; esac\n";
    std::fs::write(&docker, text).expect("a folder");
    std::fs::set_permissions(&docker, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    let calls = folder.path().join("calls");
    let path = std::env::join_paths(
        std::iter::once(bin).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    )
    .expect("a PATH");
    let rig = start_script(&temp, |command| {
        command.env("PATH", &path).env("CALLS", &calls).args(["--workers=2", "--docker"]);
    });
    let path = temp.join("go2rtc.yaml");
    let config = std::fs::read_to_string(&path).expect("the config");
    assert!(config.contains("exec:cat /streams/omega-1.h264#video=h264#raw#killsignal=15#killtimeout=5"), "{config}");
    let (code, list) = rig.ask("GET", "api/streams", "");
    assert!(code == 200 && list.contains("omega-1"), "the gate is here, before the container: {code} {list}");

    std::fs::remove_file(&path).expect("the config");
    std::fs::write(&path, "streams: [\n  : nonsense\n").expect("a folder to write to");
    crate::rig::kill(rig.go2rtc());
    rig.wait_for_status("go2rtc", "running [started again once]");
    assert_eq!(std::fs::read_to_string(&path).expect("the config"), config);
    assert!(rig.log().contains("was changed, kept as .changed"), "{}", rig.log());
    rig.process.signal(Signal::TERM);
    assert_eq!(rig.process.wait().code(), 0);
    let calls = std::fs::read_to_string(&calls).expect("docker was called");
    let up = calls.lines().find(|call| call.contains(" up ")).expect("a container");
    let down = calls.lines().last().expect("a line");
    let uid = format!("{}:{}", rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let streams: PathBuf = temp.join("streams");
    assert!(up.starts_with("compose -p mb-encode-") && up.contains("docker/docker-compose.go2rtc.yml up"), "{up}");
    assert!(up.contains(&format!("{uid} {} http://127.0.0.1:", streams.display())), "{up}");
    assert!(down.contains(" down "), "{down}");
}

#[test]
fn the_script_refuses_what_makes_no_sense() {
    for words in [
        &["--workers"][..],
        &["--go2rtc", "--docker"],
        &["status", "--width"],
        &["--mode", "http", "--docker"],
        &["--mode", "http", "--go2rtc", "--", "--token-file", "x"],
        &["--workers", "0"],
        &["--width", "641"],
        &["statsu"],
        &["--devices"],
        &["--devices", "0,0"],
        &["--devices=0,1", "--device", "1"],
        // What every worker would refuse.
        &["--workers", "2", "--shader", "/nowhere/to/be/found.glsl"],
        &["--workers", "2", "--encoder", "openh264", "--width", "4096", "--height", "4096"],
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let output = script().args(words).env("MB_ENCODE_TEMP", folder.path()).output().expect("it can be run");
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {message}");
    }
}

/// The supervisor knows how its workers are by their events, and the log is only a log.
#[test]
fn workers_that_log_nothing_or_json_are_looked_after_like_any_other() {
    let _alone = alone();
    for words in ["--log-level off", "--log-format json", "--log-level error --log-format text"] {
        let rig = Rig::start(&["--workers", "1"], &format!("{SMALL} {words}"));
        rig.wait_for_status("omega-0", "waiting");
        let mut viewer = rig.watch("omega-0");
        viewer.take_marks(5);
        rig.wait_for_status("omega-0", "streaming: ");
        drop(viewer);
        rig.wait_for_status("omega-0", "waiting");
        crate::rig::kill(rig.worker("omega-0"));
        rig.wait_for_status("omega-0", "waiting [started again once]");
        let log = std::fs::read_to_string(rig.temp.join("logs/omega-0.log")).expect("its log");
        let own: Vec<_> = log.lines().filter(|line| !line.starts_with("down: ")).collect();
        let json = |line: &&str| line.starts_with('{');
        match words {
            "--log-format json" => assert!(!own.is_empty() && own.iter().all(json), "{words}: {log}"),
            _ => assert!(own.is_empty(), "{words}: {log}"),
        }
    }
}

#[test]
fn fifos_get_the_mode_that_was_asked_for() {
    use std::os::unix::fs::FileTypeExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = mb_encode();
    command.args(["go2rtc-config", "--workers", "1", "--out", "c.yaml", "--fifo-dir", "s", "--", "--fifo-mode=0600"]);
    assert!(command.current_dir(folder.path()).status().expect("it can be run").success());
    let fifo = std::fs::metadata(folder.path().join("s/omega-0.h264")).expect("the FIFO");
    assert!(fifo.file_type().is_fifo());
    assert_eq!(fifo.permissions().mode() & 0o777, 0o600);
}
