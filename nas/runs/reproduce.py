"""Reproduction: an experiment run with several seeds, and compared with the published numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev

from nas.evaluation.evaluator import Job
from nas.history import History
from nas.places import without_places
from nas.records import RecordError
from nas.runs.experiment import Expectation, Experiment, Final
from nas.runs.run import SearchPlan, create_folder, load_run, plan, resolved, run, search_stage
from nas.runs.run_data import hold_to_data
from nas.runs.scores import scores_of_test
from nas.runtime.executor import Outcome, perform
from nas.runtime.inline import Inline
from nas.runtime.queue import Queue, SearchFailed, commonest_reason
from nas.runtime.threads import threads_limited
from nas.runtime.view import Silent


@dataclass(frozen=True, slots=True)
class Comparison:
    """A published number, with the mean and the standard deviation over own seeds; the latter is None for one seed."""

    name: str
    published: Expectation
    own_mean: float
    own_std: float | None
    seeds: int

    @property
    def holds(self) -> bool | None:
        """Whether the own mean is within the tolerance of the published one; None for one seed, which allows no verdict."""
        if self.own_std is None:
            return None
        return abs(self.own_mean - self.published.mean) <= self.published.tolerance

    @property
    def standard_error(self) -> float | None:
        """The standard error of the own mean; None for one seed."""
        return None if self.own_std is None else self.own_std / sqrt(self.seeds)


def reproduce(
    experiment: Experiment, seeds: int, done: Callable[[int], None], folder: Path = Path("runs")
) -> list[Comparison]:
    """Run the experiment with the seeds 0, 1, ... and compare its scores with the published ones; calls `done` after each seed.

    An experiment with the inline executor and no supernet runs in memory and writes no file. Any other has one run folder per
    seed under `folder`, where it resumes after an interruption. Raises RecordError where the experiment expects nothing, or a
    score that the runs do not have.
    """
    if not experiment.expect:
        raise RecordError("the experiment has no `expect:`: there is nothing to compare with")
    planned = plan(replace(experiment, final=experiment.final or _final(experiment)))
    found: list[Mapping[str, float]] = []
    for seed in range(seeds):
        seeded = replace(planned.experiment, rules=replace(experiment.rules, seed=seed))
        found.append(_run_once(replace(planned, experiment=seeded), folder / f"seed-{seed}"))
        for name in experiment.expect:
            # after the first seed already: the others would take as long and fail as well
            if name not in found[0]:
                scores = ", ".join(found[0])
                raise RecordError(f"expect.{name}: the runs have no such score; they have {scores}", f"expect.{name}")
        done(seed)
    return [_compare(name, expected, found) for name, expected in experiment.expect.items()]


def _final(experiment: Experiment) -> Final:
    """Return a final test whose objective is a score that the test gives; with a single architecture any of them will do."""
    names = scores_of_test(experiment)
    return Final() if not names or Final().objective in names else Final(objective=next(iter(names)))


def _run_once(planned: SearchPlan, folder: Path) -> dict[str, float]:
    """Run one seed: return the test scores of the best, and the maximum of each score of the search as `highest_<score>`."""
    executor = planned.experiment.executor
    # hundreds of seeds over a table take seconds; files would take most of them
    if isinstance(executor, Inline) and planned.supernet is None:
        with threads_limited(executor.threads):
            return run_in_memory(planned)
    if not folder.exists():
        create_folder(folder, planned)
    else:
        planned = _taken_up(planned, folder)
        hold_to_data(folder, planned.data, changed_data=False)
    result = run(planned, folder, lambda stage: Silent())
    best = result.finals["best"]
    if best.failure is not None:
        raise SearchFailed(f"seed {planned.experiment.rules.seed}: the test failed: {best.failure}")
    return {**best.scores, **_highest(result.history)}


def _taken_up(planned: SearchPlan, folder: Path) -> SearchPlan:
    """Return the plan with the thread count of the run that began in the folder.

    Raises RecordError where that run has other settings.
    """
    begun, executor = load_run(folder), planned.experiment.executor
    if without_places(replace(begun, executor=executor)) != without_places(resolved(planned)):
        raise RecordError(f"{folder} has runs with other settings: give another --run-dir, or remove it")
    # another executor was asked for: its own thread count holds
    if begun.executor.unsettled() != executor.unsettled():
        return planned
    return replace(planned, experiment=replace(planned.experiment, executor=begun.executor))


def run_in_memory(planned: SearchPlan) -> dict[str, float]:
    """Search and test in this process, without writing a file."""
    experiment = planned.experiment
    assert experiment.evaluator is not None, "a search with a supernet has a folder"
    stage = search_stage(planned)
    search = Queue(stage)
    Inline().run(search, stage.work, None)
    best = search.history.best
    if best is None:
        raise SearchFailed(commonest_reason(search.history.failures))
    evaluator, task = planned.final or (experiment.evaluator, planned.task)
    # the last thing that a performed job yields is its outcome
    *_, outcome = perform(partial(evaluator.test, task), Job(0, best.architecture, experiment.rules.seed))
    if not isinstance(outcome, Outcome) or outcome.scores is None:
        raise SearchFailed(f"seed {experiment.rules.seed}: the test failed: {outcome}")
    return {**outcome.scores, **_highest(search.history)}


def _highest(history: History) -> dict[str, float]:
    highest: dict[str, float] = {}
    for name, score in (item for done in history.scored for item in done.scores.items()):
        highest[f"highest_{name}"] = max(score, highest.get(f"highest_{name}", score))
    return highest


def _compare(name: str, expected: Expectation, found: list[Mapping[str, float]]) -> Comparison:
    values = [scores[name] for scores in found]
    return Comparison(name, expected, fmean(values), stdev(values) if len(values) > 1 else None, len(values))
