//! The systemd units: valid, and with go2rtc's lock in front of its config.

use crate::support::process::mb_encode;
use std::path::Path;
use std::process::Command;

fn unit(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/systemd").join(name);
    std::fs::read_to_string(path).expect("the unit")
}

/// The values of `key`, with continued lines joined.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    let lines = unit.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('=').filter(|(name, _)| *name == key).map(|(_, value)| value)).collect()
}

#[test]
fn systemd_finds_nothing_wrong() {
    for name in ["mb-encode@.service", "go2rtc.service"] {
        let text = unit(name);
        for (key, value) in [("NoNewPrivileges", "yes"), ("ProtectSystem", "strict"), ("PrivateTmp", "yes")] {
            assert_eq!(values(&text, key), [value], "{name}: {key}");
        }
        assert_eq!(values(&text, "User"), ["mb-encode"], "{name}");
        assert_eq!(values(&text, "CapabilityBoundingSet"), [""], "{name}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    // The programs need not be installed where the units have them.
    for (name, instance) in [("mb-encode@.service", "mb-encode@omega-0.service"), ("go2rtc.service", "go2rtc.service")]
    {
        let text =
            unit(name).replace("/usr/local/bin/mb-encode", "/bin/true").replace("/usr/local/bin/go2rtc", "/bin/true");
        std::fs::write(folder.path().join(name), text).expect("a folder");
        let output = Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .arg(folder.path().join(instance))
            .output()
            .expect("systemd-analyze can be run: apt-get install systemd");
        let words = String::from_utf8_lossy(&output.stderr);
        let ours: Vec<_> =
            words.lines().filter(|line| line.contains("mb-encode@") || line.contains("go2rtc")).collect();
        assert!(output.status.success() && ours.is_empty(), "{name}: {words}");
    }
}

#[test]
fn the_lock_of_the_unit_is_the_one_of_the_config() {
    let text = unit("go2rtc.service").replace("\\\n", "");
    let start = values(&text, "ExecStart")[0];
    let lock = start.split('\'').nth(1).expect("the lock in quotes");
    let lock: serde_json::Value = serde_json::from_str(lock).expect("JSON");
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("go2rtc.yaml");
    let mut command = mb_encode();
    command.args(["go2rtc-config", "--out"]).arg(&out).arg("--fifo-dir").arg(folder.path());
    assert!(command.status().expect("it can be run").success());
    let config = std::fs::read_to_string(out).expect("the config");
    let list = |value: &serde_json::Value| {
        let items: Vec<_> = value.as_array().expect("a list").iter().filter_map(|item| item.as_str()).collect();
        format!("[{}]", items.join(", "))
    };
    for line in [
        format!("modules: {}", list(&lock["app"]["modules"])),
        format!("allow_paths: {}", list(&lock["api"]["allow_paths"])),
        format!("allow_paths: {}", list(&lock["exec"]["allow_paths"])),
        format!("listen: {}", lock["api"]["listen"]),
        format!("listen: {}", lock["rtsp"]["listen"]),
        format!("listen: {}", lock["webrtc"]["listen"]),
        format!("ice_servers: {}", lock["webrtc"]["ice_servers"]),
    ] {
        assert!(config.contains(&format!("  {line}\n")), "{line} is not in\n{config}");
    }
}

/// What a browser is told of the way to WebRTC is as in the config that is made here.
#[test]
fn the_exec_image_offers_webrtc_like_the_config() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = mb_encode();
    command.args(["go2rtc-config", "--mode", "exec", "--out", "-"]).current_dir(folder.path());
    let made = String::from_utf8(command.output().expect("it can be run").stdout).expect("text");
    let image = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker/go2rtc.exec.yaml");
    let image = std::fs::read_to_string(image).expect("the image's config");
    let webrtc = |text: &str| {
        let lines = text.lines().skip_while(|line| *line != "webrtc:").skip(1).take_while(|line| line.starts_with(' '));
        let words: String = lines.filter(|line| !line.trim_start().starts_with('#')).collect();
        words.replace([' ', '"'], "")
    };
    assert_eq!(webrtc(&image), webrtc(&made));
    assert!(webrtc(&made).contains("loopback:true"), "{made}");
}
