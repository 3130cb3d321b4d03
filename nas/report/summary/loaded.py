"""A search run read from disk, once for all parts of its summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.building import Shape
from nas.evaluation.evaluator_chain import parts_in
from nas.evaluation.table import Table
from nas.history import Evaluated, History
from nas.report.summary.clock import Clock
from nas.report.summary.journal import Log, Work, read_log, works_of
from nas.runs.architecture import read_found
from nas.runs.experiment import Experiment
from nas.runs.finals import ENSEMBLE
from nas.runs.run import load_run
from nas.runs.supernets import SUPERNET_OBJECTIVE, SUPERNETS

CIFAR: Shape = (3, 32, 32)

SIMULATED = 2.0
"""Evaluations are simulated (by a user's own table) if their seconds exceed their workers' wall-clock by this factor."""


@dataclass(frozen=True, slots=True)
class LoadedRun:
    """A search run: its experiment, journals by phase, the work done in each, and the clock.

    `simulated` is whether the evaluations' seconds are not wall-clock seconds. `input` is the shape (C, H, W) of the images,
    None where it is unknown until the run has ended.
    """

    folder: Path
    experiment: Experiment
    space: Any
    history: History
    logs: Mapping[str, Log]
    works: Sequence[Work]
    clock: Clock
    simulated: bool
    input: Shape | None

    def value(self, done: Evaluated) -> float:
        """Return the objective's score of an evaluation that succeeded."""
        return done.scores[self.history.objective]


def load_run_summary(folder: Path) -> LoadedRun:
    """Read a run folder. Raises RecordError where it is no run folder, or a journal in it is damaged."""
    experiment = load_run(folder)
    objective = experiment.rules.objective
    final = experiment.final.objective if experiment.final else ""
    read = (
        read_log(folder / f"{SUPERNETS}.jsonl", SUPERNETS, SUPERNET_OBJECTIVE),
        read_log(folder / "history.jsonl", "search", objective, experiment.rules.limits),
        read_log(folder / "final.jsonl", "final", final),
        read_log(folder / f"{ENSEMBLE}.jsonl", ENSEMBLE, "test_top1_percent"),
    )
    logs = {log.phase: log for log in read if log is not None}
    works = [work for log in logs.values() for work in works_of(log)]
    history = logs["search"].history if "search" in logs else History(objective, experiment.rules.limits)
    clock = Clock(logs.values(), works)
    is_simulated, shape = _is_simulated(experiment, history, works), _input(folder, experiment)
    return LoadedRun(folder, experiment, experiment.open_space(), history, logs, works, clock, is_simulated, shape)


def _input(folder: Path, experiment: Experiment) -> Shape | None:
    """Return the shape of the images without loading them: from best.json, or CIFAR's where the experiment has no data."""
    best = folder / "best.json"
    if best.is_file():
        return read_found(best).input
    return None if experiment.data is not None else CIFAR


def _is_simulated(experiment: Experiment, history: History, works: Sequence[Work]) -> bool:
    mine = [work for work in works if work.phase == "search"]
    if any(isinstance(each, Table) and each.seconds is not None for each in parts_in(experiment.evaluator)):
        return bool(mine)
    if experiment.evaluator is None or not mine:  # a supernet's scores took their seconds in the supernet phase
        return False
    # wall-clock available to the workers; more seconds than that cannot be wall-clock. The 1 s spares very short runs
    spanned = max(work.end for work in mine) - min(work.begin for work in mine)
    available = spanned * len({work.worker for work in mine})
    return history.totals.get("seconds", 0.0) > SIMULATED * available + 1.0
