"""What the bench prints: progress on standard error, tables on standard output, figures held against targets."""

import sys
from dataclasses import dataclass, field


class Judged(str):
    """A figure that was held against a target. In a table it stands plain; `targets` lists it with what was asked."""

    asked: str
    good: bool


@dataclass
class Table:
    """One that was printed. The first cell of its head is its title, and the first cell of a row that row's name."""

    head: list
    rows: list = field(default_factory=list)

    @property
    def title(self):
        return self.head[0]

    def cell(self, row, column):
        """What stands there, as text, or None."""
        if column not in self.head:
            return None
        at = self.head.index(column)
        return next((cells[at] for cells in self.rows if cells[0] == row), None)


PRINTED = []


class Verdicts:
    """Holds figures against targets."""

    def __init__(self):
        self.met = self.missed = 0

    def at_least(self, value, target, form="{:.2f}"):
        return self._judge(value >= target, value, "at least", target, form)

    def at_most(self, value, target, form="{:.2f}"):
        return self._judge(value <= target, value, "at most", target, form)

    def _judge(self, good, value, relation, target, form):
        self.met += good
        self.missed += not good
        judged = Judged(form.format(value))
        judged.asked = f"{relation} {form.format(target)}"
        judged.good = bool(good)
        return judged


def say(text):
    print(f"==> {text}", file=sys.stderr, flush=True)


def table(head, rows):
    """Prints a Markdown table, and keeps it for `targets` and the chart."""
    _print(head, rows)
    PRINTED.append(Table(list(head), [list(row) for row in rows]))


def targets():
    """Prints each figure of the tables so far that was held against a target."""
    rows = []
    for printed in PRINTED:
        for name, *cells in printed.rows:
            for column, cell in zip(printed.head[1:], cells):
                if isinstance(cell, Judged):
                    what = ": ".join(part for part in [printed.title, name, column] if part)
                    rows.append([what, cell.asked, str(cell), "met" if cell.good else "**missed**"])
    if rows:
        _print(["targets", "asked", "measured", ""], rows)


def _print(head, rows):
    for cells in [head, ["---"] * len(head), *rows]:
        print(f"| {' | '.join(map(str, cells))} |")
    print(flush=True)
