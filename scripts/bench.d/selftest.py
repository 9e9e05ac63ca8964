"""Checks the bench's own arithmetic, on values whose answer is known."""

import binascii
import io
import random
import sys

import bd
import chart
import grid
import limit
import process
import quality
import report
import spelling
import strip
import written


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


def a_grid_that_drifts_is_seen_behind_pictures_that_are_late():
    chance = random.Random(2)
    times = [k / 15 * (1 + 1e-6) + chance.expovariate(1000) for k in range(9000) if k not in (4000, 7001)]
    # So that a late beginning is no drift.
    times[:20] = [t + 0.03 for t in times[:20]]
    assert abs(grid.drift(times, 15) - 1e-6) < 1e-7, grid.drift(times, 15)


def a_strip_is_read_and_one_wrong_block_is_noticed():
    assert binascii.crc_hqx(b"123456789", 0xFFFF) == 0x29B1, "the check value of CRC-16/IBM-3740"
    fields = (123_456).to_bytes(4, "big") + (1_795_000_000_123).to_bytes(6, "big")
    bits = int.from_bytes(fields + binascii.crc_hqx(fields, 0xFFFF).to_bytes(2, "big"), "big")
    pixels = bytearray(235 if bits >> bit & 1 else 16 for bit in reversed(range(strip.BLOCKS)))
    assert strip.read(pixels) == (123_456, 1_795_000_000_123)
    pixels[17] = 251 - pixels[17]
    assert strip.read(pixels) is None
    shape = strip.Strip(640, 360)
    assert (shape.columns, shape.rows, shape.block) == (32, 3, 20), vars(shape)
    shape = strip.Strip(64, 64)
    assert (shape.columns, shape.rows, shape.block) == (16, 6, 4), vars(shape)


def lines_of_a_log_that_are_half_there_are_left_out():
    log = io.BytesIO(b"".join(b'{"message":"written","pts":"%dms","at":"%dms"}\n' % (k, k + 1) for k in (10, 20, 30)))
    length = len(log.getvalue()) // 3
    for since, count in [(0, 3), (1, 2), (length - 1, 2), (length, 2), (length + 1, 1), (3 * length, 0)]:
        assert len(list(written.times(log, since))) == count, (since, count)
    assert list(written.times(log, 2 * length)) == [(0.03, 0.031)]
    log.truncate(2 * length + 9)
    assert len(list(written.times(log))) == 2


def pictures_are_counted_by_their_first_slice():
    stream = b"\0\0\0\1\x67\x42\0\0\0\1\x68\xce\0\0\0\1\x65\xb8\0\0\1\x65\x40\0\0\0\1\x41\x9a\0\0\1\x06\x80"
    assert process.Run(1, 1, 1, 1, stream).pictures == 2


def an_access_unit_begins_with_what_stands_before_its_first_slice():
    first = b"\0\0\1\x67\x42\0\0\1\x68\xce\0\0\1\x65\xb8\0\0\1\x65\x40"
    second = b"\0\0\1\x41\x9a"
    third = b"\0\0\1\x06\x80\0\0\1\x41\x9a\x11"
    assert quality.sizes(first + second + third) == [len(unit) * 8 for unit in (first, second, third)]


def psnr_is_read_between_points_and_beyond_them():
    points = [(4.0, 36.0), (2.0, 33.0), (8.0, 38.0)]
    for rate, found in [(2.0, 33.0), (4.0, 36.0), (8.0, 38.0), (8**0.5, 34.5), (16.0, 40.0), (1.0, 30.0)]:
        assert abs(quality.at_rate(points, rate) - found) < 1e-9, (rate, quality.at_rate(points, rate))


def a_finished_process_is_accounted_for():
    run = process.run([sys.executable, "-c", "print(sum(range(3_000_000)))"])
    assert run.output == b"4499998500000\n" and 0 < run.cpu and 0 < run.first_byte <= run.seconds and run.peak > 4, run


def the_start_is_not_in_the_rate():
    assert process.Run(3.0, 1.0, 1, 1, b"").rate(121) == 60


def two_cores_share_what_drawing_and_encoding_cost():
    # 5 ms of CPU time a picture on two cores; neither the encoder nor the driver alone takes longer than 2.5.
    assert abs(limit.pictures_per_second(2, limit.Cost(0.003, 0.002), limit.Cost(0.002, 0.002)) - 400) < 1e-6


def one_encoder_is_one_thread():
    assert abs(limit.pictures_per_second(16, limit.Cost(0.003, 0.001), limit.Cost(0.004, 0.004)) - 250) < 1e-6


def the_driver_has_a_pace_of_its_own():
    assert abs(limit.pictures_per_second(16, limit.Cost(0.003, 0.005), limit.Cost(0.001, 0.001)) - 200) < 1e-6


def larger_pictures_are_fewer():
    assert (limit.of_size(90, (1280, 720)), limit.of_size(90, (1920, 1080))) == (90, 40)


def more_bits_for_the_same_psnr_are_above_zero():
    anchor = [(3e6, 30.0), (6e6, 33.0), (12e6, 36.0)]
    tenth_more = [(rate * 1.1, psnr) for rate, psnr in anchor]
    assert abs(bd.rate(anchor, tenth_more) - 10) < 0.1
    assert abs(bd.rate(tenth_more, anchor) + 100 / 11) < 0.1
    assert abs(bd.rate(anchor, list(reversed(anchor)))) < 1e-6
    assert bd.rates(anchor, [anchor]) == [0.0]


def streams_with_nothing_in_common_are_not_compared():
    anchor = [(3e6, 30.0), (6e6, 33.0), (12e6, 36.0)]
    assert bd.rate(anchor, [(30e6, 40.0), (40e6, 41.0), (50e6, 42.0)]) is None
    # Exact pictures, and bits that bought nothing.
    assert bd.rate(anchor, [(3e6, float("inf"))] * 3) is None
    assert bd.rate(anchor, [(5e6, 33.0), (5e6, 33.0), (5e6, 33.0)]) is None


def a_shader_is_spelled_for_glshader():
    shader = 'void mainImage(out vec4 c, in vec2 p) { c = vec4(p / iResolution.xy, iTime, 1.0); } // "as it is"\n'
    spelled = spelling.for_gstreamer(shader)
    # A version is only one in the first line, and what is defined is so before it is used.
    assert spelled.startswith("#version ") and spelled.count(shader) == 1
    for name, meant in [("iTime", "time"), ("iResolution", "vec3(width, height, 1.0)")]:
        assert spelled.index(f"#define {name} {meant}\n") < spelled.index(shader)
    # Its rows count from the bottom, GStreamer's from the top; what it paints is opaque.
    assert "height - gl_FragCoord.y" in spelled and "vec4(shown.rgb, 1.0)" in spelled
    assert spelling.quoted('a "b" \\ c') == r'"a \"b\" \\ c"'


def a_judged_figure_stands_plain():
    verdicts = report.Verdicts()
    near, far = verdicts.at_least(95.04, 92, "{:.1f}"), verdicts.at_most(3, 2)
    assert (near, near.asked, near.good) == ("95.0", "at least 92.0", True)
    assert (far, far.asked, far.good) == ("3.00", "at most 2.00", False)
    assert (verdicts.met, verdicts.missed) == (1, 1)


def a_chart_is_the_same_bytes_for_the_same_figures():
    titles = [beginning for beginning, _ in chart.SHOWN]
    rows = [["frames/s", "200", "140"], ["CPU ms a frame", "9.1", "11.25"]]
    tables = [report.Table([f"{title}, 6 Mb/s", *list(chart.COLOURS)[:2]], rows) for title in titles]
    first, second = chart.drawn(tables), chart.drawn(tables)
    assert first == second and first.startswith("<?xml") and len(first) < 100_000
    assert all(said in first for said in ["mb-encode", ">200<", ">11.25<"])


def main():
    for check in [
        even_times_fit_exactly,
        a_rate_a_little_off_is_seen,
        skipped_pictures_are_counted_and_late_ones_are_not,
        a_grid_that_drifts_is_seen_behind_pictures_that_are_late,
        a_strip_is_read_and_one_wrong_block_is_noticed,
        lines_of_a_log_that_are_half_there_are_left_out,
        pictures_are_counted_by_their_first_slice,
        an_access_unit_begins_with_what_stands_before_its_first_slice,
        psnr_is_read_between_points_and_beyond_them,
        a_finished_process_is_accounted_for,
        the_start_is_not_in_the_rate,
        two_cores_share_what_drawing_and_encoding_cost,
        one_encoder_is_one_thread,
        the_driver_has_a_pace_of_its_own,
        larger_pictures_are_fewer,
        more_bits_for_the_same_psnr_are_above_zero,
        streams_with_nothing_in_common_are_not_compared,
        a_shader_is_spelled_for_glshader,
        a_judged_figure_stands_plain,
        a_chart_is_the_same_bytes_for_the_same_figures,
    ]:
        check()
        print(f"ok  {check.__name__.replace('_', ' ')}")


main()
