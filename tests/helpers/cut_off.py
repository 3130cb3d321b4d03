"""A search with a supernet in this process, to its end or left off on the way."""

from __future__ import annotations

from pathlib import Path

from nas.evaluation.evaluator import Job, Task
from nas.supernets.recipe import SupernetSearch
from nas.supernets.search import search_supernet


def scores_of_search(
    declared: SupernetSearch, task: Task, folder: Path, checkpoint: Path | None = None, stop_after: int = 99
) -> dict[str, float] | None:
    """Return the scores but for the seconds; None where the search was left off after some epochs."""
    going = search_supernet(declared, folder, True, task, Job(0, None, 7, checkpoint))
    for _ in range(stop_after):
        try:
            next(going)
        except StopIteration as end:
            scores: dict[str, float] = end.value
            return {name: value for name, value in scores.items() if name != "seconds"}
    return None
