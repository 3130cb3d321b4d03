"""Searches from Python: the same run, in the same folder, as `nas search` makes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast, final

from torch import nn

from nas.building import build
from nas.evaluation.evaluator import Evaluator, Progress
from nas.evaluation.evaluator_chain import EvaluatorChain
from nas.evaluation.function import PythonFunction, Scoring
from nas.fields import wrong
from nas.history import Evaluated, History, Limit, Proposal, read_objective, read_objectives
from nas.plain import from_plain
from nas.records import RecordError
from nas.runs.architecture import find_architecture
from nas.runs.evaluations import history_of
from nas.runs.experiment import Experiment, Final
from nas.runs.folder import new_run
from nas.runs.run import SearchPlan, create_folder, load_run, plan, run
from nas.runs.run_data import hold_to_data
from nas.runs.spaces import of_space
from nas.runs.table import Row, rows_of
from nas.runtime.executor import Executor
from nas.runtime.inline import Inline
from nas.runtime.queue import Views
from nas.runtime.ray_tune import RayTune
from nas.runtime.rules import Budget, Rules
from nas.runtime.stage import RunStage
from nas.runtime.view import Silent, View
from nas.strategies.evolution import RegularizedEvolution
from nas.strategies.nsga2 import Nsga2
from nas.strategies.strategy import Strategy

Callback = Callable[[Evaluated, History], object]
"""A function that is called after each evaluation, with it and the history so far."""


@final
class Run:
    """A search with its results, read from its folder."""

    def __init__(self, folder: Path, experiment: Experiment, history: History) -> None:
        self.folder, self.experiment, self.history = folder, experiment, history

    @property
    def best(self) -> Evaluated:
        """The best evaluation by the first objective, within the limits. Raises RecordError where none succeeded."""
        if self.history.best is None:
            raise RecordError(f"{self.folder} has no evaluation that succeeded yet")
        return self.history.best

    @property
    def front(self) -> Sequence[Evaluated]:
        """The evaluations that no other beats in all objectives, the best of the first objective first."""
        return tuple(self.history.front)

    def rows(self) -> list[Row]:
        """Return a row for every evaluation that ended."""
        return rows_of(self.history, self.experiment.describe)

    def table(self) -> Any:
        """Return a pandas DataFrame with a row for every evaluation; without pandas the rows as a list of mappings."""
        rows = self.rows()
        try:
            import pandas
        except ImportError:
            return rows
        return pandas.DataFrame(rows).set_index("number") if rows else pandas.DataFrame()

    def model(self, number: int | None = None) -> nn.Module:
        """Return the network of an evaluation, untrained, as it was stacked in the search; by default that of the best."""
        found = find_architecture(f"{self.folder}#{self.best.number if number is None else number}")
        return build(found.tree(), found.input)

    def __repr__(self) -> str:
        best = self.history.best
        told = "" if best is None else ", best " + ", ".join(f"{name} {value:g}" for name, value in best.scores.items())
        return f"Run({str(self.folder)!r}: {self.history.evaluations} evaluations{told})"


def search(
    space: Any,
    evaluate: Scoring | Evaluator | Sequence[Evaluator] | None = None,
    strategy: Strategy | None = None,
    *,
    objective: str | Sequence[str] | None = None,
    limits: Mapping[str, Limit | Mapping[str, float]] | None = None,
    evaluations: int | None = None,
    hours: float | None = None,
    rules: Rules | None = None,
    workers: int = 1,
    executor: Executor | None = None,
    network: Mapping[str, Any] | None = None,
    final: Final | None = None,
    seed: int = 0,
    folder: str | Path | None = None,
    callbacks: Sequence[Callback] = (),
    show: bool = True,
) -> Run:
    """Search a space, and return the run with its results; its folder is that of `nas search`, by default under runs/.

    `space` is a tree with open choices, or a space as a file names it. `evaluate` is a function of an architecture that returns
    a number, the score `score`, or a mapping of scores; or an evaluator, as `Training(...)`, or a list of these. Without a
    `strategy` it is regularized evolution or, of several objectives, NSGA-II. `rules` may hold what has no argument here. One
    worker works in this process; several are Ray's, unless an `executor` says otherwise. `show` prints how far the search is.
    Raises RecordError before anything runs where something is wrong, and SearchFailed where no evaluation succeeds.
    """
    rules = rules or _rules(objective or _usual_score(evaluate), limits or {}, evaluations, hours, seed)
    experiment = Experiment(
        space=of_space(space),
        strategy=strategy or default_strategy(rules),
        evaluator=_evaluator(evaluate, read_objective(rules.objective).score),
        rules=rules,
        network=network or {},
        executor=executor or _executor(workers),
        final=final,
    )
    planned, path = plan(experiment, evaluate=_function(evaluate)), _path(folder) if folder else None
    with new_run(path, "search", lambda made: create_folder(made, planned)) as (made, _):
        return _carried_out(planned, made, callbacks, show)


def _path(folder: str | Path) -> Path:
    if not isinstance(folder, str | Path):
        raise wrong(folder, "the path of a run folder", "folder")
    return Path(folder)


def resume(
    folder: str | Path,
    evaluate: Scoring | None = None,
    *,
    evaluations: int | None = None,
    hours: float | None = None,
    workers: int | None = None,
    callbacks: Sequence[Callback] = (),
    show: bool = True,
) -> Run:
    """Resume an interrupted search, or one that has ended with a larger budget; no evaluation is lost.

    `evaluate` is the function that scores, where other processes cannot import it.
    """
    path = _path(folder)
    amounts = {"evaluations": evaluations, "hours": hours}
    changes = [f"rules.budget.{name}={amount}" for name, amount in amounts.items() if amount is not None]
    experiment = load_run(path, changes)
    if workers is not None:
        experiment = replace(experiment, executor=_executor(workers))
    planned = plan(experiment, partial(hold_to_data, path, changed_data=False), evaluate)
    return _carried_out(planned, path, callbacks, show)


def load(folder: str | Path) -> Run:
    """Return a run as it is in its folder, also one that is still running."""
    path = _path(folder)
    experiment = load_run(path)
    return Run(path, experiment, history_of(path, experiment.rules))


def default_strategy(rules: Rules) -> Strategy:
    """Return the strategy of a search that names none."""
    is_one = len(read_objectives(rules.objective)) == 1
    return RegularizedEvolution(population=30, sample=10) if is_one else Nsga2(population=20)


def _carried_out(planned: SearchPlan, folder: Path, callbacks: Sequence[Callback], show: bool) -> Run:
    with _shown(show) as views:
        result = run(planned, folder.resolve(), lambda stage: Calling(views(stage), callbacks, stage))
    return Run(folder, planned.experiment, result.history)


@contextmanager
def _shown(show: bool) -> Iterator[Views]:
    if not show:
        yield lambda stage: Silent()
        return
    from rich.console import Console

    from nas.terminal.live import Panels

    with Panels(Console(markup=False, highlight=False)) as panels:
        yield panels.view


@final
class Calling(View):
    """A view that calls back after each evaluation of the search, and passes all events on to another view."""

    def __init__(self, view: View, callbacks: Sequence[Callback], stage: RunStage) -> None:
        self.view, self.callbacks = view, callbacks if stage.name == "search" else ()

    def started(self, number: int, proposal: Proposal) -> None:
        self.view.started(number, proposal)

    def progress(self, number: int, worker: str, progress: Progress) -> None:
        self.view.progress(number, worker, progress)

    def finished(self, done: Evaluated, history: History) -> None:
        self.view.finished(done, history)
        for callback in self.callbacks:
            callback(done, history)


def _executor(workers: int) -> Executor:
    return Inline() if workers == 1 else RayTune(workers=workers)


def _rules(
    objective: str | Sequence[str],
    limits: Mapping[str, Limit | Mapping[str, float]],
    evaluations: int | None,
    hours: float | None,
    seed: int,
) -> Rules:
    if evaluations is None and hours is None:
        raise RecordError("the search has no budget: give evaluations=100 or hours=8")
    wanted = tuple(objective) if isinstance(objective, list) else objective
    if not isinstance(limits, Mapping):
        raise wrong(limits, "a mapping, as {'params': {'most': 5e6}}", "limits")
    bounds = {
        name: limit if isinstance(limit, Limit) else from_plain(limit, Limit, f"limits.{name}")
        for name, limit in limits.items()
    }
    return Rules(Budget(evaluations, None, hours), cast(Any, wanted), seed=seed, limits=bounds)


def _usual_score(evaluate: Scoring | Evaluator | Sequence[Evaluator] | None) -> str:
    return "score" if _function(evaluate) else "validation_top1_percent"


def _function(evaluate: Scoring | Evaluator | Sequence[Evaluator] | None) -> Scoring | None:
    is_function = callable(evaluate) and not isinstance(evaluate, Evaluator | type)
    return evaluate if is_function else None  # type: ignore[return-value]


def _evaluator(evaluate: Scoring | Evaluator | Sequence[Evaluator] | None, score: str) -> Evaluator:
    """Return what scores, as a run folder writes it down: a function by its module and name."""
    if isinstance(evaluate, Evaluator):
        return evaluate
    if isinstance(evaluate, Sequence):
        return EvaluatorChain(tuple(evaluate))
    if (function := _function(evaluate)) is None:
        raise RecordError(
            "the search has nothing that scores: give evaluate=, a function of an architecture or an evaluator"
        )
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return PythonFunction(f"{getattr(function, '__module__', '')}:{name}", score)
