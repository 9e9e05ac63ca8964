"""Somebody who watches a stream by RTSP, decodes it, and notes when each picture came."""

import subprocess
import threading
import time

from kube import Failed, until


class Viewer:
    """Plays an address until it is stopped, and opens it again whenever it ends, as a player does."""

    def __init__(self, address, patience=20):
        """`patience`: seconds without a byte after which the player gives its connection up."""
        self.address, self.patience = address, patience
        # Times by the monotonic clock, and checksums.
        self.pictures = []
        self.sessions = 0
        self.said = ""
        self._stop = threading.Event()
        self._player = None
        self._thread = threading.Thread(target=self._play, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _command(self):
        return [
            *("ffmpeg", "-nostdin", "-loglevel", "error", "-rtsp_transport", "tcp"),
            *("-timeout", str(int(self.patience * 1e6)), "-fflags", "nobuffer", "-flags", "low_delay"),
            *("-probesize", "32", "-analyzeduration", "0", "-threads", "1", "-i", self.address),
            *("-fps_mode", "passthrough", "-f", "framecrc", "-flush_packets", "1", "-"),
        ]

    def _play(self):
        while not self._stop.is_set():
            self.sessions += 1
            self._player = subprocess.Popen(
                self._command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            if self._stop.is_set():
                self._player.kill()
            for line in self._player.stdout:
                if line.startswith("0,"):
                    self.pictures.append((time.monotonic(), line.split(",")[-1].strip()))
            self.said = self._player.stderr.read().strip()
            self._player.wait()
            # As soon as a person's player would.
            self._stop.wait(0.1)

    def stop(self):
        self._stop.set()
        if self._player:
            self._player.kill()
        self._thread.join(10)

    def wait(self, count=30, limit=15, since=None):
        """Waits until so many pictures have come since then (now), and returns when the last of them came."""
        since = time.monotonic() if since is None else since

        def look():
            came = [at for at, _ in self.pictures if at > since]
            if len(came) < count:
                raise Failed(f"{len(came)} pictures; the player said: {self.said[-200:] or 'nothing'}")
            return came[count - 1]

        return until(limit, f"{count} pictures of {self.address}", look, every=0.02)

    def different(self):
        """How many different pictures have come."""
        return len({checksum for _, checksum in self.pictures})

    def silence(self, since):
        """The longest time without a picture, of those that have ended since then, in seconds."""
        times = [at for at, _ in self.pictures]
        return max((b - a for a, b in zip(times, times[1:]) if b > since), default=time.monotonic() - since)
