"""What the figures were measured on."""

import os
import re
import subprocess
import sys

import process

# In a process of its own, so that nothing is loaded before.
EGL_START = """
import ctypes, time
began = time.monotonic()
egl = ctypes.CDLL("libEGL.so.1")
egl.eglGetPlatformDisplay.restype = ctypes.c_void_p
SURFACELESS = 0x31DD
display = egl.eglGetPlatformDisplay(SURFACELESS, None, None)
assert display and egl.eglInitialize(ctypes.c_void_p(display), None, None)
print(time.monotonic() - began)
"""


def egl_start():
    """Seconds that EGL takes here to load and initialise, without a window system."""
    return float(subprocess.run([sys.executable, "-c", EGL_START], check=True, capture_output=True, text=True).stdout)


def describe(program):
    """One line."""
    cpu = re.search(r"^model name\s*:\s*(.*)", process.read("/proc/cpuinfo"), re.MULTILINE)
    return ", ".join(
        part
        for part in [
            cpu[1] if cpu else os.uname().machine,
            f"{len(os.sched_getaffinity(0))} cores",
            f"Linux {os.uname().release}",
            f"Mesa {package('libegl-mesa0')}",
            first_line([program, "--version"]),
            first_line(["gst-launch-1.0", "--version"]).replace("gst-launch-1.0 version", "GStreamer"),
            " ".join(first_line(["ffmpeg", "-version"]).split()[:3]),
            first_line(["rustc", "--version"]),
        ]
    )


def load():
    """Processes that wanted to run in the last minute, on average."""
    return os.getloadavg()[0]


def package(name):
    found = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", name], capture_output=True, text=True, check=False)
    return found.stdout or "of unknown version"


def first_line(command):
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.partition("\n")[0]
