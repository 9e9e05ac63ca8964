"""What the cores of this machine allow: drawing alone and OpenH264 alone, and how near mb-encode comes to both together."""

import json
from dataclasses import dataclass
from statistics import median

import lines
import process


@dataclass
class Cost:
    """Of one picture, in seconds."""

    cpu: float  # on all threads
    wall: float  # from one picture to the next


def pictures_per_second(cores, drawing, coder):
    """The most pictures a second that these costs leave room for.

    Each picture is drawn and encoded, and both share the cores: `cores` seconds of CPU time a second, of which a picture
    takes what drawing and OpenH264 take, so cores / (drawing + coder). Both costs are measured with every core at work,
    since a core whose neighbour idles is faster on most machines. A picture is encoded on one thread, and after the one
    before: no more than 1 / coder. And no more than the driver draws where it has all cores to itself. On two cores the
    first binds, on many the second.

    What a stream needs besides (reading the picture back, converting it, writing it) is not in it, so nothing reaches it.
    """
    return min(cores / (drawing.cpu + coder.cpu), 1 / coder.cpu, 1 / drawing.wall)


def of_size(pictures, size):
    """As many pictures of another size as have the pixels of so many of 1280x720."""
    return pictures * 1280 * 720 // (size[0] * size[1])


def measures(options, shader, size):
    """Two functions to call in turn: what drawing and OpenH264 cost alone, and whose CPU time a stream's is."""
    width, height = size
    command = [options.stage_times, "--json", "--encoder", "openh264", "--shader", shader]
    command += ["--width", str(width), "--height", str(height), "--fps", str(lines.FRAME_RATE)]
    command += ["--bitrate", str(lines.BITRATE), "--pictures", str(of_size(options.alone_pictures, size))]

    def alone():
        return json.loads(process.run([*command, "--alone"]).output)

    def shares():
        return json.loads(process.run(command).output)["shares"]

    return alone, shares


def rows(alone, shares, reached, verdicts):
    """Of a table: the limit, from what `measures` found in each round, and how near `reached` pictures/s are in each."""

    def cost(found, of):
        return Cost(found[of]["cpu_us"] / 1e6, found[of]["wall_us"] / 1e6)

    def ms(of, clock):
        return f"{median(found[of][clock] for found in alone) / 1e3:.2f}"

    limits = [pictures_per_second(found["cores"], cost(found, "drawing"), cost(found, "coder")) for found in alone]
    near = median(mine / limit for mine, limit in zip(reached, limits))

    both = [found["drawing"]["cpu_us"] + found["coder"]["cpu_us"] for found in alone]
    needed = median(least / found["all_us"] for least, found in zip(both, shares)) * 100

    def share(of):
        return median(found[of] / found["all_us"] for found in shares) * 100

    return [
        ["drawing alone, CPU ms a frame", ms("drawing", "cpu_us")],
        ["OpenH264 alone, CPU ms a frame", ms("coder", "cpu_us")],
        ["the limit, frames/s", f"{median(limits):.0f}"],
        ["mb-encode, frames/s", f"{median(reached):.0f}"],
        ["mb-encode, % of the limit", verdicts.at_least(near * 100, 92, "{:.0f}")],
        ["drawing and OpenH264 alone, % of mb-encode's CPU time", f"{needed:.0f}"],
        ["GL driver, % of mb-encode's CPU time", f"{share('driver_us'):.1f}"],
        ["OpenH264, % of mb-encode's CPU time", f"{share('coder_us'):.1f}"],
        ["own code, % of mb-encode's CPU time", verdicts.at_most(share("own_us"), 4, "{:.1f}")],
    ]
