"""The components of the example: each is accepted, and frames and monitoring do what they are for."""

import json
import re
import time
import urllib.parse
import urllib.request

import kube
from deploying import EXAMPLE, TOKEN, apply_plain, stream, variant
from faults import stream_processes
from kube import Failed, apply, get, kubectl, until
from report import check
from viewer import Viewer

# Seconds from the first viewer to a decoded picture of somebody else's frames.
FIRST_FRAME = 5.0


@check("dry-run", lane="scheduler")
def dry_run(report):
    """the API server accepts the example with each component, and warns of nothing"""
    kubectl("apply", "-f", str(EXAMPLE / "components/nvidia/runtime-class.yaml"), "--dry-run=server")
    report.ok("nvidia/runtime-class.yaml is accepted")
    components = sorted(
        str(file.parent.relative_to(EXAMPLE / "components")) for file in (EXAMPLE / "components").rglob("kustomization.yaml")
    )
    for name in components:
        said = kube.run(
            *("bash", "-c", 'kubectl apply --dry-run=server -k "$0" 2>&1', variant(f"dry-{name.replace('/', '-')}", name)),
            limit=60,
        )
        report.expect("Warning" not in said, f"{name} is accepted, {len(said.splitlines())} objects, no warning", said[-300:])


@check("frames")
def frames(report):
    """a program beside the worker draws its frames, and only while somebody watches"""
    try:
        kubectl("apply", "-k", variant("frames", "frames"))
        kubectl("rollout", "status", "-n", kube.NAMESPACE, "statefulset/worker", "--timeout=90s", limit=120)
        steps, drawn = told(0)
        report.expect(drawn == 0, f"nobody watches: {steps} steps, no frame", drawn)
        with Viewer(stream("worker-0")) as viewer:
            began = time.monotonic()
            viewer.wait(1)
            report.aims_at("first picture", time.monotonic() - began, FIRST_FRAME, " s")
            viewer.wait(60)
            report.at_least("different pictures", viewer.different(), 30)
        until(20, "no stream process is left", lambda: not stream_processes(kube.worker("worker-0")))
        steps, drawn = told(told(steps)[0])
        later_steps, later = told(steps)
        report.at_least("frames drawn while it was watched", drawn, 30)
        report.expect(later == drawn, f"nobody watches any more: {later_steps - steps} steps, no frame", later - drawn)
    finally:
        apply_plain()


def told(after):
    """Steps and frames that the program beside worker-0 says it has made, the first time it says more steps than that."""

    def look():
        said = kubectl("logs", "-n", kube.NAMESPACE, "worker-0", "-c", "simulator", "--tail=1", may_fail=True)
        found = re.match(r"(\d+) steps, (\d+) frames drawn", said)
        return found and int(found[1]) > after and (int(found[1]), int(found[2]))

    return until(20, "the program beside the worker says what it has drawn", look, every=0.3)


@check("monitoring", lane="workers")
def monitoring(report):
    """a real Prometheus in the cluster scrapes every worker, and a rule rings for a stream that is killed"""
    try:
        kubectl("apply", "-k", variant("monitoring", "monitoring"))
        apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "monitoring"}})
        until(20, "an account for pods", lambda: get("serviceaccounts", "-n", "monitoring")["items"])
        apply(prometheus())
        until(60, "Prometheus is ready", lambda: any(map(kube.is_ready, kube.pods("prometheus", "monitoring").values())))
        address = kube.pods("prometheus", "monitoring")["prometheus"]["status"]["podIP"]

        def answers(expression):
            found = query(address, f"query?query={urllib.parse.quote(expression)}")["result"]
            return {each["metric"].get("instance", ""): float(each["value"][1]) for each in found}

        wanted = {"worker-0": 1.0, "worker-1": 1.0}
        until(30, "both workers are scraped", lambda: answers('up{job="mb-encode"}') == wanted)
        report.ok("up is 1 for worker-0 and worker-1")
        groups = query(address, "rules")["groups"]
        names = {rule["name"] for group in groups for rule in group["rules"]}
        report.expect(names >= {"MbEncodeWorkerDown", "MbEncodeStreamsFail"}, f"{len(names)} rules are loaded", names)
        with Viewer(stream("worker-0")) as viewer:
            viewer.wait(30)
            until(30, "pictures are counted", lambda: answers("sum(mb_encode_pictures_total) > 0"))
            report.ok("the pictures of a viewer are counted")
            for pid in stream_processes(kube.worker("worker-0")):
                kube.run("kill", "-KILL", str(pid))
            viewer.wait(30)

            def rings():
                alerts = query(address, "alerts")["alerts"]
                return [each for each in alerts if each["labels"]["alertname"] == "MbEncodeStreamsFail"]

            ringing = until(30, "MbEncodeStreamsFail rings", rings)
            report.expect(ringing[0]["labels"]["instance"] == "worker-0", "MbEncodeStreamsFail rings for worker-0", ringing)
    finally:
        kubectl("delete", "namespace", "monitoring", "--ignore-not-found", "--wait=false")


def query(address, path):
    with urllib.request.urlopen(f"http://{address}:9090/api/v1/{path}", timeout=5) as answer:
        return json.load(answer)["data"]


def prometheus():
    """Prometheus with the example's own files, which it is to be told twice as often."""
    config = (EXAMPLE / "components/monitoring/prometheus.yml").read_text().replace(": 5s", ": 1s")
    rules = (EXAMPLE.parent / "prometheus/alerts.yml").read_text()
    metadata = {"namespace": "monitoring", "name": "prometheus"}
    volumes = [
        {"name": "config", "configMap": {"name": "prometheus"}},
        {"name": "token", "secret": {"secretName": "worker-token"}},
        {"name": "data", "emptyDir": {}},
    ]
    mounts = {"config": "/etc/prometheus", "token": "/run/secrets/mb-encode", "data": "/data"}
    container = {
        "name": "prometheus",
        "image": "docker.io/library/prometheus:test",
        "imagePullPolicy": "Never",
        "command": ["prometheus", "--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/data"],
        "readinessProbe": {"httpGet": {"path": "/-/ready", "port": 9090}, "periodSeconds": 1},
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in mounts.items()],
    }
    pod = {"containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": 1}
    return {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": metadata,
                "data": {"prometheus.yml": config, "alerts.yml": rules},
            },
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": metadata | {"name": "worker-token"},
                "stringData": {"token": TOKEN},
            },
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": metadata | {"labels": {"app.kubernetes.io/name": "prometheus"}},
                "spec": pod,
            },
        ],
    }
