"""Measures everything, and prints it as Markdown. Called by scripts/bench."""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from statistics import median

import drawn
import fifo
import figures
import files
import inputs
import lines
import machine
import many
import mpegts
import page
import pacing
import process
import producers
import quality
from report import Verdicts, say, table, targets

SIZES = [(1280, 720), (1920, 1080)]


def main():
    options = parse()
    if not options.write:
        measure(options)
        return
    with figures.written() as kept:
        measure(options)
    say(f"Wrote {kept.markdown} and {kept.chart}")


def measure(options):
    verdicts = Verdicts()
    load = machine.load()
    table(["this run", "on"], machine.rows(options))
    for part in options.only or PARTS:
        PARTS[part](options, verdicts)
    targets()
    print(f"{verdicts.met} targets met, {verdicts.missed} missed. "
          f"Load of the machine before and after: {load:.1f} and {machine.load():.1f}.")
    if load > 0.5:
        print("The machine was busy before the bench began: times are rough, ratios less so.")


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--only", action="append", choices=PARTS)
    parser.add_argument("program")
    parser.add_argument("dump")
    parser.add_argument("go2rtc")
    parser.add_argument("stage_times")
    parser.add_argument("simulated")
    options = parser.parse_args()
    options.pictures = 150 if options.quick else 600
    # Of 1280x720; of larger ones fewer.
    options.drawn_pictures = 48 if options.quick else 200
    options.alone_pictures = 40 if options.quick else 100
    options.file_pictures = 60 if options.quick else 180
    options.rounds = options.rounds or (2 if options.quick else 5)
    options.short_rounds = 2 * options.rounds
    options.idle_seconds = 3 if options.quick else 10
    options.paced_seconds = 5 if options.quick else 20
    return options


def first_bytes(options, verdicts):
    """The time from the start of a process to its first byte."""
    size = SIZES[0]
    say(f"First bytes: {options.short_rounds} rounds")
    shader = drawn.shader("quiet")
    ours = lines.mb_encode_drawing(options.program, shader, size, 0)
    gst = lines.gstreamer_drawing(shader, size, -1)
    for line in (ours, gst):
        process.first_byte_only(line.command, line.environment)
    egl, *found = process.in_turn(
        options.short_rounds,
        [
            machine.egl_start,
            lambda: process.first_byte_only(ours.command, ours.environment),
            lambda: process.first_byte_only(gst.command, gst.environment),
        ],
    )
    mine, theirs = found
    egl_ms, mine_ms = median(egl) * 1e3, median(mine) * 1e3
    plain = f"{mine_ms:.0f}"
    if egl_ms <= 22:
        plain = verdicts.at_most(mine_ms, 50, "{:.0f}")
    table(
        [f"first byte after start, {size[0]}x{size[1]}, ms", "measured", "target"],
        [
            ["mb-encode", plain, "" if egl_ms <= 22 else "50 where EGL initialises in 20"],
            ["GStreamer", f"{median(theirs) * 1e3:.0f}", ""],
            ["ratio", verdicts.at_most(process.ratio(mine, theirs), 0.6), ""],
            ["EGL alone, loaded and initialised", f"{egl_ms:.0f}", ""],
        ],
    )


def nvenc(options, verdicts):
    """What can be measured of the way to NVENC without one."""
    looking(options, verdicts)
    own_code(options, verdicts)


def looking(options, verdicts):
    """What `--encoder auto` spends on finding that there is no NVENC."""
    say(f"Looking for NVENC: {options.short_rounds} rounds")
    command = [options.program, "--stdout", "--frames", "1", "--log-level", "debug", "--encoder"]

    def look():
        done = subprocess.run([*command, "auto"], capture_output=True, check=True)
        told = re.search(rb"looked for NVENC for (\d+) us", done.stderr)
        return int(told[1]) / 1e3 if told else None

    if look() is None:
        print("NVENC works here, so nothing is lost by looking for it.\n")
        return
    looks, auto, openh264 = process.in_turn(
        options.short_rounds,
        [
            look,
            lambda: process.first_byte_only([*command, "auto"]),
            lambda: process.first_byte_only([*command, "openh264"]),
        ],
    )
    table(
        ["`--encoder auto` where there is no NVENC", "measured"],
        [
            ["the look for it, ms", verdicts.at_most(median(looks), 2.0)],
            ["the same, longest", f"{max(looks):.2f}"],
            ["first byte, ratio to `--encoder openh264`", f"{process.ratio(auto, openh264):.2f}"],
        ],
    )


def own_code(options, verdicts):
    """CPU time of mb-encode's own code on the way to NVENC, between drivers that do nothing.

    The pictures' bytes are there: as many as the bitrate gives each.
    """
    width, height = SIZES[1]
    say(f"Own code at {width}x{height}: {options.rounds} rounds")
    command = [options.stage_times, "--json", "--encoder", "nvenc", "--width", str(width), "--height", str(height)]
    command += ["--fps", str(lines.FRAME_RATE), "--pictures", str(options.pictures // 2)]
    environment = {
        "LD_LIBRARY_PATH": options.simulated,
        "MB_SIM_ENCODE": "null",
        "MB_SIM_PICTURE_BYTES": str(lines.BITRATE // 8 // lines.FRAME_RATE),
    }

    def measure(*more):
        run = process.run([*command, *more], environment)
        return json.loads(run.output)["stages"]["cpu"]

    fast, paced, fed, fed_paced = process.in_turn(
        options.rounds,
        [measure, lambda: measure("--paced"), lambda: measure("--host"), lambda: measure("--host", "--paced")],
    )

    def row(name, runs, judge):
        p50, p99 = (median(run[key] for run in runs) for key in ("p50_us", "p99_us"))
        return [name, judge(p50), f"{p99:.1f}"]

    table(
        [f"CPU time of own code a picture, {width}x{height}, NVENC, µs", "median", "99th percentile"],
        [
            row("as fast as it goes", fast, lambda value: verdicts.at_most(value, 12.0, "{:.1f}")),
            row(
                "in real time, which adds the kernel's time to sleep and wake up",
                paced,
                lambda value: verdicts.at_most(value, 70.0, "{:.1f}"),
            ),
            row("from host memory, as fast as it goes", fed, lambda value: verdicts.at_most(value, 12.0, "{:.1f}")),
            row("from host memory, in real time", fed_paced, lambda value: verdicts.at_most(value, 70.0, "{:.1f}")),
        ],
    )
    print("The thread's whole CPU time that draws or takes pictures, system calls included. CUDA, NVENC and GL are simulated and do nothing; "
          "what that costs is in the figure.\n")


def waiting_worker(options, verdicts):
    """What a FIFO worker costs that nobody reads from, and how fast it answers."""
    say(f"A worker that waits: {options.idle_seconds} s idle, {options.short_rounds} readers")
    cold_start = [options.program, "--stdout", "--log-level", "info", "--encoder", "openh264"]
    with fifo.waiting(options.program) as worker:
        ticks, fresh_memory = worker.idle(options.idle_seconds)
        cold, answers = process.in_turn(options.short_rounds, [lambda: process.first_byte_only(cold_start), worker.answer])
        # What a reader leaves behind, if anything.
        ticks_after, used_memory = worker.idle(options.idle_seconds)
    table(
        ["FIFO worker", "measured"],
        [
            [f"CPU ticks in {options.idle_seconds} s, waiting", verdicts.at_most(ticks, 0, "{:.0f}")],
            ["the same ticks after its readers have left", verdicts.at_most(ticks_after, 0, "{:.0f}")],
            ["resident, waiting, MiB", verdicts.at_most(fresh_memory, 10, "{:.1f}")],
            ["the same memory after its readers have left", verdicts.at_most(used_memory, 10, "{:.1f}")],
            ["reader connects to first byte, ms", f"{median(answers) * 1e3:.0f}"],
            ["cold start of --stdout to first byte, ms", f"{median(cold) * 1e3:.0f}"],
            ["ratio", verdicts.at_most(process.ratio(answers, cold), 1.2)],
        ],
    )


PARTS = {
    "drawn": drawn.compare,
    "files": files.compare,
    "quality": quality.compare,
    "start": first_bytes,
    "nvenc": nvenc,
    "fifo": waiting_worker,
    "pacing": pacing.compare,
    "many": many.compare,
    "inputs": inputs.compare,
    "producers": producers.compare,
    "mpegts": lambda options, _: mpegts.compare(options),
    "page": page.compare,
}


if __name__ == "__main__":
    try:
        main()
    except (process.Failed, subprocess.CalledProcessError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
