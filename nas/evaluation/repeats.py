"""Several evaluations of one architecture, with different seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean, pstdev
from typing import Annotated, Any

from nas.evaluation.evaluator import Evaluation, Evaluator, Job, Progress, Task, with_reports
from nas.history import Scores
from nas.records import Range, RecordError, record
from nas.training.randomness import mixed_seed

FIXED = ("params", "macs")
"""Scores that do not depend on a seed, and have no deviation."""


@record
class Repeats(Evaluator):
    """Score an architecture `repeats` times by another evaluator, with different seeds.

    A score is the mean, and its standard deviation over the repeats has `_std` after the name; `seconds` are the sum. The first
    repeat has the seed that the evaluation would have alone. The test is a single one.
    """

    of: Evaluator
    repeats: Annotated[int, Range(2)] = 3

    def __post_init__(self) -> None:
        if self.of.inherits:
            raise RecordError("of has inherit, and repeats leave no weights to inherit from: give inherit false", "of")

    def joined(self, space: Any) -> Any:
        return self.of.joined(space)

    def flattened(self) -> tuple[Evaluator, ...]:
        return self.of.flattened()

    def prepare(self, space: Any) -> dict[str, Any]:
        return self.of.prepare(space)

    def check(self, task: Task) -> None:
        self.of.check(task)

    def scores(self) -> tuple[str, ...] | None:
        known = self.of.scores()
        return None if known is None else (*known, *(f"{name}_std" for name in known if _varies(name)))

    def test_scores(self) -> tuple[str, ...] | None:
        return self.of.test_scores()

    def costs(self, task: Task, architecture: Any) -> Scores:
        return self.of.costs(task, architecture)

    def evaluate(self, task: Task, job: Job) -> Evaluation:
        checkpoints = [_checkpoint_of(job.checkpoint, repeat) for repeat in range(self.repeats)]
        measured: list[Scores] = []
        try:
            for repeat, checkpoint in enumerate(checkpoints):
                seed = mixed_seed(job.seed, "repeat", repeat) if repeat else job.seed
                again = replace(job, seed=seed, checkpoint=checkpoint)
                reports = partial(_counted, repeat, self.repeats)
                measured.append((yield from with_reports(self.of.evaluate(task, again), reports)))
        except Exception:
            _remove(checkpoints)
            raise
        # a repeat that has ended goes on from its checkpoint, so they stay until the last one has ended
        _remove(checkpoints)
        return over_repeats(measured)

    def test(self, task: Task, job: Job, weights: Path | None = None) -> Evaluation:
        return self.of.test(task, job, weights)


def over_repeats(measured: Sequence[Scores]) -> dict[str, float]:
    """Return mean and standard deviation of each score, and the sum of the seconds."""
    columns: Mapping[str, list[float]] = {name: [each[name] for each in measured] for name in measured[0]}
    means = {name: fmean(values) if name != "seconds" else sum(values) for name, values in columns.items()}
    return means | {f"{name}_std": pstdev(values) for name, values in columns.items() if _varies(name)}


def _varies(name: str) -> bool:
    return name not in (*FIXED, "seconds")


def _counted(repeat: int, repeats: int, progress: Progress) -> Progress:
    """Return a report whose epochs count over all repeats; it cannot stop the evaluation."""
    before = repeat * progress.epochs if progress.epochs is not None else 0
    whole = repeats * progress.epochs if progress.epochs is not None else None
    return replace(progress, epoch=before + progress.epoch, epochs=whole, scores={})


def _checkpoint_of(checkpoint: Path | None, repeat: int) -> Path | None:
    return checkpoint.with_suffix(f".{repeat}.pt") if checkpoint is not None and repeat else checkpoint


def _remove(checkpoints: Sequence[Path | None]) -> None:
    """Remove the checkpoints of all repeats but the first, which the queue removes."""
    for checkpoint in checkpoints[1:]:
        if checkpoint is not None:
            checkpoint.unlink(missing_ok=True)
