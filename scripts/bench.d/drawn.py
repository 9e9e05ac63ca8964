"""The same shaders drawn and encoded by mb-encode and by GStreamer, beside what drawing and OpenH264 alone allow."""

import os
import subprocess
import tempfile
from statistics import median

import likeness
import limit
import lines
import process
from report import say, table

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "shaders")
SHADERS = ["quiet", "busy", "grain"]
SIZES = [(1280, 720), (1920, 1080)]
# Pictures that are alike in both, in dB: the rest is rounding, and where chroma is sampled.
ALIKE = 35.0
LOOKED_AT = 12


def compare(options, verdicts):
    """Each shader at each size; of a quick run, the busy one."""
    for name in ["busy"] if options.quick else SHADERS:
        alike = likeness_of_both(options, shader(name))
        for size in SIZES:
            measure(options, verdicts, name, size, alike)


def shader(name):
    """The path of one of the bench's own."""
    return os.path.join(FOLDER, f"{name}.glsl")


def likeness_of_both(options, path):
    """How alike the first pictures are that both draw, in dB; fails where they are not the same."""
    size = SIZES[0]
    with tempfile.TemporaryDirectory(prefix="mb-encode-bench-") as folder:
        ours, theirs = os.path.join(folder, "ours.y4m"), os.path.join(folder, "theirs.y4m")
        dump = [options.dump, f"{size[0]}x{size[1]}", str(LOOKED_AT), ours, path]
        subprocess.run(dump, check=True)
        line = lines.gstreamer_drawing(path, size, LOOKED_AT, "y4menc")
        process.coded(line, keep=theirs)
        found = likeness.of(theirs, ours).psnr
    if found < ALIKE:
        raise process.Failed(f"GStreamer draws another picture of {path} than mb-encode: they differ by {found:.1f} dB")
    return found


def measure(options, verdicts, name, size, alike):
    """One shader at one size."""
    path, count = shader(name), limit.of_size(options.drawn_pictures, size)
    compared = [
        lines.mb_encode_drawing(options.program, path, size, count),
        lines.gstreamer_drawing(path, size, count),
        lines.gstreamer_drawing(path, size, count, "x264enc"),
    ]
    what = f"{name} shader, {size[0]}x{size[1]}, {lines.FRAME_RATE} fps, {lines.BITRATE // 1_000_000} Mb/s"
    say(f"Drawing and encoding, {what}: {options.rounds} rounds")
    turns = [lambda line=line: process.coded(line) for line in compared]
    *runs, alone, shares = process.in_turn(options.rounds, [*turns, *limit.measures(options, path, size)])
    for line, found in zip(compared, runs):
        process.complete(line.name, found, count)
    table([f"drawn: {what}", *[line.name for line in compared]], figures(runs, count, verdicts))
    rows = limit.rows(alone, shares, [run.rate(count) for run in runs[0]], verdicts)
    rows += [["mb-encode's pictures beside GStreamer's, PSNR dB", f"{alike:.1f}"]] if size == SIZES[0] else []
    table([f"limit: {what}", "measured"], rows)


def figures(runs, count, verdicts):
    """Rows of a table: what each line reached, and mb-encode, the first of them, by its side."""

    def row(name, of, form):
        return [name, *(form.format(median(map(of, found))) for found in runs)]

    def beside(name, of, judge):
        ratios = [median(of(mine) / of(other) for mine, other in zip(runs[0], found)) for found in runs[1:]]
        return [name, "", *map(judge, ratios)]

    seconds = count / lines.FRAME_RATE
    return [
        row("frames/s", lambda run: run.rate(count), "{:.0f}"),
        row("CPU ms a frame", lambda run: run.cpu * 1e3 / count, "{:.2f}"),
        row("peak memory, MiB", lambda run: run.peak, "{:.0f}"),
        row("Mb/s reached", lambda run: run.size * 8e-6 / seconds, "{:.2f}"),
        beside("mb-encode's frames/s to these", lambda run: run.rate(count), lambda it: verdicts.at_least(it, 1.0)),
        beside("mb-encode's CPU time to these", lambda run: run.cpu, lambda it: verdicts.at_most(it, 1.0)),
    ]
