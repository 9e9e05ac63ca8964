"""A go2rtc of the bench's own, and one behind a supervisor of mb-encode, each with streams that viewers start."""

import json
import os
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import ports
import process

STARTS_WITHIN = 20  # seconds


class Server:
    """A process that answers at `address` once it has started, and is ended with this."""

    def __init__(self, command, address):
        self.command, self.address = command, address
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def __enter__(self):
        deadline = time.monotonic() + STARTS_WITHIN
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise process.Failed(process.complaint(self.command[:2], self.process.returncode, self.said()))
            time.sleep(0.05)
        return self

    def is_ready(self):
        return self.streams() is not None

    def streams(self):
        """What go2rtc tells of its streams; None while it does not."""
        try:
            with urllib.request.urlopen(f"{self.address}/api/streams", timeout=5) as answer:
                return json.load(answer)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return None

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def __exit__(self, *_):
        process.end(self.process, 10)


class Go2rtc(Server):
    """go2rtc with `exec:` streams, by name; those in `running` run from the start on."""

    def __init__(self, program, streams, running=()):
        web, rtsp = ports.free(2)
        config = {
            "app": {"modules": ["api", "ws", "rtsp", "webrtc", "mp4", "exec"]},
            "api": {"listen": f"127.0.0.1:{web}"},
            "rtsp": {"listen": f"127.0.0.1:{rtsp}"},
            "webrtc": {"listen": "127.0.0.1:0", "ice_servers": [], "filters": {"loopback": True, "ips": ["127.0.0.1"]}},
            "log": {"format": "text", "level": "warn", "exec": "debug"},
            "streams": {name: f"exec:{' '.join(words)}#killsignal=15#killtimeout=5" for name, words in streams.items()},
            "preload": {name: "video" for name in running},
        }
        super().__init__([program, "-config", json.dumps(config)], f"http://127.0.0.1:{web}")
        self.running = running

    def is_ready(self):
        streams = self.streams()
        return streams is not None and all(running(streams[name]) for name in self.running)


class Supervised(Server):
    """mb-encode's supervisor with go2rtc and one worker for each of two streams, omega-0 and omega-1."""

    def __init__(self, program, go2rtc, mode, options):
        web, rtsp, webrtc = ports.free(3)
        self.rtsp = rtsp
        self.folder = tempfile.TemporaryDirectory(prefix="mb-encode-bench-")
        command = [program, "supervise", "--temp", os.path.join(self.folder.name, "temp"), "--go2rtc", go2rtc]
        command += ["--mode", mode, "--workers", "2", "--api-port", str(web), "--rtsp-port", str(rtsp)]
        command += ["--webrtc-port", str(webrtc), "--worker-port", str(ports.in_a_row(2)), "--", *options]
        super().__init__(command, f"http://127.0.0.1:{web}")

    def __exit__(self, *_):
        super().__exit__()
        self.folder.cleanup()

    def is_ready(self):
        try:
            with urllib.request.urlopen(f"{self.address}/wall.json", timeout=5) as answer:
                told = json.load(answer)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
        return told["go2rtc"]["state"] == "running" and all(it["state"] != "starting" for it in told["streams"])


def running(stream):
    """Whether go2rtc has opened the source of a stream."""
    return any("medias" in producer or "media" in producer for producer in stream.get("producers") or [])
