"""How like its original a stream is."""

import re
import subprocess
from dataclasses import dataclass

import lines


@dataclass
class Likeness:
    """Over all planes and pictures."""

    psnr: float  # dB
    ssim: float


def of(coded, raw):
    """Of the file `coded`, a stream or raw pictures, to the file `raw`, picture by picture, as ffmpeg measures it."""
    both = "[0:v]split[a][b];[1:v]split[c][d];[a][c]psnr[e];[b][d]ssim[f]"
    rate = ["-r", str(lines.FRAME_RATE)]
    command = ["ffmpeg", "-hide_banner", "-nostdin", *rate, "-i", coded, *rate, "-i", raw, "-lavfi", both]
    command += ["-map", "[e]", "-f", "null", "-", "-map", "[f]", "-f", "null", "-"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    psnr = re.search(r"PSNR .*average:([\d.]+|inf)", told)
    ssim = re.search(r"SSIM .*All:([\d.]+)", told)
    return Likeness(float(psnr[1]), float(ssim[1]))
