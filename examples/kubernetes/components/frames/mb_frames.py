"""Frames for mb-encode from any loop in Python, rendered only while somebody watches. Needs Linux and Python 3.10.

    with Frames("temp/frames/omega-0.y4m", 640, 480, 30) as out:
        while True:
            env.step(action)
            if out.wanted():                # a microsecond, and False while nobody watches
                out.write(env.render())     # never waits

`mb-encode --input temp/frames/omega-0.y4m` makes that FIFO and reads it while it has a viewer. What goes through is
YUV4MPEG2 with a tag that only mb-encode reads, `XPIXFMT=rgb24`: frames stay RGB, and cost this program no conversion.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import stat
import threading
import warnings
from fractions import Fraction
from time import monotonic
from typing import Any

BYTES_A_PIXEL = {"rgb24": 3, "bgr24": 3, "rgba": 4, "bgra": 4, "gray8": 1}
NEVER = float("inf")


class Frames(contextlib.AbstractContextManager["Frames"]):
    """A FIFO of mb-encode's. Never makes one, never waits for its reader, and ends no loop because a viewer leaves.

    `pixels` is how a frame lies in memory, its top row first: rgb24, bgr24 (OpenCV's), rgba, bgra or gray8. To be used
    from one thread. Of two programs that name one FIFO, the first has it.
    """

    def __init__(self, path: str, width: int, height: int, fps: float = 30, pixels: str = "rgb24") -> None:
        if pixels not in BYTES_A_PIXEL:
            raise ValueError(f"pixels is one of {', '.join(BYTES_A_PIXEL)}, not {pixels!r}")
        rate = Fraction(fps).limit_denominator(1001)
        size = f"W{width} H{height} F{rate.numerator}:{rate.denominator} Ip A1:1 C444"
        self._header = f"YUV4MPEG2 {size} XCOLORRANGE=FULL XPIXFMT={pixels}\nFRAME\n".encode()
        self._path, self._interval, self._size = path, 1 / fps, width * height * BYTES_A_PIXEL[pixels]
        self._next = 0.0  # no frame is wanted before
        self._head = self._rest = b""  # before the next frame; of the last one, what the thread has to write
        self._fifo = self._wake = -1  # open while somebody watches
        self._lock, self._room, self._thread = threading.Lock(), select.poll(), threading.Thread()
        os.register_at_fork(after_in_child=self._drop)

    def wanted(self) -> bool:
        """Whether to render: somebody watches and has room for a frame, and the one before is an interval old.

        While nobody watches this reads the clock, and every 20 ms tries to open the FIFO.
        """
        if monotonic() < self._next or (self._fifo < 0 and not self._open()):
            return False
        return not self._rest and self._room.poll(0) == [(self._fifo, select.POLLOUT)]

    def write(self, frame: Any) -> bool:
        """Hands on a frame: a NumPy array of (height, width, 3) uint8, bytes, or whatever has the buffer protocol.

        What the FIFO has room for is written at once, and the rest by a thread. Returns False where the frame was not
        wanted and is dropped. Raises ValueError if it has another size.
        """
        view = memoryview(frame)
        if view.nbytes != self._size:
            raise ValueError(f"a frame has {self._size} bytes; this one has {view.nbytes}, of shape {view.shape}")
        data = view.cast("B") if view.c_contiguous else memoryview(view.tobytes())
        with self._lock, contextlib.suppress(OSError):  # its reader has just left
            if self.wanted():
                sent = os.writev(self._fifo, [self._head, data])
                self._rest = self._head[sent:] + bytes(data[max(0, sent - len(self._head)) :])
                self._head = b"FRAME\n"
                if self._rest:
                    os.eventfd_write(self._wake, 1)
                # On a grid, and up to half an interval early: a loop of this very rate loses none.
                self._next = max(self._next + self._interval, monotonic() + self._interval / 2)
                return True
        return False

    def close(self, *_: object) -> None:
        """Ends the stream: no frame is wanted any more."""
        self._next = NEVER
        with self._lock, contextlib.suppress(OSError, ValueError):  # nobody watches
            os.eventfd_write(self._wake, 1)
        if self._thread.is_alive():
            self._thread.join(0.5)  # no longer, should its reader not read

    __exit__ = close

    def _open(self) -> bool:
        try:
            self._fifo = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)
            if not stat.S_ISFIFO(os.fstat(self._fifo).st_mode):
                raise FileExistsError(errno.EEXIST, "not a FIFO", self._path)
        except OSError as error:
            self._drop()
            self._next = monotonic() + 0.02
            if error.errno not in (errno.ENXIO, errno.ENOENT):
                warnings.warn(f"mb-encode gets no frames: {error}", stacklevel=3)
            return False
        self._head, self._wake, self._room = self._header, os.eventfd(0, os.EFD_SEMAPHORE), select.poll()
        self._room.register(self._fifo, select.POLLOUT)
        self._thread = threading.Thread(target=self._beside, args=(self._fifo, self._wake), daemon=True)
        self._thread.start()
        return True

    def _beside(self, fifo: int, wake: int) -> None:
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        poll.register(fifo, 0)  # is reported once nobody reads it any more
        with contextlib.suppress(OSError):
            while fifo not in dict(poll.poll()) and os.eventfd_read(wake) and (rest := self._rest):
                os.set_blocking(fifo, True)  # one call for all, during which Python goes on
                while rest:
                    rest = rest[os.write(fifo, rest) :]
                os.set_blocking(fifo, False)
                self._rest = b""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        for fd in {self._fifo, self._wake} - {-1}:
            os.close(fd)
        self._wake, self._rest, self._fifo = -1, b"", -1
