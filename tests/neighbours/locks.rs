//! One worker a FIFO, by whatever way it is come to, and nobody who may not write there in between.

use crate::rig::{SPS, Worker, connect, names, program, serving};
use crate::support::process::{Ended, Process, ready};
use rustix::event::PollFlags;
use rustix::fd::AsFd as _;
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

fn assert_taken(ended: &Ended) {
    assert_eq!(ended.code(), 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("[fifo-taken]"), "{}", ended.stderr);
}

#[test]
fn another_path_to_the_same_fifo_is_the_same_fifo() {
    let worker = Worker::start();
    let links = tempfile::tempdir().unwrap();
    let (to_folder, to_fifo) = (links.path().join("folder"), links.path().join("fifo"));
    std::os::unix::fs::symlink(worker.folder.path(), &to_folder).unwrap();
    std::os::unix::fs::symlink(&worker.path, &to_fifo).unwrap();
    for path in [to_folder.join("demo.h264"), to_fifo] {
        assert_taken(&Process::start(&mut serving(&path, links.path())).wait());
    }
    assert_eq!(connect(&worker.path).take_bytes(5), SPS);
    worker.end();
}

/// For root alone: nobody else may make such a namespace everywhere.
#[test]
fn another_network_or_mount_leads_to_the_same_fifo() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let worker = Worker::start();
    let other = tempfile::tempdir().unwrap();
    let script = r#"mount --bind "$1" "$2" && shift 2 && exec "$@""#;
    let serving = serving(&other.path().join("demo.h264"), other.path());
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "sh", "-c", script, "sh"]).arg(worker.folder.path()).arg(other.path());
    command.arg(serving.get_program()).args(serving.get_args()).stdin(Stdio::null()).stdout(Stdio::null());
    crate::support::process::pass_environment(&serving, &mut command);
    let ended = Process::start(&mut command).wait();
    // A sandbox may forbid even root to do that.
    if ended.stderr.contains("[fifo-taken]") || !ended.stderr.contains("Operation not permitted") {
        assert_taken(&ended);
    }
    worker.end();
}

#[test]
fn two_names_of_one_fifo_never_mix_two_streams() {
    let folder = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir_in(folder.path().parent().unwrap()).unwrap();
    let (path, second) = (folder.path().join("demo.h264"), other.path().join("demo.h264"));
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o640.into(), 0).unwrap();
    std::fs::hard_link(&path, &second).unwrap();
    let worker = Worker::start_in(folder);
    let rival = Worker::start_in(other);
    // Both wait on the same pipe; one of them has it, or its reader is turned away because it counts two.
    let mut stream = Vec::new();
    File::open(&worker.path).unwrap().take(20_000).read_to_end(&mut stream).unwrap();
    let starts = stream.windows(5).filter(|bytes| *bytes == SPS).count();
    assert!(stream.is_empty() || stream.starts_with(&SPS) && starts <= 2, "{starts} starts in {} bytes", stream.len());
    // From then on each has its own.
    for at in [&worker, &rival] {
        let begins = || connect(&at.path).take_bytes(5) == SPS;
        assert!(begins());
    }
    worker.end();
    rival.end();
}

#[test]
fn who_may_not_write_there_keeps_nobody_from_serving_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    // What somebody can take who may only look.
    let looked_at = File::open(folder.path()).unwrap();
    flock(&looked_at, FlockOperation::NonBlockingLockExclusive).unwrap();
    let worker = Worker::start_in(folder);
    let lock = worker.folder.path().join(".demo.h264.mb-encode");
    let mode = std::fs::metadata(lock).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o700, "nobody else can open it");
    worker.end();
}

#[test]
fn a_supervisor_starts_though_somebody_has_locked_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let temp = folder.path().join("temp");
    std::fs::create_dir(&temp).unwrap();
    let looked_at = File::open(&temp).unwrap();
    flock(&looked_at, FlockOperation::NonBlockingLockExclusive).unwrap();
    let start = || {
        let mut command = program(folder.path());
        command.args(["supervise", "--workers", "1", "--temp"]).arg(&temp).arg("--").args(crate::rig::SMALL);
        Process::start(command.stdout(Stdio::null()))
    };
    let supervisor = start();
    let fifo = temp.join("streams/omega-0.h264");
    crate::rig::until("no worker", || fifo.with_file_name(".omega-0.h264.mb-encode").exists().then_some(()));
    assert_eq!(connect(&fifo).take_bytes(5), SPS);
    let second = start().wait();
    assert_eq!(second.code(), 2, "{}", second.stderr);
    assert!(second.stderr.contains("[supervisor-running]"), "{}", second.stderr);
    supervisor.signal(rustix::process::Signal::TERM);
    assert_eq!(supervisor.wait().code(), 0);
    assert_eq!(names(&temp), ["logs", "streams"], "neither a lock nor a socket");
    assert_eq!(names(&temp.join("streams")), ["omega-0.h264"]);
}

/// A worker of another user's, or what is left of one, is told of.
#[test]
fn a_lock_of_another_users_is_told_of_with_what_to_type() {
    let folder = tempfile::tempdir().unwrap();
    let lock = folder.path().join(".demo.h264.mb-encode");
    std::fs::create_dir(&lock).unwrap();
    std::fs::write(lock.join("something"), "").unwrap();
    let ended = Process::start(&mut serving(&folder.path().join("demo.h264"), folder.path())).wait();
    assert_taken(&ended);
    assert!(ended.stderr.contains("rm -r ") && ended.stderr.contains("/.demo.h264.mb-encode"), "{}", ended.stderr);
    assert!(lock.join("something").exists(), "nothing of theirs is touched");
}

#[test]
fn a_reader_may_not_write_unless_its_worker_was_told_so() {
    let worker = Worker::start();
    let pipe = connect(&worker.path);
    assert!(ready(pipe.as_fd(), PollFlags::IN, Duration::from_secs(20)));
    let mode = std::fs::metadata(&worker.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o640);
    drop(pipe);
    worker.end();
}
