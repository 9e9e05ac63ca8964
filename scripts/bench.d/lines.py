"""The command lines that are compared. All write H.264 to standard output, as fast as they can, in a GOP of one second."""

import subprocess
from dataclasses import dataclass, field

import spelling

FRAME_RATE = 60
BITRATE = 6_000_000

# OpenH264 as mb-encode sets it. Left to itself, GStreamer's looks at each picture for more than that, which takes longer.
OPENH264 = ["complexity=low", "rate-control=bitrate", "adaptive-quantization=false", "background-detection=false"]
OPENH264 += ["scene-change-detection=false"]


@dataclass
class Line:
    """One of the programs compared."""

    name: str
    command: list
    environment: dict = field(default_factory=dict)


def mb_encode(program, *more, bitrate=BITRATE):
    """What the others are held against, not paced."""
    return Line(
        "mb-encode",
        [program, "--stdout", "--no-pace", "--log-level", "error", "--encoder", "openh264"]
        + ["--gop", str(FRAME_RATE), "--bitrate", str(bitrate), *more],
    )


def mb_encode_drawing(program, shader, size, pictures):
    """Draws a shader. No pictures are endless ones."""
    width, height = size
    options = ["--shader", shader, "--width", str(width), "--height", str(height)]
    return mb_encode(program, *options, "--fps", str(FRAME_RATE), "--frames", str(pictures))


def mb_encode_reading(program, raw, pictures, bitrate=BITRATE):
    """Encodes the frames of a file."""
    return mb_encode(program, "--input", raw, "--frames", str(pictures), bitrate=bitrate)


def gstreamer_drawing(shader, size, pictures, coder="openh264enc"):
    """Draws the same shader with EGL and OpenGL as well. -1 pictures are endless ones."""
    width, height = size
    caps = f"video/x-raw(memory:GLMemory),width={width},height={height},framerate={FRAME_RATE}/1"
    with open(shader, encoding="utf-8") as file:
        fragment = spelling.for_gstreamer(file.read())
    return Line(
        f"GStreamer, {coder}",
        ["gst-launch-1.0", "-q", "gltestsrc", "pattern=black", f"num-buffers={pictures}", "!", caps, "!"]
        + ["glshader", f"fragment={spelling.quoted(fragment)}", "!", "gldownload", "!", "videoconvert", "!"]
        # Left to itself, x264enc takes chroma in full.
        + ["video/x-raw,format=I420", "!", *gstreamer_coder(coder, BITRATE), "!", "fdsink"],
        {"GST_GL_PLATFORM": "egl", "GST_GL_WINDOW": "egl-device"},
    )


def gstreamer_reading(raw, pictures, bitrate=BITRATE):
    """Encodes the frames of a file, all of them, with OpenH264."""
    del pictures
    return Line(
        "GStreamer, openh264enc",
        ["gst-launch-1.0", "-q", "filesrc", f"location={raw}", "blocksize=1048576", "!", "y4mdec", "!"]
        + [*gstreamer_coder("openh264enc", bitrate), "!", "fdsink"],
    )


def gstreamer_coder(coder, bitrate):
    if coder == "openh264enc":
        return [coder, f"bitrate={bitrate}", f"gop-size={FRAME_RATE}", *OPENH264]
    if coder == "y4menc":
        return [coder]
    return [
        *["x264enc", "speed-preset=superfast", "tune=zerolatency", f"bitrate={bitrate // 1000}"],
        *[f"key-int-max={FRAME_RATE}", "!", "video/x-h264,stream-format=byte-stream"],
    ]


def ffmpeg_reading(raw, pictures, encoder, preset="superfast", bitrate=BITRATE):
    """Encodes the frames of a file."""
    options = ["-preset", preset, "-tune", "zerolatency"] if encoder == "libx264" else []
    return Line(
        f"ffmpeg, {encoder} {preset}" if options else f"ffmpeg, {encoder}",
        ["ffmpeg", "-nostdin", "-v", "error", "-i", raw, "-frames:v", str(pictures), "-c:v", encoder, *options]
        + ["-b:v", str(bitrate), "-g", str(FRAME_RATE), "-flush_packets", "1", "-f", "h264", "pipe:1"],
    )


def ffmpeg_has(encoder):
    """Its libopenh264 is not in every build."""
    listed = subprocess.run(["ffmpeg", "-hide_banner", "-encoders"], capture_output=True, text=True, check=True).stdout
    return encoder in listed.split()
