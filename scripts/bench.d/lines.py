"""The three command lines that are compared. All write H.264 to standard output, as fast as they can."""

from dataclasses import dataclass, field

FRAME_RATE = 60
BITRATE = 6_000_000


@dataclass
class Line:
    """One of the programs compared."""

    name: str
    command: list
    environment: dict = field(default_factory=dict)


def mb_encode(program, size, pictures):
    width, height = size
    return Line(
        "mb-encode",
        [program, "--stdout", "--no-pace", "--log-level", "error", "--scene", "testcard", "--encoder", "openh264"]
        + ["--width", str(width), "--height", str(height), "--fps", str(FRAME_RATE), "--gop", str(FRAME_RATE)]
        + ["--frames", str(pictures), "--bitrate", str(BITRATE)],
    )


def gstreamer(size, pictures):
    """EGL, OpenGL and OpenH264 as well, with the encoder set as mb-encode sets it; the picture is its own.

    That picture holds a field of noise. One without (pattern=checkers-8) takes a quarter of the bits, and the same CPU
    time within a few per cent.
    """
    width, height = size
    caps = f"video/x-raw(memory:GLMemory),width={width},height={height},framerate={FRAME_RATE}/1"
    return Line(
        "GStreamer",
        ["gst-launch-1.0", "-q", "gltestsrc", f"num-buffers={pictures}", "!", caps, "!", "gldownload", "!"]
        + ["videoconvert", "!", "openh264enc", f"bitrate={BITRATE}", f"gop-size={FRAME_RATE}", "rate-control=bitrate"]
        + ["complexity=low", "!", "fdsink"],
        {"GST_GL_PLATFORM": "egl", "GST_GL_WINDOW": "egl-device"},
    )


def ffmpeg(raw, pictures):
    """Codes the very pictures of the test card, read from a file: it draws nothing."""
    return Line(
        "ffmpeg",
        ["ffmpeg", "-nostdin", "-v", "error", "-i", raw, "-frames:v", str(pictures), "-c:v", "libx264"]
        + ["-preset", "superfast", "-tune", "zerolatency", "-b:v", str(BITRATE), "-g", str(FRAME_RATE)]
        + ["-f", "h264", "pipe:1"],
    )
