"""What mb-encode's log says of each picture that it has written, with `--log-level trace --log-format json`."""

import json
import re

OPTIONS = ["--log-level", "trace", "--log-format", "json"]
UNITS = {"s": 1, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}


def times(log, since=0):
    """When each picture was due, and when it was written, in seconds of its stream, of those logged behind a place."""
    log.seek(max(0, since - 1))
    lines = log.read().splitlines()
    # The first one may be half in front of that place, and the last one half there.
    for line in lines[1 if since else 0 :]:
        if b'"written"' in line and line.endswith(b"}"):
            entry = json.loads(line)
            yield duration(entry["pts"]), duration(entry["at"])


def duration(text):
    """Seconds, of a time like 12.5ms."""
    number, unit = re.fullmatch(r"([0-9.]+)(\D+)", text).groups()
    return float(number) * UNITS[unit]
