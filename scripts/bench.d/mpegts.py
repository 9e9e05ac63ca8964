"""Compares raw H.264, MPEG-TS through ffmpeg and MPEG-TS made in the process, as they come out of a real go2rtc."""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from statistics import median, pstdev

import ports
import process
from report import say, table
from viewer import Viewer

FPS = 30
JITTER = 0.008
PICTURE = ["--width", "640", "--height", "360", "--fps", str(FPS), "--bitrate", "2M", "--encoder", "openh264"]
WAYS = {"raw": [], "--mpegts=ffmpeg": ["--mpegts=ffmpeg"], "--mpegts=native": ["--mpegts=native"]}
TAP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tap.py")


def compare(options):
    """Delay and timestamps behind go2rtc, the start, and the cost."""
    say(f"MPEG-TS: {2 * options.paced_seconds} s of each stream through go2rtc, and again with jitter")
    commands = {name: [options.program, "--stdout", *PICTURE, *how] for name, how in WAYS.items()}
    head = ["640x360 at 30/s through go2rtc", "pictures", "due to written, ms", "written to seen, ms"]
    head += ["written to seen, p99", "RTP step off by, standard deviation, ms", "RTP step off by, p99", "RTP step, worst"]
    rows = []
    for jitter in (0, JITTER):
        found = {name: Seen() for name in commands}
        for _ in range(2):
            for name, command in commands.items():
                watch(options.go2rtc, command, jitter, options.paced_seconds, found[name])
        for name, seen in found.items():
            off = [abs(step) for step in seen.steps]
            rows.append(
                [f"{name}, writes ±{JITTER * 1e3:.0f} ms" if jitter else f"{name}, writes on time", len(seen.delays)]
                + [f"{value:.1f}" for value in (median(seen.writes), median(seen.delays), percentile(seen.delays, 99))]
                + [f"{value:.2f}" for value in (pstdev(seen.steps), percentile(off, 99), max(off))]
            )
    table(head, rows)

    unpaced = [[*command, "--no-pace", "--frames", str(options.pictures)] for command in commands.values()]
    starts = process.in_turn(options.short_rounds, [lambda it=it: process.first_byte_only(it) for it in commands.values()])
    runs = process.in_turn(options.rounds, [lambda it=it: process.run(it) for it in unpaced])
    rows = []
    for name, firsts, done in zip(commands, starts, runs):
        speed, cpu = median(options.pictures / run.seconds for run in done), median(run.cpu for run in done)
        rows.append([name, f"{median(firsts) * 1e3:.0f}", f"{speed:.0f}", f"{cpu:.2f}"])
    table(["raw and MPEG-TS, 640x360", "first byte after start, ms", "pictures/s, unpaced", f"CPU s for {options.pictures}"], rows)


def percentile(values, percent):
    values = sorted(values)
    return values[min(len(values) - 1, len(values) * percent // 100)]


@dataclass
class Seen:
    """Milliseconds, one for each picture that was seen."""

    writes: list = field(default_factory=list)  # from its own time until it was written
    delays: list = field(default_factory=list)  # from then until the viewer had it
    steps: list = field(default_factory=list)  # how far its RTP timestamp is off, after the one before


def watch(go2rtc, command, jitter, seconds, found):
    """Plays `command` through go2rtc, and adds to `found` what was seen."""
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "log")
        words = [sys.executable, "-B", TAP, log, str(jitter), *command]
        (port,) = ports.free(1)
        config = {
            "app": {"modules": ["rtsp", "exec"]},
            "rtsp": {"listen": f"127.0.0.1:{port}"},
            "streams": {"demo": "exec:" + " ".join(words)},
        }
        server = subprocess.Popen([go2rtc, "-config", json.dumps(config)], stdout=subprocess.DEVNULL)
        try:
            for _ in range(200):
                try:
                    viewer = Viewer(port, "demo")
                    break
                except ConnectionRefusedError:
                    time.sleep(0.05)
            else:
                raise process.Failed("go2rtc does not listen")
            seen = viewer.watch(seconds)
        finally:
            server.kill()
            server.wait()
        with open(log) as lines:
            entries = [line.split() for line in lines]
    sent = {}
    for index, (check, *times) in enumerate(entries):
        sent[int(check)] = (index, *map(float, times))
    before, strangers = None, 0
    # go2rtc opens the stream with the first pictures, which wait for that.
    for check, stamp, arrived in seen[FPS:]:
        if check not in sent:
            # The last one may be here before it is in the log.
            strangers += 1
            if strangers > 1:
                raise process.Failed("pictures came out of go2rtc that never went in")
            continue
        index, pts, at, when = sent[check]
        found.writes.append((at - pts) * 1000)
        found.delays.append((arrived - when) * 1000)
        if before and before[0] + 1 == index:
            ticks = (stamp - before[2] + (1 << 31)) % (1 << 32) - (1 << 31)
            found.steps.append(ticks / 90 - (pts - before[1]) * 1000)
        before = (index, pts, stamp)
