"""Four Gymnasium environments in one process, each a stream of its own, rendered only while somebody watches it.

    python3 examples/python/gymnasium_worker.py temp/frames

beside `scripts/start --workers 4 --go2rtc --input 'temp/frames/{id}.y4m'`. Random actions stand for a policy.
Needs gymnasium[classic-control].
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time

# What renders would take SIGTERM for itself, and nobody could end this program by it.
os.environ.setdefault("SDL_NO_SIGNAL_HANDLERS", "1")

import gymnasium
import pygame  # else the first frame waits until Gymnasium has imported it
from mb_frames import Frames

# With the size that each one renders, which Gymnasium tells in no common way.
ENVIRONMENTS = [
    ("CartPole-v1", 600, 400),
    ("MountainCar-v0", 600, 400),
    ("Acrobot-v1", 500, 500),
    ("Pendulum-v1", 500, 500),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="where mb-encode makes omega-0.y4m to omega-3.y4m")
    parser.add_argument("--steps", type=int, help="end after so many steps of each environment [default: never]")
    options = parser.parse_args()

    with contextlib.ExitStack() as stack:
        streams = []
        for number, (name, width, height) in enumerate(ENVIRONMENTS):
            environment = gymnasium.make(name, render_mode="rgb_array")
            environment.action_space.seed(number)
            environment.reset(seed=number)
            out = Frames(f"{options.folder}/omega-{number}.y4m", width, height, environment.metadata["render_fps"])
            streams.append((stack.enter_context(contextlib.closing(environment)), stack.enter_context(out)))

        steps = rendered = 0
        began = reported = time.monotonic()
        while options.steps is None or steps < options.steps:
            for environment, out in streams:
                _, _, terminated, truncated, _ = environment.step(environment.action_space.sample())
                if terminated or truncated:
                    environment.reset()
                if out.wanted():
                    out.write(environment.render())
                    rendered += 1
            steps += 1
            now = time.monotonic()
            if now >= reported + 1:
                reported = now
                report(steps / (now - began), rendered)
        report(steps / (time.monotonic() - began), rendered)


def report(steps_per_second: float, rendered: int) -> None:
    print(f"{steps_per_second:.0f} steps/s, {rendered} frames rendered", file=sys.stderr, flush=True)


main()
