"""What a tree of processes holds: memory, descriptors, threads, CPU time."""

import os
import re
from dataclasses import dataclass

import process

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Account:
    """The sums over some processes."""

    own: float = 0.0  # MiB that no other process has: what a program that leaks has more of
    proportional: float = 0.0  # MiB, where a page that several share counts in parts (PSS)
    resident: float = 0.0  # MiB (RSS)
    descriptors: int = 0
    threads: int = 0
    cpu: float = 0.0  # seconds, of those that still run

    def __add__(self, other):
        return Account(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


def of(pids):
    return sum((one(pid) for pid in pids), Account())


def one(pid):
    sizes = dict(re.findall(r"^(Pss|Rss|Anonymous):\s*(\d+)", process.read(f"/proc/{pid}/smaps_rollup"), re.MULTILINE))
    return Account(
        int(sizes.get("Anonymous", 0)) / 1024,
        int(sizes.get("Pss", 0)) / 1024,
        int(sizes.get("Rss", 0)) / 1024,
        len(process.listed(f"/proc/{pid}/fd")),
        len(process.listed(f"/proc/{pid}/task")),
        sum(process.cpu_ticks([pid]).values()) / TICKS,
    )


def name(pid):
    return process.read(f"/proc/{pid}/comm").strip()


def parted(pid):
    """The processes of `pid`'s tree: those of mb-encode, and those of the go2rtc that it runs."""
    everything = process.tree(pid)
    server = {child for found in everything if name(found).startswith("go2rtc") for child in process.tree(found)}
    return [found for found in everything if found not in server], sorted(server)
