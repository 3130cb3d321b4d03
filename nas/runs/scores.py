"""Names of scores: which ones each part of an experiment gives, checked before the first evaluation, and which to show."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from nas.evaluation.ensemble import training_of
from nas.evaluation.evaluator import Evaluator
from nas.history import read_objective, read_objectives
from nas.records import RecordError, nearest, record_classes
from nas.runs.experiment import Experiment, Final
from nas.runs.written import read_found
from nas.strategies.strategy import Strategy
from nas.supernets.paths import path_scores
from nas.supernets.search import DERIVED_SCORES

T = TypeVar("T")

Names = Collection[str] | None
"""Names of scores; None where they are unknown before the first evaluation."""


def check_scores(experiment: Experiment) -> None:
    """Raise RecordError where an objective, the budget or `expect` names a score that no evaluation of the run gives."""
    searched, tested = scores_of_search(experiment), scores_of_test(experiment)
    objective = experiment.rules.objective
    for each in [objective] if isinstance(objective, str) else objective:
        check_objective(each, searched, "rules.objective")
    for name in experiment.rules.limits:
        check_objective(name, searched, f"rules.limits.{name}")
    check_strategy_takes(experiment)
    if experiment.strategy is not None:
        experiment.strategy.check(len(read_objectives(objective)))
        check_rungs_fit(experiment.strategy, experiment.evaluator)
    check_curves(experiment)
    budget = experiment.rules.budget
    if budget is not None and budget.seconds is not None and searched is not None and "seconds" not in searched:
        raise RecordError(
            f"rules.budget.seconds: the evaluations have no score `seconds`, only {', '.join(searched)}: give `evaluations`",
            "rules.budget.seconds",
        )
    curves = experiment.evaluator.curves() if experiment.evaluator is not None else ()
    if budget is not None and budget.epochs is not None and not curves:
        raise RecordError(
            "rules.budget.epochs: the evaluations report no epochs: give `evaluations`", "rules.budget.epochs"
        )
    if experiment.final is not None:
        check_final(
            experiment.final, len(read_objectives(objective)), experiment.final.evaluator or experiment.evaluator
        )
        check_objective(experiment.final.objective, tested, "final.objective")
    check_expected(experiment.expect, _with_highest(tested, searched))


def check_final(final: Final, objectives: int, evaluator: Evaluator | None) -> None:
    """Raise RecordError where there is no front to train, or nothing that an ensemble could be made of."""
    if final.top == "front" and objectives == 1:
        raise RecordError("final.top is front, and a search of one objective has none: give a number", "final.top")
    if final.ensemble and final.top == 1:
        raise RecordError("final.ensemble needs several networks: give final.top, as 3", "final.ensemble")
    if final.ensemble and evaluator is not None:
        training_of(evaluator)


def check_rungs_fit(strategy: Strategy, evaluator: Evaluator | None) -> None:
    """Raise RecordError where trainings cannot end at the rungs of the strategy."""
    where = f"strategy.{type(strategy).__name__}.epochs"
    if not strategy.rungs():
        return
    if evaluator is None:
        raise RecordError("paths in a supernet have no epochs to end after: give a strategy without rungs", where)
    try:
        evaluator.check_epochs(strategy.rungs())
    except RecordError as error:
        raise RecordError(f"{where}: {error}", where) from None
    for screen in strategy.screens_by():
        check_objective(screen, evaluator.screening_scores(), f"strategy.{type(strategy).__name__}.screen")


def check_curves(experiment: Experiment) -> None:
    """Raise RecordError where trainings are to be stopped on their curves, and there are none, or two that stop them."""
    rules, strategy, evaluator = experiment.rules, experiment.strategy, experiment.evaluator
    setting = experiment.executor.stops_by()
    where = "rules.pruner" if rules.pruner is not None else f"executor.{type(experiment.executor).__name__}.{setting}"
    if rules.pruner is None and not setting:
        return
    if rules.pruner is not None and setting:
        raise RecordError(f"rules.pruner and executor.{setting} both stop trainings: leave one of them out", where)
    if strategy is not None and strategy.rungs():
        raise RecordError(f"{where} and the strategy's rungs both stop trainings: leave one of them out", where)
    objective, curves = read_objective(rules.objective).score, evaluator.curves() if evaluator is not None else ()
    if objective not in curves:
        name = type(evaluator).__name__ if evaluator is not None else "the supernet"
        has = f"only of {', '.join(curves)}" if curves else "of nothing"
        raise RecordError(
            f"{where} stops trainings by their curves of {objective}, and {name} reports curves {has}: leave it out, or give "
            "an evaluator that reports them after each epoch, as Training with validation images",
            where,
        )
    if rules.pruner is not None:
        check_pruner(rules.pruner)


def check_pruner(pruner: str | Mapping[str, Mapping[str, Any]]) -> None:
    """Raise RecordError where Optuna has no such pruner, or it does not have these settings."""
    from nas.strategies.sampling.made import made_by_optuna

    made_by_optuna("Pruner", pruner, "rules.pruner", {})


def check_strategy_takes(experiment: Experiment) -> None:
    """Raise RecordError where there are several objectives, and the strategy goes by one."""
    objective, strategy = experiment.rules.objective, experiment.strategy
    if isinstance(objective, str) or len(objective) == 1 or strategy is None or strategy.several_objectives:
        return
    able = ", ".join(name for name, cls in record_classes(Strategy).items() if cls.several_objectives)
    raise RecordError(
        f"rules.objective has {len(objective)} objectives, and {type(strategy).__name__} goes by one: take {able}, or give "
        "one objective and rules.limits for the others",
        "rules.objective",
    )


def scores_of_search(experiment: Experiment) -> Names:
    """Return the names of the candidates' scores."""
    if experiment.evaluator is not None:
        return experiment.evaluator.scores()
    if experiment.scored_by == "supernets" or experiment.supernet is None:
        return DERIVED_SCORES
    return path_scores(experiment.supernet)


def scores_of_test(experiment: Experiment) -> Names:
    """Return the names of the scores of the final test."""
    evaluator = (experiment.final and experiment.final.evaluator) or experiment.evaluator
    return None if evaluator is None else evaluator.test_scores()


def check_objective(objective: str, known: Names, where: str) -> None:
    """Raise RecordError where an objective, with or without a minus, names an unknown score."""
    name, _ = read_objective(objective)
    if known is not None and name not in known:
        raise RecordError(
            f"{where} is {objective!r}, and the scores are {', '.join(known)}: {nearest(name, known)}", where
        )


def check_expected(expected: Iterable[str], known: Names) -> None:
    """Raise RecordError where an expected score is unknown."""
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


def informative_scores(scores: Mapping[str, T], classes: int | None) -> dict[str, T]:
    """Return the scores that are not trivial: top-5 accuracy is 100 % with five classes or fewer."""
    return {name: value for name, value in scores.items() if classes is None or classes > _top_k(name)}


def _top_k(name: str) -> int:
    """Return the k of a top-k accuracy: 5 for `test_top5_percent`; 0 for top-1 and for any other score."""
    guesses = re.search(r"top(\d+)_percent$", name)
    return int(guesses[1]) if guesses and guesses[1] != "1" else 0


def classes_of(folder: Path) -> int | None:
    """Return the number of classes of a run folder's network; None where it is unknown."""
    best = folder / "best.json"
    return read_found(best).options.get("classes") if best.is_file() else None
