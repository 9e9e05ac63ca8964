//! A reader that stops reading is no hang, however long it does.

use crate::rig::{Machine, at_once, make_fifo};
use crate::support::process::{Process, Reader};
use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;
use std::fs::File;
use std::io::Read;
use std::process::Stdio;
use std::time::Duration;

/// Many times the limit of a picture.
const PAUSE: Duration = Duration::from_secs(12);
/// More than a pipe holds.
const MORE: usize = 300_000;

/// As much as fills a pipe within a second.
fn options(machine: &Machine) -> Vec<String> {
    let mut options = machine.small(&["--hang-timeout", "1", "--start-timeout", "15", "--bitrate", "20M"]);
    for (name, value) in [("--width", "320"), ("--height", "180"), ("--fps", "60")] {
        let at = options.iter().position(|word| word == name).expect("a small stream says so");
        options[at + 1] = value.to_owned();
    }
    options
}

/// Reads, does not read for a long time, and reads on.
fn assert_goes_on(process: &Process, mut reader: Reader<impl Read + rustix::fd::AsFd>, what: &str) {
    reader.take_bytes(10_000);
    assert!(process.is_running_after(PAUSE), "{what}: {:?}", process.lines());
    reader.take_bytes(MORE);
    let said = process.lines().join("\n");
    assert!(process.is_running() && !said.contains("no progress"), "{what}: {said}");
}

/// Ctrl-Z, and some time later `fg`.
#[test]
fn a_process_that_was_stopped_and_goes_on_does_not_hang() {
    let machine = Machine::new("glFinish@1000000");
    let mut command = machine.bare();
    let mut process = Process::start(command.args(options(&machine)).arg("--stdout").stdout(Stdio::piped()));
    let mut reader = process.stdout();
    for _ in 0..3 {
        reader.take_bytes(20_000);
        process.signal(Signal::STOP);
        std::thread::sleep(Duration::from_secs(3));
        process.signal(Signal::CONT);
    }
    reader.take_bytes(20_000);
    assert!(process.is_running(), "{:?}", process.lines());
}

#[test]
fn a_paused_reader_is_no_hang() {
    at_once(&["--stdout", "--fifo"], |&mode| {
        // A call that never comes: nothing hangs.
        let machine = Machine::new("glFinish@1000000");
        let mut command = machine.bare();
        command.args(options(&machine)).arg(mode);
        if mode == "--stdout" {
            let mut process = Process::start(command.stdout(Stdio::piped()));
            let reader = process.stdout();
            assert_goes_on(&process, reader, mode);
        } else {
            make_fifo(&machine.fifo());
            let process = Process::start(command.arg(machine.fifo()));
            process.wait_for_line("waiting for a reader");
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let fd = rustix::fs::open(machine.fifo(), flags, Mode::empty()).expect("the FIFO is there");
            let reader = Reader::new(File::from(fd));
            assert_goes_on(&process, reader, mode);
            // And it is the first reader still.
            let connected = process.lines().iter().filter(|line| line.contains("reader connected")).count();
            assert_eq!(connected, 1, "{:?}", process.lines());
        }
    });
}
