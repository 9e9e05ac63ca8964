"""The cluster as `kubectl` shows and changes it, and waiting for it with an end."""

import json
import os
import pathlib
import subprocess
import time

NAMESPACE = "mb-encode"
# As settings.sh has them.
NODE_ADDRESSES = {"node-1": "10.99.0.11", "node-2": "10.99.0.12"}
WORK = pathlib.Path(os.environ.get("work", "/nonexistent"))
HERE = pathlib.Path(__file__).resolve().parent


class Failed(Exception):
    """A check that did not hold: what was seen, and what it means."""


def until(seconds, what, look, every=0.1):
    """What `look` returns, as soon as that is true; Failed after so many seconds, with its last words."""
    end = time.monotonic() + seconds
    said = ""
    while True:
        try:
            found = look()
        except Failed as failed:
            found, said = None, f": {failed}"
        if found:
            return found
        if time.monotonic() > end:
            raise Failed(f"not within {seconds:g} s: {what}{said}")
        time.sleep(every)


def run(*command, stdin=None, limit=60, may_fail=False):
    """Runs a program and returns what it prints."""
    done = subprocess.run(
        command, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=limit, check=False
    )
    if done.returncode and not may_fail:
        raise Failed(f"{' '.join(command)[:200]}: {done.stderr.strip()[-600:]}")
    return done.stdout if done.returncode == 0 else done.stdout + done.stderr


def kubectl(*arguments, **options):
    return run("kubectl", *arguments, **options)


def get(*arguments):
    """What `kubectl get` finds, as data."""
    return json.loads(kubectl("get", *arguments, "-o", "json"))


def apply(text):
    """Applies objects, given as YAML or as data."""
    kubectl("apply", "-f", "-", stdin=text if isinstance(text, str) else json.dumps(text))


def is_ready(pod):
    conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def pods(app, namespace=NAMESPACE):
    """The pods of an app that are not ending, by name."""
    found = get("pods", "-n", namespace, "-l", f"app.kubernetes.io/name={app}")["items"]
    return {pod["metadata"]["name"]: pod for pod in found if "deletionTimestamp" not in pod["metadata"]}


def worker(name):
    """One worker's pod, and None while there is none."""
    return pods("worker").get(name)


def replaced(name, old):
    """Whether a worker is ready again, as another pod than `old` or another container."""
    pod = worker(name)
    if not pod or not is_ready(pod):
        return False
    return pod["metadata"]["uid"] != old["metadata"]["uid"] or restarts(pod) > restarts(old)


def restarts(pod):
    return sum(each["restartCount"] for each in pod["status"].get("containerStatuses", []))


def settled(workers=2, edges=1, limit=60):
    """Waits until so many workers and edges are ready, and no others are there."""

    def look():
        for app, wanted in (("worker", workers), ("edge", edges)):
            found = get("pods", "-n", NAMESPACE, "-l", f"app.kubernetes.io/name={app}")["items"]
            ready = [pod for pod in found if is_ready(pod)]
            if len(ready) != wanted or len(found) != wanted:
                raise Failed(f"{len(ready)} of {len(found)} {app} pods are ready, and {wanted} should be")
        return True

    until(limit, f"{workers} workers and {edges} edges", look)


def enter(node, *command, **options):
    """Runs a program in a node's namespaces."""
    unshare = int((WORK / f"{node}.pid").read_text())
    children = pathlib.Path(f"/proc/{unshare}/task/{unshare}/children").read_text().split()
    if not children:
        raise Failed(f"{node} does not run")
    return run("nsenter", "--target", children[0], "--net", "--mount", "--pid", "--", *command, **options)


def control_groups(uid):
    """The folders of a pod's control groups, one a hierarchy that has it."""
    return [pathlib.Path(path) for path in run("find", "/sys/fs/cgroup", "-type", "d", "-name", f"pod{uid}").split()]


def processes(pod, all_of_them=False):
    """The processes of a pod's containers, and the one that only holds its namespaces if that is wanted: pid and command
    line."""
    found = {}
    for folder in control_groups(pod["metadata"]["uid"]):
        for file in folder.rglob("cgroup.procs"):
            for pid in file.read_text().split():
                try:
                    line = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().strip("\0").split("\0")
                except OSError:
                    continue
                if line != [""] and (all_of_them or line != ["/pause"]):
                    found[int(pid)] = line
    return found
