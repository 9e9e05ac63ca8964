"""Deploys the example with this or that component, and plays every worker for the first time."""

import os
import time

import kube
from kube import NODE_ADDRESSES, Failed, kubectl, settled
from viewer import Viewer

HTTP_PORT, RTSP_PORT = 30984, 30554
# As deployment/kustomization.yaml has them.
TOKEN = "6c1f9e3a"
SERVICE = "10.96.0.84"
# From a running cluster with nothing pulled to decoded pictures of every worker.
READY_TO_DECODED = 15.0

EXAMPLE = kube.HERE.parent.parent / "examples/kubernetes"


def edge():
    """One edge's pod."""
    return next(iter(kube.pods("edge").values()))


def edge_address():
    """The address of a node that has an edge: another one leads nowhere, see components/node-ports."""
    return NODE_ADDRESSES[edge()["spec"]["nodeName"]]


def page():
    """Where viewers find the edge with a browser."""
    return f"http://{edge_address()}:{HTTP_PORT}"


def stream(worker):
    """Where viewers find a worker's stream by RTSP."""
    return f"rtsp://{edge_address()}:{RTSP_PORT}/{worker}"


def stream_by_service(worker):
    """The same by the Service, behind which there may be several edges."""
    return f"rtsp://{SERVICE}:8554/{worker}"


def variant(name, *components, more=""):
    """A kustomization of the deployment with components of the example, and with `more` on top of these; its folder."""
    folder = write_kustomization(
        name,
        f"resources: [{{}}/{os.path.relpath(kube.HERE / 'deployment', kube.WORK)}]",
        f"components: [{', '.join(f'{{}}/{os.path.relpath(EXAMPLE, kube.WORK)}/components/{each}' for each in components)}]",
    )
    return write_kustomization(f"{name}-more", f"resources: [../{name}]", more) if more else folder


def write_kustomization(name, *lines):
    """A folder with a kustomization of these lines, in which {} is where the work is."""
    folder = kube.WORK / "variants" / name
    folder.mkdir(parents=True, exist_ok=True)
    head = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
    (folder / "kustomization.yaml").write_text(head + "\n".join(lines).replace("{}", "../.."))
    return str(folder)


def apply_plain():
    """Goes back to the deployment without any component but the nodes' ports."""
    kubectl("apply", "-k", str(kube.HERE / "deployment"))
    kubectl("rollout", "status", "-n", kube.NAMESPACE, "statefulset/worker", "--timeout=60s", limit=90)
    settled()


def deploy(report):
    """Applies what people apply, and returns when all of it has been decoded."""
    began = time.monotonic()
    kubectl("apply", "-k", str(kube.HERE / "deployment"))
    try:
        settled()
    except Failed as failed:
        raise Failed(f"{failed}\n{describe()}") from failed
    report.say(f"pods ready {time.monotonic() - began:.1f} s after apply")
    viewers = [Viewer(stream(name)) for name in kube.pods("worker")]
    try:
        for viewer in viewers:
            viewer.wait(30, since=began)
    except Failed as failed:
        raise Failed(f"{failed}\n{describe()}") from failed
    took = time.monotonic() - began
    for viewer in viewers:
        viewer.stop()
        report.at_least(f"different pictures of {viewer.address}", viewer.different(), 15)
    report.aims_at("from apply to 30 decoded pictures of every worker", took, READY_TO_DECODED, " s")


def describe():
    """What the cluster says of pods that do not come up."""
    events = kubectl("get", "events", "-n", kube.NAMESPACE, "--sort-by=.lastTimestamp", may_fail=True)
    logs = [
        kubectl("logs", "-n", kube.NAMESPACE, "-l", f"app.kubernetes.io/name={app}", "--tail=5", may_fail=True)
        for app in ("worker", "edge")
    ]
    pods = kubectl("get", "pods", "-A", "-o", "wide", may_fail=True)
    return "\n".join([pods, *events.splitlines()[-15:], *logs])
