//! What dies comes back, what cannot is told, and the others go on.

use crate::alone;
use crate::rig::{Rig, SMALL, assert_all_end, kill, small, until};
use crate::support::children;
use crate::support::decode::{Decoder, Form, Source, assert_in_order};
use crate::support::process::DEADLINE;
use rustix::process::{Pid, Signal};
use std::os::unix::fs::FileTypeExt as _;
use std::time::{Duration, Instant};

/// As the system is to heal, on a machine with little else to do.
const HEALS_WITHIN: Duration = Duration::from_secs(5);

/// Waits until a viewer that comes now sees pictures, and tells how long after `since`.
fn assert_plays(rig: &Rig, id: &str, since: Instant, what: &str) {
    let deadline = since + DEADLINE;
    // One that comes too early is sent away, as a person would be who then tries again.
    let marks = loop {
        let mut viewer = rig.watch(id);
        let marks: Vec<_> = viewer.by_ref().take(5).filter_map(|picture| picture.mark()).collect();
        if marks.len() == 5 {
            break marks;
        }
        assert!(Instant::now() < deadline, "{what}: {id} does not play\n{}", rig.log());
    };
    let took = since.elapsed();
    eprintln!("{what}: {id} plays {took:?} later");
    assert_in_order(&marks);
    assert!(took < HEALS_WITHIN * 3, "{what}: {took:?}");
}

fn raw(pid: Pid) -> u32 {
    pid.as_raw_nonzero().get() as u32
}

/// Whether a viewer's stream begins anew, which a new encoder's does.
fn assert_starts_anew(viewer: &mut Decoder, after: u32) {
    let anew = viewer.take(600).filter_map(|picture| picture.mark()).any(|mark| mark.frame < after);
    assert!(anew, "the viewer gets no new stream");
}

#[test]
fn what_is_killed_comes_back_and_takes_nobody_along() {
    let _alone = alone();
    let rig = Rig::start(&["--workers", "3"], SMALL);
    assert_all_comes_back(&rig, || {
        let cat = children::of(raw(rig.go2rtc())).into_iter();
        let mut cat =
            cat.filter(|&pid| crate::rig::command_line(pid).iter().any(|part| part.ends_with("omega-2.h264")));
        cat.next().expect("a cat for the viewer")
    });
}

#[test]
fn what_is_killed_in_http_mode_comes_back_and_takes_nobody_along() {
    let _alone = alone();
    let rig = Rig::start(&["--workers", "3", "--mode", "http"], SMALL);
    assert_all_comes_back(&rig, || children::of(raw(rig.worker("omega-2")))[0]);
    // go2rtc names the address that it has lost, and shows its own token.
    let token = std::fs::read_to_string(rig.temp.join("worker-token")).expect("the token");
    let log = std::fs::read_to_string(rig.temp.join("logs/go2rtc.log")).expect("its log");
    assert!(log.contains("Bearer (secret)") && !log.contains(token.trim()), "{log}");
}

/// The stream of omega-2's viewer ends with `between`.
fn assert_all_comes_back(rig: &Rig, between: impl Fn() -> Pid) {
    let mut bystander = rig.watch("omega-0");
    let mut seen = bystander.take_marks(5);

    // A worker, with a viewer.
    let mut viewer = rig.watch("omega-1");
    let last = viewer.take_marks(20)[19];
    let worker = rig.worker("omega-1");
    let encoders = children::watch(raw(worker));
    assert_eq!(encoders.len(), 1);
    let killed = Instant::now();
    kill(worker);
    assert_all_end(&encoders, HEALS_WITHIN);
    assert_starts_anew(&mut viewer, last.frame);
    eprintln!("a killed worker's viewer has pictures {:?} later", killed.elapsed());
    assert!(killed.elapsed() < HEALS_WITHIN * 3);
    assert_ne!(rig.worker("omega-1"), worker);
    assert!(rig.wait_for_status("omega-1", "started again once").contains("streaming"));
    drop(viewer);

    // What is between it and its viewer.
    let mut viewer = rig.watch("omega-2");
    let last = viewer.take_marks(20)[19];
    kill(between());
    assert_starts_anew(&mut viewer, last.frame);
    drop(viewer);

    seen.extend(bystander.take_marks(30));
    assert_in_order(&seen);

    // go2rtc itself: its viewers are gone, and new ones play.
    let go2rtc = rig.go2rtc();
    let readers = children::watch(raw(go2rtc));
    let killed = Instant::now();
    kill(go2rtc);
    assert_all_end(&readers, HEALS_WITHIN);
    rig.wait_for_status("go2rtc", "running");
    for id in ["omega-0", "omega-1", "omega-2"] {
        assert_plays(rig, id, killed, "go2rtc was killed");
    }
    assert!(rig.log().contains("go2rtc is down: signal: 9"), "{}", rig.log());
}

#[test]
fn a_killed_ffmpeg_costs_its_own_viewer_a_moment() {
    let _alone = alone();
    let rig = Rig::start(&["--workers", "2", "--format", "mpegts"], &format!("{SMALL} --mpegts=ffmpeg"));
    let mut bystander = rig.watch("omega-0");
    let mut seen = bystander.take_marks(5);
    let mut viewer = rig.watch("omega-1");
    let last = viewer.take_marks(20)[19];
    let encoder = children::of(raw(rig.worker("omega-1")));
    let [encoder] = encoder[..] else { panic!("one encoder for one viewer: {encoder:?}") };
    let ffmpeg = children::of(raw(encoder));
    let [ffmpeg] = ffmpeg[..] else { panic!("one ffmpeg for it: {ffmpeg:?}") };
    assert!(crate::rig::command_line(ffmpeg)[0].ends_with("ffmpeg"));
    kill(ffmpeg);
    assert_starts_anew(&mut viewer, last.frame);
    seen.extend(bystander.take_marks(30));
    assert_in_order(&seen);
    assert!(rig.wait_for_status("omega-1", "streaming").contains("omega-1"));
    let log = std::fs::read_to_string(rig.temp.join("logs/omega-1.log")).expect("its log");
    assert!(log.contains("ffmpeg"), "nobody says what has happened: {log}");
}

#[test]
fn a_removed_fifo_and_a_spoilt_config_come_back() {
    let _alone = alone();
    let rig = Rig::start(&["--workers", "2"], SMALL);
    let fifo = rig.temp.join("streams/omega-0.h264");
    let is_fifo = || std::fs::symlink_metadata(&fifo).is_ok_and(|it| it.file_type().is_fifo());
    let mut bystander = rig.watch("omega-1");
    let mut seen = bystander.take_marks(5);

    // While nobody reads.
    let removed = Instant::now();
    std::fs::remove_file(&fifo).expect("it is there");
    until(DEADLINE, "a new FIFO", || is_fifo().then_some(()));
    assert_plays(&rig, "omega-0", removed, "the FIFO was removed");

    // While somebody does.
    let mut viewer = rig.watch("omega-0");
    viewer.take_marks(5);
    let removed = Instant::now();
    std::fs::remove_file(&fifo).expect("it is there");
    viewer.take_marks(15);
    drop(viewer);
    assert_plays(&rig, "omega-0", removed, "the FIFO was removed under a reader");
    seen.extend(bystander.take_marks(30));
    assert_in_order(&seen);
    drop(bystander);

    // No file has a say in what go2rtc does.
    let config = rig.temp.join("go2rtc.yaml");
    std::fs::write(&config, "streams: [\n  : nonsense\n").expect("a folder to write to");
    let killed = Instant::now();
    kill(rig.go2rtc());
    assert_plays(&rig, "omega-1", killed, "a config was put in the folder and go2rtc killed");
}

/// Where nobody came to its help, go2rtc would keep every later viewer waiting until it is started again.
#[test]
fn a_reader_of_a_fifo_that_is_gone_is_freed() {
    let _alone = alone();
    let rig = Rig::start(&["--workers", "1"], SMALL);
    let fifo = rig.temp.join("streams/omega-0.h264");
    rig.process.signal(Signal::STOP);
    kill(rig.worker("omega-0"));
    // The gate stands still with the supervisor; this is the way behind it.
    let inner = rig.inner_rtsp("omega-0");
    let _viewer = Decoder::start(Source::Rtsp(&inner), small(), Form::Yuv420p, None);
    let go2rtc = raw(rig.go2rtc());
    until(DEADLINE, "a cat that waits for a writer", || {
        let cat = *children::of(go2rtc).first()?;
        let wait = std::fs::read_to_string(format!("/proc/{}/wchan", cat.as_raw_nonzero())).unwrap_or_default();
        (wait.contains("fifo") || wait.contains("wait_for_partner")).then_some(())
    });
    std::fs::remove_file(&fifo).expect("it is there");
    let freed = Instant::now();
    rig.process.signal(Signal::CONT);
    rig.wait_for_status("omega-0", "started again");
    assert_plays(&rig, "omega-0", freed, "a reader waited on a FIFO that is gone");
    assert!(rig.log().contains("ending a reader of omega-0"), "{}", rig.log());
}

#[test]
fn a_worker_that_cannot_work_says_why_and_blocks_nobody() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let temp = folder.path().join("temp");
    let rig = Rig::start_in(&temp, &["--workers", "2"], SMALL);
    let fifo = temp.join("streams/omega-1.h264");
    // Something else in the FIFO's place: no worker can serve that.
    std::fs::remove_file(&fifo).expect("it is there");
    kill(rig.worker("omega-1"));
    until(DEADLINE, "a file in the FIFO's place", || {
        let _ = std::fs::remove_file(&fifo);
        std::fs::File::create_new(&fifo).ok()
    });
    let down = rig.wait_for_status("omega-1", "down: exit status: 2: ");
    assert!(down.contains("regular file"), "{down}");
    for wait in ["0.1 s", "0.5 s", "1 s"] {
        rig.process.wait_for_line(&format!("starting it again in {wait}"));
    }
    assert_eq!(rig.status().1, 1);
    assert_plays(&rig, "omega-0", Instant::now(), "another worker is down");
    std::fs::remove_file(&fifo).expect("it is there");
    let healed = Instant::now();
    rig.wait_for_status("omega-1", "waiting");
    eprintln!("the worker waits {:?} later", healed.elapsed());
    assert_plays(&rig, "omega-1", Instant::now(), "its place is free again");
}

/// Its port stays the supervisor's: whoever comes is sent away, and neither kept waiting nor served by somebody else.
#[test]
fn a_worker_by_http_that_cannot_work_keeps_its_port_and_blocks_nobody() {
    let _alone = alone();
    let rig = Rig::start(&["--workers", "2", "--mode", "http"], SMALL);
    let address = rig.worker_address("omega-1");
    let ask = || {
        let begun = Instant::now();
        let (status, _) = crate::support::go2rtc::ask("GET", &format!("http://{address}/stream.ts"), "").ok()?;
        assert!(begun.elapsed() < DEADLINE);
        Some(status)
    };
    assert_eq!(ask(), Some(401), "it wants to be shown a token");
    let file = rig.temp.join("worker-token");
    let token = std::fs::read(&file).expect("the token");
    std::fs::write(&file, "").expect("it is ours");
    kill(rig.worker("omega-1"));
    let down = rig.wait_for_status("omega-1", "down: exit status: 2: ");
    assert!(down.contains("[token-empty]"), "{down}");
    rig.process.wait_for_line("starting it again in 2 s");
    assert_eq!(until(DEADLINE, "whoever comes is sent away", ask), 503);
    assert!(std::net::TcpListener::bind(&address).is_err(), "the port is free for anybody");
    std::fs::write(&file, token).expect("it is ours");
    let healed = Instant::now();
    rig.wait_for_status("omega-1", "waiting");
    assert_plays(&rig, "omega-1", healed, "its token is there again");
    assert_plays(&rig, "omega-0", healed, "the other one");
}

#[test]
fn a_full_disk_stops_no_stream() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let temp = folder.path().join("temp");
    std::fs::create_dir(&temp).expect("a folder");
    let Some(_mounted) = Mounted::at(&temp) else {
        eprintln!("not tested: only root can mount a small file system");
        return;
    };
    // Wordy, so that the logs need room soon.
    let rig = Rig::start_in(&temp, &["--workers", "2"], &format!("{SMALL} --log-level trace"));
    let filler = temp.join("filler");
    let full = std::fs::write(&filler, vec![0; 4 << 20]);
    assert_eq!(full.expect_err("it is small").kind(), std::io::ErrorKind::StorageFull);
    for id in ["omega-0", "omega-1"] {
        assert_plays(&rig, id, Instant::now(), "the disk is full");
    }
    let killed = Instant::now();
    kill(rig.worker("omega-1"));
    kill(rig.go2rtc());
    assert_plays(&rig, "omega-1", killed, "the disk is full, go2rtc and the worker were killed");
    let mut config = crate::support::process::mb_encode();
    let path = temp.join("go2rtc.yaml");
    std::fs::write(&path, "").expect("a name needs no room");
    config.args(["go2rtc-config", "--workers", "64", "--out"]).arg(&path).arg("--fifo-dir").arg(folder.path());
    let output = config.output().expect("it can be run");
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && message.contains("No space left"), "{message}");
    assert_eq!(std::fs::read(&path).expect("the config"), b"", "whole or not at all");
    let _viewer = rig.watch("omega-0");
    rig.wait_for_status("cannot be written: ", "No space left");
    std::fs::remove_file(&filler).expect("it is there");
    rig.process.signal(Signal::TERM);
    assert_eq!(rig.process.wait().code(), 0);
}

/// A file system of one mebibyte.
struct Mounted<'a>(&'a std::path::Path);

impl<'a> Mounted<'a> {
    fn at(path: &'a std::path::Path) -> Option<Self> {
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m,mode=0755", "mb-encode-test"]).arg(path);
        mount.output().is_ok_and(|output| output.status.success()).then_some(Self(path))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0).output();
    }
}
