"""Many streams at once: FIFO workers that are all watched, beside as many ffmpegs that encode the same pictures from a file."""

import os
import re
import selectors
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import process
import written
from report import say, table

WIDTH, HEIGHT, FRAME_RATE, BITRATE = 640, 360, 15, 1_000_000
COUNTS = (1, 2, 4, 8, 12, 16)
# To find where the machine can do no more.
MORE = (24, 32, 48, 64, 96)
# Of the pictures that are due, so many are left out where it can do no more.
KNEE = 0.02
# The shader that is drawn; the file has the same pictures.
SHADER = os.path.join(os.path.dirname(__file__), "../../examples/shaders/waves.glsl")
# A PES packet of video begins with every picture; H.264 has no such bytes.
PICTURE = b"\x00\x00\x01\xe0"
STARTS_WITHIN = 60  # seconds
TICKS = os.sysconf("SC_CLK_TCK")


def compare(options, verdicts):
    seconds, counts = (2, (1, 8)) if options.quick else (10, COUNTS)
    with tempfile.TemporaryDirectory(prefix="mb-encode-bench-") as folder:
        raw = draw(options.program, folder, 20 if options.quick else 60)
        kinds = {
            "mb-encode draws": lambda place, log: drawing(options.program, place, log),
            "mb-encode from the file": lambda place, log: feeding(options.program, raw, place, log),
            "ffmpeg from the file": lambda place, log: ffmpeg(raw, place, log),
        }
        rows, found = [], {}
        for count in counts:
            for kind, start in kinds.items():
                say(f"{count} at once: {kind}")
                run = found[kind, count] = measure(start, count, seconds)
                rows.append(row(f"{count}, {kind}", run))
        of = f"{WIDTH}x{HEIGHT} at {FRAME_RATE} fps, 1 Mb/s"
        table(
            [f"streams of {of}, all watched", "pictures/s", "left out %", "CPU % of a core a stream"]
            + ["due to written: median ms", "99th percentile", "own memory a stream MiB", "PSS a stream MiB"],
            rows,
        )
        held(of, counts[-1], found, verdicts)
        if not options.quick:
            knees(of, kinds, found, seconds)


def row(name, run):
    delays = sorted(run.delays)
    delay = ["", ""]
    if delays:
        delay = [f"{delays[len(delays) // 2] * 1e3:.1f}", f"{delays[len(delays) * 99 // 100] * 1e3:.1f}"]
    cells = [f"{run.rate:.1f}", f"{run.left_out * 100:.1f}", f"{run.cpu * 100:.1f}", *delay]
    return [name, *cells, f"{run.own:.1f}", f"{run.proportional:.1f}"]


def held(of, count, found, verdicts):
    """Memory and CPU time beside ffmpeg's. Only what is read from the file is the same work."""
    theirs = found["ffmpeg from the file", count]
    rows = []
    for kind in ("mb-encode from the file", "mb-encode draws"):
        ours = found[kind, count]
        memory_ratio = ours.proportional / theirs.proportional
        judged = verdicts.at_most(memory_ratio, 0.7) if kind.endswith("file") else f"{memory_ratio:.2f}"
        rows.append([f"{kind}, to ffmpeg", judged, f"{ours.own / theirs.own:.2f}", f"{ours.cpu / theirs.cpu:.2f}"])
    table([f"{count} streams of {of}, ratios", "PSS a stream", "own memory a stream", "CPU"], rows)


def knees(of, kinds, found, seconds):
    """How many this machine can do, and what it is that it has no more of. `found` has those that were measured."""
    rows = []
    for kind, start in kinds.items():
        good, bad = ["none", ""], ["not seen", "", "", ""]
        for count in COUNTS + MORE:
            run = found.get((kind, count))
            if run is None:
                say(f"{count} at once: {kind}")
                run = measure(start, count, seconds)
            if run.left_out > KNEE:
                bad = [count, f"{run.left_out * 100:.1f}", f"{run.busy * 100:.0f}", f"{run.switches:.0f}"]
                break
            good = [count, f"{run.busy * 100:.0f}"]
        rows.append([kind, *good, *bad])
    table(
        [f"the most streams of {of}", "keep up", "the machine's CPUs busy %", "do not", "left out %"]
        + ["the CPUs then busy %", "then context switches a picture"],
        rows,
    )


def draw(program, folder, seconds):
    """The shader's pictures of so many seconds, as a file."""
    coded, raw = os.path.join(folder, "drawn.h264"), os.path.join(folder, "drawn.y4m")
    command = [program, "--out", coded, "--no-pace", "--frames", str(seconds * FRAME_RATE), "--log-level", "error"]
    subprocess.run([*command, *shape(), "--bitrate", "20M", "--shader", SHADER], check=True)
    ffmpeg_ = ["ffmpeg", "-nostdin", "-v", "error", "-r", str(FRAME_RATE), "-i", coded, "-pix_fmt", "yuv420p", raw]
    subprocess.run(ffmpeg_, check=True)
    os.remove(coded)
    return raw


def shape():
    return ["--encoder", "openh264", "--width", str(WIDTH), "--height", str(HEIGHT), "--fps", str(FRAME_RATE)]


def drawing(program, place, log):
    return worker(program, place, log, ["--shader", SHADER])


def feeding(program, raw, place, log):
    return worker(program, place, log, ["--input", raw])


def worker(program, place, log, source):
    command = [program, "--fifo", place, "--mpegts", *shape(), "--bitrate", str(BITRATE), *source]
    return subprocess.Popen([*command, *written.OPTIONS], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)


def ffmpeg(raw, place, log):
    os.mkfifo(place)
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-re", "-stream_loop", "-1", "-i", raw, "-c:v", "libx264"]
    command += ["-preset", "superfast", "-tune", "zerolatency", "-b:v", str(BITRATE), "-g", str(FRAME_RATE)]
    return subprocess.Popen([*command, "-f", "mpegts", place], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)


@dataclass
class Run:
    """So many streams for some seconds."""

    rate: float  # pictures a second, of all
    left_out: float  # of those that were due
    cpu: float  # cores that each stream takes
    busy: float  # the machine's share that is not idle, whoever takes it
    switches: float  # of threads, a picture
    own: float  # MiB a stream that no other process has
    proportional: float  # MiB a stream, where pages that several share count in parts
    delays: list  # seconds from when a picture was due to when it was written


def measure(start, count, seconds):
    """Starts so many streams, watches them all, and ends them."""
    with tempfile.TemporaryDirectory(prefix="mb-encode-bench-") as folder, ExitStack() as stack:
        logs = [stack.enter_context(open(os.path.join(folder, f"{k}.log"), "w+b")) for k in range(count)]
        places = [os.path.join(folder, f"{k}.ts") for k in range(count)]
        programs = [stack.enter_context(ended(start(place, log))) for place, log in zip(places, logs)]
        watched = stack.enter_context(Watched(places, programs, logs))
        watched.until_all_play()
        # Whoever came first has grown by now.
        watched.read_for(min(1, seconds / 4))
        pids = [pid for program in programs for pid in process.tree(program.pid)]
        sizes = [os.fstat(log.fileno()).st_size for log in logs]
        ticks, idle, switches = sum(process.cpu_ticks(pids).values()), idle_ticks(), switched(pids)
        began = time.monotonic()
        seen = watched.read_for(seconds)
        took = time.monotonic() - began
        used = (sum(process.cpu_ticks(pids).values()) - ticks) / TICKS
        busy = 1 - (idle_ticks() - idle) / TICKS / took / os.cpu_count()
        switches = switched(pids) - switches
        own, proportional = memory(pids)
        delays = [at - due for log, size in zip(logs, sizes) for due, at in written.times(log, size)]
    rate = seen / took
    return Run(
        rate,
        max(0.0, 1 - rate / count / FRAME_RATE),
        used / took / count,
        busy,
        switches / max(1, seen),
        own / count,
        proportional / count,
        delays,
    )


@contextmanager
def ended(program):
    """A process that is ended behind what is done with it."""
    try:
        yield program
    finally:
        process.end(program, 10)


class Watched:
    """One reader for all streams, which counts their pictures and keeps nothing."""

    def __init__(self, places, programs, logs):
        self.programs, self.logs = programs, logs
        self.selector = selectors.DefaultSelector()
        self.seen = [0] * len(places)
        self.tails = [b""] * len(places)
        until = time.monotonic() + STARTS_WITHIN
        for k, place in enumerate(places):
            while not os.path.exists(place):
                self.must_go_on(k, until)
                time.sleep(0.01)
            self.selector.register(os.open(place, os.O_RDONLY | os.O_NONBLOCK), selectors.EVENT_READ, k)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for key in list(self.selector.get_map().values()):
            os.close(key.fd)
        self.selector.close()

    def must_go_on(self, k, until):
        if self.programs[k].poll() is not None or time.monotonic() > until:
            self.logs[k].seek(0)
            said = process.complaint(self.programs[k].args, self.programs[k].returncode, self.logs[k].read())
            raise process.Failed(f"no stream from it: {said}")

    def until_all_play(self):
        until = time.monotonic() + STARTS_WITHIN
        while not all(self.seen):
            self.read_for(0.1)
            for k, seen in enumerate(self.seen):
                if not seen:
                    self.must_go_on(k, until)

    def read_for(self, seconds):
        """How many pictures began meanwhile."""
        before, until = sum(self.seen), time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            for key, _ in self.selector.select(left):
                chunk = os.read(key.fd, 1 << 18)
                if not chunk:
                    self.must_go_on(key.data, 0)
                text = self.tails[key.data] + chunk
                self.seen[key.data] += text.count(PICTURE)
                # Which may be cut in two, and is too short to hold all of it.
                self.tails[key.data] = text[-len(PICTURE) + 1 :]
        return sum(self.seen) - before


def memory(pids):
    """MiB that these processes have to themselves, and with their parts of what they share."""
    own = proportional = 0
    for pid in pids:
        sizes = dict(re.findall(r"^(Pss|Anonymous):\s*(\d+)", process.read(f"/proc/{pid}/smaps_rollup"), re.MULTILINE))
        own += int(sizes.get("Anonymous", 0)) / 1024
        proportional += int(sizes.get("Pss", 0)) / 1024
    return own, proportional


def switched(pids):
    """Context switches of all threads of these processes."""
    switches = 0
    for pid in pids:
        for task in process.listed(f"/proc/{pid}/task"):
            found = re.findall(r"ctxt_switches:\s*(\d+)", process.read(f"/proc/{pid}/task/{task}/status"))
            switches += sum(map(int, found))
    return switches


def idle_ticks():
    """Of all CPUs since the machine's start, those that wait for a disk among them."""
    fields = process.read("/proc/stat").split("\n", 1)[0].split()
    return int(fields[4]) + int(fields[5])
