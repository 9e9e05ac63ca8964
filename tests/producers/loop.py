"""A loop that renders frames, each of one value, for a reader of a FIFO to look at.

    loop.py FIFO WIDTH HEIGHT FPS PIXELS SECONDS

Says on standard error when each frame is begun, by the monotonic clock, and in the end how often it went round.
"""

import sys
import time

from mb_frames import Frames

fifo, width, height, fps, pixels, seconds = sys.argv[1:]
width, height = int(width), int(height)
size = width * height * {"rgb24": 3, "rgba": 4, "gray8": 1}[pixels]
steps = rendered = 0
end = time.monotonic() + float(seconds)
with Frames(fifo, width, height, float(fps), pixels) as out:
    while time.monotonic() < end:
        steps += 1
        if out.wanted():
            rendered += 1
            print(f"rendered {rendered} at {time.monotonic():.6f}", file=sys.stderr, flush=True)
            out.write(bytes([rendered % 256]) * size)
        # What a simulation does meanwhile.
        time.sleep(0.001)
print(f"end: {steps} steps, {rendered} rendered", file=sys.stderr, flush=True)
