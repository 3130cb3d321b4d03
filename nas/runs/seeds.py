"""One seed of a reproduction: its scores, and the best so far of its search."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import accumulate
from typing import Any, final

from nas.evaluation.evaluator import Evaluator, Job, Progress, Task
from nas.evaluation.evaluator_chain import parts_in
from nas.history import Evaluated, History, Proposal, Scores
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
    """The best so far of a search by its objective, at each improvement and at its last evaluation.

    `seconds` are those that the evaluations took by their scores or, with simulated workers, the time of their clock; None where
    the evaluations have none. `tests` are the test scores of the best so far, by name, where a test costs nothing, as that of a
    table; else there are none.
    """

    evaluations: Sequence[int]
    seconds: Sequence[float] | None
    best: Sequence[float]
    tests: Mapping[str, Sequence[float]] = field(default_factory=dict)


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
    tested = _outcome(evaluator, task, experiment.rules.seed, best.architecture)
    if tested.scores is None:
        raise SearchFailed(f"seed {experiment.rules.seed}: the test failed: {tested}")
    seconds = ends.at if executor.simulates else seconds_by_scores(search.history)
    test = make_test(evaluator, task, experiment.rules.seed) if is_free(evaluator) else None
    curve = anytime(search.history, seconds, test)
    return SeedResult({**tested.scores, **highest(search.history)}, curve)


Test = Callable[[Any], Scores | None]
"""A test of an architecture: its scores, or None where it fails."""


def is_free(evaluator: Evaluator) -> bool:
    """Return whether a test costs nothing, as that of a table."""
    return all(each.instant for each in parts_in(evaluator))


def make_test(evaluator: Evaluator, task: Task, seed: int) -> Test:
    """Return the test of architectures by an evaluator."""
    return lambda architecture: _outcome(evaluator, task, seed, architecture).scores


def _outcome(evaluator: Evaluator, task: Task, seed: int, architecture: Any) -> Outcome:
    # the last thing that a performed job yields is its outcome
    *_, outcome = perform(partial(evaluator.test, task), Job(0, architecture, seed))
    assert isinstance(outcome, Outcome)
    return outcome


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


HIGHEST = "highest_"
"""The beginning of the names of a search's maxima."""


def highest(history: History) -> dict[str, float]:
    """Return the maximum of each score of a search, as `highest_<score>`."""
    found: dict[str, float] = {}
    for name, score in (item for done in history.scored for item in done.scores.items()):
        found[HIGHEST + name] = max(score, found.get(HIGHEST + name, score))
    return found


def seconds_by_scores(history: History) -> list[float] | None:
    """Return the seconds after each evaluation, in the order in which they ended, by their scores `seconds`.

    None where no evaluation has such a score.
    """
    taken = [done.scores.get("seconds") for done in history.finished.values()]
    if all(seconds is None for seconds in taken):
        return None
    return list(accumulate(seconds or 0.0 for seconds in taken))


def anytime(history: History, seconds: Sequence[float] | None, test: Test | None = None) -> Anytime:
    """Return the best so far of a search; `seconds` are those after each evaluation, in the order in which they ended.

    The best is that of `History.rank`, so that the last one is the best of the search. Each is tested by `test`.
    """
    ended, places = list(history.finished.values()), list[int]()
    for place, done in enumerate(ended):
        if done.is_scored and (not places or history.rank(done) > history.rank(ended[places[-1]])):
            places.append(place)
    bests = [ended[place] for place in places]
    tested = [test(each.architecture) for each in bests] if test is not None else []
    # the last evaluation repeats the best, so that the curve extends to the end of the search
    if places and places[-1] != len(ended) - 1:
        places.append(len(ended) - 1)
        bests, tested = [*bests, bests[-1]], [*tested, *tested[-1:]]
    return Anytime(
        [place + 1 for place in places],
        seconds and [seconds[place] for place in places],
        [done.scores[history.objective] for done in bests],
        _by_name(tested),
    )


def _by_name(tested: Sequence[Scores | None]) -> dict[str, list[float]]:
    """Return the scores that all tests have, by name; none where one failed."""
    whole = [each for each in tested if each is not None]
    if not whole or len(whole) < len(tested):
        return {}
    return {name: [each[name] for each in whole] for name in whole[0] if all(name in each for each in whole)}


def scores_at(
    curve: Anytime, budgets: Iterable[float], by_seconds: bool, test: str | None = None
) -> list[float | None]:
    """Return the best so far at each of some budgets, in evaluations or in seconds, or its score `test`.

    None before the first score.
    """
    spent = (curve.seconds if by_seconds else curve.evaluations) or ()
    scores = curve.best if test is None else curve.tests[test]
    reached = [bisect_right(spent, budget) for budget in budgets]
    return [scores[number - 1] if number else None for number in reached]
