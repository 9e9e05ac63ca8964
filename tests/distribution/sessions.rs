//! Fewer NVENC sessions than streams: the simulated driver's, which all processes share.

use crate::machine::{Machine, Viewer};
use crate::rig::kill;
use crate::sim::Report;
use crate::support::process::{DEADLINE, mb_encode, until};
use serde_json::Value;
use std::path::Path;

fn is_nvenc(chosen: &Value) -> bool {
    chosen["encoder"] == "NVENC"
}

#[test]
fn ten_streams_share_eight_sessions_and_nobody_sees_an_end() {
    let _alone = crate::alone();
    for mode in ["fifo", "http"] {
        // As older drivers say it, and as newer ones do.
        let mut machine = Machine::with_sessions(2, 8);
        machine.variables.push(("MB_SIM_SESSION_STATUS", if mode == "fifo" { "10" } else { "21" }.to_owned()));
        let workers = machine.supervise(mode, 10, &["--devices", "all"], "");
        let mut viewers: Vec<_> = (0..10).map(|number| Some(workers.read(number))).collect();
        viewers.iter().flatten().for_each(|viewer| viewer.take(3));

        let chosen: Vec<_> = (0..10).map(|number| workers.chosen(number)).collect();
        let [with, without]: [Vec<u16>; 2] =
            [true, false].map(|nvenc| (0..10).filter(|&at| is_nvenc(&chosen[usize::from(at)]) == nvenc).collect());
        assert_eq!((with.len(), without.len()), (8, 2), "{mode}: {chosen:?}");
        for &number in &with {
            let chosen = &chosen[usize::from(number)];
            assert_eq!(chosen["device"], u64::from(number % 2), "{mode}: {chosen}");
            assert_eq!(chosen["gpu"], format!("Simulated GPU {}", number % 2), "{mode}: {chosen}");
        }
        for &number in &without {
            assert_eq!(chosen[usize::from(number)]["fallback"]["code"], "nvenc-sessions", "{mode}: {chosen:?}");
        }
        let text = until(DEADLINE, "figures of all", || {
            let output = mb_encode().args(["status", "--temp"]).arg(machine.temp()).output().expect("it can be run");
            let text = String::from_utf8(output.stdout).expect("UTF-8");
            (text.matches(" fps, ").count() == 10).then_some(text)
        });
        let why = "OpenH264 (no NVENC session is free [nvenc-sessions])";
        assert_eq!((text.matches(why).count(), text.matches(", NVENC [").count()), (2, 8), "{text}");
        assert_eq!(text.matches(" [GPU 0, Simulated GPU 0]\n").count(), 5, "{text}");
        assert_eq!(text.matches(" [GPU 1, Simulated GPU 1]\n").count(), 5, "{text}");

        let anew = |number: u16, viewers: &mut Vec<Option<Viewer>>| {
            workers.leave(number, viewers[usize::from(number)].take().expect("it watches"));
            let viewer = workers.read(number);
            viewer.take(1);
            viewers[usize::from(number)] = Some(viewer);
            workers.chosen(number)
        };
        // A session is given back, and the next reader of one that had none has it.
        workers.leave(with[0], viewers[usize::from(with[0])].take().expect("it watches"));
        let chosen = anew(without[0], &mut viewers);
        assert!(is_nvenc(&chosen), "{mode}: {chosen}");
        let chosen = anew(without[1], &mut viewers);
        assert_eq!(chosen["fallback"]["code"], "nvenc-sessions", "{mode}: that was the last one: {chosen}");

        // A worker that is killed gives its session back as well.
        kill(workers.pid(with[1]));
        drop(viewers[usize::from(with[1])].take());
        let chosen = anew(without[1], &mut viewers);
        assert!(is_nvenc(&chosen), "{mode}: {chosen}");
        let member = workers.wait_until(with[1], "waiting");
        assert_eq!((&member["restarts"], &member["gpu"]["number"]), (&1.into(), &u64::from(with[1] % 2).into()));

        for (number, viewer) in viewers.iter().enumerate().filter_map(|(at, viewer)| Some((at, viewer.as_ref()?))) {
            viewer.take(1);
            assert!(!viewer.has_ended(), "{mode}: omega-{number} saw an end");
        }
        drop(viewers);
        workers.end();
        let report = Report::read(Path::new(&machine.variables[0].1));
        assert!(report.all("violation.").is_empty() && report.count("pictures") > 0, "{:?}", report.all("violation."));
    }
}

#[test]
fn of_two_who_want_the_last_session_one_has_it_and_both_have_pictures() {
    let machine = Machine::with_sessions(1, 1);
    let workers = machine.supervise("fifo", 2, &[], "");
    for round in 0..5 {
        let viewers = [0, 1].map(|number| workers.read(number));
        viewers.iter().for_each(|viewer| viewer.take(2));
        let chosen = [0, 1].map(|number| workers.chosen(number));
        assert_eq!(chosen.iter().filter(|chosen| is_nvenc(chosen)).count(), 1, "round {round}: {chosen:?}");
        for (number, viewer) in (0..).zip(viewers) {
            workers.leave(number, viewer);
        }
    }
    workers.end();
}

#[test]
fn who_has_just_left_leaves_the_session_to_who_comes() {
    let machine = Machine::with_sessions(1, 1);
    let workers = machine.supervise("http", 1, &[], "");
    let mut viewer = workers.read(0);
    for reload in 0..5 {
        viewer.take(1);
        let chosen = workers.chosen(0);
        assert!(is_nvenc(&chosen), "reload {reload}: {chosen}");
        // As a browser does it: the old one goes as the new one comes.
        drop(viewer);
        viewer = workers.read(0);
    }
    drop(viewer);
    workers.end();
}

#[test]
fn a_worker_starts_where_all_sessions_are_taken_also_if_it_takes_nothing_else() {
    let machine = Machine::with_sessions(1, 0);
    let workers = machine.supervise("fifo", 1, &[], "--encoder nvenc");
    assert_eq!(workers.members()[0]["restarts"], 0);
    workers.end();
    let workers = machine.supervise("http", 1, &[], "--encoder nvenc");
    assert_eq!(workers.members()[0]["restarts"], 0);
    workers.end();
}

#[test]
fn a_stream_that_lost_its_gpu_says_why_it_goes_on_without() {
    let mut machine = Machine::new(1);
    machine.variables.push(("MB_SIM_FAULT", "encode:5@3".to_owned() + "x99"));
    let workers = machine.supervise("fifo", 1, &[], "");
    let viewer = workers.read(0);
    let chosen = |members: &[Value]| members[0]["stream"]["chosen"].clone();
    let members = workers.wait_for("it goes on", |members| chosen(members)["encoder"] == "OpenH264");
    assert_eq!(chosen(&members)["fallback"]["code"], "gpu-lost", "{members:?}");
    viewer.take(1);
    drop(viewer);
    workers.end();
}
