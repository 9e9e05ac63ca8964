"""Stands between mb-encode and go2rtc: passes pictures on, each late by a random time, and notes when.

    tap.py LOG JITTER COMMAND...
"""

import json
import os
import queue
import random
import re
import subprocess
import sys
import threading
import time
import zlib

from written import duration


def tap(log_path, jitter, command):
    """Passes on what `command` writes, picture by picture, each up to two `jitter` seconds late. Logs a line for each:
    checksum of the slice, its own time, when mb-encode wrote it, when it was passed on."""
    child = subprocess.Popen(
        [*command, "--log-level", "trace", "--log-format", "json"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    written = queue.Queue()
    pictures = queue.Queue()

    def listen():
        for line in child.stderr:
            entry = json.loads(line)
            if entry.get("message") == "written":
                written.put((entry["bytes"], duration(entry["pts"]), duration(entry["at"])))

    def read():
        is_raw = not any(word.startswith("--mpegts") for word in command)
        while True:
            if is_raw:
                size, pts, at = written.get()
                data = elementary = child.stdout.read(size)
            else:
                data, elementary = read_pes(child.stdout)
                _, pts, at = written.get()
            late = random.uniform(0, 2 * jitter)
            pictures.put((time.monotonic() + late, pts, at, data, checksum(elementary)))

    for job in (listen, read):
        threading.Thread(target=job, daemon=True).start()
    with open(log_path, "a", buffering=1) as log:
        while True:
            try:
                due, pts, at, data, check = pictures.get(timeout=5)
            except queue.Empty:
                return
            time.sleep(max(0, due - time.monotonic()))
            # From the last byte on, go2rtc could have it.
            try:
                while data:
                    data = data[os.write(1, data) :]
            except BrokenPipeError:
                child.kill()
                return
            log.write(f"{check} {pts} {at} {time.monotonic()}\n")


def read_pes(stream):
    """The packets up to the end of the next picture, and what is in them. The length has to be stated."""
    data, elementary, rest = b"", b"", None
    while True:
        packet = stream.read(188)
        if len(packet) < 188:
            raise SystemExit(0)
        data += packet
        if packet[1] & 0x1F != 1 or packet[2] != 0:
            continue
        payload = packet[4 + (1 + packet[4] if packet[3] & 0x20 else 0) :]
        if packet[1] & 0x40:
            rest = 6 + int.from_bytes(payload[4:6], "big")
            elementary = payload[9 + payload[8] :]
        else:
            elementary += payload
        rest -= len(payload)
        if rest == 0:
            return data, elementary


def checksum(elementary):
    """Of the slice, by which a picture is known again on the other side."""
    for nal in re.split(rb"\x00?\x00\x00\x01", elementary):
        if nal and nal[0] & 31 in (1, 5):
            return zlib.crc32(nal.rstrip(b"\x00"))
    raise ValueError("no slice")


if __name__ == "__main__":
    tap(sys.argv[1], float(sys.argv[2]), sys.argv[3:])
