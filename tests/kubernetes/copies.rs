//! What stands in two places because a tool reads no file elsewhere, or has no way to take one in.

use crate::manifests::{REPOSITORY, container, example, with};
use crate::support::process::mb_encode;
use crate::yaml::{documents, items, text};
use serde_json::Value;
use std::path::Path;

fn file(path: &str) -> String {
    std::fs::read_to_string(Path::new(REPOSITORY).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The command is in the kustomization that takes the list in.
#[test]
fn the_edges_list_is_what_its_command_makes() {
    let base = example("base/kustomization.yaml");
    let comment: String = base.lines().filter_map(|line| line.trim().strip_prefix('#')).collect::<Vec<_>>().join(" ");
    let (_, command) = comment.split_once("mb-encode go2rtc-config").expect("the command");
    let words = command.split_whitespace().filter(|word| *word != "\\").map(|word| word.trim_matches('\''));
    let words: Vec<_> = words.take_while(|word| !word.ends_with("/go2rtc.yaml")).collect();
    assert_eq!(words.last(), Some(&"--out"), "{words:?}");
    let page = example("README.md");
    let line = page.lines().find(|line| line.trim().starts_with("mb-encode go2rtc-config")).expect("the same command");
    let sorted = |words: Vec<&str>| -> Vec<String> {
        let mut words: Vec<_> = words.iter().map(|word| word.trim_matches('\'').to_owned()).collect();
        words.sort();
        words
    };
    let of_page: Vec<_> = line.split_whitespace().skip(2).filter(|word| !word.ends_with("/go2rtc.yaml")).collect();
    assert_eq!(sorted(of_page), sorted(words.clone()));
    let made = mb_encode().arg("go2rtc-config").args(&words).arg("-").output().expect("it runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let made = String::from_utf8(made.stdout).expect("text");
    assert!(made == example("base/go2rtc.yaml"), "make it anew: mb-encode go2rtc-config {}", words.join(" "));
    let streams = &documents(&made)[0]["streams"];
    assert_eq!(streams.as_object().expect("streams").len(), 200);
}

/// By hand, on the page, beside the DaemonSet, and by that.
#[test]
fn slots_are_written_by_the_same_patch_everywhere() {
    let line = |text: &str| {
        let found =
            text.lines().find_map(|line| line.split_once("kubectl patch node ").map(|(_, rest)| rest.to_owned()));
        found.expect("the line")
    };
    let by_hand = line(&example("README.md"));
    assert_eq!(line(&example("components/nvidia/slots/slots.yaml")), by_hand);
    let words = by_hand
        .replace("NODE", "$(NODE)")
        .replace("\"8\"", "\"$(SLOTS)\"")
        .replace("-p '", "--patch=")
        .replace('\'', "");
    let applied = with(&["nvidia/slots"]);
    let slots = &applied.object("DaemonSet", "nvenc-slots")["spec"]["template"]["spec"];
    let args: Vec<_> = items(&container(slots, "patch")["args"]).map(text).collect();
    assert_eq!(args.join(" "), format!("patch node {words}"));
}

#[test]
fn prometheus_rings_for_the_same_with_an_operator_and_without() {
    let applied = with(&["monitoring"]);
    let rules = &documents(&file("examples/prometheus/alerts.yml"))[0];
    assert_eq!(documents(&example("components/monitoring/rules.yaml"))[0]["spec"], *rules);
    // kustomize breaks lines of expressions where nothing hangs on it.
    let words = |rules: &Value| rules.to_string().replace("\\n", " ").split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(words(&applied.object("PrometheusRule", "mb-encode")["spec"]), words(rules));
    let plain = &documents(&example("components/monitoring/prometheus.yml"))[0];
    let beside = &documents(&file("examples/prometheus/prometheus.yml"))[0];
    let [plain_job, beside_job] = [plain, beside].map(|config| &config["scrape_configs"][0]);
    assert_eq!(plain_job["job_name"], beside_job["job_name"], "the rules name it");
    for key in ["scrape_interval", "evaluation_interval"] {
        assert_eq!(plain["global"][key], beside["global"][key]);
    }
    let endpoint = &applied.object("PodMonitor", "mb-encode")["spec"]["podMetricsEndpoints"][0];
    assert_eq!(endpoint["interval"], plain["global"]["scrape_interval"]);
    assert_eq!(endpoint["relabelings"][0]["replacement"], plain_job["job_name"]);
}

#[test]
fn the_simulators_library_is_the_one_for_everybody() {
    assert!(example("components/frames/mb_frames.py") == file("examples/python/mb_frames.py"));
}

/// Docker builds it once for all images then.
#[test]
fn the_images_are_built_in_the_same_stage() {
    let stage = |path: &str| {
        let text = file(path);
        let (_, rest) = text.split_once("\nFROM ${BUILD_IMAGE} AS build\n").expect("the stage");
        rest.split_once("\nFROM ").expect("another one").0.trim_end().to_owned()
    };
    let [one, other] = ["docker/mb-encode.Dockerfile", "docker/go2rtc.exec.Dockerfile"].map(stage);
    let of_stage = |text: &str| text.split("\n\n\n").next().expect("some").to_owned();
    assert_eq!(of_stage(&one), of_stage(&other));
    let argument = |path: &str, name: &str| {
        let text = file(path);
        text.lines().find_map(|line| line.strip_prefix(&format!("ARG {name}="))).expect("it has a default").to_owned()
    };
    assert_eq!(
        argument("docker/mb-encode.Dockerfile", "BUILD_IMAGE"),
        argument("docker/go2rtc.exec.Dockerfile", "BUILD_IMAGE")
    );
    let go2rtc = argument("docker/mb-encode.Dockerfile", "GO2RTC_IMAGE");
    assert_eq!(format!("{go2rtc}-hardware"), argument("docker/go2rtc.exec.Dockerfile", "BASE_IMAGE"));
}
