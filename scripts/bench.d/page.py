"""From a viewer's click to the picture, and from the drawing of a picture to the viewer's canvas: in a real Chromium, by a
real go2rtc, all ways in turn."""

import contextlib
import os
import re
import tempfile
import threading
import time
from dataclasses import dataclass, field
from statistics import median

import machine
import pictures
import process
import servers
import strip
from browser import Browser, BrowserFailed
from mpegts import percentile
from report import say, table
from viewer import Viewer

HERE = os.path.dirname(os.path.abspath(__file__))
SIZE = (640, 360)
BITRATE = "2M"
PICTURE = f"{SIZE[0]}x{SIZE[1]}, 2 Mb/s"
# Of the floor, for a stream that has to be started.
OVER_FLOOR = 60  # ms
ON_CANVAS = 25  # ms
# What is left of the viewer before is gone by then, and what is made ready for the next one is there.
REST = 0.5  # seconds
# A jitter buffer needs a while to find its delay.
SETTLES = 2000  # ms
# go2rtc's player takes longer until it is as far behind as it will be.
SETTLES_BEHIND = 6000  # ms

with open(os.path.join(HERE, "page.js"), encoding="utf-8") as file:
    PAGE = file.read()


@dataclass
class Way:
    """How a stream gets from its process to a viewer: a server's address, and the stream's name there."""

    name: str
    address: str
    stream: str
    seen: list = field(default_factory=list)


def compare(options, verdicts):
    """Clicks at each rate, then what runs."""
    try:
        with Browser(["127.0.0.1"], ["--allow-loopback-in-peer-connection"]) as browser:
            starts(options)
            for rate in (30,) if options.quick else (30, 60):
                clicks(options, verdicts, browser, rate)
            delays(options, verdicts, browser, 60)
    except BrowserFailed as error:
        raise process.Failed(str(error)) from error


def ours(options, rate, *more):
    width, height = SIZE
    return [options.program, "--stdout", *stream_options(width, height, rate), "--log-level", "warn", *more]


def stream_options(width, height, rate):
    options = ["--width", str(width), "--height", str(height), "--fps", str(rate), "--bitrate", BITRATE]
    return [*options, "--encoder", "openh264"]


def ffmpeg(clip, rate):
    """The card from a file, in real time, as MPEG-TS without the picture that ffmpeg holds back by itself."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-re", "-stream_loop", "-1", "-r", str(rate), "-i", clip]
    command += ["-c:v", "libx264", "-preset", "superfast", "-tune", "zerolatency", "-b:v", BITRATE, "-g", str(rate)]
    return [*command, "-f", "mpegts", "-omit_video_pes_length", "0", "-flush_packets", "1", "pipe:1"]


def clicks(options, verdicts, browser, rate):
    """From the click to the first picture."""
    rounds = 2 if options.quick else 4 * options.rounds
    say(f"Clicks at {rate} pictures/s: {rounds} rounds")
    width, height = SIZE
    with contextlib.ExitStack() as stack:
        clip = stack.enter_context(card(options))
        streams = {
            "floor": ours(options, rate, "--gop", "1"),
            "raw": ours(options, rate),
            "mpegts": ours(options, rate, "--mpegts"),
            "ffmpeg": ffmpeg(clip, rate),
        }
        own = stack.enter_context(servers.Go2rtc(options.go2rtc, streams, ["floor"]))
        ways = [
            Way("a stream that runs already, of IDR pictures alone: the floor", own.address, "floor"),
            Way("exec, raw", own.address, "raw"),
            Way("exec, MPEG-TS", own.address, "mpegts"),
            Way("exec, ffmpeg with libx264", own.address, "ffmpeg"),
        ]
        modes = [("fifo", "MPEG-TS", [])]
        if not options.quick:
            modes += [("http", "MPEG-TS", []), ("fifo", "raw", []), ("http", "raw", [])]
            modes += [("fifo", "MPEG-TS, --spare on", ["--spare", "on"])]
        for mode, form, more in modes:
            more = [*more, *(["--mpegts"] if "MPEG-TS" in form else [])]
            worker_options = [*stream_options(width, height, rate), "--log-level", "warn", *more]
            supervised = stack.enter_context(servers.Supervised(options.program, options.go2rtc, mode, worker_options))
            ways.append(Way(f"{mode}, {form}", supervised.address, "omega-0"))
            if (mode, form) == ("fifo", "MPEG-TS"):
                stack.enter_context(watched(supervised.rtsp, "omega-1"))
                ways.append(Way("fifo, MPEG-TS, which somebody watches already", supervised.address, "omega-1"))
        time.sleep(2 * REST)
        for mode in ("webrtc",) if options.quick else ("webrtc", "mse"):
            for way in ways:
                way.seen = []
            for _ in range(rounds if mode == "webrtc" else rounds // 2):
                for way in ways:
                    way.seen.append(ask(browser, way.address, "click", {"src": way.stream, "mode": mode}))
                    time.sleep(REST)
            tell(verdicts, ways, mode, rate)
        launches(own.said().decode(errors="replace"), rate)


def tell(verdicts, ways, mode, rate):
    """One table."""
    words = {"answer": "answer", "connected": "connected", "received": "first picture received", "decoded": "decoded"}
    if mode == "mse":
        words = {"connected": "socket open", "answer": "codec", "received": "first picture received"}
    words["shown"] = "shown"
    marks = list(words)
    name = "WebRTC" if mode == "webrtc" else "MSE"
    head = [f"{name}, click to first picture, {PICTURE}, {rate}/s, ms", *words.values(), "90th percentile"]
    rows = []
    floor = [seen["shown"] for seen in ways[0].seen]
    for way in ways:
        times = [seen["shown"] for seen in way.seen]
        cells = [f"{median(seen[mark] for seen in way.seen):.0f}" for mark in marks]
        over = median(a - b for a, b in zip(times, floor))
        is_judged = mode == "webrtc" and way is not ways[0] and "ffmpeg" not in way.name and "already" not in way.name
        cells.append(f"{percentile(times, 90):.0f}")
        cells.append(verdicts.at_most(over, OVER_FLOOR, "{:.0f}") if is_judged else f"{over:.0f}")
        rows.append([way.name, *cells])
    table([*head, "over the floor, round by round"], rows)


def launches(log, rate):
    """What go2rtc says of the sources that it started: how long each took until it knew what comes."""
    took = {"raw": [], "MPEG-TS": [], "ffmpeg": []}
    kind = None
    for line in re.sub(r"\x1b\[\d*m", "", log).splitlines():
        launch = re.search(r"run pipe launch=(\S+)", line)
        if launch and kind:
            took[kind].append(milliseconds(launch[1]))
            kind = None
        elif "run pipe args=" in line and "--gop" not in line:
            kind = "ffmpeg" if "libx264" in line else "MPEG-TS" if "--mpegts" in line else "raw"
    head = [f"from the start of a source until go2rtc knows its codec, {PICTURE}, {rate}/s, ms", "starts", "median"]
    some = [(name, times) for name, times in took.items() if times]
    rows = [[name, len(times), f"{median(times):.0f}", f"{percentile(times, 90):.0f}"] for name, times in some]
    table([*head, "90th percentile"], rows)


def starts(options):
    """What a stream's process takes to its first byte, and what of that EGL alone does."""
    rounds = 3 if options.quick else 4 * options.rounds
    say(f"Starts: {rounds} rounds")
    raw, mpegts = ours(options, 30), ours(options, 30, "--mpegts")
    egl, *found = process.in_turn(
        rounds,
        [machine.egl_start, lambda: process.first_byte_only(raw), lambda: process.first_byte_only(mpegts)],
    )
    names = ["EGL alone, loaded and initialised", "first byte, raw", "first byte, MPEG-TS"]
    rows = [
        [name, f"{median(times) * 1e3:.0f}", f"{min(times) * 1e3:.0f}"] for name, times in zip(names, [egl, *found])
    ]
    table([f"from the start of a process, {PICTURE}, ms", "median", "least"], rows)


def milliseconds(text):
    """A duration as Go writes it."""
    units = {"ms": 1.0, "s": 1000.0, "µs": 0.001}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"([\d.]+)(ms|µs|s)", text))


def delays(options, verdicts, browser, rate):
    """From drawn to canvas. Where a stream's pictures fall between those of the screen differs from start to start, so each
    way is started several times."""
    seconds, rounds = (2, 1) if options.quick else (3, options.rounds)
    say(f"Drawn to canvas at {rate} pictures/s: {rounds} times {seconds} s each")
    width, height = SIZE
    with contextlib.ExitStack() as stack:
        streams = {"raw": ours(options, rate), "mpegts": ours(options, rate, "--mpegts")}
        own = stack.enter_context(servers.Go2rtc(options.go2rtc, streams))
        supervised = stack.enter_context(
            servers.Supervised(options.program, options.go2rtc, "fifo", [*stream_options(width, height, rate), "--mpegts"])
        )
        wall = supervised.address
        ways = [
            Sight("WebRTC, exec, MPEG-TS", own.address, "play", "mpegts"),
            Sight("MSE, a tile of the wall, fifo, MPEG-TS", wall, "look", page="/?src=omega-0&mode=mse"),
            Sight("WebRTC, exec, raw", own.address, "play", "raw"),
            Sight("WebRTC, a tile of the wall, fifo, MPEG-TS", wall, "look", page="/?src=omega-0&mode=webrtc"),
            Sight("MSE, go2rtc's own player, exec, MPEG-TS", own.address, "look", page="/stream.html?src=mpegts&mode=mse"),
        ]
        ways = ways[:2] if options.quick else ways
        for _ in range(rounds):
            for way in ways:
                way.look(browser, seconds, SETTLES // 2 if options.quick else SETTLES)
                time.sleep(REST)
    head = [f"drawn to canvas, {PICTURE}, {rate}/s, ms", "median", "least", "95th percentile"]
    head += ["of it until received", "jitter buffer", "decoding", "pictures seen", "not seen"]
    table(head, [way.row(verdicts) for way in ways])


@dataclass
class Sight:
    """What a page shows, and what was seen there."""

    name: str
    address: str
    job: str
    stream: str = ""
    page: str = "/"
    times: list = field(default_factory=list)
    received: list = field(default_factory=list)
    buffered: list = field(default_factory=list)
    decoding: list = field(default_factory=list)
    missing: int = 0

    def look(self, browser, seconds, settles):
        """Starts it, and watches for so long once it has settled for so many milliseconds."""
        where = strip.Strip(*SIZE)
        wanted = {"src": self.stream, "milliseconds": 1000 * seconds}
        wanted["settles"] = SETTLES_BEHIND if "own player" in self.name else settles
        wanted |= {"columns": where.columns, "rows": where.rows, "block": where.block}
        wanted["top"] = SIZE[1] - where.rows * where.block
        seen = ask(browser, self.address, self.job, wanted, self.page)
        marks = [(strip.read(pixels), *times) for pixels, *times in seen["pictures"]]
        readable = [each for each in marks if each[0]]
        if len(readable) < len(marks) * 0.9 or not readable:
            raise process.Failed(f"{self.name}: of {len(marks)} pictures {len(readable)} had a strip that can be read")
        for (_, drawn), received, shown in readable:
            # The clock in a picture is cut to whole milliseconds.
            self.times.append(shown - drawn - 0.5)
            if received is not None:
                self.received.append(received - drawn - 0.5)
        numbers = {number for (number, _), *_ in readable}
        self.missing += max(numbers) - min(numbers) + 1 - len(numbers)
        self.buffered += [seen["buffered"]] if "buffered" in seen else []
        self.decoding += [seen["decoding"]] if "decoding" in seen else []

    def row(self, verdicts):
        middle = median(self.times)
        is_judged = self.name == "WebRTC, exec, MPEG-TS"
        cells = [verdicts.at_most(middle, ON_CANVAS, "{:.0f}") if is_judged else f"{middle:.0f}"]
        cells += [f"{min(self.times):.0f}", f"{percentile(self.times, 95):.0f}"]
        cells += [f"{median(all):.1f}" if all else "" for all in (self.received, self.buffered, self.decoding)]
        return [self.name, *cells, len(self.times), self.missing]


def ask(browser, address, job, wanted, page="/"):
    """Has a page of this server do a job."""
    browser.open(address + page)
    seen = browser.run(PAGE, job, wanted)
    if "error" in seen:
        raise process.Failed(f"{job} of {wanted.get('src') or page}: {seen['error']}")
    return seen


@contextlib.contextmanager
def card(options):
    """Two seconds of the test card's pictures in a file."""
    with tempfile.TemporaryDirectory(prefix="mb-encode-bench-") as folder:
        yield pictures.draw(options, "card", SIZE, 120, folder)


@contextlib.contextmanager
def watched(port, stream):
    """Somebody who watches by RTSP meanwhile."""
    is_over = threading.Event()

    def read():
        while not is_over.is_set():
            # A session that says nothing is over after a while.
            with contextlib.suppress(OSError, ValueError), Viewer(port, stream).socket as viewer:
                while not is_over.is_set() and viewer.recv(1 << 16):
                    pass

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
