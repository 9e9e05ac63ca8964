"""Runs streams for a long time, and tells what grew, drifted or got lost. Called by scripts/soak."""

import argparse
import contextlib
import io
import os
import re
import signal
import sys
import tempfile
import time
from statistics import median

import account
import grid
import machine
import process
import watching
from report import Verdicts, say, table, targets
from service import Service

# How streams come to their viewers: mode, format, and whether past go2rtc. The streams take turns.
WAYS = [("fifo", "h264", False), ("http", "mpegts", False), ("fifo", "mpegts", False), ("http", "mpegts", True)]
LOOKS_EVERY = 5  # seconds
# The first seconds of a viewer: it catches up with what came while it looked at what the stream is.
SETTLES = 3  # seconds, at most


def main():
    options = parse()
    # Whatever is asked to end ends what it has started.
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, lambda number, _: sys.exit(128 + number))
    verdicts = Verdicts()
    with tempfile.TemporaryDirectory(prefix="mb-encode-soak-") as folder:
        soak = Soak(options, folder)
        try:
            soak.start()
            soak.run()
        finally:
            soak.end()
    with contextlib.redirect_stdout(io.StringIO()) as said:
        soak.report(verdicts)
    print(said.getvalue(), end="")
    if options.write:
        with open(options.write, "w", encoding="utf-8") as file:
            file.write(said.getvalue())
    return 1 if verdicts.missed or soak.failures else 0


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--streams", type=int, required=True)
    parser.add_argument("--write")
    parser.add_argument("program")
    parser.add_argument("go2rtc")
    return parser.parse_args()


def described(program):
    """What this runs on, and when, in one line."""
    cpu = re.search(r"^model name\s*:\s*(.*)", process.read("/proc/cpuinfo"), re.MULTILINE)
    parts = [cpu[1] if cpu else os.uname().machine, f"{len(os.sched_getaffinity(0))} cores", f"Linux {os.uname().release}"]
    parts += [f"Mesa {machine.package('libegl-mesa0')}", machine.first_line([program, "--version"])]
    return ", ".join([*parts, f"load {machine.load():.1f} at the end", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())])


class Look:
    """What all processes hold at one time, and what was seen until then."""

    def __init__(self, services, viewers):
        parts = [account.parted(service.process.pid) for service in services]
        self.ours = account.of(pid for ours, _ in parts for pid in ours)
        self.servers = account.of(pid for _, servers in parts for pid in servers)
        self.seen = sum(len(viewer.times) for _, viewer in viewers)
        self.skipped = sum(service.skipped() for service in services)
        self.at = time.monotonic()


class Soak:
    """The streams, their viewers, and what was seen of them."""

    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.services = {}  # by mode and format
        self.viewers = []  # with the way of each
        self.visited = self.passer_by = None
        self.looks = []  # all of them: the minute, a Look
        self.failures = []

    def start(self):
        """Starts everything, and waits until each stream is seen."""
        ways = [WAYS[stream % len(WAYS)] for stream in range(self.options.streams)]
        say(f"Starting {len(ways)} streams, and one more that a viewer comes to and leaves")
        for mode, container in dict.fromkeys(way[:2] for way in ways):
            folder = os.path.join(self.folder, f"{mode}-{container}")
            count = sum(way[:2] == (mode, container) for way in ways)
            self.services[mode, container] = self.serve(folder, mode, container, count)
        self.visited = self.serve(os.path.join(self.folder, "visited"), "fifo", "h264", 1)
        self.passer_by = watching.PasserBy(self.visited.address(0), self.weigh_visited)
        taken = dict.fromkeys(self.services, 0)
        for mode, container, direct in ways:
            service, stream = self.services[mode, container], taken[mode, container]
            taken[mode, container] += 1
            address = service.direct(stream) if direct else (service.address(stream),)
            how = f"{mode}, {container}, {'by HTTP from the worker' if direct else 'by RTSP from go2rtc'}"
            self.viewers.append((how, watching.Viewer(f"{how} {stream}", *address)))
        until = time.monotonic() + 30
        while any(not viewer.times for _, viewer in self.viewers):
            if time.monotonic() > until:
                blind = [f"{how}: {viewer.complaint()}" for how, viewer in self.viewers if not viewer.times]
                raise process.Failed(f"no frame within 30 s: {'; '.join(blind)}")
            time.sleep(0.1)

    def serve(self, folder, mode, container, count):
        return Service(self.options.program, self.options.go2rtc, folder, mode, container, count)

    def weigh_visited(self):
        ours, _ = account.parted(self.visited.process.pid)
        return account.of(ours)

    def run(self):
        """Watches until the time is over, or until a viewer has lost its stream."""
        seconds = self.options.minutes * 60
        say(f"Watching for {self.options.minutes:g} min")
        # Every stream has its memory, and whoever came to look has made its keyframes.
        time.sleep(min(30, seconds / 6))
        began = time.monotonic()
        seconds -= min(30, seconds / 6)
        due = began
        while due <= began + seconds:
            time.sleep(max(0, due - time.monotonic()))
            self.looks.append(Look(self.services.values(), self.viewers))
            gone = [how for how, viewer in self.viewers if viewer.has_gone]
            if gone:
                self.failures.append(f"after {(time.monotonic() - began) / 60:.1f} min no stream any more: {gone}")
                return
            due += LOOKS_EVERY

    def end(self):
        if self.passer_by:
            self.passer_by.leave()
        for _, viewer in self.viewers:
            viewer.leave()
        for service in [*self.services.values(), *([self.visited] if self.visited else [])]:
            service.warned = service.warnings()
            service.restarted = service.restarts()
            service.end()

    def report(self, verdicts):
        """Prints what was seen, and holds it against what must hold."""
        width, height = watching.SIZE
        title = f"{len(self.viewers)} streams of {width}x{height} at {watching.FRAME_RATE} fps, {self.options.minutes:g} min"
        print(f"Ran on {described(self.options.program)}.\n")
        self.report_times(title)
        self.report_streams(title)
        self.judge(title, verdicts)
        targets()
        for failure in self.failures:
            print(f"**Failed**: {failure}\n")

    def report_times(self, title):
        began = self.looks[0].at
        step = 300 if self.options.minutes >= 15 else max(10, int(self.options.minutes) * 10)
        rows, before = [], None
        for due in range(0, int(self.looks[-1].at - began) + step, step):
            at = min(range(len(self.looks)), key=lambda at: abs(self.looks[at].at - began - due))
            look, part = self.looks[at], self.looks[max(0, at - 2) : at + 3]
            if look is before:
                continue
            cpu = ""
            if before:
                cpu = f"{(look.ours.cpu - before.ours.cpu) / (look.at - before.at) * 100 / len(self.viewers):.1f}"
            before = look
            rows.append([
                f"{due // 60} min" if step % 60 == 0 else f"{due} s",
                f"{median(one.ours.own for one in part):.1f}",
                f"{median(one.ours.proportional for one in part):.1f}",
                f"{median(one.ours.resident for one in part):.1f}",
                look.ours.descriptors,
                look.ours.threads,
                cpu,
                f"{median(one.servers.proportional for one in part):.1f}",
                look.seen,
                look.skipped,
            ])
        table(
            [title, "own memory MiB", "PSS MiB", "RSS MiB", "descriptors", "threads", "CPU % of a core a stream"]
            + ["go2rtc's PSS MiB", "frames seen", "skipped"],
            rows,
        )

    def report_streams(self, title):
        rows = []
        for how, viewer in self.viewers:
            fit = grid.fit(settled(viewer.times), watching.FRAME_RATE)
            rows.append([
                how,
                len(viewer.times),
                viewer.missing,
                viewer.repeated,
                viewer.unreadable,
                f"{drift(viewer) * 3600e6:+.0f}",
                f"{fit.p99 * 1e3:.1f}",
            ])
        table(
            [f"{title}: each", "frames seen", "missing", "repeated", "unreadable", "drift µs/h"]
            + ["off the grid when decoded, 99th percentile ms"],
            rows,
        )

    def judge(self, title, verdicts):
        size = max(1, len(self.looks) // 20)
        first, last = self.looks[:size], self.looks[-size:]
        drifts = [abs(drift(viewer)) * (viewer.drawn[-1] - viewer.drawn[0]) for _, viewer in self.viewers]
        # What is late on a busy machine is no drift, and seconds do not tell them apart.
        far = max(drifts) * 1e3
        judged = f"{far:.3f}" if self.options.minutes < 1 else verdicts.at_most(far, 1.0, "{:.3f}")
        services = [*self.services.values(), self.visited]
        rows = [
            ["own memory, end to begin", verdicts.at_most(growth(first, last, "own"), 1.05, "{:.3f}")],
            ["RSS, end to begin", verdicts.at_most(growth(first, last, "resident"), 1.05, "{:.3f}")],
            ["descriptors more than at the begin", verdicts.at_most(more(first, last, "descriptors"), 0, "{:.0f}")],
            ["threads more than at the begin", verdicts.at_most(more(first, last, "threads"), 0, "{:.0f}")],
            ["frames missing, repeated or unreadable", verdicts.at_most(
                sum(viewer.missing + viewer.repeated + viewer.unreadable for _, viewer in self.viewers), 0, "{:.0f}")],
            ["drift of the grid over the whole time, most, ms", judged],
            ["workers or go2rtc started again", verdicts.at_most(sum(one.restarted for one in services), 0, "{:.0f}")],
            ["warnings in the logs", sum(len(service.warned) for service in services)],
        ]
        weights = self.passer_by.weights
        if len(weights) >= 4:
            part = max(1, len(weights) // 10)
            begin, end = (median(one.own for one in some) for some in (weights[1 : 1 + part], weights[-part:]))
            rows += [
                [f"visits of a viewer that comes and goes ({self.passer_by.visits}) without a frame",
                 verdicts.at_most(self.passer_by.blind, 0, "{:.0f}")],
                ["the slowest of them to its first frame, ffmpeg's start and look at the stream included, s",
                 f"{self.passer_by.slowest:.2f}"],
                ["own memory of its stream's processes while it is away, begin and end, MiB", f"{begin:.2f}, {end:.2f}"],
                ["the same, end to begin", verdicts.at_most(end / begin, 1.05, "{:.3f}")],
                ["the same, descriptors more", verdicts.at_most(
                    weights[-1].descriptors - weights[1].descriptors, 0, "{:.0f}")],
            ]
        table([f"{title}: in all", ""], rows)
        for line in [line for service in services for line in service.warned][:5]:
            say(f"warned: {line}")


def settled(times):
    """Without the first seconds."""
    return [t for t in times if t > times[0] + min(SETTLES, (times[-1] - times[0]) / 4)]


def drift(viewer):
    """Seconds a second by which the grid that frames are drawn on runs away from the machine's clock."""
    return grid.drift(settled(viewer.drawn), watching.FRAME_RATE)


def growth(first, last, what):
    begin, end = (median(getattr(look.ours, what) for look in part) for part in (first, last))
    return end / begin


def more(first, last, what):
    begin, end = (median(getattr(look.ours, what) for look in part) for part in (first, last))
    return end - begin


if __name__ == "__main__":
    try:
        sys.exit(main())
    except process.Failed as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
