"""How evenly pictures are written, on a machine with nothing else to do, and beside a busy loop on each of its cores."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time

import grid
import lines
import process
import written
from report import say, table

# It wants all of a core, and never waits.
BUSY_LOOP = "while True: pass"


def compare(options, verdicts):
    rate, seconds = lines.FRAME_RATE, options.paced_seconds
    title = f"pacing at {rate} pictures/s, 1280x720, {seconds} s"
    say(f"Pacing: {seconds} s at {rate} pictures/s")
    read, own = measure(options.program, rate, seconds)
    mean, p99 = verdicts.at_most(away(read, rate), 0.1, "{:.3f}"), verdicts.at_most(read.p99 * 1e3, 2.0)
    table([title, ""], rows(read, own, mean, p99))
    cores = len(os.sched_getaffinity(0))
    say(f"The same beside {cores} busy loops")
    with busy(cores):
        read, own = measure(options.program, rate, seconds)
    head = [f"{title}, with a competing load on all {cores} cores", ""]
    table(head, rows(read, own, f"{away(read, rate):.3f}", f"{read.p99 * 1e3:.2f}"))


def away(fit, rate):
    """The mean rate from the one that was asked for, in per cent."""
    return abs(fit.rate / rate - 1) * 100


def rows(read, own, mean, p99):
    return [
        ["mean rate, away from the one asked for, %", mean],
        ["distance from the grid when read, 99th percentile, ms", p99],
        ["the same, worst, ms", f"{read.worst * 1e3:.2f}"],
        ["distance from the grid when written, 99th percentile, ms", f"{own.p99 * 1e3:.2f}"],
        ["pictures skipped", read.missing],
    ]


def measure(program, rate, seconds):
    """The grids that fit what a reader of the pipe gets, by the first byte of each picture, and what mb-encode says of it."""
    command = [program, "--stdout", "--fps", str(rate), "--frames", str(seconds * rate), "--encoder", "openh264"]
    command += written.OPTIONS
    with tempfile.TemporaryFile() as log:
        child = process.start(command, log)
        arrivals, stream = [], bytearray()
        while chunk := os.read(child.stdout.fileno(), 1 << 20):
            arrivals.append((len(stream), time.monotonic()))
            stream += chunk
        child.stdout.close()
        if child.wait() != 0:
            log.seek(0)
            raise process.Failed(process.complaint(command, child.returncode, log.read()))
        own = [at for _, at in written.times(log)]
    return grid.fit(read_at(bytes(stream), arrivals), rate), grid.fit(own, rate)


def read_at(stream, arrivals):
    """When the first slice of each picture was read, from when each part of the stream was."""
    times, part = [], 0
    for slice_start in process.FIRST_SLICE.finditer(stream):
        while part + 1 < len(arrivals) and arrivals[part + 1][0] <= slice_start.start():
            part += 1
        times.append(arrivals[part][1])
    return times


@contextlib.contextmanager
def busy(count):
    """So many programs that want a core each."""
    loops = [subprocess.Popen([sys.executable, "-c", BUSY_LOOP]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
