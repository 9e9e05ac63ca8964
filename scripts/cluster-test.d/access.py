"""Who gets at what: tokens, network policies, and what the edge lets viewers do."""

import json
import subprocess
import sys
import urllib.error
import urllib.request

import kube
from deploying import TOKEN, edge, page
from kube import Failed, apply, kubectl, processes, until
from report import check

# Asks a worker for its stream, and prints the status, or what came instead.
ASK = """
import http.client, sys
try:
    connection = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=2)
    connection.request("GET", sys.argv[3], headers={"Authorization": "Bearer " + sys.argv[4]} if sys.argv[4] else {})
    print(connection.getresponse().status)
except OSError as error:
    print(type(error).__name__)
"""


def ask(pod, address, port, path, token):
    """What a program in a pod's network is answered; the machine's where `pod` is None."""
    enter = []
    if pod:
        inside = list(processes(pod))
        if not inside:
            raise Failed(f"no process of {pod['metadata']['name']} runs")
        enter = ["nsenter", "--target", str(inside[0]), "--net", "--"]
    command = [*enter, sys.executable, "-c", ASK, address, str(port), path, token]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=30).stdout.strip()


@check("token")
def token(report):
    """the edge itself gets no stream of a worker without the token, or with another one"""
    address = kube.worker("worker-0")["status"]["podIP"]
    for shown, what, wanted in (("", "no token", "401"), ("6c1f9e3b", "a wrong token", "401"), (TOKEN, "the token", "200")):
        for path in ("/stream.ts", "/metrics"):
            answer = ask(edge(), address, 9000, path, shown)
            report.expect(answer == wanted, f"{path} with {what}: {wanted}", answer)


@check("policy")
def policy(report):
    """nobody but the edge reaches a worker, and workers reach nobody"""
    apply(stranger())
    try:
        until(30, "the stranger runs", lambda: any(map(kube.is_ready, kube.pods("stranger").values())))
        foreign, workers = kube.pods("stranger")["stranger"], kube.pods("worker")
        address = {name: pod["status"]["podIP"] for name, pod in workers.items()}
        # Rules follow pods within a moment.
        until(10, "a stranger is kept out", lambda: refused(ask(foreign, address["worker-0"], 9000, "/stream.ts", TOKEN)))
        report.ok("a pod of the namespace that is not the edge does not reach a worker, with the right token")
        for who, whom, port, what in (
            (workers["worker-0"], address["worker-1"], 9000, "a worker does not reach another one"),
            (workers["worker-0"], "10.99.0.1", 6443, "a worker does not reach the API server"),
            (edge(), "10.99.0.1", 6443, "the edge does not reach the API server"),
            (None, address["worker-0"], 9000, "the machine outside does not reach a worker"),
        ):
            answer = ask(who, whom, port, "/stream.ts", TOKEN)
            report.expect(refused(answer), what, answer)
        answer = ask(edge(), address["worker-1"], 9000, "/stream.ts", TOKEN)
        report.expect(answer == "200", "the edge does", answer)
    finally:
        kubectl("delete", "pod", "-n", kube.NAMESPACE, "stranger", "--wait=false", "--grace-period=1")


def refused(answer):
    return answer in ("TimeoutError", "ConnectionRefusedError", "timeout")


def stranger():
    """A pod as restricted as the others, with the worker's image."""
    container = kube.worker("worker-0")["spec"]["containers"][0]
    spec = kube.worker("worker-0")["spec"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "stranger",
            "namespace": kube.NAMESPACE,
            "labels": {"app.kubernetes.io/name": "stranger"},
        },
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": spec["securityContext"],
            "containers": [
                {
                    "name": "stranger",
                    "image": container["image"],
                    "imagePullPolicy": "Never",
                    "command": ["sleep", "1000"],
                    "securityContext": container["securityContext"],
                }
            ],
        },
    }


@check("gate")
def gate(report):
    """a viewer can neither add a stream nor delete one, nor have the edge connect anywhere"""
    for method, query in (
        ("PUT", "name=added&src=rtsp://10.96.0.1:443/x"),
        ("POST", "dst=worker-0&src=rtsp://10.96.0.1:443/x"),
        ("DELETE", "src=worker-0"),
    ):
        status = request(method, f"{page()}/api/streams?{query}")
        report.expect(status >= 400, f"{method} /api/streams is refused: {status}", status)
    for path in ("/api/config", "/api/exit", "/api/restart", "/api/exec"):
        status = request("POST", page() + path)
        report.expect(status >= 400, f"POST {path} is refused: {status}", status)
    with urllib.request.urlopen(f"{page()}/api/streams", timeout=10) as answer:
        names = json.load(answer)
    report.expect("added" not in names and "worker-0" in names, "and the list of streams is what it was", list(names)[:4])
    report.expect(TOKEN not in json.dumps(names), "which does not show the token")


def request(method, address):
    """The status of the answer; 599 if there is none."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address, b"", method=method), timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 599
