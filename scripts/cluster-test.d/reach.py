#!/usr/bin/env python3
"""Ports of this machine's loopback that lead to the edge, for somebody who has the cluster up.

reach.py COMMAND...   takes the ports and runs the command, which may enter another network: `serve` there finds them open.
"""

import os
import socket
import sys
import threading

# The edge's pages and RTSP, each by the same number here where that is free.
PORTS = (1984, 8554)


def take(port):
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind(("127.0.0.1", port))
    except OSError:
        taken.bind(("127.0.0.1", 0))
    taken.listen(64)
    taken.set_inheritable(True)
    return taken.detach()


def copy(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    for each in (source, sink):
        try:
            each.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def lead(listener, address):
    while True:
        near, _ = listener.accept()
        try:
            far = socket.create_connection(address, timeout=5)
        except OSError:
            near.close()
            continue
        far.settimeout(None)
        for pair in ((near, far), (far, near)):
            threading.Thread(target=copy, args=pair, daemon=True).start()


def serve(host):
    """Leads every port that was taken to the same one of a host; returns the addresses here by those ports."""
    here = {}
    for port, descriptor in zip(PORTS, os.environ.get("REACH", "").split()):
        listener = socket.socket(fileno=int(descriptor))
        here[port] = "{}:{}".format(*listener.getsockname())
        threading.Thread(target=lead, args=(listener, (host, port)), daemon=True).start()
    return here


if __name__ == "__main__":
    os.environ["REACH"] = " ".join(str(take(port)) for port in PORTS)
    os.execvp(sys.argv[1], sys.argv[1:])
