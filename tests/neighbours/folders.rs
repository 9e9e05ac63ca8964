//! Folders that strangers rule over: no supervisor works in one, and nothing is written through a link in one.

use crate::rig::{SMALL, names, program};
use crate::support::process::{Ended, Process};
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Stdio;

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn supervise(temp: &Path, folder: &Path) -> Ended {
    let mut command = program(folder);
    command.args(["supervise", "--workers", "1", "--temp"]).arg(temp).arg("--").args(SMALL);
    Process::start(command.stdout(Stdio::null())).wait()
}

#[test]
fn a_supervisor_takes_no_folder_that_others_may_write_to() {
    let folder = tempfile::tempdir().unwrap();
    let parent = folder.path().join("parent");
    let temp = parent.join("temp");
    std::fs::create_dir_all(&temp).unwrap();
    for (parents, its, who) in [(0o755, 0o777, &temp), (0o755, 0o1777, &temp), (0o777, 0o755, &parent)] {
        chmod(&parent, parents);
        chmod(&temp, its);
        let ended = supervise(&temp, folder.path());
        assert_eq!(ended.code(), 2, "{parents:o} {its:o}: {}", ended.stderr);
        let chmod = format!("chmod go-w {}", who.canonicalize().unwrap().display());
        assert!(ended.stderr.contains("[folder-of-others]") && ended.stderr.contains(&chmod), "{}", ended.stderr);
        assert!(names(&temp).is_empty(), "{:?}", names(&temp));
    }
    // A folder in it is older than its good mode, and a link to one that others rule over.
    chmod(&parent, 0o755);
    chmod(&temp, 0o755);
    let logs = folder.path().join("logs");
    std::fs::create_dir(&logs).unwrap();
    chmod(&logs, 0o777);
    symlink(&logs, temp.join("logs")).unwrap();
    let ended = supervise(&temp, folder.path());
    assert!(ended.stderr.contains("[folder-of-others]"), "{}", ended.stderr);
    assert!(names(&logs).is_empty());
}

#[test]
fn a_supervisor_takes_no_folder_of_another_user() {
    let folder = tempfile::tempdir().unwrap();
    let parent = folder.path().join("parent");
    let temp = parent.join("temp");
    std::fs::create_dir_all(&temp).unwrap();
    // Only root can give one away.
    if std::os::unix::fs::chown(&parent, Some(12_345), Some(12_345)).is_err() {
        return;
    }
    let ended = supervise(&temp, folder.path());
    assert_eq!(ended.code(), 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("another user (uid 12345) owns"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("/tmp/mb-encode"), "no advice leads to such a folder: {}", ended.stderr);
    assert!(names(&temp).is_empty());
}

#[test]
fn nothing_is_written_through_a_link_that_others_may_have_put_there() {
    let folder = tempfile::tempdir().unwrap();
    let (shared, victim) = (folder.path().join("shared"), folder.path().join("victim"));
    std::fs::create_dir(&shared).unwrap();
    chmod(&shared, 0o777);
    std::fs::write(&victim, "mine").unwrap();
    let link = shared.join("link");
    symlink(&victim, &link).unwrap();
    for words in [&["--frames", "1", "--out"][..], &["go2rtc-config", "--workers", "1", "--out"], &["--fifo"]] {
        let mut command = program(folder.path());
        if words[0] == "go2rtc-config" {
            command.args(words).arg(&link).arg("--fifo-dir").arg(folder.path().join("streams"));
        } else {
            command.args(SMALL).args(words).arg(&link);
        }
        let ended = Process::start(command.stdout(Stdio::null())).wait();
        assert_eq!(ended.code(), 2, "{words:?}: {}", ended.stderr);
        assert!(ended.stderr.contains("[link-of-others]"), "{words:?}: {}", ended.stderr);
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "mine", "{words:?}");
        assert_eq!(names(&shared), ["link"], "{words:?}");
    }
    // One's own, in a folder of one's own, is followed.
    chmod(&shared, 0o755);
    let mut command = program(folder.path());
    command.args(SMALL).args(["--frames", "1", "--out"]).arg(&link);
    assert_eq!(Process::start(&mut command).wait().code(), 0);
    assert!(std::fs::read(&victim).unwrap().starts_with(&crate::rig::SPS));
}

/// A FIFO that a stranger made first, where everybody may.
#[test]
fn no_fifo_of_a_strangers_is_served_in_a_folder_like_tmp() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("demo.h264");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o666.into(), 0).unwrap();
    if std::os::unix::fs::chown(&path, Some(12_345), Some(12_345)).is_err() {
        return;
    }
    chmod(folder.path(), 0o1777);
    let ended = Process::start(&mut crate::rig::serving(&path, folder.path())).wait();
    assert_eq!(ended.code(), 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("[fifo-of-others]"), "{}", ended.stderr);
}
