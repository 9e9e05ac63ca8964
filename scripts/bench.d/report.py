"""What the bench prints: progress on standard error, tables on standard output, figures held against targets."""

import sys


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
        said = f"{form.format(value)} ({relation} {form.format(target)}: "
        return said + ("met)" if good else "**missed**)")


def say(text):
    print(f"==> {text}", file=sys.stderr, flush=True)


def table(head, rows):
    """A Markdown table."""
    for cells in [head, ["---"] * len(head), *rows]:
        print(f"| {' | '.join(map(str, cells))} |")
    print(flush=True)
