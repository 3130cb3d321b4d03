"""Scores by name: whether those that an experiment asks for are given by what evaluates, before anything is evaluated."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from nas.history import read_objective
from nas.records import RecordError, nearest
from nas.runs.experiment import Experiment
from nas.supernets.paths import PATH_SCORES
from nas.supernets.search import DERIVED_SCORES

Names = Collection[str] | None
"""Names of scores; None where they are known only when something was evaluated."""


def check_scores(experiment: Experiment) -> None:
    """Raise RecordError where an objective, the budget or `expect` names a score that no evaluation of the run gives."""
    searched, tested = scores_of_search(experiment), scores_of_test(experiment)
    check_objective(experiment.rules.objective, searched, "rules.objective")
    budget = experiment.rules.budget
    if budget is not None and budget.seconds is not None and searched is not None and "seconds" not in searched:
        raise RecordError(
            f"rules.budget.seconds: the evaluations have no seconds, only {', '.join(searched)}: give evaluations",
            "rules.budget.seconds",
        )
    if experiment.final is not None:
        check_objective(experiment.final.objective, tested, "final.objective")
    check_expected(experiment.expect, _with_highest(tested, searched))


def scores_of_search(experiment: Experiment) -> Names:
    """Return the names of the scores that candidates get."""
    if experiment.evaluator is not None:
        return experiment.evaluator.scores()
    return DERIVED_SCORES if experiment.strategy is None else PATH_SCORES


def scores_of_test(experiment: Experiment) -> Names:
    """Return the names of the scores that the best gets in the end."""
    evaluator = (experiment.final and experiment.final.evaluator) or experiment.evaluator
    return None if evaluator is None else evaluator.test_scores()


def check_objective(objective: str, known: Names, where: str) -> None:
    """Raise RecordError where an objective, with or without a minus, names a score that is none of those known."""
    name, _ = read_objective(objective)
    if known is not None and name not in known:
        raise RecordError(
            f"{where} is {objective!r}, and the scores are {', '.join(known)}: {nearest(name, known)}", where
        )


def check_expected(expected: Iterable[str], known: Names) -> None:
    """Raise RecordError where a score is expected that is none of those known."""
    for name in expected:
        if known is not None and name not in known:
            raise RecordError(
                f"expect.{name}: the runs have no such score; they have {', '.join(known)}: {nearest(name, known)}",
                f"expect.{name}",
            )


def _with_highest(tested: Names, searched: Names) -> Names:
    if tested is None or searched is None:
        return None
    return [*tested, *(f"highest_{name}" for name in searched)]
