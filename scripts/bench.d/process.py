"""Runs a program and tells what it cost, by the kernel's own account of the finished process."""

import os
import re
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from statistics import median

# The first slice of a picture: NAL unit type 1 or 5, and first_mb_in_slice 0, which is the single bit 1.
FIRST_SLICE = re.compile(rb"\x00\x00\x01[\x01\x21\x41\x61\x05\x25\x45\x65][\x80-\xff]")
# How often the memory of what runs is looked at, in seconds.
LOOKS_EACH = 0.02


class Failed(Exception):
    """A program did not do what it was run for."""


@dataclass
class Run:
    """One finished process."""

    seconds: float
    first_byte: float  # seconds after the start
    cpu: float  # seconds, user and system
    peak: float  # MiB resident
    output: bytes
    size: int = field(init=False)  # of the output, bytes
    pictures: int = field(init=False)  # in it

    def __post_init__(self):
        self.size = len(self.output)
        self.pictures = len(FIRST_SLICE.findall(self.output))

    def rate(self, count):
        """Pictures a second of `count`, from the first byte on: what the start takes is measured by itself."""
        return (count - 1) / (self.seconds - self.first_byte)


def run(command, environment=None):
    """Runs `command` to its end, takes its standard output through a pipe, and returns a `Run`.

    The peak is looked at while it runs: in the account of a process that has ended it begins with the memory of whoever
    started it. So it is where nothing was seen before the end.
    """
    with tempfile.TemporaryFile() as log:
        began = time.monotonic()
        process = start(command, log, environment)
        chunks = []
        first_byte, peak, looked = None, 0, -LOOKS_EACH
        while chunk := os.read(process.stdout.fileno(), 1 << 20):
            took = time.monotonic() - began
            first_byte = first_byte or took
            chunks.append(chunk)
            if took - looked >= LOOKS_EACH:
                peak, looked = max(peak, high_water(process.pid)), took
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
        if process.returncode != 0 or first_byte is None:
            log.seek(0)
            raise Failed(complaint(command, process.returncode, log.read()))
    return Run(seconds, first_byte, usage.ru_utime + usage.ru_stime, peak or usage.ru_maxrss / 1024, b"".join(chunks))


def coded(line, keep=None):
    """Runs one of the lines compared, and writes its stream to the file `keep`, if there is one."""
    found = run(line.command, line.environment)
    if keep:
        with open(keep, "wb") as file:
            file.write(found.output)
    found.output = b""
    return found


def complete(name, runs, count):
    """Fails where one of `runs` has not written `count` pictures: it did other work than the rest."""
    for each in runs:
        if each.pictures != count:
            raise Failed(f"{name} wrote {each.pictures} pictures instead of {count}")


def first_byte_only(command, environment=None):
    """Seconds from the start of `command` to its first byte; then its reader leaves."""
    with tempfile.TemporaryFile() as log:
        began = time.monotonic()
        process = start(command, log, environment)
        byte = os.read(process.stdout.fileno(), 1)
        seconds = time.monotonic() - began
        process.stdout.close()
        process.wait()
        if not byte:
            log.seek(0)
            raise Failed(complaint(command, process.returncode, log.read()))
    return seconds


def start(command, log, environment=None):
    variables = {**os.environ, **(environment or {})}
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=variables)


def complaint(command, code, log):
    tail = "\n".join(log.decode(errors="replace").splitlines()[-8:])
    return f"this ended with code {code}: {' '.join(command)}\n{tail}"


def tree(pid):
    """`pid` and all its descendants."""
    found = [pid]
    for parent in found:
        for task in listed(f"/proc/{parent}/task"):
            found += map(int, read(f"/proc/{parent}/task/{task}/children").split())
    return found


def cpu_ticks(pids):
    """User and system time that each of these processes has used, in clock ticks."""
    ticks = {}
    for pid in pids:
        # The name, in parentheses, may hold spaces.
        fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        if fields:
            ticks[pid] = int(fields[11]) + int(fields[12])
    return ticks


def high_water(pid):
    """MiB that were resident in this process at once; 0 where it has ended."""
    size = re.search(r"^VmHWM:\s*(\d+)", read(f"/proc/{pid}/status"), re.MULTILINE)
    return int(size[1]) / 1024 if size else 0


def resident(pids):
    """MiB resident in these processes."""
    sizes = (re.search(r"^VmRSS:\s*(\d+)", read(f"/proc/{pid}/status"), re.MULTILINE) for pid in pids)
    return sum(int(size[1]) for size in sizes if size) / 1024


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def listed(path):
    try:
        return os.listdir(path)
    except FileNotFoundError:
        return []


def in_turn(rounds, measures):
    """Calls each of `measures` once a round: A B C A B C …. Gives one list of results for each."""
    results = [[] for _ in measures]
    for _ in range(rounds):
        for measure, found in zip(measures, results):
            found.append(measure())
    return results


def ratio(ours, theirs):
    """The median of the ratios round by round."""
    return median(a / b for a, b in zip(ours, theirs))


def end(child, grace):
    """Asks a child to end, and kills it where it has not after `grace` seconds."""
    child.terminate()
    try:
        child.wait(grace)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
