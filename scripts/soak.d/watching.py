"""Watches a stream as a viewer would, and notes the number and the time of each frame."""

import array
import subprocess
import tempfile
import threading
import time

import strip

SIZE = (640, 360)
FRAME_RATE = 15


class Viewer(threading.Thread):
    """An ffmpeg that decodes a stream until it is told to leave."""

    def __init__(self, name, address, headers=""):
        super().__init__(name=name, daemon=True)
        # When each frame was drawn, and when it was here, in seconds since the machine's start.
        self.drawn, self.times = array.array("d"), array.array("d")
        self.missing = self.repeated = self.unreadable = 0
        self.last = None
        self.leaving = False
        self.log = tempfile.TemporaryFile()
        how = ["-rtsp_transport", "tcp"] if address.startswith("rtsp:") else ["-headers", headers]
        command = ["ffmpeg", "-nostdin", "-v", "error", "-threads", "1", "-fflags", "nobuffer", "-flags", "low_delay"]
        command += [*how, "-i", address, "-map", "0:v:0", "-vf", strip.Strip(*SIZE).filter(), "-fps_mode", "passthrough"]
        # Numbered instead of timed: two that come in one burst would be a complaint about raw video, which has no times.
        command += ["-enc_time_base", "-1", "-flush_packets", "1", "-f", "rawvideo", "pipe:1"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log)
        self.start()

    def run(self):
        while len(pixels := self.process.stdout.read(strip.BLOCKS)) == strip.BLOCKS:
            now, wall_clock = time.monotonic(), time.time()
            mark = strip.read(pixels)
            if mark is None:
                self.unreadable += 1
                continue
            found, drawn_ms = mark
            if self.last is not None:
                self.missing += max(0, found - self.last - 1)
                self.repeated += found <= self.last
            self.last = found
            self.times.append(now)
            # The wall clock may be put right meanwhile; frames are not late by it.
            self.drawn.append(drawn_ms / 1e3 - (wall_clock - now))

    @property
    def has_gone(self):
        """Whether its stream ended, or it does not decode: nobody told it to leave."""
        return not self.leaving and not self.is_alive()

    def complaint(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace").strip().splitlines()[-3:]

    def leave(self):
        self.leaving = True
        self.process.terminate()
        self.process.wait()
        self.join()
        self.process.stdout.close()


class PasserBy(threading.Thread):
    """A viewer that comes and goes, and notes what the stream's processes hold each time it is away."""

    STAYS, IS_AWAY = 5, 5  # seconds, from its first frame on
    PATIENCE = 20  # seconds

    def __init__(self, address, weigh):
        super().__init__(name="passer-by", daemon=True)
        self.address, self.weigh = address, weigh
        self.visits = self.blind = 0
        self.slowest = 0.0  # seconds to the first frame
        self.weights = []  # after each visit
        self.leaving = threading.Event()
        self.start()

    def run(self):
        while not self.leaving.is_set():
            came = time.monotonic()
            viewer = Viewer("passer-by", self.address)
            while not viewer.times and time.monotonic() < came + self.PATIENCE and not self.leaving.wait(0.05):
                pass
            if viewer.times:
                self.slowest = max(self.slowest, viewer.times[0] - came)
            # One that is sent away at once may have seen nothing yet.
            self.blind += not viewer.times and not self.leaving.is_set()
            self.visits += 1
            self.leaving.wait(self.STAYS)
            viewer.leave()
            if not self.leaving.wait(self.IS_AWAY):
                self.weights.append(self.weigh())

    def leave(self):
        self.leaving.set()
        self.join()
