"""Keeps what a run prints: its Markdown as tests/figures.md, with a chart beside it as tests/figures.svg."""

import contextlib
import io
import os
import sys
from dataclasses import dataclass

import chart
import report

FOLDER = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tests"))
HEAD = """# Figures

As `scripts/bench --write` printed them, in one run; nobody edits them. What each part measures, and why a figure is what
it is, stands in [README.md](README.md#figures).

![frames/s, and CPU time a frame, of mb-encode, GStreamer and ffmpeg](figures.svg)

"""


@dataclass
class Kept:
    """Where it is."""

    markdown: str
    chart: str


class Both(io.TextIOBase):
    """Writes to the terminal, and keeps it."""

    def __init__(self, terminal):
        self.terminal, self.kept = terminal, io.StringIO()

    def write(self, text):
        self.kept.write(text)
        return self.terminal.write(text)

    def flush(self):
        self.terminal.flush()


@contextlib.contextmanager
def written():
    """Keeps what is printed within, unless that fails."""
    kept = Kept(os.path.join(FOLDER, "figures.md"), os.path.join(FOLDER, "figures.svg"))
    both = Both(sys.stdout)
    with contextlib.redirect_stdout(both):
        yield kept
    picture = chart.drawn(report.PRINTED)
    for path, text in [(kept.markdown, HEAD + both.kept.getvalue().rstrip() + "\n"), (kept.chart, picture)]:
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(f"{path}.new", path)
