//! Who is found where, who may reach whom, and that the parts name each other right.

use crate::manifests::{Applied, TOKEN, combinations, container, containers, with};
use crate::yaml::{items, text};
use base64::Engine as _;
use serde_json::{Value, json};

/// The number of a port that may be named.
fn number(pod: &Value, port: &Value) -> i64 {
    port.as_i64().unwrap_or_else(|| {
        let named = containers(pod).flat_map(|container| items(&container["ports"])).find(|its| its["name"] == *port);
        named.unwrap_or_else(|| panic!("nobody has the port {port}"))["containerPort"].as_i64().expect("a number")
    })
}

fn policy<'a>(applied: &'a Applied, name: &str) -> &'a Value {
    &applied.object("NetworkPolicy", name)["spec"]
}

fn allowed(rule: &Value) -> Vec<(i64, &str)> {
    items(&rule["ports"]).map(|port| (port["port"].as_i64().expect("a number"), text(&port["protocol"]))).collect()
}

#[test]
fn services_and_probes_lead_to_ports_that_are_there() {
    for applied in combinations() {
        for object in applied.objects.iter().filter(|object| object["kind"] == "Service") {
            let selected = |labels: &Value| {
                let mut wanted = object["spec"]["selector"].as_object().expect("a selector").iter();
                wanted.all(|(key, value)| labels[key] == *value)
            };
            let mut workloads = applied.objects.iter().map(|object| &object["spec"]["template"]);
            let pod = workloads.find(|template| selected(&template["metadata"]["labels"])).expect("it leads somewhere");
            for port in items(&object["spec"]["ports"]) {
                let target = if port["targetPort"].is_null() { &port["port"] } else { &port["targetPort"] };
                let target = number(&pod["spec"], target);
                let protocol = |port: &Value| port["protocol"].as_str().unwrap_or("TCP").to_owned();
                let mut ports = containers(&pod["spec"]).flat_map(|container| items(&container["ports"]));
                assert!(ports.any(|its| its["containerPort"] == target && protocol(its) == protocol(port)), "{port}");
            }
        }
        for (name, pod) in applied.workloads().filter(|(name, _)| ["worker", "edge"].contains(name)) {
            let main = &pod["containers"][0];
            for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
                number(pod, &main[probe]["httpGet"]["port"]);
            }
            if name == "worker" {
                assert_eq!(main["startupProbe"]["httpGet"]["path"], "/healthz");
                assert_eq!(main["readinessProbe"]["httpGet"]["path"], "/healthz");
            }
        }
        let worker = &applied.object("Service", "worker")["spec"];
        assert_eq!((&worker["clusterIP"], &worker["publishNotReadyAddresses"]), (&json!("None"), &json!(true)));
        assert_eq!(applied.object("StatefulSet", "worker")["spec"]["serviceName"], "worker");
    }
}

#[test]
fn only_the_edge_reaches_workers_and_viewers_reach_only_the_edge() {
    for applied in combinations() {
        let all = policy(applied, "default-deny");
        assert_eq!(*all, json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}));

        let selects = |name: &str| json!({"matchLabels": {"app.kubernetes.io/name": name}});
        let worker = policy(applied, "worker");
        assert_eq!(worker["podSelector"], selects("worker"));
        let ingress =
            json!([{"from": [{"podSelector": selects("edge")}], "ports": [{"port": 9000, "protocol": "TCP"}]}]);
        assert_eq!((&worker["policyTypes"], &worker["ingress"]), (&json!(["Ingress"]), &ingress));

        let edge = policy(applied, "edge");
        assert_eq!(edge["podSelector"], selects("edge"));
        let [viewers] = &items(&edge["ingress"]).collect::<Vec<_>>()[..] else { panic!("{edge}") };
        assert_eq!(viewers["from"], Value::Null);
        assert_eq!(allowed(viewers), [(1984, "TCP"), (8554, "TCP"), (8555, "TCP"), (8555, "UDP")]);
        let [to_workers, to_dns] = &items(&edge["egress"]).collect::<Vec<_>>()[..] else { panic!("{edge}") };
        assert_eq!(to_workers["to"], json!([{"podSelector": selects("worker")}]));
        assert_eq!(allowed(to_workers), [(9000, "TCP")]);
        assert_eq!(items(&to_dns["to"]).count(), 1);
        assert_eq!(allowed(to_dns), [(53, "UDP"), (53, "TCP")]);

        let names: Vec<_> = applied.objects.iter().filter(|object| object["kind"] == "NetworkPolicy").collect();
        let names: Vec<_> = names.iter().map(|object| text(&object["metadata"]["name"])).collect();
        let known = ["default-deny", "edge", "monitoring", "nvenc-slots", "worker"];
        assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
    }
    let monitoring = with(&["monitoring"]);
    let [rule] = &items(&policy(&monitoring, "monitoring")["ingress"]).collect::<Vec<_>>()[..] else {
        panic!("one rule")
    };
    assert_eq!(items(&rule["from"]).count(), 1, "whoever it is, it is in one namespace");
    assert_eq!(allowed(rule), [(9000, "TCP")]);
}

/// Every `name` under `key`, however deep.
fn named<'a>(value: &'a Value, key: &str, name: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(its, value)| {
            if its == key {
                found.extend(value[name].as_str());
            }
            named(value, key, name, found);
        }),
        Value::Array(items) => items.iter().for_each(|value| named(value, key, name, found)),
        _ => {}
    }
}

#[test]
fn what_is_named_is_there() {
    for applied in combinations() {
        let there = |kind: &str| -> Vec<&str> {
            let of_kind = applied.objects.iter().filter(|object| object["kind"] == kind);
            of_kind.map(|object| text(&object["metadata"]["name"])).collect()
        };
        let (mut maps, mut secrets) = (Vec::new(), Vec::new());
        for object in &applied.objects {
            named(object, "configMap", "name", &mut maps);
            named(object, "configMapRef", "name", &mut maps);
            named(object, "secret", "secretName", &mut secrets);
            named(object, "credentials", "name", &mut secrets);
        }
        let (all_maps, all_secrets) = (there("ConfigMap"), there("Secret"));
        assert!(maps.iter().all(|name| all_maps.contains(name)), "{}: {maps:?} of {all_maps:?}", applied.name);
        assert!(
            secrets.iter().all(|name| all_secrets.contains(name)),
            "{}: {secrets:?} of {all_secrets:?}",
            applied.name
        );
        assert!(all_maps.iter().all(|name| maps.contains(name)), "{}: of no use: {all_maps:?} {maps:?}", applied.name);
        assert!(secrets.len() >= 2, "the workers' and the edge's");
    }
}

#[test]
fn the_token_is_in_its_secret_and_nowhere_else() {
    let coded = base64::engine::general_purpose::STANDARD.encode(TOKEN);
    for applied in combinations() {
        for object in &applied.objects {
            let words = object.to_string();
            assert!(!words.contains(TOKEN), "{}: {}", applied.name, object["metadata"]);
            assert_eq!(words.contains(&coded), object["kind"] == "Secret", "{}: {}", applied.name, object["metadata"]);
        }
        for (name, pod) in applied.workloads() {
            let mut secrets = Vec::new();
            named(pod, "secretKeyRef", "name", &mut secrets);
            named(pod, "secretRef", "name", &mut secrets);
            assert!(secrets.is_empty(), "{name} has it in its environment, which its children inherit");
            let volumes: Vec<_> = items(&pod["volumes"]).filter(|volume| volume["secret"].is_object()).collect();
            for volume in &volumes {
                assert_eq!(volume["secret"]["defaultMode"], 0o440, "the group's alone");
            }
            assert_eq!(volumes.len(), usize::from(["worker", "edge"].contains(&name)), "{name}");
        }
    }
}

/// Each way in says to browsers where it is.
#[test]
fn candidates_for_webrtc_lead_to_the_service() {
    let candidates = |applied: &Applied| {
        let config = crate::yaml::documents(text(&applied.object("ConfigMap", "edge-config")["data"]["webrtc.yaml"]));
        let candidates = &config[0]["webrtc"]["candidates"];
        let [one] = &items(candidates).map(text).collect::<Vec<_>>()[..] else { panic!("one: {candidates}") };
        let (host, port) = one.rsplit_once(':').expect("a port");
        (host.to_owned(), port.parse::<i64>().expect("a number"))
    };
    let webrtc = |applied: &Applied, key: &str| -> Vec<Value> {
        let ports = items(&applied.object("Service", "edge")["spec"]["ports"]);
        ports.filter(|port| text(&port["name"]).starts_with("webrtc-")).map(|port| port[key].clone()).collect()
    };
    let tunnel = with(&[]);
    let (host, port) = candidates(&tunnel);
    assert_eq!((host.as_str(), webrtc(&tunnel, "port")), ("127.0.0.1", vec![json!(port), json!(port)]));

    let nodes = with(&["node-ports"]);
    let (host, port) = candidates(&nodes);
    assert_eq!((host.as_str(), webrtc(&nodes, "nodePort")), ("${NODE_ADDRESS}", vec![json!(port), json!(port)]));
    let gate = container(&nodes.object("Deployment", "edge")["spec"]["template"]["spec"], "gate").clone();
    let variable = items(&gate["env"]).find(|variable| variable["name"] == "NODE_ADDRESS").expect("it is set");
    assert_eq!(variable["valueFrom"]["fieldRef"]["fieldPath"], "status.hostIP");
    assert_eq!(nodes.object("Service", "edge")["spec"]["externalTrafficPolicy"], "Local", "to the edge that said it");

    let balancer = with(&["balancer"]);
    let (_, port) = candidates(&balancer);
    assert_eq!(webrtc(&balancer, "port"), [json!(port), json!(port)]);
}
