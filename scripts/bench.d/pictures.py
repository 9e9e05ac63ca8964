"""Makes the raw pictures (YUV4MPEG2) that encoders are compared on. The same each time.

What it computes itself it does in a process of its own: the rest of the bench does without what that imports.
"""

import math
import os
import shutil
import subprocess
import sys

import lines
import process

SEED = 20260101
# What a sensor adds, standard deviation of 8-bit luma.
SENSOR_NOISE = 1.6
# Larger than the picture, so that the camera has where to look.
STILL_SCALE = 1.5


def draw(options, what, size, count, folder):
    """The path of a new file of `count` pictures: `camera`, `card` or `noise`."""
    raw = os.path.join(folder, f"{what}-{size[1]}.y4m")
    needed = size[0] * size[1] * 3 // 2 * count + (64 << 20)
    if shutil.disk_usage(folder).free < needed:
        raise process.Failed(f"{folder} has no room for {needed >> 20} MiB of raw pictures: set TMPDIR to one that has")
    if what == "card":
        subprocess.run([options.dump, f"{size[0]}x{size[1]}", str(count), raw], check=True)
    else:
        subprocess.run([sys.executable, "-B", os.path.abspath(__file__), what, *map(str, size), str(count), raw], check=True)
    return raw


def write(raw, size, frames):
    """Planes as a Y4M file."""
    with open(raw, "wb") as file:
        rate = lines.FRAME_RATE
        file.write(b"YUV4MPEG2 W%d H%d F%d:1 Ip A1:1 C420jpeg XCOLORRANGE=LIMITED\n" % (*size, rate))
        for planes in frames:
            file.write(b"FRAME\n")
            for plane in planes:
                file.write(plane.tobytes())


def camera(size, count):
    """A camera that pans, zooms and turns by parts of a pixel over a detailed still, with a sensor's noise."""
    import cv2
    import numpy

    width, height = size
    chance = numpy.random.default_rng(SEED)
    wide, high = (int(side * STILL_SCALE) // 2 * 2 for side in size)
    still = [still_of(chance, wide, high), *(tint_of(chance, wide // 2, high // 2) for _ in range(2))]
    # Larger by a row's length than a picture needs, so that each can begin elsewhere.
    grains = chance.normal(0, SENSOR_NOISE, (height + 64, width + 64)).astype(numpy.float32)

    def seen(plane, at, by):
        """`plane` through the camera at `at` seconds, with sides of 1/`by` of the picture's."""
        turn, zoom = 0.03 * math.sin(0.7 * at), 1.0 + 0.12 * math.sin(0.5 * at + 0.4)
        pan = (wide * 0.10 * math.sin(0.8 * at) / by, high * 0.09 * math.sin(1.1 * at + 1.0) / by)
        cos, sin = math.cos(turn) / zoom, math.sin(turn) / zoom
        middle = ((width / by - 1) / 2, (height / by - 1) / 2)
        goal = ((wide / by - 1) / 2 + pan[0], (high / by - 1) / 2 + pan[1])
        matrix = numpy.array(
            [
                [cos, -sin, goal[0] - cos * middle[0] + sin * middle[1]],
                [sin, cos, goal[1] - sin * middle[0] - cos * middle[1]],
            ]
        )
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(plane, matrix, (width // by, height // by), flags=flags, borderMode=cv2.BORDER_REFLECT)

    def eight_bits(plane):
        return numpy.clip(plane + 0.5, 16, 235).astype(numpy.uint8)

    for index in range(count):
        at = index / lines.FRAME_RATE
        down, right = chance.integers(0, 64, 2)
        luma = seen(still[0], at, 1) + grains[down : down + height, right : right + width]
        yield [eight_bits(plane) for plane in (luma, seen(still[1], at, 2), seen(still[2], at, 2))]


def still_of(chance, wide, high):
    """Luma as photographs have it: a spectrum that falls with the frequency, edges, and some writing."""
    import cv2
    import numpy

    down = numpy.fft.fftfreq(high)[:, None]
    across = numpy.fft.rfftfreq(wide)[None, :]
    spectrum = numpy.fft.rfft2(chance.normal(0, 1, (high, wide)))
    still = numpy.fft.irfft2(spectrum / numpy.maximum(numpy.hypot(down, across), 1 / wide) ** 1.15, (high, wide))
    still = (128 + 38 * still / still.std()).astype(numpy.float32)
    for _ in range(60):
        middle = (int(chance.integers(0, wide)), int(chance.integers(0, high)))
        radius, shade = int(chance.integers(8, high // 10)), float(chance.uniform(30, 220))
        if chance.random() < 0.5:
            cv2.circle(still, middle, radius, shade, int(chance.choice([-1, 2, 4])), cv2.LINE_AA)
        else:
            cv2.putText(still, "camera 0123456789", middle, cv2.FONT_HERSHEY_SIMPLEX, radius / 60 + 0.4, shade, 2, cv2.LINE_AA)
    return numpy.clip(still, 16, 235)


def tint_of(chance, wide, high):
    """Chroma of the same kind, softer."""
    import cv2
    import numpy

    rough = chance.normal(0, 1, (6, 10)).astype(numpy.float32)
    return 128 + 12 * cv2.resize(rough, (wide, high), interpolation=cv2.INTER_CUBIC)


def noise(size, count):
    """Luma that is new in every sample of every picture, which no encoder can foresee."""
    import numpy

    width, height = size
    chance = numpy.random.default_rng(SEED)
    grey = numpy.full((height // 2, width // 2), 128, numpy.uint8)
    for _ in range(count):
        # The sum of two dice of 32 sides: a standard deviation of 13.
        dice = chance.integers(0, 256, (2, height, width), numpy.uint8) >> 3
        yield [97 + dice[0] + dice[1], grey, grey]


if __name__ == "__main__":
    kind, across, down, number, path = sys.argv[1:]
    wanted = (int(across), int(down))
    write(path, wanted, {"camera": camera, "noise": noise}[kind](wanted, int(number)))
