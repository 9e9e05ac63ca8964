"""What a viewer sees when something goes: a pod, a process, an edge, a node, a link."""

import contextlib
import os
import signal
import subprocess
import time

import kube
from deploying import edge, stream, stream_by_service
from kube import Failed, get, kubectl, processes, replaced, settled, until
from report import check
from viewer import Viewer

# Seconds without a picture at the most, at somebody who watches what goes.
POD_DELETED = 2.0
STREAM_KILLED = 0.5
# The container is started again by the node: a second, and what a viewer's edge needs to notice.
WORKER_KILLED = 2.5
EDGE_DELETED = 1.5
DRAINED = 2.5
UPDATED = 2.5
# Beyond the time for which the link was cut, or the node was not known to be lost.
LINK_BACK = 2.0
# What marks the node deletes its pods, and another one is made at once.
NODE_LOST = 10.0

# How long a cut lasts.
CUT = 3.0
# After which the control plane takes a silent node for lost: --node-monitor-grace-period of control_plane.sh.
NODE_GRACE = 12.0


@contextlib.contextmanager
def watching(name, address=stream, patience=20):
    """Somebody who has watched a worker for a second already."""
    with Viewer(address(name), patience) as viewer:
        viewer.wait(30)
        yield viewer


def node_of(name):
    return kube.worker(name)["spec"]["nodeName"]


def other(node):
    return "node-2" if node == "node-1" else "node-1"


def stream_processes(pod):
    """The processes that make streams, one a reader, in a worker's pod: children of its first process."""
    return [pid for pid in processes(pod) if started_by_mb_encode(pid)]


def started_by_mb_encode(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            parent = stat.read().rpartition(")")[2].split()[1]
        with open(f"/proc/{parent}/comm") as comm:
            return comm.read().strip() == "mb-encode"
    except OSError:
        return False


def seen_again(report, viewer, began, target):
    """Waits until the viewer sees pictures again: how long there were none, and whether its session was kept."""
    viewer.wait(30)
    report.aims_at("silence", viewer.silence(began), target, " s")
    same_session(report, viewer)


def same_session(report, viewer):
    report.expect(viewer.sessions == 1, "the viewer's session is kept", f"{viewer.sessions} sessions")


def worker_apart():
    """A node by which no viewer comes, and which the edge is not on, and the name of its worker."""
    node = other(edge()["spec"]["nodeName"])
    return node, next(name for name in kube.pods("worker") if node_of(name) == node)


@check("delete-pod")
def delete_pod(report):
    """a worker's pod is deleted: how long its viewer sees nothing"""
    old = kube.worker("worker-0")
    with watching("worker-0") as viewer:
        began = time.monotonic()
        kubectl("delete", "pod", "-n", kube.NAMESPACE, "worker-0", "--wait=false")
        until(30, "another worker-0", lambda: replaced("worker-0", old))
        seen_again(report, viewer, began, POD_DELETED)


@check("kill-stream")
def kill_stream(report):
    """the process that makes a stream is killed: how long its viewer sees nothing"""
    with watching("worker-0") as viewer:
        pids = stream_processes(kube.worker("worker-0"))
        if not pids:
            raise Failed(f"no process of the worker makes a stream: {processes(kube.worker('worker-0'))}")
        began = time.monotonic()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        seen_again(report, viewer, began, STREAM_KILLED)


@check("kill-worker")
def kill_worker(report):
    """all processes of a worker are killed: how long its viewer sees nothing"""
    old = kube.worker("worker-1")
    with watching("worker-1") as viewer:
        began = time.monotonic()
        for pid in processes(old):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(30, "worker-1 starts again", lambda: replaced("worker-1", old))
        seen_again(report, viewer, began, WORKER_KILLED)


@check("two-edges")
def two_edges(report):
    """two edges behind one Service, and one of them is deleted: how long its viewers see nothing"""
    kubectl("scale", "-n", kube.NAMESPACE, "deployment/edge", "--replicas=2")
    try:
        settled(edges=2)
        # As many as it takes until each of both has some: the Service chooses by chance.
        with contextlib.ExitStack() as stack:
            viewers = [stack.enter_context(watching("worker-0", stream_by_service, patience=2)) for _ in range(2)]
            served = until(20, "both edges ask worker-0 for its stream", lambda: spread(stack, viewers))
            report.ok(f"both edges serve viewers: {served} streams for {len(viewers)} viewers")
            began = time.monotonic()
            gone = edge()["metadata"]["name"]
            kubectl("delete", "pod", "-n", kube.NAMESPACE, gone, "--wait=false")
            until(30, f"{gone} ends", lambda: gone not in kube.pods("edge"))
            settled(edges=2)
            for viewer in viewers:
                viewer.wait(30)
            report.aims_at("silence", max(viewer.silence(began) for viewer in viewers), EDGE_DELETED, " s")
            sessions = sum(viewer.sessions for viewer in viewers)
            report.expect(sessions > len(viewers), "who watched by it has come to the other", f"{sessions} sessions")
    finally:
        kubectl("scale", "-n", kube.NAMESPACE, "deployment/edge", "--replicas=1")
        settled()


def spread(stack, viewers):
    """Whether two edges ask for the stream: another viewer where not."""
    streams = len(stream_processes(kube.worker("worker-0")))
    if streams >= 2:
        return streams
    if len(viewers) < 8:
        viewers.append(stack.enter_context(watching("worker-0", stream_by_service, patience=2)))
    return None


@check("drain")
def drain(report):
    """a worker's node is drained: how long its viewer sees nothing"""
    away, name = worker_apart()
    old = kube.worker(name)
    try:
        with watching(name) as viewer:
            began = time.monotonic()
            kubectl("drain", away, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=60s", limit=90)
            until(30, f"another {name}", lambda: replaced(name, old))
            viewer.wait(30)
            report.aims_at("silence", viewer.silence(began), DRAINED, " s")
            report.expect(node_of(name) != away, "the worker is on the other node")
    finally:
        kubectl("uncordon", away)
        spread_out()


def spread_out():
    """Brings the workers back to a node each."""
    settled()
    if len({pod["spec"]["nodeName"] for pod in kube.pods("worker").values()}) == 1:
        old = kube.worker("worker-1")
        kubectl("delete", "pod", "-n", kube.NAMESPACE, "worker-1", "--wait=false")
        until(30, "another worker-1", lambda: replaced("worker-1", old))
    settled()


@check("cut-link")
def cut_link(report):
    """the link of a worker's node is cut for 3 s: how long after it its viewer sees nothing"""
    away, name = worker_apart()
    with watching(name) as viewer:
        began = time.monotonic()
        link(away, "down")
        time.sleep(CUT)
        link(away, "up")
        back = time.monotonic()
        viewer.wait(30, since=back)
        silence = viewer.silence(began)
        report.at_least("silence", silence, CUT * 0.8, " s")
        report.aims_at("silence after the link is back", silence - CUT, LINK_BACK, " s")
        same_session(report, viewer)
    settled()


def link(node, state):
    subprocess.run(["ip", "link", "set", node, state], check=True)


@check("lose-node", lane="last")
def lose_node(report):
    """a worker's node is lost for good: how long its viewer sees nothing once it is said to be out of service"""
    away, name = worker_apart()
    old = kube.worker(name)
    with watching(name, patience=60) as viewer:
        began = time.monotonic()
        os.kill(int((kube.WORK / f"{away}.pid").read_text()), signal.SIGKILL)
        until(60, f"{away} is not Ready", lambda: not node_is_ready(away))
        known = time.monotonic()
        report.aims_at("until the node is known to be lost", known - began, NODE_GRACE + 5, " s")
        kubectl("taint", "node", away, "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute")
        until(60, f"another {name}", lambda: replaced(name, old))
        viewer.wait(30)
        report.aims_at("silence after that", viewer.silence(began) - (known - began), NODE_LOST, " s")
        report.say(f"silence in all: {viewer.silence(began):.1f} s")
        same_session(report, viewer)
        report.expect(node_of(name) != away, "the worker is on the other node")


def node_is_ready(name):
    conditions = {each["type"]: each["status"] for each in get("node", name)["status"]["conditions"]}
    return conditions.get("Ready") == "True"
