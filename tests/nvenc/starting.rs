//! How a worker and its streams come up where the drivers take their time, or are not there.

use crate::run::Run;
use crate::support::process::{DEADLINE, Process, until};
use crate::support::sim::{self, Report};
use rustix::process::Signal;
use std::path::Path;

const SMALL: [&str; 6] = ["--width", "320", "--height", "180", "--log-level", "debug"];

fn worker(fifo: &Path, options: &[&str]) -> Run {
    let mut run = Run::new(&[&SMALL[..], options].concat());
    run.command.arg("--fifo").arg(fifo);
    run
}

/// Both are under way at once where neither of them returns.
#[test]
fn cuda_comes_up_beside_egl_and_not_behind_it() {
    let mut run = Run::new(&[&SMALL[..], &["--stdout"]].concat());
    run.command.env("__EGL_VENDOR_LIBRARY_FILENAMES", sim::egl_vendor());
    let mut run = run.env(&[("MB_SIM_EGL_DEVICES", "0"), ("MB_SIM_HANG", "eglInitialize,cuInit")]);
    let process = Process::start(&mut run.command);
    until(DEADLINE, "both hang", || {
        assert!(process.is_running(), "{:?}", process.lines());
        let report = run.report();
        (report.count("hang.eglInitialize") == 1 && report.count("hang.cuInit") == 1).then_some(())
    });
}

#[test]
fn a_context_that_came_up_early_is_let_go() {
    for order in
        ["", "open:2", "cuda:cuDevicePrimaryCtxRetain:2", "cuda:cuDevicePrimaryCtxRetain:2@0", "cuda:cuInit:999"]
    {
        let options = [&SMALL[..], &["--stdout", "--frames", "3", "--no-pace", "--encoder", "auto"]].concat();
        let mut run = Run::new(&options);
        run.command.env("__EGL_VENDOR_LIBRARY_FILENAMES", sim::egl_vendor());
        let ended = run.env(&[("MB_SIM_EGL_DEVICES", "0"), ("MB_SIM_FAULT", order)]).finish();
        ended.assert_well();
        assert!(!ended.stream.is_empty(), "{order}");
    }
}

/// How often CUDA was initialised and a session asked for by a worker and one reader of it, with this fault.
fn looks(order: &str, encoder: &str) -> (u64, u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let fifo = folder.path().join("demo.h264");
    let mut run = worker(&fifo, &["--encoder", encoder]).env(&[("MB_SIM_FAULT", order)]);
    let process = Process::start(&mut run.command);
    process.wait_for_line("waiting for a reader");
    let mut viewer = crate::fifo::connect(&fifo);
    viewer.units(5);
    drop(viewer);
    process.wait_for_line("reader disconnected");
    process.signal(Signal::TERM);
    assert_eq!(process.wait().code(), 0);
    let report = run.report();
    report.assert_clean();
    (report.count("call.cuInit"), report.count("call.NvEncOpenEncodeSessionEx"))
}

#[test]
fn what_a_rehearsal_has_not_found_is_looked_for_again_only_where_it_may_come() {
    assert_eq!(looks("open:2", "auto"), (1, 1), "no encoder on the chip");
    assert_eq!(looks("open:1", "auto"), (1, 1), "no encoder on the chip");
    assert_eq!(looks("open:15", "auto"), (1, 1), "a driver that is too old");
    // A session may be free a moment later: each of the two asks more than once.
    for order in ["open:10", "open:21"] {
        let (inits, opens) = looks(order, "auto");
        assert!(inits == 2 && opens > 2, "no session is free: {inits}, {opens}");
    }
    // A GPU may only not be ready yet. A process asks when it chooses what draws, and when it opens the encoder.
    assert_eq!(looks("cuda:cuInit:100", "auto"), (4, 0), "no GPU is shown");
}

/// The folder is what two workers have in common.
fn hangs_in_its_rehearsal(folder: &Path, name: &str) -> Run {
    let run = worker(&folder.join(name), &[]);
    let mut run = run.env(&[("MB_SIM_HANG", "cuInit"), ("MB_SIM_HANG_ROLE", "rehearsal")]);
    run.command.env("XDG_RUNTIME_DIR", folder);
    run
}

fn wait_until_hung(run: &Run) {
    until(DEADLINE, "its rehearsal hangs", || (run.report().count("hang.cuInit") == 1).then_some(()));
}

#[test]
fn workers_rehearse_one_after_the_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = hangs_in_its_rehearsal(folder.path(), "first.h264");
    let one = Process::start(&mut first.command);
    wait_until_hung(&first);
    let mut second = worker(&folder.path().join("second.h264"), &[]);
    let two = Process::start(second.command.env("XDG_RUNTIME_DIR", folder.path()));
    two.wait_for_line("another worker rehearses");
    assert_eq!(second.report(), Report::default(), "no driver is loaded meanwhile");
    // However the first one ends.
    one.signal(Signal::KILL);
    two.wait_for_line("waiting for a reader");
    // One that serves keeps nobody waiting.
    let mut third = worker(&folder.path().join("third.h264"), &[]);
    let three = Process::start(third.command.env("XDG_RUNTIME_DIR", folder.path()));
    three.wait_for_line("waiting for a reader");
    assert!(!three.lines().iter().any(|line| line.contains("another worker rehearses")), "{:?}", three.lines());
}

#[test]
fn a_neighbour_that_hangs_is_not_waited_for_beyond_a_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = hangs_in_its_rehearsal(folder.path(), "first.h264");
    let one = Process::start(&mut first.command);
    wait_until_hung(&first);
    let mut second = worker(&folder.path().join("second.h264"), &["--start-timeout", "3"]);
    let two = Process::start(second.command.env("XDG_RUNTIME_DIR", folder.path()));
    two.wait_for_line("waiting for a reader");
    assert!(one.is_running() && first.report().count("hang.cuInit") == 1, "{:?}", one.lines());
}

#[test]
fn a_worker_that_somebody_waits_for_waits_for_no_turn() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = hangs_in_its_rehearsal(folder.path(), "first.h264");
    let one = Process::start(&mut first.command);
    wait_until_hung(&first);
    // As an earlier run leaves it, with a reader.
    let fifo = folder.path().join("second.h264");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600), 0)
        .expect("a FIFO can be made");
    let reader = std::thread::spawn({
        let fifo = fifo.clone();
        move || std::fs::read(fifo).expect("it can be read")
    });
    let mut second = worker(&fifo, &[]);
    let two = Process::start(second.command.env("XDG_RUNTIME_DIR", folder.path()));
    assert_eq!(reader.join().expect("it reads"), b"", "it is told to come again");
    two.wait_for_line("waiting for a reader");
    assert!(one.is_running(), "{:?}", one.lines());
}
