//! Who is let in by a token, and that nobody sees it.

use crate::door::{Door, program};
use crate::support::http::{ask, get};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

fn write(path: &Path, token: &str, mode: u32) {
    let _ = std::fs::remove_file(path);
    std::fs::write(path, token).expect("room for a token");
    std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
}

#[test]
fn only_who_shows_the_token_is_let_in_and_it_shows_nowhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    write(&file, "s3cr3t\n", 0o600);
    let door = Door::start(&["--log-level", "debug", "--token-file", file.to_str().expect("a plain path")]);
    let status = |target: &str, headers: &[&str]| {
        let answer = ask(door.address, "GET", target, headers);
        answer.assert_exact();
        if answer.status == 401 {
            assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"mb-encode\""));
        }
        answer.status
    };
    assert_eq!((status("/", &[]), status("/healthz", &[])), (200, 200), "for probes");
    for target in ["/status", "/metrics", "/stream.ts", "/stream.h264"] {
        for headers in [&[][..], &["Authorization: Bearer wrong"], &["Authorization: Basic s3cr3t"]] {
            assert_eq!(status(target, headers), 401, "{target} {headers:?}");
        }
        assert_eq!(status(&format!("{target}?token=s3cr3"), &[]), 401);
    }
    assert_eq!(status("/status", &["Authorization: Bearer s3cr3t"]), 200);
    assert_eq!(status("/metrics?token=s3cr3t", &[]), 200);
    door.stream("/stream.ts?token=s3cr3t").take(188);
    door.wait_until_alone();

    // A new one counts at once.
    write(&file, "n3w3r", 0o600);
    assert_eq!(status("/status?token=s3cr3t", &[]), 401);
    let mut stream = door.stream("/stream.h264?token=n3w3r");
    stream.take(188);
    for pid in door.children().into_iter().map(|pid| pid.as_raw_nonzero().get()).chain([door.process.id() as i32]) {
        for name in ["cmdline", "environ"] {
            let text = std::fs::read(format!("/proc/{pid}/{name}")).expect("it runs");
            let text = String::from_utf8_lossy(&text);
            assert!(!text.contains("n3w3r") && !text.contains("s3cr3t"), "{name}: {text}");
        }
    }
    drop(stream);
    // A file that is spoilt lets nobody in.
    write(&file, "n3w3r", 0o644);
    assert_eq!(status("/status?token=n3w3r", &[]), 500);
    write(&file, "", 0o600);
    assert_eq!(status("/status?token=", &[]), 500);
    let _ = std::fs::remove_file(&file);
    assert_eq!(status("/status", &[]), 500);
    assert_eq!(status("/healthz", &[]), 200);
    let log = door.process.lines().join("\n");
    assert!(!log.contains("n3w3r") && !log.contains("s3cr3t"), "{log}");
    door.end();
}

/// What it ends with.
fn refused(options: &[&str]) -> String {
    let output = program().args(options).output().expect("it can be run");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{options:?}: {stderr}");
    stderr
}

#[test]
fn beyond_this_machine_a_token_is_asked_for_or_none_on_purpose() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    let path = file.to_str().expect("a plain path");
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:9000"] {
        let stderr = refused(&["--listen", address]);
        assert!(stderr.contains("[listen-open]") && stderr.contains("--token-file"), "{stderr}");
    }
    let with_file = |text: Option<&str>, mode| {
        text.into_iter().for_each(|text| write(&file, text, mode));
        refused(&["--listen", "127.0.0.1:0", "--token-file", path])
    };
    let missing = with_file(None, 0);
    assert!(missing.contains("[token-unreadable]") && missing.contains("umask 077"), "{missing}");
    let open = with_file(Some("secret"), 0o644);
    assert!(open.contains("[token-of-others]") && open.contains("chmod"), "{open}");
    let empty = with_file(Some("\n"), 0o600);
    assert!(empty.contains("[token-empty]"), "{empty}");

    // Who comes by another name than this machine's own is let in there.
    let door = Door::start_beyond(&["--insecure-no-token"]);
    let answer = ask(door.address, "GET", "/status", &[]);
    assert_eq!(answer.status, 200);
    let request = b"GET / HTTP/1.1\r\nHost: robot.example\r\n\r\n";
    let bytes = crate::support::http::send(door.address, request).expect("an answer");
    assert!(bytes.starts_with(b"HTTP/1.1 200 OK\r\n"), "{:?}", String::from_utf8_lossy(&bytes));
    door.end();
    write(&file, "secret", 0o600);
    let door = Door::start_beyond(&["--token-file", path]);
    assert_eq!(get(door.address, "/status").status, 401);
    assert_eq!(get(door.address, "/status?token=secret").status, 200);
    door.end();
}
