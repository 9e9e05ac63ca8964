"""More workers and fewer, another image, and as many as fit."""

import contextlib
import time

import kube
from deploying import stream
from faults import UPDATED, watching
from kube import kubectl, settled
from report import check
from viewer import Viewer

# Seconds from the wish for four more workers to decoded pictures of the last.
SCALED = 10.0


@check("scale")
def scale(report):
    """2 workers become 6 and 2 again, while somebody watches and nobody touches the edge"""
    edges = [pod["metadata"]["uid"] for pod in kube.pods("edge").values()]
    try:
        with watching("worker-0") as viewer:
            began = time.monotonic()
            kubectl("scale", "-n", kube.NAMESPACE, "statefulset/worker", "--replicas=6")
            settled(workers=6)
            with contextlib.ExitStack() as stack:
                for number in range(2, 6):
                    stack.enter_context(Viewer(stream(f"worker-{number}"))).wait(30, since=began)
            report.aims_at("from 2 workers to decoded pictures of 6", time.monotonic() - began, SCALED, " s")
            on_nodes = sorted(list(nodes_of(kube.pods("worker")).values()))
            report.expect(on_nodes == [3, 3], "three workers on each node", on_nodes)
            kubectl("scale", "-n", kube.NAMESPACE, "statefulset/worker", "--replicas=2")
            settled(workers=2)
            viewer.wait(30)
            report.aims_at("silence of who watches all the time", viewer.silence(began), 0.5, " s")
            same = edges == [pod["metadata"]["uid"] for pod in kube.pods("edge").values()]
            report.expect(same, "the edge is the same")
    finally:
        kubectl("scale", "-n", kube.NAMESPACE, "statefulset/worker", "--replicas=2")
        settled()


def nodes_of(pods):
    """How many pods each node has."""
    counts = {}
    for pod in pods.values():
        node = pod["spec"]["nodeName"]
        counts[node] = counts.get(node, 0) + 1
    return counts


@check("update")
def update(report):
    """another image rolls out under viewers: how long each worker's sees nothing"""
    before = kube.pods("worker")
    image = before["worker-0"]["spec"]["containers"][0]["image"]
    with watching("worker-0") as first, watching("worker-1") as second:
        began = time.monotonic()
        kubectl("set", "image", "-n", kube.NAMESPACE, "statefulset/worker", f"mb-encode={image.rpartition(':')[0]}:next")
        kubectl("rollout", "status", "-n", kube.NAMESPACE, "statefulset/worker", "--timeout=60s", limit=90)
        settled()
        for viewer in (first, second):
            viewer.wait(30)
        after = kube.pods("worker")
        replaced = all(after[name]["metadata"]["uid"] != before[name]["metadata"]["uid"] for name in before)
        report.expect(replaced, "both workers run the other image")
        for name, viewer in (("worker-0", first), ("worker-1", second)):
            report.aims_at(f"silence of {name}", viewer.silence(began), UPDATED, " s")
            report.expect(viewer.sessions == 1, f"the session at {name} is kept", f"{viewer.sessions} sessions")
