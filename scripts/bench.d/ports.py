"""Ports of loopback that nobody listens on, as far as can be told."""

import os
import socket

import process


def free(count):
    """So many, anywhere."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def in_a_row(count):
    """The first of so many ports, one behind the other, that nobody listens on."""
    for first in range(10_000 + os.getpid() % 500 * 40, 32_000, count):
        taken = []
        try:
            for port in range(first, first + count):
                taken.append(socket.create_server(("127.0.0.1", port)))
            return first
        except OSError:
            continue
        finally:
            for one in taken:
                one.close()
    raise process.Failed("no free ports are left on loopback")
