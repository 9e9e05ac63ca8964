"""The checks by name, and what came of each: a figure beside its target."""

import dataclasses
import sys
import threading
import time
import traceback
from collections.abc import Callable

from kube import Failed

CHECKS = []


@dataclasses.dataclass
class Check:
    name: str
    proves: str
    body: Callable
    # Checks of one lane run one after the other, lanes beside each other; those without run before, with the machine to
    # themselves. What is in the lane `last` comes after all, since the cluster is not the same afterwards.
    lane: str


def check(name, lane=""):
    """Makes a function a check of that name; the first line of its docstring says what it proves."""

    def enlist(body):
        CHECKS.append(Check(name, body.__doc__.splitlines()[0], body, lane))
        return body

    return enlist


def limit(target):
    """What fails whatever the machine has to do beside it; between the two a figure is over its target, and told."""
    return 4 * target + 2


class Report:
    """Counts what holds, and remembers what does not, and which figures are over their targets."""

    def __init__(self, strict=False):
        self.began = time.monotonic()
        self.strict = strict
        self.count = 0
        self.failed = []
        self.missed = []

    def run(self, name, body):
        """Runs one check. What it cannot go on from is a failure like any other."""
        figures = Figures(self, name)
        try:
            body(figures)
        except Failed as failed:
            figures.fail(str(failed))
        except Exception:
            figures.fail(traceback.format_exc(limit=-3).strip().replace("\n", "\n      "))

    def run_all(self, checks):
        lanes = {}
        for each in checks:
            lanes.setdefault(each.lane, []).append(each)
        self._run_lane(lanes.pop("", []))
        last = lanes.pop("last", [])
        beside = [threading.Thread(target=self._run_lane, args=(lane,)) for lane in lanes.values()]
        for thread in beside:
            thread.start()
        for thread in beside:
            thread.join()
        self._run_lane(last)

    def _run_lane(self, checks):
        for each in checks:
            self.run(each.name, each.body)

    def end(self):
        """Says what failed; returns the exit code."""
        over = f", {len(self.missed)} are over their targets" if self.missed else ""
        print(f"==> {self.count} figures hold{over}, {len(self.failed)} do not", file=sys.stderr)
        for missed in self.missed:
            print(f"    over its target: {missed}", file=sys.stderr)
        for failed in self.failed:
            print(f"error: {failed}", file=sys.stderr)
        return 1 if self.failed or not self.count else 0


class Figures:
    """What one check says, each figure as it comes."""

    def __init__(self, report, name):
        self.report, self.name = report, name

    def _print(self, mark, text):
        seconds = time.monotonic() - self.report.began
        print(f"    {mark} ({seconds:.0f} s): {self.name}: {text}", file=sys.stderr, flush=True)

    def say(self, text):
        """Something that has no bound."""
        self._print("--", text)

    def ok(self, text):
        """Something that holds."""
        self.report.count += 1
        self._print("ok", text)

    def fail(self, text):
        self.report.failed.append(f"{self.name}: {text}")
        self._print("FAILED", text)

    def aims_at(self, what, figure, target, unit=""):
        """A figure that is to be no larger than its target. On a busy machine it may be, within the limit."""
        most = target if self.report.strict else limit(target)
        text = f"{what}: {figure:.3g}{unit} (target {target:g}{unit}, at most {most:g}{unit})"
        if target < figure <= most:
            self.report.missed.append(f"{self.name}: {text}")
            self._print("over", text)
        else:
            self.expect(figure <= most, text)

    def at_least(self, what, figure, bound, unit=""):
        self.expect(figure >= bound, f"{what}: {figure:.3g}{unit} (at least {bound:g}{unit})")

    def expect(self, holds, what, seen=""):
        """Something that holds or not, with what was seen where it does not."""
        if holds:
            self.ok(what)
        else:
            self.fail(what + (f"; seen: {seen}" if seen else ""))
