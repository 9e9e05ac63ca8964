//! The systemd units and the image: valid, and with the gate in front of go2rtc.

use crate::alone;
use crate::rig::{Rig, SMALL, port_options, small};
use crate::support::decode::{Decoder, Form, Source, assert_in_order};
use crate::support::go2rtc::{self, free_ports};
use crate::support::process::{Process, mb_encode};
use mb_encode::parts::DRIVER_CAPABILITIES;
use mb_encode::settings::Size;
use rustix::process::Signal;
use std::path::Path;
use std::process::{Command, Stdio};

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
    // The programs need not be installed where the units have them. What another one wants has to be there as well.
    for (name, instance) in [
        ("mb-encode-nvidia.service", "mb-encode-nvidia.service"),
        ("mb-encode@.service", "mb-encode@omega-0.service"),
        ("go2rtc.service", "go2rtc.service"),
    ] {
        let text =
            unit(name).replace("/usr/local/bin/mb-encode", "/bin/true").replace("/usr/local/bin/go2rtc", "/bin/true");
        std::fs::write(folder.path().join(name), text).expect("a folder");
        let output = Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .arg(folder.path().join(instance))
            .output()
            .expect("systemd-analyze can be run: apt-get install systemd");
        let words = String::from_utf8_lossy(&output.stderr);
        let ours: Vec<_> = words.lines().filter(|line| line.contains("mb-encode") || line.contains("go2rtc")).collect();
        assert!(output.status.success() && ours.is_empty(), "{name}: {words}");
    }
}

/// A worker may gain no rights, so what CUDA has a setuid program do is done before, by a unit of root's.
#[test]
fn nvidias_modules_are_loaded_before_the_workers() {
    let (worker, before) = (unit("mb-encode@.service"), unit("mb-encode-nvidia.service"));
    assert_eq!(values(&worker, "NoNewPrivileges"), ["yes"]);
    assert_eq!(values(&worker, "Wants"), ["mb-encode-nvidia.service"]);
    assert_eq!(values(&worker, "After"), ["mb-encode-nvidia.service"]);
    // Once, as root, ended before they start; and no failure where there is nothing to load.
    assert_eq!((values(&before, "Type"), values(&before, "RemainAfterExit")), (vec!["oneshot"], vec!["yes"]));
    assert_eq!(values(&before, "ExecStart"), ["-/usr/bin/nvidia-modprobe -c 0 -u"]);
    assert_eq!(values(&before, "ConditionPathExists"), ["/usr/bin/nvidia-modprobe"]);
    for key in ["User", "PrivateDevices", "ProtectKernelModules", "DevicePolicy", "CapabilityBoundingSet"] {
        assert_eq!(values(&before, key), [""; 0], "{key}");
    }
    // What is made there may be opened here.
    let allowed = values(&worker, "DeviceAllow");
    assert!(allowed.contains(&"char-nvidia-uvm rw") && allowed.contains(&"char-nvidia-frontend rw"), "{allowed:?}");
}

/// The two ways to a GPU differ in how they ask for it, and in nothing else that they change. Compose itself looks at them in
/// `scripts/docker-test`.
#[test]
fn the_gpu_files_ask_for_a_gpu() {
    use saphyr::{LoadableYamlNode as _, Yaml};
    for (name, driver) in [("gpu", "nvidia"), ("cdi", "cdi")] {
        let path = format!("{}/docker/docker-compose.go2rtc.{name}.yml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("the file");
        let yaml = Yaml::load_from_str(&text).expect("YAML");
        let service = &yaml[0]["services"]["go2rtc"];
        let device = &service["deploy"]["resources"]["reservations"]["devices"][0];
        assert_eq!(device["driver"].as_str(), Some(driver), "{name}");
        assert_eq!(device["capabilities"][0].as_str(), Some("gpu"), "{name}: Compose wants it");
        assert_eq!(service["group_add"][0].as_str(), Some("${MB_ENCODE_GPU_GID:-video}"), "{name}");
        match driver {
            "cdi" => assert_eq!(device["device_ids"][0].as_str(), Some("nvidia.com/gpu=all")),
            _ => {
                assert_eq!(device["count"].as_str(), Some("all"));
                let capabilities = service["environment"]["NVIDIA_DRIVER_CAPABILITIES"].as_str();
                assert_eq!(
                    capabilities.map(|its| format!("NVIDIA_DRIVER_CAPABILITIES={its}")).as_deref(),
                    Some(DRIVER_CAPABILITIES)
                );
            }
        }
    }
}

/// What the unit of go2rtc runs, with a config of its making, on ports of this test's.
#[test]
fn the_unit_runs_go2rtc_behind_the_gate() {
    let _alone = alone();
    let text = unit("go2rtc.service");
    let start = values(&text, "ExecStart")[0].split(' ').collect::<Vec<_>>();
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("go2rtc.yaml");
    let mut command = mb_encode();
    command.args(["go2rtc-config", "--workers", "1", "--mode", "exec", "--out"]).arg(&config);
    assert!(command.arg("--").args(SMALL.split(' ')).status().expect("it can be run").success());
    let ports = free_ports();
    let mut command = mb_encode();
    assert_eq!(start[0], "/usr/local/bin/mb-encode");
    for word in &start[1..] {
        match *word {
            "/usr/local/bin/go2rtc" => command.arg(go2rtc::find()),
            "/etc/mb-encode/go2rtc.yaml" => command.arg(&config),
            word => command.arg(word),
        };
    }
    assert_plays(command, folder.path(), ports, "omega-0", small());
}

/// The command of the exec image, with its config.
#[test]
fn the_exec_image_runs_go2rtc_behind_the_gate() {
    let _alone = alone();
    let docker = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker");
    let dockerfile = std::fs::read_to_string(docker.join("go2rtc.exec.Dockerfile")).expect("the file");
    let cmd = dockerfile.lines().find_map(|line| line.strip_prefix("CMD ")).expect("a command");
    let words: Vec<String> = serde_json::from_str(cmd).expect("JSON");
    assert_eq!(words, ["mb-encode", "gate", "--go2rtc", "go2rtc", "--config", "/etc/go2rtc/go2rtc.yaml"]);
    let compose = std::fs::read_to_string(docker.join("docker-compose.go2rtc.exec.yml")).expect("the file");
    let same = format!("command: [{}]", words.join(", ")).replace("/etc/go2rtc/", "/config/");
    assert!(compose.contains(&same), "{same}");
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = mb_encode();
    let bin = Path::new(command.get_program()).parent().expect("a folder").to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&path))).expect("a PATH");
    command.args(["gate", "--go2rtc"]).arg(go2rtc::find()).arg("--config").arg(docker.join("go2rtc.exec.yaml"));
    assert_plays(command.env("PATH", path), folder.path(), free_ports(), "demo", Size::new(1280, 720).expect("a size"));
}

fn assert_plays(command: impl std::borrow::BorrowMut<Command>, temp: &Path, ports: [u16; 3], id: &str, size: Size) {
    let mut command = command;
    let command = command.borrow_mut().args(port_options(ports)).stdin(Stdio::null()).stdout(Stdio::null());
    let process = Process::start(command);
    let rig = Rig { process, addresses: Vec::new(), temp: temp.to_owned(), ports, folder: None };
    rig.process.wait_for_line("watch at http://127.0.0.1:");
    assert_in_order(&Decoder::start(Source::Rtsp(&rig.rtsp(id)), size, Form::Yuv420p, None).take_marks(5));
    assert_eq!(rig.ask("PUT", &format!("api/streams?src={id}"), "").0, 405);
    rig.process.signal(Signal::TERM);
    assert_eq!(rig.process.wait().code(), 0);
}
