"""Frames of another program, through a FIFO: delay, reading, and what standing still costs, against ffmpeg's."""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from statistics import median

import lines
import pictures
import process
from report import say, table

SIZES = [(1280, 720), (1920, 1080)]
# Any NAL unit, with its first two bytes.
NAL = re.compile(rb"\x00\x00\x01(.)(.)", re.DOTALL)
PIPE_BYTES = 1 << 20
F_SETPIPE_SZ = 1031


def ours(program, path, size, *more):
    """mb-encode, reading frames from a FIFO."""
    del size
    command = [program, "--stdout", "--log-level", "error", "--encoder", "openh264", "--input", path]
    command += ["--bitrate", str(lines.BITRATE), "--gop", str(lines.FRAME_RATE), *more]
    return lines.Line("mb-encode", command)


def ffmpeg(path, encoder, *more):
    """ffmpeg, doing the same."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-f", "yuv4mpegpipe", "-i", path, "-c:v", encoder]
    if encoder == "libx264":
        command += ["-preset", "superfast", "-tune", "zerolatency"]
    command += ["-b:v", str(lines.BITRATE), "-g", str(lines.FRAME_RATE), *more, "-f", "h264", "-"]
    return lines.Line(f"ffmpeg, {encoder}", command)


def encoders():
    """ffmpeg's that are compared with. Its libopenh264 is not in every build."""
    listed = subprocess.run(["ffmpeg", "-hide_banner", "-encoders"], capture_output=True, text=True, check=True).stdout
    return ["libx264"] + (["libopenh264"] if "libopenh264" in listed else [])


class Producer:
    """Writes the frames of a Y4M file into a FIFO, on a thread."""

    def __init__(self, raw, path, rate=None, hold=False, core=None):
        self.raw, self.path, self.rate, self.hold, self.core = raw, path, rate, hold, core
        self.written = []  # when the last byte of each frame was
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        if self.core:
            os.sched_setaffinity(0, self.core)  # of this thread alone
        with open(self.raw, "rb") as raw, contextlib.suppress(BrokenPipeError):
            header = raw.readline()
            width, height = (int(re.search(rb" %b(\d+)" % side, header)[1]) for side in (b"W", b"H"))
            frames = iter(lambda: raw.read(6 + width * height * 3 // 2), b"")
            fifo = os.open(self.path, os.O_WRONLY)
            try:
                with contextlib.suppress(OSError):
                    import fcntl

                    fcntl.fcntl(fifo, F_SETPIPE_SZ, PIPE_BYTES)
                write_all(fifo, header)
                due = time.monotonic()
                for frame in frames:
                    if self.rate:
                        due += 1 / self.rate
                        time.sleep(max(0, due - time.monotonic()))
                    write_all(fifo, frame)
                    self.written.append(time.monotonic())
                    if self.hold:
                        break
                # A reader that is still busy is not to find the end of the input.
                self.over.wait()
            finally:
                os.close(fifo)


def write_all(fd, data):
    data = memoryview(data)
    while data:
        data = data[os.write(fd, data):]


@contextlib.contextmanager
def produced(raw, folder, **how):
    """A FIFO that frames come from."""
    path = os.path.join(folder, "frames.y4m")
    os.mkfifo(path, 0o600)
    producer = Producer(raw, path, **how)
    try:
        yield path, producer
    finally:
        producer.over.set()
        with contextlib.suppress(OSError):
            # One that nobody has read from waits in its open.
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        producer.thread.join()
        os.unlink(path)


def compare(options, verdicts):
    """All of it, at each size."""
    with tempfile.TemporaryDirectory(prefix="mb-encode-bench-") as folder:
        for size in SIZES:
            say(f"Frames from a FIFO, {size[0]}x{size[1]}: {options.rounds} rounds")
            raw = pictures.draw(options, "card", size, options.pictures, folder)
            delay(options, size, raw, folder, verdicts)
            reading(options, size, raw, folder, verdicts)
            if size == SIZES[0]:
                standing(options, raw, folder, verdicts)
            os.remove(raw)


def delay(options, size, raw, folder, verdicts):
    """From a frame's last byte in to its last byte out, at 30 a second."""
    count = min(options.pictures, 30 * (3 if options.quick else 10))

    def measure(line):
        with produced(raw, folder, rate=30) as (path, producer), tempfile.TemporaryFile() as log:
            child = process.start(line(path).command, log)
            arrivals, stream = [], bytearray()
            while chunk := os.read(child.stdout.fileno(), 1 << 20):
                stream += chunk
                arrivals.append((len(stream), time.monotonic()))
                if len(producer.written) >= count and producer.written[count - 1] + 1 < time.monotonic():
                    break
            child.terminate()
            child.stdout.close()
            child.wait()
            # A picture is that of the last frame that was whole by then: at this rate all are done before the next one.
            pairs = [(max((at for at in producer.written if at <= left), default=None), left)
                     for left in out(bytes(stream), arrivals)]
            # The first second is the start's.
            times = [left - at for at, left in pairs if at and producer.written[30] < at <= producer.written[count - 1]]
            if len(times) < count - 40:
                raise process.Failed(f"{line('').name} wrote {len(times)} pictures of {count}")
            return median(times)

    line_of = [lambda path: ours(options.program, path, size, "--fps", "60")]
    line_of += [lambda path, name=name: ffmpeg(path, name, "-flush_packets", "1") for name in encoders()]
    rounds = max(1, options.rounds // 2)
    found = process.in_turn(rounds, [lambda line=line: measure(line) for line in line_of])
    names = [line("").name for line in line_of]
    table(
        [f"delay at 30 frames/s, {size[0]}x{size[1]}, ms", *names, *(f"to {name}" for name in names[1:])],
        [["last byte in to last byte out, median", *(f"{median(times) * 1e3:.2f}" for times in found),
          *(verdicts.at_most(process.ratio(found[0], other), 0.5) for other in found[1:])]],
    )


def out(stream, arrivals):
    """When the last byte of each access unit had been read."""
    ends, is_open = [], False
    for unit in NAL.finditer(stream):
        kind, first = unit[1][0] & 31, unit[2][0]
        begins = kind not in (1, 5) or first >= 0x80
        if is_open and begins:
            ends.append(unit.start() - 1)
            is_open = False
        is_open |= kind in (1, 5)
    if is_open:
        ends.append(len(stream) - 1)
    times, part = [], 0
    for end in ends:
        # A start code of four bytes has a zero that is not the picture's.
        while part + 1 < len(arrivals) and arrivals[part][0] < end:
            part += 1
        times.append(arrivals[part][1])
    return times


def reading(options, size, raw, folder, verdicts):
    """CPU time of the thread that reads, against a bare loop over the same bytes, at 60 a second.

    Bytes that were written on another core cost about twice as much to read: they come out of its cache. So that both have
    the same ones to read, each is a process on the last core, and the frames are written on the first. What both take
    where the scheduler puts them depends on its luck, and is not judged.
    """
    count = options.pictures
    cores = sorted(os.sched_getaffinity(0))

    def bare(core, core_of_producer):
        with produced(raw, folder, rate=60, core=core_of_producer) as (path, _), only_on(core):
            frame = size[0] * size[1] * 3 // 2 + len("FRAME\n")
            command = [sys.executable, "-B", os.path.join(os.path.dirname(__file__), "bare_reader.py")]
            command += [path, str(frame), str(count)]
            return float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)

    def input_thread(core, core_of_producer):
        with (
            produced(raw, folder, rate=60, core=core_of_producer) as (path, producer),
            tempfile.TemporaryFile() as log,
        ):
            with only_on(core):
                child = process.start(ours(options.program, path, size, "--fps", "120").command, log)
            while len(producer.written) < count:
                if not os.read(child.stdout.fileno(), 1 << 20):
                    raise process.Failed("mb-encode ended before the frames did")
            nanos = [
                int(process.read(f"/proc/{child.pid}/task/{task}/schedstat").split()[0])
                for task in process.listed(f"/proc/{child.pid}/task")
                if process.read(f"/proc/{child.pid}/task/{task}/comm").strip() == "input"
            ]
            child.terminate()
            child.stdout.close()
            child.wait()
            return nanos[0] / 1e9 / count

    apart, anywhere = (cores[-1:], cores[:1]), (cores, cores)
    turns = [(reader, where) for where in (apart, anywhere) for reader in (input_thread, bare)]
    measures = [lambda reader=reader, where=where: reader(*where) for reader, where in turns]
    mine, plain, mine_anywhere, plain_anywhere = process.in_turn(options.rounds, measures)
    table(
        [f"reading, {size[0]}x{size[1]}, CPU µs a frame", "written on another core", "anywhere"],
        [
            ["mb-encode's input thread", f"{median(mine) * 1e6:.0f}", f"{median(mine_anywhere) * 1e6:.0f}"],
            ["a bare loop of reads", f"{median(plain) * 1e6:.0f}", f"{median(plain_anywhere) * 1e6:.0f}"],
            ["ratio", verdicts.at_most(process.ratio(mine, plain), 1.3), f"{process.ratio(mine_anywhere, plain_anywhere):.2f}"],
        ],
    )


@contextlib.contextmanager
def only_on(cores):
    """This thread, and what it starts, run on these cores alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def standing(options, raw, folder, verdicts):
    """A picture that stands still, at 60 a second."""
    seconds = options.idle_seconds
    with produced(raw, folder, hold=True) as (path, _), tempfile.TemporaryFile() as log:
        child = process.start(ours(options.program, path, SIZES[0], "--fps", "60").command, log)
        drain = threading.Thread(target=lambda: [None for _ in iter(lambda: os.read(child.stdout.fileno(), 1 << 20), b"")])
        drain.start()
        time.sleep(2)
        before = on_cpu(child.pid)
        time.sleep(seconds)
        used = (on_cpu(child.pid) - before) / seconds
        child.terminate()
        drain.join()
        child.stdout.close()
        child.wait()
    table(["a picture that stands still, 1280x720 at 60 frames/s", "measured"],
          [["CPU of the stream's process, % of a core", verdicts.at_most(used * 100, 1.0)]])


def on_cpu(pid):
    """Seconds that all threads of a process have run for."""
    tasks = process.listed(f"/proc/{pid}/task")
    stats = [process.read(f"/proc/{pid}/task/{task}/schedstat").split() for task in tasks]
    return sum(int(stat[0]) for stat in stats if stat) / 1e9
