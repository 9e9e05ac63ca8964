"""The same pictures from a file, encoded by mb-encode, ffmpeg and GStreamer: speed, cost, and what the bits are worth."""

import os
import tempfile
from dataclasses import dataclass
from statistics import median

import bd
import drawn
import likeness
import lines
import pictures
import process
from report import say, table

# One kind in two sizes: what differs between sizes shows in it.
COMPARED = [("camera", (1280, 720)), ("camera", (1920, 1080)), ("card", (1280, 720)), ("noise", (1280, 720))]
# Bits a second at which the worth of the bits is compared. Speed is at the middle one.
RATES = [3_000_000, lines.BITRATE, 12_000_000]
ANCHOR = "ffmpeg, libx264 superfast"


def makers(options):
    """Functions that make the command line of each program for a file, a number of pictures and a bitrate."""
    x264 = {
        preset: lambda raw, count, rate, preset=preset: lines.ffmpeg_reading(raw, count, "libx264", preset, rate)
        for preset in ("superfast", "ultrafast")
    }
    made = [lambda raw, count, rate: lines.mb_encode_reading(options.program, raw, count, rate)]
    made += [lines.gstreamer_reading, *x264.values()]
    if lines.ffmpeg_has("libopenh264"):
        made.append(lambda raw, count, rate: lines.ffmpeg_reading(raw, count, "libopenh264", bitrate=rate))
    return made


def compare(options, verdicts):
    """Each kind of pictures; of a quick run, the first."""
    with tempfile.TemporaryDirectory(prefix="mb-encode-bench-") as folder:
        for what, size in COMPARED[:1] if options.quick else COMPARED:
            named = f"{what}, {size[0]}x{size[1]}, {lines.FRAME_RATE} fps"
            say(f"Making the pictures: {named}")
            raw = pictures.draw(options, what, size, options.file_pictures, folder)
            measure(options, verdicts, named, raw)
            os.remove(raw)


def measure(options, verdicts, named, raw):
    """One kind of pictures."""
    count = options.file_pictures
    say(f"Encoding {named}: {options.rounds} rounds, and {len(RATES)} rates")
    made = makers(options)
    names = [make(raw, count, lines.BITRATE).name for make in made]
    runs = process.in_turn(options.rounds, [lambda make=make: process.coded(make(raw, count, lines.BITRATE)) for make in made])
    for name, found in zip(names, runs):
        process.complete(name, found, count)

    worth = [[Worth.of(make(raw, count, rate), raw, count) for rate in RATES] for make in made]
    points = [[(each.bits, each.likeness.psnr) for each in of_line] for of_line in worth]
    saved = bd.rates(points[names.index(ANCHOR)], points)
    middle = [of_line[RATES.index(lines.BITRATE)].likeness for of_line in worth]
    rows = drawn.figures(runs, count, verdicts)
    rows[4:4] = [
        ["PSNR, dB", *(f"{each.psnr:.2f}" for each in middle)],
        ["SSIM", *(f"{each.ssim:.4f}" for each in middle)],
        ["bits for the same PSNR, to x264 superfast, %", *("n/a" if it is None else f"{it:+.0f}" for it in saved)],
    ]
    if "1280x720" in named:
        # mb-encode's own, which holds a picture or two.
        rows[2][1] = verdicts.at_most(median(run.peak for run in runs[0]), 40, "{:.0f}")
    table([f"files: {named}, {lines.BITRATE // 1_000_000} Mb/s", *names], rows)


@dataclass
class Worth:
    """What a line made of its bits."""

    bits: float  # a second
    likeness: likeness.Likeness

    @classmethod
    def of(cls, line, raw, count):
        """Of a run of its own."""
        with tempfile.NamedTemporaryFile(prefix="mb-encode-bench-", suffix=".h264", dir=os.path.dirname(raw)) as file:
            run = process.coded(line, keep=file.name)
            return cls(run.size * 8 * lines.FRAME_RATE / count, likeness.of(file.name, raw))
