#!/usr/bin/env python3
"""Shares frames with any number of viewers, as GStreamer's unixfdsink does, and draws only while one is there."""
import contextlib, fcntl, mmap, os, select, socket, stat, struct, sys, time

WIDTH, HEIGHT, FPS, BUFFERS = 640, 360, 30, 4
SIZE, NEW_BUFFER, CAPS, UNKNOWN = WIDTH * HEIGHT * 4, 0, 2, 2**64 - 1
TEXT = f"video/x-raw, format=RGBA, width={WIDTH}, height={HEIGHT}, framerate={FPS}/1\0".encode()
BLUE, ORANGE = bytes([24, 48, 96, 255]), bytes([255, 160, 0, 255])

class Buffer:
    """Memory for a frame, sealed so that whoever maps it need not fear that it shrinks."""
    def __init__(self) -> None:
        self.fd = os.memfd_create("frame", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, SIZE)
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        self.pixels, self.viewers = mmap.mmap(self.fd, SIZE), set[socket.socket]()

    def draw(self, frame: int) -> None:
        bar = frame * 4 % (WIDTH - 40)
        self.pixels[:] = (BLUE * bar + ORANGE * 40 + BLUE * (WIDTH - 40 - bar)) * HEIGHT

def send(viewer: socket.socket, command: int, payload: bytes, *fds: int) -> bool:
    try:
        message = struct.pack("=II", command, len(payload)) + payload
        return bool(socket.send_fds(viewer, [message], fds, socket.MSG_DONTWAIT))
    except OSError:
        return False  # It has left, which select tells next, or does not read.

def main(path: str) -> None:
    if os.path.exists(path) and stat.S_ISSOCK(os.stat(path).st_mode):
        os.unlink(path)  # a killed producer's
    (server := socket.socket(socket.AF_UNIX)).bind(path)
    server.listen()
    viewers, buffers, frame, due = set[socket.socket](), [Buffer() for _ in range(BUFFERS)], 0, 0.0
    while True:
        free = [number for number, buffer in enumerate(buffers) if not buffer.viewers]
        wait = max(0.0, due - time.monotonic()) if viewers and free else None
        for ready in select.select([server, *viewers], [], [], wait)[0]:
            if ready is server:
                viewers.add(viewer := server.accept()[0])
                send(viewer, CAPS, TEXT)
                continue
            released = b""
            with contextlib.suppress(OSError):
                released = ready.recv(4096)
            for number in [number for _, _, number in struct.iter_unpack("=IIQ", released)] or range(BUFFERS):
                buffers[number].viewers.discard(ready)
            viewers -= set() if released else {ready}
        if viewers and free and time.monotonic() >= due:
            frame, due, buffer = frame + 1, time.monotonic() + 1 / FPS, buffers[free[0]]
            buffer.draw(frame)
            about = struct.pack("=6QIBBHQQ", free[0], time.monotonic_ns(), *[UNKNOWN] * 4, 0, 0, 1, 0, SIZE, 0)
            for viewer in viewers:
                has = sum(viewer in buffer.viewers for buffer in buffers)
                if has < 2 and send(viewer, NEW_BUFFER, about, buffer.fd):
                    buffer.viewers.add(viewer)

if __name__ == "__main__":
    main(sys.argv[1])
