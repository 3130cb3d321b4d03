"""Several evaluations of one architecture, with different seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean, stdev
from typing import Annotated, Any

from nas.evaluation.evaluator import Evaluation, Evaluator, Job, Progress, Task, with_reports
from nas.history import Scores
from nas.records import Positive, Range, RecordError, record
from nas.training.randomness import mixed_seed

FIXED = ("params", "macs")
"""Scores that do not depend on a seed, and have no deviation."""


@record
class Repeats(Evaluator):
    """Score an architecture `repeats` times by another evaluator, with different seeds.

    A score is the mean, and its sample standard deviation over the repeats has `_std` after the name; `seconds` are the sum. The
    first repeat has the seed that the evaluation would have alone. The final training is repeated `tests` times in the same way,
    by default once; the weights that are kept are those of the first.
    """

    of: Evaluator
    repeats: Annotated[int, Range(2)] = 3
    tests: Positive = 1

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
        return _with_deviations(self.of.scores())

    def test_scores(self) -> tuple[str, ...] | None:
        return self.of.test_scores() if self.tests == 1 else _with_deviations(self.of.test_scores())

    def costs(self, task: Task, architecture: Any) -> Scores:
        return self.of.costs(task, architecture)

    def evaluate(self, task: Task, job: Job) -> Evaluation:
        return _repeated(self.repeats, job, partial(self.of.evaluate, task))

    def test(self, task: Task, job: Job, weights: Path | None = None) -> Evaluation:
        if self.tests == 1:
            return self.of.test(task, job, weights)
        return _repeated(
            self.tests, job, lambda again: self.of.test(task, again, weights if again.seed == job.seed else None)
        )


def _repeated(repeats: int, job: Job, work: Callable[[Job], Evaluation]) -> Evaluation:
    """Do a job several times, with seeds and checkpoints of their own; return the scores over them."""
    checkpoints = [_checkpoint_of(job.checkpoint, repeat) for repeat in range(repeats)]
    measured: list[Scores] = []
    try:
        for repeat, checkpoint in enumerate(checkpoints):
            seed = mixed_seed(job.seed, "repeat", repeat) if repeat else job.seed
            again = replace(job, seed=seed, checkpoint=checkpoint)
            measured.append((yield from with_reports(work(again), partial(_counted, repeat, repeats))))
    except Exception:
        _remove(checkpoints)
        raise
    # a repeat that has ended goes on from its checkpoint, so they stay until the last one has ended
    _remove(checkpoints)
    return over_repeats(measured)


def over_repeats(measured: Sequence[Scores]) -> dict[str, float]:
    """Return the mean of each score, its sample standard deviation where there are several, and the sum of the seconds."""
    columns: Mapping[str, list[float]] = {name: [each[name] for each in measured] for name in measured[0]}
    means = {name: fmean(values) if name != "seconds" else sum(values) for name, values in columns.items()}
    varying = {name: values for name, values in columns.items() if _varies(name) and len(values) > 1}
    return means | {deviation_of(name): stdev(values) for name, values in varying.items()}


def deviation_of(name: str) -> str:
    """Return the name of the standard deviation of a score over several trainings of one architecture."""
    return f"{name}_std"


def _with_deviations(known: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return None if known is None else (*known, *(deviation_of(name) for name in known if _varies(name)))


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
