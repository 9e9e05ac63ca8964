//! A viewer who comes to a stream that nobody watches: how soon there is a picture, by the way in which go2rtc gets it.

use crate::alone;
use crate::rig::{Rig, kill, until};
use crate::support::browser::Browser;
use crate::support::children;
use crate::support::process::DEADLINE;
use serde_json::json;
use std::time::{Duration, Instant};

const OPTIONS: &str = "--width 640 --height 360 --fps 30";
const TRIES: usize = 4;
/// A second of them: more than a browser has in store.
const MORE_PICTURES: usize = 30;
/// The pictures take a second of it, and a machine that is busy with other things much of the rest.
const HEALS_WITHIN: Duration = Duration::from_secs(10);

/// One after the other, so that all see the same machine.
#[test]
fn a_cold_stream_has_a_picture_in_each_mode_and_in_http_mode_goes_on_with_another_worker() {
    let _alone = alone();
    let rigs = ["exec", "fifo", "http"].map(|mode| (mode, Rig::start(&["--workers", "1", "--mode", mode], OPTIONS)));
    let browser = Browser::start(1280, 720);
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..TRIES {
        for ((mode, rig), times) in rigs.iter().zip(&mut times) {
            rig.wait_for_status("omega-0", "waiting");
            // The wall would watch by itself.
            browser.open(&rig.http("index.html"));
            let seen = browser.run(&format!("{WATCH}{LEAVE}"), json!([]));
            let took = seen["asked"].as_f64();
            times.push(took.unwrap_or_else(|| panic!("{mode}: {seen}\n{}\n{}", browser.log(), rig.log())).round());
        }
    }
    for ((mode, _), times) in rigs.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        let median = times[times.len() / 2];
        eprintln!("{mode}: from asking to the first picture of a cold stream: {median} ms, of {times:?}");
    }

    // A stream whose times began anew would be waited for until they have come again.
    let (_, rig) = &rigs[2];
    let seen = browser.run(&format!("{WATCH}{STAY}"), json!([]));
    assert!(seen["asked"].is_number(), "{seen}");
    for what in ["a stream", "a worker", "a stream", "a worker"] {
        let worker = rig.worker("omega-0");
        let stream = || children::of(worker.as_raw_nonzero().get() as u32).first().copied();
        let stream = until(DEADLINE, "a stream", stream);
        kill(if what == "a worker" { worker } else { stream });
        let killed = Instant::now();
        let seen = browser.run(GOES_ON, json!([MORE_PICTURES]));
        assert!(seen.is_number(), "{what} was killed: {seen}\n{}", rig.log());
        let took = killed.elapsed();
        eprintln!("{what} was killed: {MORE_PICTURES} more pictures {took:?} later");
        assert!(took < HEALS_WITHIN, "{what} was killed: {took:?}\n{}", rig.log());
    }
    rig.wait_for_status("omega-0", "[started again 2 times]");
}

const WATCH: &str = "
const done = arguments[arguments.length - 1];
const watch = async () => {
    const connection = new RTCPeerConnection();
    const video = document.createElement('video');
    Object.assign(video, {muted: true, autoplay: true, playsInline: true});
    document.body.append(video);
    connection.addEventListener('track', event => video.srcObject = new MediaStream([event.track]));
    connection.addTransceiver('video', {direction: 'recvonly'});
    await connection.setLocalDescription();
    while (connection.iceGatheringState !== 'complete') await new Promise(later => setTimeout(later, 5));
    const shown = new Promise(shown => video.requestVideoFrameCallback(() => shown(performance.now())));
    const asked = performance.now();
    const answer = await fetch('api/webrtc?src=omega-0', {
        method: 'POST', headers: {'Content-Type': 'application/sdp'}, body: connection.localDescription.sdp,
    });
    const answered = performance.now();
    await connection.setRemoteDescription({type: 'answer', sdp: await answer.text()});
    const at = await shown;
    return {connection, video, times: {asked: at - asked, answered: answered - asked}};
};
setTimeout(() => done({tookTooLong: true}), 20000);
const failed = error => done({error: String(error)});
";
const LEAVE: &str = "watch().then(({connection, times}) => { connection.close(); done(times); }, failed);";
const STAY: &str = "watch().then(({video, times}) => { window.watched = video; done(times); }, failed);";
/// So many pictures more are shown.
const GOES_ON: &str = "
const [wanted, done] = arguments;
const more = async () => {
    for (let n = 0; n < wanted; n++) await new Promise(shown => window.watched.requestVideoFrameCallback(shown));
    return wanted;
};
setTimeout(() => done({tookTooLong: true, at: window.watched.currentTime}), 20000);
more().then(done, error => done({error: String(error)}));
";
