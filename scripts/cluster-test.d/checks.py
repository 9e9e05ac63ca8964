#!/usr/bin/env python3
"""Deploys the example and runs the checks, in the cluster that inside.sh has brought up."""

import sys
import time

import deploying
import kube
import reach
from report import CHECKS, Report

# Each has checks, which run in the order of its imports here: what measures comes when the cluster has settled.
# isort: off
import watching
import access
import faults
import scaling
import components
import nodes

# isort: on
MODULES = (watching, access, faults, scaling, components, nodes)


def main(arguments):
    if "--list" in arguments:
        for check in in_order():
            print(f"{check.name:<18} {check.proves}")
        return 0
    only = [argument.removeprefix("--only=") for argument in arguments if argument.startswith("--only=")]
    report = Report(strict="--strict" in arguments)
    report.run("deploy", deploying.deploy)
    if not report.failed and "--up" not in arguments:
        report.run_all([check for check in in_order() if not only or check.name in only])
    code = report.end()
    if "--up" in arguments or "--keep" in arguments:
        stay()
    return code


def in_order():
    """All checks, module by module; an import of one by another does not count."""
    names = [module.__name__ for module in MODULES]
    return sorted(CHECKS, key=lambda check: names.index(check.body.__module__))


def stay():
    """Says how to reach the cluster, and keeps it."""
    here = reach.serve(deploying.SERVICE)
    print(
        f"""
    http://{here[1984]}/                the wall; in it streams play by MSE, for WebRTC stays within the cluster
    rtsp://{here[8554]}/worker-0
    {kube.WORK}/kubectl get pods -o wide
    {kube.WORK}/kubectl scale statefulset/worker --replicas=4

    Ctrl-C takes it down.""",
        file=sys.stderr,
        flush=True,
    )
    while True:
        time.sleep(1000)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
