"""Measures everything, and prints it as Markdown. Called by scripts/bench."""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from statistics import median

import fifo
import grid
import inputs
import lines
import machine
import mpegts
import process
import producers
from report import Verdicts, say, table

SIZES = [(1280, 720), (1920, 1080)]


def main():
    options = parse()
    verdicts = Verdicts()
    print(f"Measured on {machine.describe(options.program)}.\n")
    load = machine.load()
    for part in options.only or PARTS:
        PARTS[part](options, verdicts)
    print(f"{verdicts.met} targets met, {verdicts.missed} missed. "
          f"Load of the machine before and after: {load:.1f} and {machine.load():.1f}.")
    if load > 0.5:
        print("The machine was busy before the bench began: times are rough, ratios less so.")


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--only", action="append", choices=PARTS)
    parser.add_argument("program")
    parser.add_argument("dump")
    parser.add_argument("go2rtc")
    parser.add_argument("stage_times")
    parser.add_argument("simulated")
    options = parser.parse_args()
    options.pictures = 150 if options.quick else 600
    options.rounds = options.rounds or (2 if options.quick else 5)
    options.short_rounds = 2 * options.rounds
    options.idle_seconds = 3 if options.quick else 10
    options.paced_seconds = 5 if options.quick else 20
    return options


def ratio(ours, theirs):
    """The median of the ratios round by round."""
    return median(a / b for a, b in zip(ours, theirs))


def encoding(options, verdicts):
    """Speed and cost at each size."""
    with tempfile.TemporaryDirectory(prefix="mb-encode-bench-") as folder:
        for size in SIZES:
            compare(options, size, folder, verdicts)


def compare(options, size, folder, verdicts):
    """Speed and cost of the three lines at one size."""
    width, height = size
    raw, coded = os.path.join(folder, "card.y4m"), os.path.join(folder, "card.h264")
    needed = width * height * 3 // 2 * options.pictures + (64 << 20)
    if shutil.disk_usage(folder).free < needed:
        raise process.Failed(f"{folder} has no room for {needed >> 20} MiB of raw pictures: set TMPDIR to one that has")
    say(f"Drawing {options.pictures} raw pictures of {width}x{height}")
    dump = [options.dump, f"{width}x{height}", str(options.pictures), str(lines.BITRATE), raw, coded]
    subprocess.run(dump, check=True)

    compared = [
        lines.mb_encode(options.program, size, options.pictures),
        lines.gstreamer(size, options.pictures),
        lines.ffmpeg(raw, options.pictures),
    ]
    say(f"Comparing at {width}x{height}: {options.rounds} rounds after one that does not count")
    warm = [process.run(line.command, line.environment) for line in compared]
    for line, run in zip(compared, warm):
        if run.pictures != options.pictures:
            raise process.Failed(f"{line.name} wrote {run.pictures} pictures instead of {options.pictures}")
    runs = [lambda line=line: process.run(line.command, line.environment) for line in compared]
    ours, gst, ff = process.in_turn(options.rounds, runs)

    x264 = os.path.join(folder, "x264.h264")
    with open(x264, "wb") as file:
        file.write(warm[2].output)
    quality = [f"{psnr(coded, raw):.1f}", "", f"{psnr(x264, raw):.1f}"]
    for path in (raw, coded, x264):
        os.remove(path)

    def row(name, of, form, to_gst=None, to_ff=None):
        columns = [[of(run) for run in runs] for runs in (ours, gst, ff)]
        cells = [form.format(median(column)) for column in columns]
        ratios = [ratio(columns[0], columns[1]), ratio(columns[0], columns[2])]
        judged = [judge(value) if judge else f"{value:.2f}" for judge, value in zip((to_gst, to_ff), ratios)]
        return [name, *cells, *judged]

    seconds = options.pictures / lines.FRAME_RATE
    table(
        [
            f"{width}x{height}, {options.pictures} pictures, {lines.BITRATE // 1_000_000} Mb/s",
            *[line.name for line in compared],
            "to GStreamer",
            "to ffmpeg",
        ],
        [
            row("pictures/s", lambda run: options.pictures / run.seconds, "{:.0f}",
                lambda value: verdicts.at_least(value, 1.6), lambda value: verdicts.at_least(value, 1.0)),
            row("CPU s", lambda run: run.cpu, "{:.2f}", lambda value: verdicts.at_most(value, 0.8)),
            row("peak memory MiB", lambda run: run.peak, "{:.0f}", lambda value: verdicts.at_most(value, 0.8)),
            row("Mb/s written", lambda run: len(run.output) * 8e-6 / seconds, "{:.2f}")[:4] + ["", ""],
            ["PSNR dB", *quality, "", ""],
        ],
    )
    print("GStreamer codes a picture of its own, colour bars with a field of noise, which takes more bits.\n")


def psnr(coded, raw):
    """Of `coded` against `raw`, over all planes and pictures, in dB."""
    command = ["ffmpeg", "-hide_banner", "-nostdin", "-r", str(lines.FRAME_RATE), "-i", coded, "-i", raw]
    command += ["-lavfi", "psnr", "-f", "null", "-"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    return float(re.search(r"PSNR .*average:([\d.]+|inf)", told)[1])


def first_bytes(options, verdicts):
    """The time from the start of a process to its first byte."""
    size = SIZES[0]
    say(f"First bytes: {options.short_rounds} rounds")
    ours, gst = lines.mb_encode(options.program, size, 0), lines.gstreamer(size, -1)
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
        [f"first byte after start, {size[0]}x{size[1]}, ms", "", "target"],
        [
            ["mb-encode", plain, "" if egl_ms <= 22 else "50 where EGL initialises in 20"],
            ["GStreamer", f"{median(theirs) * 1e3:.0f}", ""],
            ["ratio", verdicts.at_most(ratio(mine, theirs), 0.6), ""],
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
        ["`--encoder auto` where there is no NVENC", ""],
        [
            ["the look for it, ms", verdicts.at_most(median(looks), 2.0)],
            ["the same, longest", f"{max(looks):.2f}"],
            ["first byte, ratio to `--encoder openh264`", f"{ratio(auto, openh264):.2f}"],
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

    fast, paced = process.in_turn(options.rounds, [measure, lambda: measure("--paced")])
    def row(name, runs, judge):
        p50, p99 = (median(run[key] for run in runs) for key in ("p50_us", "p99_us"))
        return [name, judge(p50), f"{p99:.1f}"]

    table(
        [f"CPU time of own code a picture, {width}x{height}, NVENC, µs", "median", "99th percentile"],
        [
            row("as fast as it goes", fast, lambda value: verdicts.at_most(value, 50.0, "{:.1f}")),
            row("in real time, which adds the kernel's time to sleep and wake up", paced, "{:.1f}".format),
        ],
    )
    print("The drawing thread's whole CPU time, system calls included. CUDA, NVENC and GL are simulated and do nothing; "
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
        ["FIFO worker", ""],
        [
            [f"CPU ticks in {options.idle_seconds} s, waiting", verdicts.at_most(ticks, 0, "{:.0f}")],
            ["the same after its readers have left", verdicts.at_most(ticks_after, 0, "{:.0f}")],
            ["resident, waiting, MiB", verdicts.at_most(fresh_memory, 10, "{:.1f}")],
            ["the same after its readers have left", verdicts.at_most(used_memory, 10, "{:.1f}")],
            ["reader connects to first byte, ms", f"{median(answers) * 1e3:.0f}"],
            ["cold start of --stdout to first byte, ms", f"{median(cold) * 1e3:.0f}"],
            ["ratio", verdicts.at_most(ratio(answers, cold), 1.2)],
        ],
    )


def pacing(options, verdicts):
    """How evenly pictures are written at 60 a second, by when a reader of the pipe gets each one's first byte."""
    rate, pictures = lines.FRAME_RATE, options.paced_seconds * lines.FRAME_RATE
    say(f"Pacing: {options.paced_seconds} s at {rate} pictures/s")
    command = [options.program, "--stdout", "--fps", str(rate), "--frames", str(pictures), "--encoder", "openh264"]
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
    fit = grid.fit(written(bytes(stream), arrivals), rate)
    away = abs(fit.rate / rate - 1) * 100
    table(
        [f"pacing at {rate} pictures/s, 1280x720, {options.paced_seconds} s", ""],
        [
            ["mean rate, away from the one asked for, %", verdicts.at_most(away, 0.1, "{:.3f}")],
            ["distance from the grid, 99th percentile, ms", verdicts.at_most(fit.p99 * 1e3, 2.0)],
            ["the same, worst, ms", f"{fit.worst * 1e3:.2f}"],
            ["pictures skipped", fit.missing],
        ],
    )


def written(stream, arrivals):
    """When the first slice of each picture was read, from when each part of the stream was."""
    times, part = [], 0
    for slice_start in process.FIRST_SLICE.finditer(stream):
        while part + 1 < len(arrivals) and arrivals[part + 1][0] <= slice_start.start():
            part += 1
        times.append(arrivals[part][1])
    return times


PARTS = {
    "encoding": encoding,
    "start": first_bytes,
    "nvenc": nvenc,
    "fifo": waiting_worker,
    "pacing": pacing,
    "inputs": inputs.compare,
    "producers": producers.compare,
    "mpegts": lambda options, _: mpegts.compare(options),
}


if __name__ == "__main__":
    try:
        main()
    except (process.Failed, subprocess.CalledProcessError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
