"""Stands for a program of your own: it goes on at a steady rate, and draws only while somebody watches.

    python3 simulator.py /run/frames/video.y4m

Draws a square that goes from left to right, on a background that a step number colours. Prints each second how many steps
it has made and how many frames it has drawn.
"""

from __future__ import annotations

import sys
import time

from mb_frames import Frames

WIDTH, HEIGHT, RATE = 640, 360, 30
SQUARE = 40


def draw(step: int) -> bytes:
    """A frame of rgb24, the top row first."""
    background = bytes((16, 32, 64 + step % 128)) * WIDTH
    left = 4 * step % (WIDTH - SQUARE)
    row = background[: 3 * left] + b"\xff\xc0\x20" * SQUARE + background[3 * (left + SQUARE) :]
    top = (HEIGHT - SQUARE) // 2
    return background * top + row * SQUARE + background * (HEIGHT - SQUARE - top)


def main() -> None:
    drawn = 0
    begun = time.monotonic()
    with Frames(sys.argv[1], WIDTH, HEIGHT, RATE) as out:
        step = 0
        while True:
            step += 1
            if out.wanted():
                out.write(draw(step))
                drawn += 1
            if step % (4 * RATE) == 0:
                print(f"{step} steps, {drawn} frames drawn", flush=True)
            # The next step is due, whatever this one took.
            time.sleep(max(0.0, begun + step / (4 * RATE) - time.monotonic()))


main()
