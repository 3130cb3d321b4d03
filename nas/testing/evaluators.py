"""Checks that hold for every evaluator, on a space that it scores."""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from functools import partial
from random import Random
from typing import Any

from nas.evaluation.evaluator import Evaluation, Evaluator, Job, Progress, Task
from nas.family import family
from nas.runs.experiment import task_of
from nas.space import sample
from nas.testing.requirement import require, require_record

TIMES = ("seconds", "images_per_second", "latency_ms", "latency_p90_ms")
"""Scores that differ from one evaluation to the next."""


def task_for(evaluator: Evaluator, space: str, network: Mapping[str, Any]) -> Task:
    """Return the task of evaluations on a space, as a run prepares it."""
    opened = family(space).space()
    return task_of(space, opened, evaluator.prepare(opened), network, "network")


def performed(evaluation: Evaluation) -> tuple[list[Progress], Mapping[str, float]]:
    """Run an evaluation; return its progress and its scores."""
    progress: list[Progress] = []
    while True:
        try:
            progress.append(next(evaluation))
        except StopIteration as end:
            return progress, end.value


def it_is_a_record(evaluator: Evaluator, task: Task) -> None:
    """Check that an evaluator can be written to a run folder, and sent to workers."""
    require_record(evaluator, Evaluator)
    try:
        pickle.dumps(partial(evaluator.evaluate, task))
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise AssertionError(f"it cannot be pickled, to be sent to a worker ({error})") from None


def its_scores_are_those_that_it_says(evaluator: Evaluator, task: Task) -> None:
    """Check that the scores of `evaluate` and `test` are finite numbers under the declared names."""
    evaluator.check(task)
    job = Job(0, sample(task.space, Random(0)), 1)
    both = {"evaluate": (evaluator.evaluate, evaluator.scores()), "test": (evaluator.test, evaluator.test_scores())}
    for method, (perform, declared) in both.items():
        progress, scores = performed(perform(task, job))
        require(bool(scores), f"`{method}` returns no scores")
        wrong = {name: value for name, value in scores.items() if not math.isfinite(value)}
        require(not wrong, f"`{method}` returns scores that are not finite: {wrong}")
        missing = sorted(set(declared or ()) - scores.keys())
        message = f"`{method}` does not return {', '.join(missing)}, as declared: it returns {', '.join(scores)}"
        require(not missing, message)
        for each in progress:
            require(
                each.epoch <= (each.epochs or math.inf), f"`{method}` reports epoch {each.epoch:g} of {each.epochs}"
            )


def the_same_job_has_the_same_scores(evaluator: Evaluator, task: Task) -> None:
    """Check that the job's seed is the only source of randomness."""
    job = Job(3, sample(task.space, Random(1)), 7)
    first, again = (performed(evaluator.evaluate(task, job))[1] for _ in range(2))
    differing = [name for name in first if name not in TIMES and first[name] != again.get(name)]
    require(
        not differing, f"the same job has different scores each time: {', '.join(differing)}; draw from job.seed alone"
    )


CHECKS = (it_is_a_record, its_scores_are_those_that_it_says, the_same_job_has_the_same_scores)


def check_evaluator(evaluator: Evaluator, space: str = "nasbench201", network: Mapping[str, Any] | None = None) -> None:
    """Check what holds for every evaluator, on a space by name or path, stacked by the options of `network`.

    Raises AssertionError with what does not hold. It runs four evaluations: give settings that take seconds.
    """
    task = task_for(evaluator, space, network or {})
    for check in CHECKS:
        check(evaluator, task)
