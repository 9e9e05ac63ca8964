"""A worker that waits on a FIFO: what it costs while nobody reads, and how fast it answers."""

import os
import subprocess
import tempfile
import time

import process


class Worker:
    """`mb-encode --fifo`, from its start to its end."""

    def __init__(self, program, folder):
        self.path = os.path.join(folder, "bench.h264")
        command = [program, "--fifo", self.path, "--log-level", "info", "--encoder", "openh264"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        self.wait_for("waiting for a reader")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.stderr.close()
        self.process.wait()

    def wait_for(self, event):
        """Reads the log until it tells of `event`."""
        seen = []
        for line in self.process.stderr:
            if event in line:
                return
            seen.append(line)
        raise process.Failed(f"the FIFO worker ended before '{event}':\n{''.join(seen)}")

    def idle(self, seconds):
        """CPU ticks used in `seconds`, and MiB resident, of the worker and all its children."""
        before = process.cpu_ticks(process.tree(self.process.pid))
        time.sleep(seconds)
        pids = process.tree(self.process.pid)
        used = sum(ticks - before.get(pid, 0) for pid, ticks in process.cpu_ticks(pids).items())
        return used, process.resident(pids)

    def answer(self):
        """Seconds from opening the FIFO to the first byte; then this reader leaves."""
        began = time.monotonic()
        reader = os.open(self.path, os.O_RDONLY)
        byte = os.read(reader, 1)
        seconds = time.monotonic() - began
        os.close(reader)
        if not byte:
            raise process.Failed("the FIFO worker wrote nothing to its reader")
        self.wait_for("reader disconnected")
        return seconds


def waiting(program):
    """A `Worker` on a FIFO of its own, in a folder that goes with it."""
    return _InFolder(program)


class _InFolder:
    def __init__(self, program):
        self.folder = tempfile.TemporaryDirectory()
        self.worker = Worker(program, self.folder.name)

    def __enter__(self):
        return self.worker.__enter__()

    def __exit__(self, *error):
        self.worker.__exit__(*error)
        self.folder.cleanup()
