"""What the scheduler makes of the workers: NVENC slots that it counts, and many nodes over which it spreads them."""

import collections
import contextlib
import json
import subprocess
import time

import kube
from deploying import apply_plain, variant
from kube import apply, get, kubectl, until
from report import check

# On each of two nodes.
SLOTS = 3
SIMULATED_NODES = 20
WORKERS = 200


@check("slots", lane="workers")
def slots(report):
    """NVENC slots are counted: of 8 workers on two nodes with 3 slots each, 2 wait, and run once there is room"""
    more = (
        "configMapGenerator:\n"
        f"  - {{name: nvenc-slots, namespace: mb-encode, behavior: merge, literals: [SLOTS={SLOTS}]}}\n"
        "replicas: [{name: worker, count: 8}]\n"
    )
    # What the GPU operator's feature discovery says of a node with a GPU.
    kubectl("label", "nodes", *kube.NODE_ADDRESSES, "nvidia.com/gpu.present=true", "--overwrite")
    # An update would go from one worker to the next, and stop at the first that finds no slot.
    kubectl("delete", "statefulset", "-n", kube.NAMESPACE, "worker", "--cascade=foreground", limit=60)
    try:
        kubectl("apply", "-k", variant("slots", "nvidia/slots", more=more))
        until(60, "6 workers run and 2 wait", lambda: counts() == (6, 2))
        report.ok("of 8 workers 6 run and 2 are Pending")
        waiting = [pod for pod in kube.pods("worker").values() if pod["status"]["phase"] == "Pending"]
        said = " ".join(each.get("message", "") for pod in waiting for each in pod["status"]["conditions"])
        report.expect("Insufficient mb-encode.dev/nvenc" in said, "which say: Insufficient mb-encode.dev/nvenc", said)
        kubectl("rollout", "status", "-n", kube.NAMESPACE, "daemonset/nvenc-slots", "--timeout=60s", limit=90)
        patch = '[{"op":"add","path":"/status/capacity/mb-encode.dev~1nvenc","value":"4"}]'
        for node in kube.NODE_ADDRESSES:
            kubectl("patch", "node", node, "--subresource=status", "--type=json", "-p", patch)
        until(60, "all 8 run", lambda: counts() == (8, 0))
        report.ok("with 4 slots on each node, by the one-line patch, all 8 run")
    finally:
        kubectl("delete", "-n", kube.NAMESPACE, "daemonset/nvenc-slots", "--ignore-not-found", "--wait=false")
        kubectl("label", "nodes", *kube.NODE_ADDRESSES, "nvidia.com/gpu.present-")
        apply_plain()


def counts():
    """Workers that run with their slot, and such that wait for a place."""
    pods = get("pods", "-n", kube.NAMESPACE, "-l", "app.kubernetes.io/name=worker")["items"]
    slotted = [pod for pod in pods if "mb-encode.dev/nvenc" in json.dumps(pod["spec"])]
    running = sum(kube.is_ready(pod) for pod in slotted)
    return running, sum(pod["status"]["phase"] == "Pending" and "nodeName" not in pod["spec"] for pod in slotted)


@check("many-nodes", lane="scheduler")
def many_nodes(report):
    """200 workers on 20 simulated nodes: 10 on each"""
    taint = {"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}
    room = {"cpu": "32", "memory": "256Gi", "pods": "110"}
    nodes = [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": f"simulated-{number}",
                "labels": {"type": "kwok", "kubernetes.io/hostname": f"simulated-{number}"},
                "annotations": {"kwok.x-k8s.io/node": "fake"},
            },
            "spec": {"taints": [taint]},
            "status": {"allocatable": room, "capacity": room},
        }
        for number in range(SIMULATED_NODES)
    ]
    with simulator():
        began = time.monotonic()
        apply({"apiVersion": "v1", "kind": "List", "items": nodes})
        try:
            apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "simulated"}})
            apply(simulated_workers(taint))
            until(90, f"{WORKERS} workers run", lambda: len(running()) == WORKERS, every=0.5)
            spread = collections.Counter(pod["spec"]["nodeName"] for pod in running())
            report.say(f"{WORKERS} workers run after {time.monotonic() - began:.1f} s")
            report.expect(
                len(spread) == SIMULATED_NODES and set(spread.values()) == {WORKERS // SIMULATED_NODES},
                f"{WORKERS // SIMULATED_NODES} workers on each of {SIMULATED_NODES} nodes",
                dict(spread),
            )
        finally:
            kubectl("delete", "namespace", "simulated", "--wait=false")
            kubectl("delete", "pods", "-n", "simulated", "--all", "--force", "--grace-period=0", "--wait=false")
            kubectl("delete", "nodes", "-l", "type=kwok", "--wait=false")


def simulated_workers(taint):
    """The StatefulSet as it is, in a namespace where nothing runs it, for simulated nodes alone."""
    live = get("statefulset", "worker", "-n", kube.NAMESPACE)
    spec = live["spec"] | {"replicas": WORKERS}
    template = spec["template"]
    template["spec"] |= {
        "nodeSelector": {"type": "kwok"},
        "tolerations": [{"key": taint["key"], "operator": "Exists", "effect": "NoSchedule"}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "worker", "namespace": "simulated"},
        "spec": spec,
    }


def running():
    return [pod for pod in get("pods", "-n", "simulated")["items"] if pod["status"]["phase"] == "Running"]


@contextlib.contextmanager
def simulator():
    """kwok, which answers for nodes that are not there."""
    stages = [f"--config={file}" for file in sorted((kube.WORK / "stages").glob("*.yaml"))]
    command = [
        *("kwok", "--kubeconfig", str(kube.WORK / "simulator.kubeconfig"), "--manage-all-nodes=false"),
        *("--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake", "--node-lease-duration-seconds=40"),
        *stages,
    ]
    with open(kube.WORK / "log/kwok.log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(10)
