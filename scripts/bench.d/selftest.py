"""Checks the bench's own arithmetic, on values whose answer is known."""

import random
import sys

import grid
import process


def even_times_fit_exactly():
    fit = grid.fit([5 + k / 60 for k in range(600)], 60)
    assert abs(fit.rate - 60) < 1e-6 and fit.missing == 0 and fit.p99 < 1e-9, fit


def a_rate_a_little_off_is_seen():
    fit = grid.fit([k / 60.06 for k in range(1200)], 60)
    assert abs(fit.rate - 60.06) < 1e-6 and fit.missing == 0, fit


def skipped_pictures_are_counted_and_late_ones_are_not():
    chance = random.Random(1)
    times = [k / 60 + chance.uniform(0, 0.001) for k in range(1200) if k not in (100, 101, 700)]
    times[300] += 0.012
    fit = grid.fit(times, 60)
    assert fit.missing == 3 and abs(fit.rate - 60) < 0.01, fit
    assert fit.p99 < 0.001 and 0.010 < fit.worst < 0.013, fit


def pictures_are_counted_by_their_first_slice():
    stream = b"\0\0\0\1\x67\x42\0\0\0\1\x68\xce\0\0\0\1\x65\xb8\0\0\1\x65\x40\0\0\0\1\x41\x9a\0\0\1\x06\x80"
    assert process.Run(1, 1, 1, 1, stream).pictures == 2


def a_finished_process_is_accounted_for():
    run = process.run([sys.executable, "-c", "print(sum(range(3_000_000)))"])
    assert run.output == b"4499998500000\n" and 0 < run.cpu and 0 < run.first_byte <= run.seconds and run.peak > 4, run


def main():
    for check in [
        even_times_fit_exactly,
        a_rate_a_little_off_is_seen,
        skipped_pictures_are_counted_and_late_ones_are_not,
        pictures_are_counted_by_their_first_slice,
        a_finished_process_is_accounted_for,
    ]:
        check()
        print(f"ok  {check.__name__.replace('_', ' ')}")


main()
