"""Threads: how many torch takes for each worker, so that nobody waits for a processor that another one has.

Another number of threads adds floating-point numbers in another order. So the number is chosen once, when a run begins, is
written into the run folder with the executor, and is that of the run from then on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from nas.data.processors import bound_to, processors

SECONDS_OF_A_LOOK = 0.2
"""How long the machine is looked at to see which processors are busy."""

GIVEN_BY = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""The variables by which a user says how many threads there are to be."""

TIMES = Path("/proc/stat")


def free_threads() -> int:
    """Return how many threads a worker of this machine has room for, alone: what the user says or, else, torch's own number.

    The latter is no more than there are processors that this process may use and that are not busy with other work.
    """
    threads = torch.get_num_threads()
    if _is_given():
        return threads
    free = len(bound_to()) - round(_busy_processors(SECONDS_OF_A_LOOK))
    return max(1, min(threads, processors(), free))


def threads_of_worker(processors_each: float, workers: int, is_here: bool) -> int:
    """Return how many threads each of several workers takes: as many as it has processors, at least one.

    On this machine all of them together have no more than there are processors.
    """
    if _is_given():
        return torch.get_num_threads()
    each = max(1, int(processors_each))
    return min(each, max(1, processors() // workers)) if is_here else each


@contextmanager
def threads_limited(threads: int | None) -> Iterator[None]:
    """Let torch take so many threads; None leaves it as it is."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def counted(workers: int, threads: int | None) -> str:
    """Write how many workers there are, and with how many threads each, as `2 workers, 1 thread each`."""
    said = f"{workers} worker" + ("s" if workers > 1 else "")
    if threads is None:
        return said
    return f"{said}, {threads} thread" + ("s" if threads > 1 else "") + (" each" if workers > 1 else "")


def _is_given() -> bool:
    return any(name in os.environ for name in GIVEN_BY)


def _busy_processors(seconds: float) -> float:
    """Return how many of the processors that this process may run on are busy; 0 where the system does not say."""
    before = _times()
    if not before:
        return 0.0
    time.sleep(seconds)
    return sum(_share(before[number], after) for number, after in _times().items() if number in before)


def _share(before: tuple[int, int], after: tuple[int, int]) -> float:
    busy, total = after[0] - before[0], after[1] - before[1]
    return busy / total if total > 0 else 0.0


def _times() -> dict[int, tuple[int, int]]:
    """Return, for each processor that this process may run on, how long it was busy and how long there was, in Linux's ticks."""
    try:
        lines = TIMES.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    fields = (line.split() for line in lines if line.startswith("cpu") and line[3:4].isdigit())
    ticks = {int(name.removeprefix("cpu")): [int(each) for each in rest[:8]] for name, *rest in fields}
    mine = bound_to()
    return {number: (sum(each) - each[3] - each[4], sum(each)) for number, each in ticks.items() if number in mine}
