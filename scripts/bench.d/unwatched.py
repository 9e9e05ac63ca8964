"""Gymnasium environments in a loop, with and without streams that nobody watches, by turns.

    unwatched.py FOLDER ROUNDS

Prints, as JSON, the microseconds of a step in each round, by the clock and of CPU time: without streams, then with them.
Run by producers.py.
"""

import json
import sys
import time

import gymnasium
from mb_frames import Frames

ENVIRONMENTS = 4
SECONDS = 0.1  # of each half of a round


def cost(environments, streams):
    """Microseconds of a step, by the clock and of CPU time."""
    steps = rendered = 0
    began, cpu_began = time.perf_counter(), time.process_time()
    while time.perf_counter() - began < SECONDS:
        # The clock of this loop is not to hide what a stream costs.
        for _ in range(50):
            for environment, out in zip(environments, streams):
                _, _, terminated, truncated, _ = environment.step(environment.action_space.sample())
                if terminated or truncated:
                    environment.reset()
                if out is not None and out.wanted():
                    out.write(environment.render())
                    rendered += 1
            steps += ENVIRONMENTS
    took, cpu = time.perf_counter() - began, time.process_time() - cpu_began
    assert rendered == 0, "somebody watches"
    return took / steps * 1e6, cpu / steps * 1e6


def main():
    folder, rounds = sys.argv[1], int(sys.argv[2])
    environments = [gymnasium.make("CartPole-v1", render_mode="rgb_array") for _ in range(ENVIRONMENTS)]
    for environment in environments:
        environment.reset(seed=1)
    without = [None] * ENVIRONMENTS
    streams = [Frames(f"{folder}/{number}.y4m", 600, 400, 50) for number in range(ENVIRONMENTS)]
    cost(environments, streams)
    print(json.dumps([[cost(environments, without), cost(environments, streams)] for _ in range(rounds)]))


main()
