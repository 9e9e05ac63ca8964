"""What a stream costs a simulation while nobody watches it."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from statistics import median

import process
from report import say, table

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLES = os.path.join(HERE, "../../examples/python")
STREAMS = 4
STARTED_WITHIN = 10  # seconds


def compare(options, verdicts):
    """Steps of Gymnasium, as a ratio to the same loop without streams in the same round."""
    rounds = 40 * options.rounds
    say(f"A simulation that nobody watches: {rounds} rounds")
    with tempfile.TemporaryDirectory(prefix="mb-encode-bench-") as folder, contextlib.ExitStack() as stack:
        for number in range(STREAMS):
            stack.enter_context(worker(options.program, folder, number))
        paths = [EXAMPLES, os.environ["PYTHON_PACKAGES"]]
        found = process.run(
            [sys.executable, "-B", os.path.join(HERE, "unwatched.py"), folder, str(rounds)],
            {"PYTHONPATH": os.pathsep.join(paths)},
        )
    costs = json.loads(found.output)
    rows = []
    for kind, name in enumerate(["steps/s", "steps per second of CPU time"]):
        without, unwatched = ([1e6 / each[side][kind] for each in costs] for side in (0, 1))
        ratio = median(ours / theirs for ours, theirs in zip(unwatched, without))
        rows.append([name, f"{median(without):.0f}", f"{median(unwatched):.0f}", verdicts.at_least(ratio, 0.98, "{:.3f}")])
    table(["a Gymnasium loop with four streams that nobody watches", "without streams", "unwatched", "ratio"], rows)


@contextlib.contextmanager
def worker(program, folder, number):
    """An mb-encode that waits for a viewer and has made the FIFO for the frames."""
    frames = os.path.join(folder, f"{number}.y4m")
    command = [program, "--fifo", os.path.join(folder, f"{number}.h264"), "--input", frames, "--log-level", "error"]
    running = subprocess.Popen(command)
    try:
        deadline = time.monotonic() + STARTED_WITHIN
        while not os.path.exists(frames):
            if running.poll() is not None or time.monotonic() > deadline:
                raise process.Failed(f"no FIFO was made by: {' '.join(command)}")
            time.sleep(0.01)
        yield
    finally:
        running.terminate()
        running.wait()
