"""Threads: how many torch uses in each worker, so that workers do not compete for processors.

With another number of threads floating-point numbers are added in another order. So the number is chosen once, when a run
begins, and is kept in the run folder with the executor.
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
"""The time over which the load of the processors is measured."""

GIVEN_BY = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""The environment variables by which a user sets the number of threads."""

TIMES = Path("/proc/stat")


def free_threads() -> int:
    """Return the number of threads of a machine's only worker: the user's setting or, without one, torch's default.

    The default is limited to the processors that this process may use and that are not busy with other work.
    """
    threads = torch.get_num_threads()
    if _is_given():  # torch has read the variable when it was imported
        return threads
    free = len(bound_to()) - round(_busy_processors(SECONDS_OF_A_LOOK))
    return max(1, min(threads, processors(), free))


def threads_of_worker(processors_each: float, workers: int, is_here: bool) -> int:
    """Return the number of threads per worker: one per processor that it has, at least one.

    On this machine all workers together have no more threads than there are processors, but at least one each.
    """
    if _is_given():
        return torch.get_num_threads()
    each = max(1, int(processors_each))
    return min(each, max(1, processors() // workers)) if is_here else each


@contextmanager
def threads_limited(threads: int | None) -> Iterator[None]:
    """Set the number of torch threads inside the block; None leaves it as it is."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def counted(workers: int, threads: int | None) -> str:
    """Return the number of workers and of their threads in words, such as `2 workers, 1 thread each`."""
    text = f"{workers} worker" + ("s" if workers > 1 else "")
    if threads is None:
        return text
    return f"{text}, {threads} thread" + ("s" if threads > 1 else "") + (" each" if workers > 1 else "")


def _is_given() -> bool:
    return any(name in os.environ for name in GIVEN_BY)


def _busy_processors(seconds: float) -> float:
    """Return how many of the processors that this process may run on are busy; 0 where the system does not report it."""
    before = _times()
    if not before:
        return 0.0
    time.sleep(seconds)
    return sum(_share(before[number], after) for number, after in _times().items() if number in before)


def _share(before: tuple[int, int], after: tuple[int, int]) -> float:
    busy, total = after[0] - before[0], after[1] - before[1]
    return busy / total if total > 0 else 0.0


def _times() -> dict[int, tuple[int, int]]:
    """Return the busy and the total time of each processor that this process may run on, in Linux's ticks."""
    try:
        lines = TIMES.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    # columns: name, user, nice, system, idle, iowait, irq, softirq, steal; idle and iowait are not busy
    fields = (line.split() for line in lines if line.startswith("cpu") and line[3:4].isdigit())
    ticks = {int(name.removeprefix("cpu")): [int(each) for each in rest[:8]] for name, *rest in fields}
    mine = bound_to()
    return {number: (sum(each) - each[3] - each[4], sum(each)) for number, each in ticks.items() if number in mine}
