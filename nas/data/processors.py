"""The number of CPUs that this process may use."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")

GROUP_OF_THIS_PROCESS = Path("/proc/self/cgroup")


def processors() -> int:
    """Return the number of CPUs that this process may use: those it is bound to, limited by a container's quota."""
    return max(1, math.ceil(min(len(bound_to()), quota())))


def bound_to() -> set[int]:
    """Return the numbers of the CPUs that this process may run on."""
    return set(os.sched_getaffinity(0)) if sys.platform == "linux" else set(range(os.cpu_count() or 1))


def quota(groups: Path = GROUPS, of_this_process: Path = GROUP_OF_THIS_PROCESS) -> float:
    """Return the CPU quota of this process's control group, version 1 or 2, in CPUs; infinity without a limit."""
    return min((_limit(folder) for folder in _folders(groups, of_this_process)), default=math.inf)


def _folders(groups: Path, of_this_process: Path) -> list[Path]:
    """Return the folders of the control group and of its parents."""
    folders = [groups, groups / "cpu"]
    for line in _read(of_this_process).splitlines():
        # Version 2 has one line, "0::/name"; version 1 one for each controller, as "4:cpu,cpuacct:/name".
        _, controllers, name = line.split(":", 2)
        top = groups / "cpu" if controllers else groups
        if not controllers or "cpu" in controllers.split(","):
            inner = Path(name.lstrip("/"))
            folders += [top / each for each in (inner, *inner.parents)]
    return folders


def _limit(folder: Path) -> float:
    """Return the limit of one control group, in CPUs: a quota per period, both in microseconds."""
    together = _read(folder / "cpu.max").split()  # version 2, as "150000 100000" or "max 100000"
    part, period = together or (_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us"))
    try:
        return int(part) / int(period) if int(part) > 0 else math.inf
    except ValueError:  # "max", or no such file
        return math.inf


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""
