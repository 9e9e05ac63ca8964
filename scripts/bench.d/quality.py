"""What the bits are worth picture by picture: PSNR by bitrate beside libx264, and what an IDR does to it."""

import math
import os
import re
import subprocess
import tempfile
from statistics import mean

import drawn
import lines
import pictures
import process
from report import say, table

SIZE = (1280, 720)
RATES = [2_000_000, 4_000_000, 6_000_000]
# How much worse than x264 a moving picture may be, and how much worse after an IDR than before it, in dB.
BEHIND, PULSE = 1.0, 1.5
# Pictures from an IDR on that are looked at.
BEHIND_IDR = 6
NAL = re.compile(rb"\x00\x00\x01(.)(.?)", re.DOTALL)


def compare(options, verdicts):
    """Two kinds of pictures that move, and one that stands still."""
    # Two IDRs with pictures before and behind them.
    count = 2 * lines.FRAME_RATE + BEHIND_IDR + 4 if options.quick else 5 * lines.FRAME_RATE
    with tempfile.TemporaryDirectory(prefix="mb-encode-bench-") as folder:
        for what, make in MADE.items():
            say(f"Quality, {what}: {count} pictures")
            raw = make(options, count, folder)
            moves = what != "still"
            coded = measure(options, raw, count, RATES if moves and not options.quick else RATES[-1:], folder)
            os.remove(raw)
            named = f"{what}, {SIZE[0]}x{SIZE[1]}, {lines.FRAME_RATE} fps"
            if moves:
                by_rate(named, coded, verdicts)
            around_idrs(named, coded[RATES[-1]], verdicts)


def busy(options, count, folder):
    """A shader that moves everywhere."""
    raw = os.path.join(folder, "busy.y4m")
    command = [options.dump, f"{SIZE[0]}x{SIZE[1]}", str(count), raw, drawn.shader("busy")]
    subprocess.run(command, check=True)
    return raw


def still(options, count, folder):
    """The camera's first picture, again and again."""
    del options
    raw = os.path.join(folder, "still.y4m")
    frame = next(pictures.camera(SIZE, 1))
    pictures.write(raw, SIZE, [frame] * count)
    return raw


MADE = {
    "camera": lambda options, count, folder: pictures.draw(options, "camera", SIZE, count, folder),
    "busy shader": busy,
    "still": still,
}


def measure(options, raw, count, rates, folder):
    """Of each rate, of mb-encode and of x264: bits and PSNR of each picture."""
    return {
        rate: [
            coded(line, raw, count, folder)
            for line in (
                lines.mb_encode_reading(options.program, raw, count, rate),
                lines.ffmpeg_reading(raw, count, "libx264", bitrate=rate),
            )
        ]
        for rate in rates
    }


class Coded:
    """A stream, picture by picture."""

    def __init__(self, name, bits, errors):
        self.name, self.bits, self.errors = name, bits, errors

    def rate(self):
        """Mb/s reached."""
        return sum(self.bits) * lines.FRAME_RATE / len(self.bits) / 1e6

    def psnr(self, at=None):
        """In dB, of all pictures, or of those at these places."""
        return psnr(self.errors if at is None else [self.errors[place] for place in at])


def psnr(errors):
    """Of pictures with these mean squared errors, in dB. 99 stands for no difference at all."""
    return min(99.0, 10 * math.log10(255 * 255 / max(mean(errors), 1e-9)))


def coded(line, raw, count, folder):
    """Runs `line`, and looks at what it wrote."""
    run = process.run(line.command, line.environment)
    stream, log = os.path.join(folder, "coded.h264"), os.path.join(folder, "psnr.log")
    with open(stream, "wb") as file:
        file.write(run.output)
    rate = ["-r", str(lines.FRAME_RATE)]
    command = ["ffmpeg", "-v", "error", "-nostdin", *rate, "-i", stream, *rate, "-i", raw, "-lavfi"]
    subprocess.run([*command, f"psnr=stats_file={log}", "-f", "null", "-"], check=True)
    with open(log, encoding="utf-8") as file:
        # The log has two digits, which are too few near 0: the same is told in dB.
        told = [float(found[1]) for found in re.finditer(r"psnr_avg:([\d.]+|inf)", file.read())]
    bits = sizes(run.output)
    if not len(told) == len(bits) == count:
        raise process.Failed(f"{line.name} wrote {len(bits)} pictures, of which {len(told)} were decoded, instead of {count}")
    return Coded(line.name, bits, [255 * 255 / 10 ** (value / 10) for value in told])


def sizes(stream):
    """Bits of each access unit of an Annex B stream."""
    starts, has_slice = [], True
    for unit in NAL.finditer(stream):
        kind = unit[1][0] & 31
        is_slice = kind in (1, 5)
        if has_slice and (not is_slice or unit[2][0] >= 0x80):
            starts.append(unit.start())
            has_slice = False
        has_slice |= is_slice
    return [(end - start) * 8 for start, end in zip(starts, [*starts[1:], len(stream)])]


def at_rate(points, rate):
    """PSNR at `rate` of what has these points of rate and PSNR, which is nearly straight over the logarithm of the rate."""
    points = sorted(points)
    if len(points) == 1:
        return points[0][1]
    lower = max(place for place in range(len(points) - 1) if place == 0 or points[place][0] <= rate)
    (low, low_psnr), (high, high_psnr) = points[lower : lower + 2]
    return low_psnr + (high_psnr - low_psnr) * math.log(rate / low) / math.log(high / low)


def by_rate(named, coded_at, verdicts):
    """PSNR of both, and at the bitrate that mb-encode reached."""
    theirs = [(found[1].rate(), found[1].psnr()) for found in coded_at.values()]
    first = next(iter(coded_at.values()))
    head = [f"quality: {named}"]
    for found in first:
        head += [f"{found.name}, Mb/s reached", f"{found.name}, PSNR dB"]
    rows = []
    for rate, found in coded_at.items():
        ahead = found[0].psnr() - at_rate(theirs, found[0].rate())
        cells = [cell for each in found for cell in (f"{each.rate():.2f}", f"{each.psnr():.2f}")]
        rows.append([f"{rate // 1_000_000} Mb/s", *cells, verdicts.at_least(ahead, -BEHIND)])
    table([*head, "mb-encode ahead at the same bitrate, dB"], rows)


def around_idrs(named, found, verdicts):
    """PSNR before and after an IDR, on average over all but the first one, and what pictures take."""
    rows = []
    for each in found:
        idrs = range(lines.FRAME_RATE, len(each.bits) - BEHIND_IDR, lines.FRAME_RATE)
        before = each.psnr([idr - 1 for idr in idrs])
        behind = [each.psnr([idr + after for idr in idrs]) for after in range(BEHIND_IDR)]
        others = [bits for place, bits in enumerate(each.bits) if place % lines.FRAME_RATE]
        worse = before - min(behind)
        rows.append(
            [
                each.name,
                *(f"{value:.2f}" for value in (before, *behind[:3], min(behind))),
                verdicts.at_most(worse, PULSE) if each is found[0] else f"{worse:.2f}",
                f"{mean(each.bits[idr] for idr in idrs) / 1e3:.0f}",
                f"{mean(others) / 1e3:.0f}",
            ]
        )
    head = [f"IDR pulsing: {named}, {RATES[-1] // 1_000_000} Mb/s", "before an IDR, dB", "the IDR", "the next one"]
    head += ["the one after it", f"worst of {BEHIND_IDR}", "worse than before, dB", "IDR, kbit", "others, kbit"]
    table(head, rows)
