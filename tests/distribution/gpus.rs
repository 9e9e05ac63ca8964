//! Several GPUs: which stream is on which, and what becomes of one whose GPU goes. The drivers are simulated.

use crate::machine::{Machine, SMALL};
use crate::rig::{Rig, command_line, kill, port_options};
use crate::support::children;
use crate::support::go2rtc::{self, free_ports};
use crate::support::process::{DEADLINE, Process, until};
use rustix::process::Signal;
use serde_json::Value;

#[test]
fn streams_take_turns_on_the_gpus_and_stay_where_they_are() {
    let machine = Machine::new(2);
    for mode in ["fifo", "http"] {
        let workers = machine.supervise(mode, 5, &["--devices", "1,0"], "");
        let gpu = |number: u16| u32::from(number % 2 == 0);
        let members = workers.members();
        let given: Vec<_> = members.iter().map(|member| member["gpu"]["number"].clone()).collect();
        assert_eq!(given, [1, 0, 1, 0, 1], "{mode}");
        let viewers: Vec<_> = (0..5).map(|number| workers.read(number)).collect();
        viewers.iter().for_each(|viewer| viewer.take(1));
        let processes: Vec<_> =
            (0..5).map(|number| children::of(workers.pid(number).as_raw_nonzero().get() as u32)).collect();
        for (viewer, number) in viewers.into_iter().zip(0..) {
            workers.leave(number, viewer);
        }
        for (number, processes) in (0..).zip(processes) {
            let used: Vec<_> = processes.iter().flat_map(|&pid| machine.used_by(pid)).collect();
            assert_eq!(used, [gpu(number)], "{mode}: omega-{number}");
        }
        kill(workers.pid(1));
        let back = |members: &[Value]| members[1]["restarts"] == 1 && members[1]["state"] == "waiting";
        let members = workers.wait_for("it is started again", back);
        assert_eq!((&members[1]["gpu"]["number"], &members[1]["gpu"]["name"]), (&0.into(), &"Simulated GPU 0".into()));
        let words = command_line(workers.pid(1)).join(" ");
        assert!(words.contains("--device 0"), "{words}");
        workers.end();
    }
}

#[test]
fn what_go2rtc_starts_takes_turns_on_the_gpus() {
    let _alone = crate::alone();
    let machine = Machine::new(2);
    let rig = (0..5).find_map(|_| {
        let ports = free_ports();
        let mut command = machine.mb_encode();
        command.arg("supervise").arg("--temp").arg(machine.temp()).arg("--go2rtc").arg(go2rtc::find());
        command.args(["--mode", "exec", "--workers", "5", "--devices", "all", "--preload"]).args(port_options(ports));
        command.arg("--").args(SMALL.split(' '));
        Rig::launch(command, &machine.temp(), ports)
    });
    let rig = rig.expect("free ports");
    let encoders = until(DEADLINE, "all streams run", || {
        let all = children::of(rig.go2rtc().as_raw_nonzero().get() as u32);
        let all: Vec<_> = all.into_iter().map(|pid| (pid, command_line(pid))).collect();
        (all.len() == 5 && all.iter().all(|(_, words)| words.iter().any(|word| word == "--device"))).then_some(all)
    });
    // They have all come to their first picture.
    for number in 0..5 {
        let line = rig.wait_for_status(&format!("omega-{number}"), ", NVENC");
        assert!(line.ends_with(&format!(" [GPU {0}, Simulated GPU {0}]", number % 2)), "{line}");
    }
    rig.process.signal(Signal::TERM);
    assert_eq!(rig.process.wait().code(), 0);
    for (pid, words) in encoders {
        let label = words.iter().find_map(|word| word.strip_prefix("omega-")?.parse::<u32>().ok()).expect("its id");
        assert_eq!(machine.used_by(pid), [label % 2], "{words:?}");
    }
}

#[test]
fn a_gpu_that_is_gone_is_told_of_and_its_worker_comes_back_with_it() {
    let machine = Machine::new(2);
    let workers = machine.supervise("fifo", 2, &["--devices", "0,1"], "");
    machine.show(1);
    kill(workers.pid(1));
    let why = |members: &[Value]| members[1]["why"].as_str().unwrap_or_default().to_owned();
    let says = |members: &[Value]| why(members).contains("there is no GPU 1") && why(members).contains("[no-such-gpu]");
    let members = workers.wait_for("it says what is wrong", says);
    let remedy = members[1]["remedy"].as_str().unwrap_or_default();
    assert!(remedy.contains("CUDA_DEVICE_ORDER=PCI_BUS_ID"), "{remedy}");
    assert_eq!(workers.wait_until(0, "waiting")["restarts"], 0, "the other one goes on");
    machine.show(2);
    workers.wait_until(1, "waiting");
    workers.end();
}

fn refused(machine: &Machine, words: &[&str]) -> String {
    let output = machine.mb_encode().args(words).arg("--temp").arg(machine.temp()).output().expect("it can be run");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{words:?}: {message}");
    assert!(!machine.temp().exists(), "{words:?}: nothing is made");
    message
}

#[test]
fn lists_that_cannot_be_are_refused_with_what_to_write() {
    let machine = Machine::new(2);
    for (list, expected) in [
        ("0,0", "write 0"),
        ("zero", "must be all, or numbers"),
        ("0,7", "there is no GPU 7, there is 0 (Simulated GPU 0), 1 (Simulated GPU 1): write --devices 0,1, or all"),
    ] {
        let message = refused(&machine, &["supervise", "--devices", list]);
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(message.contains(expected), "{message}");
    }
    let both = refused(&machine, &["supervise", "--devices", "0,1", "--", "--device", "1"]);
    assert!(both.contains("--device 1 the same for all"), "{both}");
    let compose = "docker/docker-compose.go2rtc.exec.yml";
    let container = refused(&machine, &["supervise", "--devices", "all", "--mode", "exec", "--compose", compose]);
    assert!(container.contains("--devices 0,1"), "{container}");
    let output = machine.mb_encode().args(["go2rtc-config", "--out", "-", "--devices", "0,1"]).output();
    let output = output.expect("it can be run");
    assert!(output.status.code() == Some(2) && String::from_utf8_lossy(&output.stderr).contains("--mode exec"));
}

#[test]
fn a_driver_that_hangs_or_crashes_where_gpus_are_looked_for_is_outlived() {
    let words = ["supervise", "--devices", "all", "--workers", "1", "--", "--start-timeout", "1"];
    for variable in ["MB_SIM_HANG", "MB_SIM_CRASH"] {
        let mut machine = Machine::new(2);
        machine.variables.push((variable, "cuInit".to_owned()));
        let output = machine.mb_encode().env("MB_ENCODE_TEMP", machine.temp()).args(words).output();
        let output = output.expect("it can be run");
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{variable}: {message}");
        assert!(message.contains("[gpus-unknown]") && message.contains("leave --devices out"), "{variable}: {message}");
    }
    let mut machine = Machine::new(2);
    machine.variables.push(("MB_SIM_HANG", "cuInit".to_owned()));
    let mut command = machine.mb_encode();
    let process = Process::start(command.env("MB_ENCODE_TEMP", machine.temp()).args(&words[..3]));
    until(DEADLINE, "it looks", || (!children::of(process.id()).is_empty()).then_some(()));
    process.signal(Signal::TERM);
    let begun = std::time::Instant::now();
    assert_eq!(process.wait().code(), 0);
    assert!(begun.elapsed() < std::time::Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn all_gpus_of_a_machine_without_any_are_software() {
    let machine = Machine::new(0);
    let workers = machine.supervise("fifo", 1, &["--devices", "all"], "");
    let said = workers.supervisor.wait_for_line("drawn and encoded in software");
    assert!(said.contains("there is no GPU"), "{said}");
    let viewer = workers.read(0);
    viewer.take(2);
    let chosen = workers.chosen(0);
    assert_eq!((&chosen["encoder"], &chosen["device"]), (&"OpenH264".into(), &Value::Null));
    drop(viewer);
    workers.end();
}
