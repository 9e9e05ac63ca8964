"""How many more or fewer bits a program takes than another for the same likeness: Bjontegaard's rate.

A process of its own: the rest of the bench does without what it imports.
"""

import json
import math
import os
import subprocess
import sys


def rates(anchor, others):
    """`rate` of each of `others`."""
    command = [sys.executable, "-B", os.path.abspath(__file__)]
    done = subprocess.run(command, input=json.dumps([anchor, others]), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def rate(anchor, tried):
    """How many per cent more bits `tried` takes than `anchor` for the same PSNR, on average over what both reach. Each is
    a list of bitrates with their PSNR. None where they reach nothing in common.
    """
    from bjontegaard import bd_rate

    def usable(points):
        """In order, and each better than the one before: that is what is interpolated between."""
        kept = []
        for bits, psnr in sorted(map(tuple, points)):
            if math.isfinite(psnr) and (not kept or psnr > kept[-1][1] and bits > kept[-1][0]):
                kept.append((bits, psnr))
        return kept

    anchor, tried = usable(anchor), usable(tried)
    if min(len(anchor), len(tried)) < 2:
        return None
    if min(anchor[-1][1], tried[-1][1]) <= max(anchor[0][1], tried[0][1]):
        return None
    bits, psnr = zip(*anchor)
    tried_bits, tried_psnr = zip(*tried)
    return float(bd_rate(bits, psnr, tried_bits, tried_psnr, method="pchip", require_matching_points=False, min_overlap=0))


if __name__ == "__main__":
    given, others = json.load(sys.stdin)
    print(json.dumps([rate(given, other) for other in others]))
