"""Plays a stream over RTSP, interleaved in its TCP connection, as far as the bench needs it."""

import re
import socket
import time
import zlib


class Viewer:
    """Plays a stream and notes each picture: checksum of its slice, RTP timestamp, arrival of its marker."""

    def __init__(self, port, name):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.input = self.socket.makefile("rb")
        self.sequence = 0
        url = f"rtsp://127.0.0.1:{port}/{name}"
        _, sdp = self.ask("DESCRIBE", url, "Accept: application/sdp")
        control = re.search(r"^m=video.*?^a=control:(\S+)", sdp, re.MULTILINE | re.DOTALL)[1]
        track = control if control.startswith("rtsp:") else f"{url}/{control}"
        headers, _ = self.ask("SETUP", track, "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
        session = re.search(r"^Session: *([^;\s]+)", headers, re.MULTILINE | re.IGNORECASE)[1]
        self.ask("PLAY", url, f"Session: {session}")

    def ask(self, method, url, *headers):
        self.sequence += 1
        lines = [f"{method} {url} RTSP/1.0", f"CSeq: {self.sequence}", *headers, "", ""]
        self.socket.sendall("\r\n".join(lines).encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = self.input.read(1)
            if not byte:
                raise ConnectionError(f"go2rtc hung up on {method}")
            head += byte
        head = head.decode()
        if not head.startswith("RTSP/1.0 200"):
            raise ConnectionError(f"{method}: {head.splitlines()[0]}")
        length = re.search(r"^Content-Length: *(\d+)", head, re.MULTILINE | re.IGNORECASE)
        return head, self.input.read(int(length[1])).decode() if length else ""

    def watch(self, seconds):
        pictures, slice_ = [], b""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            dollar, channel, high, low = self.input.read(4)
            packet = self.input.read(high << 8 | low)
            now = time.monotonic()
            if dollar != 0x24 or channel != 0:
                continue
            payload = packet[12:]
            kind = payload[0] & 31
            if kind in (1, 5):
                slice_ = payload
            elif kind == 28 and payload[1] & 31 in (1, 5):
                if payload[1] & 0x80:
                    slice_ = bytes([payload[0] & 0xE0 | payload[1] & 31])
                slice_ += payload[2:]
            if packet[1] & 0x80:
                pictures.append((zlib.crc32(slice_.rstrip(b"\x00")), int.from_bytes(packet[4:8], "big"), now))
        return pictures
