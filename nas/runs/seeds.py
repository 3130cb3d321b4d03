"""One seed of a reproduction: its scores, and the best so far of its search."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from typing import final

from nas.evaluation.evaluator import Job, Progress
from nas.history import Evaluated, History, Proposal
from nas.runs.experiment import Experiment
from nas.runs.run import SearchPlan, search_stage
from nas.runtime.executor import Outcome, perform
from nas.runtime.inline import Inline
from nas.runtime.queue import Queue, SearchFailed, commonest_reason
from nas.runtime.simulated import Simulated
from nas.runtime.threads import threads_limited
from nas.runtime.view import View


@dataclass(frozen=True, slots=True)
class Anytime:
    """The best so far of a search, at each improvement and at its last evaluation.

    `seconds` are those that the evaluations took by their scores or, with simulated workers, the time of their clock; None where
    the evaluations have none.
    """

    evaluations: Sequence[int]
    seconds: Sequence[float] | None
    best: Sequence[float]


@dataclass(frozen=True, slots=True)
class SeedResult:
    """The test scores of the best, each search score's maximum as `highest_<score>`, and the best so far of the search."""

    scores: Mapping[str, float]
    anytime: Anytime


def is_in_memory(experiment: Experiment) -> bool:
    """Return whether the seeds of an experiment need no run folder: they are run in one process, without a supernet."""
    return isinstance(experiment.executor, Inline | Simulated) and experiment.supernet is None


def trains(experiment: Experiment) -> bool:
    """Return whether networks are trained, on images, so that one search needs more than one processor."""
    return experiment.data is not None


def with_one_thread(experiment: Experiment) -> Experiment:
    """Return an experiment that trains nothing with one thread, so that its results do not depend on the free processors."""
    executor = experiment.executor
    if not isinstance(executor, Inline) or executor.threads is not None or trains(experiment):
        return experiment
    return replace(experiment, executor=replace(executor, threads=1))


def run_seed(planned: SearchPlan, seed: int) -> SeedResult:
    """Search with a seed and test the best in this process, without writing a file. Raises SearchFailed where either fails."""
    experiment = planned.experiment
    seeded = replace(planned, experiment=replace(experiment, rules=replace(experiment.rules, seed=seed)))
    executor = experiment.executor
    # hundreds of seeds over a table take seconds; files would take most of them
    with threads_limited(executor.threads if isinstance(executor, Inline) else 1):
        return _run_in_memory(seeded)


def _run_in_memory(planned: SearchPlan) -> SeedResult:
    experiment = planned.experiment
    assert experiment.evaluator is not None, "a search with a supernet has a folder"
    stage, executor = search_stage(planned), experiment.executor
    ends = _Ends(lambda: search.now())
    search = Queue(stage, [ends], is_simulated=executor.simulates)
    executor.run(search, stage.work, None)
    best = search.history.best
    if best is None:
        raise SearchFailed(commonest_reason(search.history.failures))
    evaluator, task = planned.final or (experiment.evaluator, planned.task)
    # the last thing that a performed job yields is its outcome
    *_, outcome = perform(partial(evaluator.test, task), Job(0, best.architecture, experiment.rules.seed))
    if not isinstance(outcome, Outcome) or outcome.scores is None:
        raise SearchFailed(f"seed {experiment.rules.seed}: the test failed: {outcome}")
    seconds = ends.at if executor.simulates else seconds_by_scores(search.history)
    return SeedResult({**outcome.scores, **highest(search.history)}, anytime(search.history, seconds))


@final
class _Ends(View):
    """A view that keeps the time at which each evaluation ended."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now, self.at = now, list[float]()

    def started(self, number: int, proposal: Proposal) -> None:
        pass

    def progress(self, number: int, worker: str, progress: Progress) -> None:
        pass

    def finished(self, done: Evaluated, history: History) -> None:
        self.at.append(self.now())


def highest(history: History) -> dict[str, float]:
    """Return the maximum of each score of a search, as `highest_<score>`."""
    found: dict[str, float] = {}
    for name, score in (item for done in history.scored for item in done.scores.items()):
        found[f"highest_{name}"] = max(score, found.get(f"highest_{name}", score))
    return found


def seconds_by_scores(history: History) -> list[float] | None:
    """Return the seconds after each evaluation, in the order in which they ended, by their scores `seconds`.

    None where no evaluation has such a score.
    """
    taken = [done.scores.get("seconds") for done in history.finished.values()]
    if all(seconds is None for seconds in taken):
        return None
    return list(accumulate(seconds or 0.0 for seconds in taken))


def anytime(history: History, seconds: Sequence[float] | None) -> Anytime:
    """Return the best so far of a search; `seconds` are those after each evaluation, in the order in which they ended."""
    places, best = list[int](), list[float]()
    for place, done in enumerate(history.finished.values()):
        if done.is_scored and (not best or history.value(done) > _signed(history, best[-1])):
            places.append(place)
            best.append(done.scores[history.objective])
    # the last evaluation repeats the best, so that the curve extends to the end of the search
    if places and places[-1] != len(history.finished) - 1:
        places.append(len(history.finished) - 1)
        best.append(best[-1])
    return Anytime([place + 1 for place in places], seconds and [seconds[place] for place in places], best)


def _signed(history: History, score: float) -> float:
    return history.objectives[0].sign * score


def scores_at(curve: Anytime, budgets: Iterable[float], by_seconds: bool) -> list[float | None]:
    """Return the best so far at each of some budgets, in evaluations or in seconds; None before the first score."""
    spent = curve.seconds if by_seconds else curve.evaluations
    return [_last(spent or (), curve.best, budget) for budget in budgets]


def _last(spent: Sequence[float], best: Sequence[float], budget: float) -> float | None:
    reached = sum(each <= budget for each in spent)
    return best[reached - 1] if reached else None
