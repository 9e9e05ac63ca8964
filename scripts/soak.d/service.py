"""Streams under a supervisor, with a go2rtc of their own."""

import json
import os
import subprocess
import time

import ports
import process
import watching

STARTS_WITHIN = 60  # seconds


class Service:
    """`mb-encode supervise`, from its start to its end."""

    def __init__(self, program, go2rtc, folder, mode, container, streams):
        self.program, self.folder, self.mode = program, folder, mode
        self.streams = streams
        os.mkdir(folder)
        self.api, self.rtsp, webrtc = ports.free(3)
        self.worker_port = ports.in_a_row(streams) if mode == "http" else None
        width, height = watching.SIZE
        command = [program, "supervise", "--workers", str(streams), "--prefix", "soak", "--temp", folder, "--mode", mode]
        command += ["--format", container, "--go2rtc", go2rtc, "--api-port", str(self.api), "--rtsp-port", str(self.rtsp)]
        command += ["--webrtc-port", str(webrtc)]
        if self.worker_port:
            command += ["--worker-port", str(self.worker_port)]
        command += ["--", "--width", str(width), "--height", str(height), "--fps", str(watching.FRAME_RATE)]
        command += ["--bitrate", "1M", "--log-format", "json"]
        self.log = os.path.join(folder, "supervisor.log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
        self.wait()

    def wait(self):
        """Until every worker waits for a reader and go2rtc listens."""
        until = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < until:
            if self.process.poll() is not None:
                break
            if [member["state"] for member in self.members()] == ["waiting"] * self.streams + ["running"]:
                return
            time.sleep(0.1)
        raise process.Failed(f"the supervisor of {self.folder} is not ready:\n{process.read(self.log)[-2000:]}")

    def members(self):
        """What each of its processes does, as its status says; nothing while it cannot be asked."""
        asked = subprocess.run(
            [self.program, "status", "--json", "--temp", self.folder], capture_output=True, text=True, check=False
        )
        return json.loads(asked.stdout)["members"] if asked.stdout else []

    def address(self, stream):
        """Of a stream behind go2rtc."""
        return f"rtsp://127.0.0.1:{self.rtsp}/soak-{stream}"

    def direct(self, stream):
        """The address of a stream's worker, and what is said to it."""
        token = process.read(os.path.join(self.folder, "worker-token")).strip()
        return f"http://127.0.0.1:{self.worker_port + stream}/stream.ts", f"Authorization: Bearer {token}\r\n"

    def skipped(self):
        """Frames that its streams have left out since they began."""
        totals = [member["stream"]["totals"] for member in self.members() if member.get("stream")]
        return sum(of["late"] + of["held_back"] for of in totals)

    def restarts(self):
        return sum(member["restarts"] for member in self.members())

    def warnings(self):
        """Lines of its workers' logs and of its own that warn or tell of an error, the latest last."""
        found = [line for line in process.read(self.log).splitlines() if " WARN " in line or " ERROR " in line]
        logs = os.path.join(self.folder, "logs")
        for name in sorted(process.listed(logs)):
            if not name.startswith("go2rtc"):
                lines = process.read(os.path.join(logs, name)).splitlines()
                found += [line for line in lines if '"level":"WARN"' in line or '"level":"ERROR"' in line]
        return found

    def end(self):
        process.end(self.process, 20)
