//! Under a supervisor: what the status says, that a worker comes back, and that nothing outlives whom it belongs to.

use crate::rig::{
    DEADLINE, LIMITS, Machine, ORPHANS, SLACK, Viewer, assert_told, at_once, kill, only_child, until, watch,
};
use crate::support::process::{Process, ready};
use rustix::event::PollFlags;
use rustix::fd::AsFd as _;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// The values of `key`, wherever they are.
fn all<'a>(value: &'a Value, key: &str) -> Vec<&'a Value> {
    match value {
        Value::Object(fields) => {
            let mut found: Vec<_> = fields.get(key).into_iter().collect();
            found.extend(fields.values().flat_map(|value| all(value, key)));
            found
        }
        Value::Array(values) => values.iter().flat_map(|value| all(value, key)).collect(),
        _ => Vec::new(),
    }
}

fn pid(process: &Process) -> Pid {
    Pid::from_raw(process.id() as i32).expect("a process's id")
}

/// Waits until the status has the FIFO's worker waiting for readers, and gives that worker.
fn wait_until_waiting(machine: &Machine, supervisor: &Process) -> Pid {
    machine.wait_until_waiting(supervisor);
    only_child(pid(supervisor))
}

/// A reader whose driver hangs, and the process that serves it.
fn with_a_reader_that_hangs(machine: &Machine, supervisor: &Process) -> (Viewer, Pid) {
    let viewer = Viewer::start(&machine.supervised_fifo());
    let hung = machine.wait_until_hung(1, supervisor);
    (viewer, hung)
}

#[test]
fn the_status_says_why_the_last_stream_ended() {
    let machine = Machine::new("glReadPixels@40").role("reader");
    let supervisor = machine.supervisor(&["--hang-timeout", "1"]);
    let worker = wait_until_waiting(&machine, &supervisor);
    let (viewer, _) = with_a_reader_that_hangs(&machine, &supervisor);
    until(DEADLINE, "the status counts the first one", || {
        all(&machine.status(), "restarts").contains(&&Value::from(1)).then_some(())
    });
    viewer.wait_for_end(DEADLINE);
    let told = until(DEADLINE, "the status tells of the hang", || {
        let status = machine.status();
        let ends: Vec<_> = all(&status, "last_end").iter().map(ToString::to_string).collect();
        ends.into_iter().find(|end| end.contains("no progress for"))
    });
    assert_told(&told, 1, "reading back");
    // It says so to the next reader still, who is served by the same worker.
    // That one stays: with its end it would be the one that the status tells of.
    let next = Viewer::start(&machine.supervised_fifo());
    next.wait_for_bytes(20_000, DEADLINE, "the next reader");
    assert_eq!(only_child(pid(&supervisor)), worker);
    let status = machine.status();
    assert!(all(&status, "last_end").iter().any(|end| end.to_string().contains("no progress for")), "{status}");
}

#[test]
fn a_worker_whose_rehearsal_hangs_is_down_for_that_reason_and_tried_again() {
    let machine = Machine::new("eglInitialize@1").role("rehearsal");
    let supervisor = machine.supervisor(&["--start-timeout", "1"]);
    let down = until(DEADLINE, &format!("the worker is down: {:?}", supervisor.lines()), || {
        let status = machine.status().to_string();
        (status.contains(r#""down""#) && status.contains("no progress for")).then_some(status)
    });
    assert!(down.contains("no progress for 1 s") && down.contains("opening"), "{down}");
    let so_far = machine.hung().len();
    machine.wait_until_hung(so_far + 1, &supervisor);
    assert!(supervisor.is_running());
}

#[test]
fn a_worker_whose_rehearsal_hung_once_serves_readers_later() {
    let machine = Machine::new("glReadPixels@1").role("rehearsal").once();
    let supervisor = machine.supervisor(&LIMITS);
    wait_until_waiting(&machine, &supervisor);
    Viewer::start(&machine.supervised_fifo()).wait_for_bytes(20_000, DEADLINE, "a reader");
    assert_eq!(machine.hung().len(), 1);
}

/// Kills a process whose child or grandchild hangs. All of it has to be gone soon after.
#[test]
fn what_hangs_never_outlives_whom_it_belongs_to() {
    let cases = [
        "supervisor of a reader",
        "supervisor of a rehearsal",
        "supervisor that rehearses",
        "worker of a reader",
        "worker of a rehearsal",
    ];
    at_once(&cases, |&case| {
        let reader = case.ends_with("a reader");
        let call = if reader { "glReadPixels@40" } else { "eglInitialize@1" };
        let machine = Machine::new(call).role(if reader { "reader" } else { "rehearsal" });
        let process = match case.starts_with("supervisor") {
            // The supervisor rehearses first, and then each worker does.
            true if case.ends_with("a rehearsal") => machine.supervisor(&["--start-timeout", "2"]),
            true => machine.supervisor(&[]),
            false => machine.worker(&[]),
        };
        let viewer = match case {
            "supervisor of a reader" => {
                wait_until_waiting(&machine, &process);
                Some(with_a_reader_that_hangs(&machine, &process).0)
            }
            "worker of a reader" => {
                process.wait_for_line("waiting for a reader");
                let viewer = Viewer::start(&machine.fifo());
                machine.wait_until_hung(1, &process);
                Some(viewer)
            }
            "supervisor of a rehearsal" => {
                machine.wait_until_hung(2, &process);
                None
            }
            _ => {
                machine.wait_until_hung(1, &process);
                None
            }
        };
        kill(&process);
        machine.assert_all_gone(ORPHANS + SLACK);
        drop(viewer);
    });
}

/// The worker is killed, and its supervisor is not.
#[test]
fn a_killed_workers_hanging_child_goes_with_it() {
    let machine = Machine::new("glReadPixels@40").role("reader").once();
    let supervisor = machine.supervisor(&[]);
    let worker = wait_until_waiting(&machine, &supervisor);
    let (viewer, hung) = with_a_reader_that_hangs(&machine, &supervisor);
    let hung = watch(hung);
    kill_process(worker, Signal::KILL).expect("the worker runs");
    assert!(ready(hung.as_fd(), PollFlags::IN, ORPHANS + SLACK), "it outlives its worker");
    viewer.wait_for_end(SLACK);
    // The FIFO belongs to the worker's successor, then.
    let served = || {
        let viewer = Viewer::start(&machine.supervised_fifo());
        let until = std::time::Instant::now() + SLACK;
        while viewer.bytes() < 20_000 && std::time::Instant::now() < until {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        (viewer.bytes() >= 20_000).then_some(())
    };
    until(DEADLINE, "a reader is served again", served);
}
