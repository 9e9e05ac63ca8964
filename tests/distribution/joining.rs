//! Viewers who join a stream that runs: each gets a picture long before the next keyframe that would come by itself.

use crate::alone;
use crate::rig::{Rig, port_options};
use crate::support::browser::Browser;
use crate::support::go2rtc::{self, free_ports};
use crate::support::process::{Process, mb_encode};
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::{Duration, Instant};

const OPTIONS: &str = "--width 640 --height 360 --fps 30 --gop 10s";
/// Half the way to the next keyframe that comes by itself, whatever this machine is busy with.
const LONG_BEFORE: Duration = Duration::from_secs(5);
const TRIES: usize = 20;

#[test]
fn who_joins_a_stream_in_fifo_mode_has_a_picture_soon() {
    joins("fifo", &["--mode", "fifo"], OPTIONS);
}

#[test]
fn who_joins_a_stream_in_exec_mode_has_a_picture_soon() {
    joins("exec", &["--mode", "exec"], &format!("{OPTIONS} --mpegts"));
}

#[test]
fn who_joins_a_stream_in_http_mode_has_a_picture_soon() {
    joins("http", &["--mode", "http"], OPTIONS);
}

fn joins(mode: &str, options: &[&str], stream: &str) {
    let _alone = alone();
    let rig = Rig::start(&[options, &["--workers", "2"]].concat(), stream);
    // What a stream without --gop would go by.
    let maker = if mode == "fifo" { rig.worker("omega-0") } else { rig.go2rtc() };
    let variables = std::fs::read_to_string(format!("/proc/{}/environ", maker.as_raw_nonzero())).expect("it runs");
    assert!(variables.split('\0').any(|variable| variable == "MB_ENCODE_GOP=4s"), "{variables}");
    players_join(&rig, mode);
    viewers_join(&rig, mode);
}

/// Where nothing but the gate stands in front of a go2rtc that starts its streams itself.
#[test]
fn who_joins_a_stream_behind_the_gate_alone_has_a_picture_soon() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("go2rtc.yaml");
    let mut command = mb_encode();
    command.args(["go2rtc-config", "--workers", "2", "--mode", "exec", "--out"]).arg(&config);
    assert!(command.arg("--").args(OPTIONS.split(' ')).status().expect("it can be run").success());
    let ports = free_ports();
    let mut gate = mb_encode();
    gate.args(["gate", "--go2rtc"]).arg(go2rtc::find()).arg("--config").arg(&config).args(port_options(ports));
    let process = Process::start(gate.stdin(Stdio::null()).stdout(Stdio::null()));
    let rig = Rig { process, addresses: Vec::new(), temp: folder.path().to_owned(), ports, folder: None };
    rig.process.wait_for_line("watch at http://127.0.0.1:");
    players_join(&rig, "gate");
}

/// By RTSP, which ffmpeg takes a while to start with.
fn players_join(rig: &Rig, mode: &str) {
    let mut first = rig.watch("omega-1");
    first.take_marks(5);
    let times: Vec<_> = (0..3)
        .map(|_| {
            let begun = Instant::now();
            let mut next = rig.watch("omega-1");
            next.take_marks(1);
            first.take_marks(1);
            begun.elapsed()
        })
        .collect();
    eprintln!("{mode}: from the start of ffmpeg to its first picture: {times:?}");
    assert!(times.iter().all(|&took| took < LONG_BEFORE), "{times:?}\n{}", rig.log());
}

/// In Chromium, by WebRTC. In every second try the viewer before leaves in the very moment in which the next one joins.
fn viewers_join(rig: &Rig, mode: &str) {
    let browser = Browser::start(1280, 720);
    browser.open(&rig.http(""));
    let seen = browser.run(JOIN, json!([TRIES]));
    let tries = seen.as_array().unwrap_or_else(|| panic!("{seen}\n{}\n{}", browser.log(), rig.log()));
    let all = |name: &str| -> Vec<u64> { tries.iter().map(|one| milliseconds(&one[name])).collect() };
    let (connected, asked) = (all("connected"), all("asked"));
    let worst = |times: &[u64]| times.iter().copied().max().unwrap_or_default();
    eprintln!("{mode}: from connected to the first picture: {} ms at worst, of {connected:?}", worst(&connected));
    eprintln!("{mode}: from asking to the first picture: {} ms at worst, of {asked:?}", worst(&asked));
    assert_eq!(tries.len(), TRIES);
    assert!(Duration::from_millis(worst(&asked)) < LONG_BEFORE, "{asked:?}\n{}", rig.log());
}

fn milliseconds(value: &Value) -> u64 {
    value.as_f64().expect("a time").round() as u64
}

/// Joins so many times beside a viewer who stays, and gives how long each took to its first picture: from the connection,
/// and from the offer. Gives the state of the one that takes too long.
const JOIN: &str = "
const [wanted, done] = arguments;
const join = async () => {
    const connection = new RTCPeerConnection();
    const video = document.createElement('video');
    Object.assign(video, {muted: true, autoplay: true, playsInline: true});
    document.body.append(video);
    const connected = new Promise(connected => connection.addEventListener('connectionstatechange', () =>
        connection.connectionState === 'connected' && connected(performance.now())));
    connection.addEventListener('track', event => video.srcObject = new MediaStream([event.track]));
    connection.addTransceiver('video', {direction: 'recvonly'});
    await connection.setLocalDescription();
    while (connection.iceGatheringState !== 'complete') await new Promise(later => setTimeout(later, 5));
    const asked = performance.now();
    const answer = await fetch('api/webrtc?src=omega-0', {
        method: 'POST', headers: {'Content-Type': 'application/sdp'}, body: connection.localDescription.sdp,
    });
    state = {status: answer.status};
    await connection.setRemoteDescription({type: 'answer', sdp: await answer.text()});
    const shown = new Promise(shown => video.requestVideoFrameCallback(() => shown(performance.now())));
    state = {connection, video};
    const times = [await connected, await shown];
    return {connection, video, connected: Math.max(0, times[1] - times[0]), asked: times[1] - asked};
};
let state = {};
const leave = viewer => { viewer.connection.close(); viewer.video.remove(); };
const all = async () => {
    await join();
    const tries = [];
    let before = null;
    while (tries.length < wanted) {
        const leaves = before && tries.length % 2;
        if (leaves) leave(before);
        const next = await join();
        if (before && !leaves) leave(before);
        before = next;
        tries.push({connected: next.connected, asked: next.asked});
        await new Promise(later => setTimeout(later, 200 + 37 * tries.length % 150));
    }
    return tries;
};
setTimeout(() => done({
    tookTooLong: true, status: state.status, connection: state.connection?.connectionState, video: state.video?.readyState,
}), 50000);
all().then(done, error => done({error: String(error)}));
";
