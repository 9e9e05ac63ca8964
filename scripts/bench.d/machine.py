"""What the figures were measured on."""

import os
import re
import subprocess
import sys
import time

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


def rows(options):
    """Of a table: when, on what and with what."""
    cpu = re.search(r"^model name\s*:\s*(.*)", process.read("/proc/cpuinfo"), re.MULTILINE)
    system = re.search(r'^PRETTY_NAME="?([^"\n]*)', process.read("/etc/os-release"), re.MULTILINE)
    how = "quick" if options.quick else "whole"
    return [
        ["date", time.strftime("%Y-%m-%d")],
        ["machine", f"{len(os.sched_getaffinity(0))} cores of an {cpu[1] if cpu else os.uname().machine}"],
        ["system", f"{system[1] if system else 'of unknown name'}, Linux {os.uname().release}"],
        ["GL driver", f"Mesa {package('libegl-mesa0')}"],
        ["mb-encode", f"{first_line([options.program, '--version'])}, {first_line(['rustc', '--version'])}"],
        ["GStreamer", f"{first_line(['gst-launch-1.0', '--version']).rpartition(' ')[2]}, "
                      f"OpenH264 {package('libopenh264-[0-9]*')}"],
        ["ffmpeg", f"{first_line(['ffmpeg', '-version']).split()[2]}, libx264 {package('libx264-[0-9]*')}"],
        ["rounds", f"{options.rounds}, {how}"],
        ["load before", f"{load():.1f}"],
    ]


def load():
    """Processes that wanted to run in the last minute, on average."""
    return os.getloadavg()[0]


def package(name):
    found = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", name], capture_output=True, text=True, check=False)
    return found.stdout or "of unknown version"


def first_line(command):
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.partition("\n")[0]
