//! What every pod is held to, with any component.

use crate::manifests::{NAMESPACE, combinations, container, containers};
use crate::yaml::{items, text};
use serde_json::{Value, json};

/// As `restricted` has them, of Kubernetes' Pod Security Standards, and read-only besides.
fn assert_locked(name: &str, pod: &Value, container: &Value) {
    let what = format!("{} of {name}", container["name"]);
    let [of_pod, of_container] = [&pod["securityContext"], &container["securityContext"]];
    let effective = |key: &str| match &of_container[key] {
        Value::Null => &of_pod[key],
        its => its,
    };
    assert_eq!(effective("runAsNonRoot"), true, "{what}");
    assert!(effective("runAsUser").as_i64().is_some_and(|user| user > 999), "{what} may be root");
    assert_eq!(effective("seccompProfile")["type"], "RuntimeDefault", "{what}");
    assert_eq!(of_container["readOnlyRootFilesystem"], true, "{what}");
    assert_eq!(of_container["allowPrivilegeEscalation"], false, "{what}");
    assert_eq!(of_container["capabilities"], json!({"drop": ["ALL"]}), "{what}");
    assert_eq!(of_container["privileged"], Value::Null, "{what}");
    assert!(items(&container["ports"]).all(|port| port["hostPort"].is_null()), "{what}");
}

#[test]
fn every_container_is_locked() {
    for applied in combinations() {
        for (name, pod) in applied.workloads() {
            for container in containers(pod) {
                assert_locked(name, pod, container);
            }
            for key in ["hostNetwork", "hostPID", "hostIPC"] {
                assert_eq!(pod[key], Value::Null, "{}: {name}", applied.name);
            }
            for volume in items(&pod["volumes"]) {
                let kinds: Vec<_> = volume.as_object().expect("a volume").keys().filter(|key| *key != "name").collect();
                assert!(
                    kinds.iter().all(|kind| ["configMap", "secret", "emptyDir"].contains(&kind.as_str())),
                    "{volume}"
                );
            }
        }
        let namespace = applied.object("Namespace", NAMESPACE);
        assert_eq!(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted");
    }
}

#[test]
fn every_container_says_what_it_needs() {
    for applied in combinations() {
        for (name, pod) in applied.workloads() {
            for container in containers(pod) {
                let resources = &container["resources"];
                let what = format!("{}: {} of {name}", applied.name, container["name"]);
                for need in
                    [&resources["requests"]["cpu"], &resources["requests"]["memory"], &resources["limits"]["memory"]]
                {
                    assert!(need.is_string(), "{what}: {resources}");
                }
                assert_eq!(resources["limits"]["cpu"], Value::Null, "{what} would be stopped in the midst of a frame");
                assert_eq!(container["imagePullPolicy"], "IfNotPresent", "{what}");
            }
        }
    }
}

/// The account of the slots alone talks to the cluster.
#[test]
fn no_other_pod_has_an_account_or_is_told_of_the_cluster() {
    for applied in combinations() {
        for (name, pod) in applied.workloads() {
            assert_eq!(pod["enableServiceLinks"], false, "{}: {name}", applied.name);
            if name != "nvenc-slots" {
                assert_eq!(pod["automountServiceAccountToken"], false, "{}: {name}", applied.name);
                assert_eq!(pod["serviceAccountName"], Value::Null, "{}: {name}", applied.name);
            }
        }
        let bound = applied.objects.iter().filter(|object| text(&object["kind"]).ends_with("Binding"));
        let names: Vec<_> = bound.map(|object| text(&object["metadata"]["name"])).collect();
        assert!(names.iter().all(|name| *name == "mb-encode-nvenc-slots"), "{names:?}");
    }
}

#[test]
fn all_that_is_not_of_the_cluster_is_in_one_namespace() {
    let of_the_cluster = [
        "ClusterRole",
        "ClusterRoleBinding",
        "Namespace",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    ];
    for applied in combinations() {
        for object in &applied.objects {
            let wanted = if of_the_cluster.contains(&text(&object["kind"])) { None } else { Some(NAMESPACE) };
            assert_eq!(object["metadata"]["namespace"].as_str(), wanted, "{}: {}", applied.name, object["metadata"]);
        }
    }
}

#[test]
fn workers_spread_over_nodes_and_leave_one_at_a_time() {
    for applied in combinations() {
        let worker = &applied.object("StatefulSet", "worker")["spec"];
        assert_eq!(worker["podManagementPolicy"], "Parallel");
        let [spread] = &items(&worker["template"]["spec"]["topologySpreadConstraints"]).collect::<Vec<_>>()[..] else {
            panic!("one rule: {worker}");
        };
        assert_eq!(spread["nodeTaintsPolicy"], "Honor");
        assert_eq!(spread["labelSelector"], worker["selector"]);
        for (kind, name) in [("StatefulSet", "worker"), ("Deployment", "edge")] {
            let budget = &applied.object("PodDisruptionBudget", name)["spec"];
            assert_eq!(budget["maxUnavailable"], 1);
            assert_eq!(budget["unhealthyPodEvictionPolicy"], "AlwaysAllow");
            assert_eq!(budget["selector"], applied.object(kind, name)["spec"]["selector"]);
        }
    }
}

/// Who watches is served by the one that goes until the next one is there. Where what it holds is counted, the next one can
/// only come when it has gone.
#[test]
fn workers_hand_over_unless_their_slots_are_counted() {
    for applied in combinations() {
        let pod = &applied.object("StatefulSet", "worker")["spec"]["template"]["spec"];
        let worker = container(pod, "mb-encode");
        let linger = items(&worker["env"]).find(|variable| variable["name"] == "MB_ENCODE_LINGER").expect("it is set");
        let is_counted = worker["resources"]["limits"]["mb-encode.dev/nvenc"].is_number();
        let wanted = if is_counted { (json!(5), "0s") } else { (json!(0), "1800ms") };
        assert_eq!((&pod["terminationGracePeriodSeconds"], text(&linger["value"])), (&wanted.0, wanted.1));
    }
}

/// Nodes without a GPU would count in the even spread, and have no worker at all.
#[test]
fn workers_with_a_gpu_choose_nodes_that_have_one() {
    let applied = crate::manifests::with(&["nvidia"]);
    let worker = &applied.object("StatefulSet", "worker")["spec"]["template"]["spec"];
    let limits = &crate::manifests::container(worker, "mb-encode")["resources"]["limits"];
    assert_eq!((&limits["nvidia.com/gpu"], &limits["mb-encode.dev/nvenc"]), (&json!(1), &json!(1)));
    let slots = &applied.object("DaemonSet", "nvenc-slots")["spec"]["template"]["spec"];
    assert_eq!(worker["nodeSelector"], slots["nodeSelector"]);
    assert_eq!(worker["tolerations"], slots["tolerations"]);
    let patch = items(&crate::manifests::container(slots, "patch")["args"])
        .map(text)
        .find_map(|arg| arg.strip_prefix("--patch="));
    let patch: Value = serde_json::from_str(patch.expect("a patch")).expect("JSON");
    assert_eq!(patch, json!([{"op": "add", "path": "/status/capacity/mb-encode.dev~1nvenc", "value": "$(SLOTS)"}]));
}
