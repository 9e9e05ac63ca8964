"""How well the times of writes follow an even grid."""

from dataclasses import dataclass


@dataclass
class Fit:
    """The grid that fits best, and what is left."""

    rate: float  # grid points a second
    missing: int  # grid points between the first and the last time that no time belongs to
    p99: float  # 99th percentile of the distance from the grid, in seconds
    worst: float


def fit(times, nominal):
    """Fits a grid of about `nominal` points a second to `times`, in seconds, rising."""
    points = numbered(times, nominal)
    count = len(times)
    mean_point, mean_time = sum(points) / count, sum(times) / count
    interval = sum((k - mean_point) * (t - mean_time) for k, t in zip(points, times))
    interval /= sum((k - mean_point) ** 2 for k in points)
    away = sorted(abs(t - mean_time - interval * (k - mean_point)) for k, t in zip(points, times))
    missing = points[-1] - points[0] + 1 - count
    return Fit(1 / interval, missing, away[min(count - 1, count * 99 // 100)], away[-1])


def numbered(times, nominal):
    """The grid point of each time. The grid is followed slowly, so that one late time shifts none after it."""
    start = times[: max(1, nominal // 2)]
    grid = sorted(t - k / nominal for k, t in enumerate(start))[len(start) // 2]
    points, last = [], 0
    for t in times:
        point = last + round((t - grid) * nominal)
        grid += (point - last) / nominal
        grid += 0.05 * (t - grid)
        points.append(point)
        last = point
    # Times are late, never early: of two at one point, the first belongs to the point before.
    for k in range(len(points) - 2, -1, -1):
        points[k] = min(points[k], points[k + 1] - 1)
    return points


def drift(times, nominal):
    """By how much the grid behind `times` runs away from one of exactly `nominal` points a second: seconds a second.

    Times are late, never early, and by how much depends on what else the machine does. So each tenth of them is judged by
    the half that was least late.
    """
    residues = [t - point / nominal for t, point in zip(times, numbered(times, nominal))]
    size = max(1, len(times) // 10)
    places, levels = [], []
    for begin in range(0, len(times) - size + 1, size):
        best = sorted(residues[begin : begin + size])[: (size + 1) // 2]
        places.append(sum(times[begin : begin + size]) / size)
        levels.append(sum(best) / len(best))
    place, level = sum(places) / len(places), sum(levels) / len(levels)
    spread = sum((x - place) ** 2 for x in places)
    return sum((x - place) * (y - level) for x, y in zip(places, levels)) / spread if spread else 0.0
