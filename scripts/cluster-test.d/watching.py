"""A browser through a NodePort, and what is left of a stream when everybody has gone."""

import pathlib
import re
import time

import kube
from browser import Browser, BrowserFailed
from deploying import page, stream
from faults import stream_processes
from kube import control_groups, processes, until
from report import check
from viewer import Viewer

# MiB of a worker's pod that nobody watches.
IDLE_MEMORY = 12.0
# Seconds for which it is looked at.
IDLE_TIME = 5.0


@check("browser")
def browser(report):
    """a real Chromium decodes MSE and WebRTC through a node's ports"""
    with Browser(kube.NODE_ADDRESSES.values()) as chromium:
        for mode, live in (("mse", False), ("webrtc", True)):
            began = time.monotonic()
            seen = plays(chromium, mode)
            report.expect(seen["live"] == live and seen["width"] == 640, f"{mode} plays as {mode}, 640 wide", seen)
            report.at_least(f"pictures by {mode} in {time.monotonic() - began:.1f} s", seen["pictures"], 30)


def plays(chromium, mode, pictures=30, limit=20):
    """Opens go2rtc's player and waits for so many decoded pictures; returns what the page says of itself."""
    chromium.open(f"{page()}/stream.html?src=worker-0&mode={mode}")

    def look():
        try:
            seen = chromium.tell(PLAYING)
        except BrowserFailed as failed:
            raise kube.Failed(str(failed)) from failed
        if not seen or seen["pictures"] < pictures:
            raise kube.Failed(f"the page shows {seen}")
        return seen

    return until(limit, f"{pictures} pictures by {mode} in the browser", look, every=0.2)


# How the page plays: pictures that were decoded, their size, and go2rtc's own word for the way.
PLAYING = """
const video = document.querySelector('video');
if (!video) return null;
const quality = video.getVideoPlaybackQuality();
return {
    pictures: quality.totalVideoFrames - quality.droppedVideoFrames,
    width: video.videoWidth,
    live: video.srcObject instanceof MediaStream,
    mode: document.querySelector('.mode')?.innerText,
    status: document.querySelector('.status')?.innerText,
};
"""


@check("idle")
def idle(report):
    """once nobody watches, worker pods hold no stream process, take no CPU time and little memory"""
    viewers = [Viewer(stream(name)) for name in kube.pods("worker")]
    for viewer in viewers:
        viewer.wait(10)
    pods = kube.pods("worker")
    held = sum(len(stream_processes(pod)) for pod in pods.values())
    report.at_least("stream processes while both are watched", held, 2)
    for viewer in viewers:
        viewer.stop()
    until(20, "no stream process is left", lambda: not any(stream_processes(pod) for pod in pods.values()))
    before = {name: (ticks(pod), cpu_seconds(pod)) for name, pod in pods.items()}
    time.sleep(IDLE_TIME)
    for name, pod in pods.items():
        report.aims_at(f"CPU ticks of {name} in {IDLE_TIME:g} s", ticks(pod) - before[name][0], 0)
        report.say(f"its pod's CPU time, probes and all: {1000 * (cpu_seconds(pod) - before[name][1]):.1f} ms")
        report.aims_at(f"memory of {name}'s pod", memory(pod) / 2**20, IDLE_MEMORY, " MiB")


def ticks(pod):
    """CPU time of a pod's processes, in the kernel's ticks of 10 ms."""
    total = 0
    for pid in processes(pod):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total


def cpu_seconds(pod):
    """What a pod's control group has taken."""
    for folder in control_groups(pod["metadata"]["uid"]):
        if (folder / "cpuacct.usage").exists():
            return int((folder / "cpuacct.usage").read_text()) / 1e9
        if (folder / "cpu.stat").exists() and "usage_usec" in (folder / "cpu.stat").read_text():
            return int((folder / "cpu.stat").read_text().split()[1]) / 1e6
    raise kube.Failed("no control group counts the pod's CPU time")


def memory(pod):
    """What a pod's processes have in memory, each page by the share of who uses it (PSS), in bytes. The control group's
    own count has files that anybody may have read first, and that the kernel drops when it wants to."""
    total = 0
    for pid in processes(pod, all_of_them=True):
        rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += int(re.search(r"^Pss: +(\d+) kB", rollup, re.MULTILINE)[1])
    return 1024 * total
