"""A run: one experiment in one folder, from the search to the final network."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from nas.drawing import draw
from nas.evaluation.candidate import Candidate, architecture_of
from nas.evaluation.evaluator import Evaluator, Task
from nas.evaluation.evaluator_chain import parts_in
from nas.evaluation.function import Scoring, with_function
from nas.evaluation.training import Training
from nas.files import write_atomically
from nas.history import Evaluated, History, Scores
from nas.lock import held
from nas.places import without_places
from nas.records import FORMAT, RecordError, to_plain
from nas.runs.experiment import Experiment, load
from nas.runs.finals import ENSEMBLE, finalists_of, set_aside, train_finalists, write_found
from nas.runs.folder import make_folder, provenance, reassigned, write_declared
from nas.runs.full_training import WEIGHTS, FullTraining
from nas.runs.run_data import RunData, find_data, write_data
from nas.runs.scores import check_scores
from nas.runs.supernets import SUPERNETS, derived_scores, search_supernets
from nas.runs.warm_start import with_trees
from nas.runs.written import FRONT
from nas.runtime.inline import Inline
from nas.runtime.queue import SearchFailed, Views, carry_out, commonest_reason
from nas.runtime.rules import Budget
from nas.runtime.stage import RunStage, Work
from nas.runtime.view import Silent
from nas.strategies.fixed_proposals import FixedProposals
from nas.supernets.paths import PathScores
from nas.supernets.search import SupernetResult, check_supernet

RECIPE = "best.recipe.yaml"
"""The file, in the run folder of a joint search, of the recipe that was found with the best architecture."""

MAY_CHANGE = ("rules.budget", "rules.give_up_after", "executor", "final")
"""The keys that may be reassigned when a run is resumed."""


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """An experiment that is ready to run: its space is open, and its data are loaded and identified by `data`.

    `evaluator` is that of the search, with a function itself where the experiment has its name. `supernet` is the task of the
    supernet search, `final` the evaluator and the task of the final training, if there are any.
    """

    experiment: Experiment
    space: Any
    task: Task
    final: tuple[Evaluator, Task] | None
    supernet: Task | None = None
    data: RunData = field(default_factory=RunData)
    evaluator: Evaluator | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a run: the best evaluation, the history, the final trainings by label, the result of each supernet seed."""

    best: Evaluated
    history: History
    finals: Mapping[str, Evaluated]
    searched: Sequence[SupernetResult] = ()


def create_folder(folder: Path, planned: SearchPlan) -> None:
    """Make a run folder with the resolved experiment in it. Raises RecordError where the folder exists."""
    make_folder(folder)
    write_declared(folder / "experiment.yaml", resolved(planned), provenance())
    write_data(folder, planned.data)


def resolved(planned: SearchPlan) -> Experiment:
    """Return the experiment with every option written out, as a run folder keeps it."""
    tasks = [planned.task] + ([planned.final[1]] if planned.final else [])
    return planned.experiment.resolved(tasks, planned.supernet)


def as_begun(planned: SearchPlan, begun: Experiment) -> SearchPlan:
    """Return the plan with the number of threads of an experiment that began before."""
    executor = planned.experiment.executor
    # where another executor was asked for, its own thread count holds
    if begun.executor.unsettled() != executor.unsettled():
        return planned
    return replace(planned, experiment=replace(planned.experiment, executor=begun.executor))


def load_run(folder: Path, assignments: Sequence[str] = ()) -> Experiment:
    """Read the experiment of a run folder. Keys that do not affect its results so far may be reassigned; this is saved.

    Raises RecordError where the folder is no run folder, or an assignment would affect results.
    """
    file = folder / "experiment.yaml"
    if not file.is_file():
        raise RecordError(
            f"{folder} is no run folder: it has no experiment.yaml, training.yaml or transfer.yaml; `nas search`, "
            "`nas train` and `nas transfer` make one"
        )
    before = load(file)
    experiment = reassigned(file, assignments, MAY_CHANGE, load)
    if assignments and without_places(before.final) != without_places(experiment.final):
        for name in ("final", ENSEMBLE):
            set_aside(folder / f"{name}.jsonl")
    return experiment


def plan(
    experiment: Experiment, hold: Callable[[RunData], None] = lambda data: None, evaluate: Scoring | None = None
) -> SearchPlan:
    """Open the space and load all data, also for the final training, so that errors are raised before anything runs.

    `hold` is called with the data, and may raise where a run began with others. `evaluate` is the function that the experiment
    names as its evaluator, where other processes cannot import it.
    """
    # settled first: the number of threads is part of what the run folder records
    experiment = replace(experiment, executor=experiment.executor.settled())
    space = experiment.open_space()
    experiment = replace(experiment, strategy=with_trees(experiment.strategy, space))
    check_scores(experiment)
    experiment.executor.check()
    data = find_data(experiment.readers())
    hold(data)
    supernet = experiment.supernet_task(space)
    if experiment.supernet is not None and supernet is not None:
        supernet = replace(supernet, limits=experiment.rules.limits)
        check_supernet(experiment.supernet, supernet)
    evaluator = with_function(experiment.evaluator, evaluate)
    task = replace(experiment.task(space), limits=experiment.rules.limits)
    planned = SearchPlan(experiment, space, task, experiment.final_task(space), supernet, data, evaluator)
    if evaluator is not None:
        evaluator.check(planned.task)
    if planned.final is not None:
        evaluator, task = planned.final
        evaluator.check(task)
    return planned


def run(planned: SearchPlan, folder: Path, views: Views) -> Result:
    """Carry out the stages of a run, from the supernets to the final training. A resumed run continues where its journals end.

    Raises SearchFailed where no evaluation succeeded, or too many in a row failed.
    """
    experiment = planned.experiment
    if (folder / "final.jsonl").is_file() and not (folder / "history.jsonl").is_file():
        raise RecordError(
            f"{folder} has trained its best, and the journal of its search, history.jsonl, is missing: restore it, or search "
            f"again in another folder (nas search {folder}/experiment.yaml --run-dir ...)"
        )
    # one lock and one cluster for all stages
    with held(folder), experiment.executor.opened():
        searched = search_supernets(experiment, planned.supernet, folder, views) if planned.supernet else []
        stage = search_stage(planned, searched, folder)
        if experiment.scored_by == "supernets":  # the supernets have scored them: nothing to wait for, nothing to show
            history = carry_out(stage, Inline(), lambda stage: Silent(), folder)
        else:
            history = carry_out(stage, experiment.executor, views, folder)
        if history.best is None:
            raise SearchFailed(commonest_reason(history.failures))
        # before the final training, so that the best is on disk even if that fails
        _hand_over(planned, history, history.best, folder)
        return Result(history.best, history, _finals(planned, history, folder, views), searched)


def search_stage(planned: SearchPlan, searched: Sequence[SupernetResult] = (), folder: Path | None = None) -> RunStage:
    """Return the search stage: the strategy's proposals or, without a strategy, the architectures derived from the supernets."""
    experiment = planned.experiment
    rules = experiment.rules
    derived = tuple((each.architecture, f"seed {each.number}") for each in searched)
    if experiment.strategy is None and rules.budget is None:
        rules = replace(rules, budget=Budget(len(derived)))
    return RunStage(
        "search",
        experiment.strategy or FixedProposals(derived),
        _work(planned, folder),
        rules,
        experiment.describe,
        planned.space,
        retries_failures=False,  # later proposals were made with these failures in the history
        costs=_costs(planned, folder),
        has_checkpoints=planned.evaluator is None or not planned.evaluator.instant,
        canonical=experiment.family().canonical if not isinstance(planned.space, Candidate) else None,
        inherits=planned.evaluator is not None and planned.evaluator.inherits,
        full_epochs=planned.evaluator.full_epochs() if planned.evaluator is not None else None,
    )


def _work(planned: SearchPlan, folder: Path | None) -> Work:
    """Return the scoring of candidates: by the evaluator, by their paths in a supernet, or by the scores of their supernets."""
    experiment = planned.experiment
    if planned.evaluator is not None:
        return partial(planned.evaluator.evaluate, planned.task)
    assert folder is not None, "supernets are in a folder"
    if experiment.scored_by == "supernets":
        return partial(derived_scores, folder)
    return _paths(planned, folder)


def _costs(planned: SearchPlan, folder: Path | None) -> Callable[[Any], Scores] | None:
    """Return what tells the costs of a candidate before it is evaluated; None where nothing does."""
    if planned.evaluator is not None:
        return partial(planned.evaluator.costs, planned.task)
    return _paths(planned, folder).costs if folder is not None and planned.experiment.scored_by == "paths" else None


def _paths(planned: SearchPlan, folder: Path) -> PathScores:
    assert planned.experiment.supernet is not None, "checked when the experiment was made"
    assert planned.supernet is not None, "planned with the experiment"
    return PathScores(planned.experiment.supernet, planned.supernet, folder / SUPERNETS / "0.safetensors")


def _hand_over(planned: SearchPlan, history: History, best: Evaluated, folder: Path) -> None:
    """Write the best architecture as JSON and as a picture; of several objectives also the front, by the first one."""
    _, task = planned.final or (None, planned.task)
    write_found(task, best.architecture, best.scores, folder / "best.json")
    if len(history.objectives) > 1:
        members = [to_plain(task.found(each.architecture, each.scores)) for each in history.front]
        text = json.dumps({"cellstack": FORMAT, "front": members}, indent=1)
        write_atomically(folder / FRONT, lambda beside: beside.write_text(text + "\n", encoding="utf-8"))
    if planned.experiment.scored_by == "paths" and planned.final is None:
        _write_paths(_paths(planned, folder), history, best, folder)
    if isinstance(best.architecture, Candidate):
        _write_recipe(planned, best.architecture, folder / RECIPE)
    if (picture := draw(architecture_of(best.architecture))) is not None:
        (folder / "best.svg").write_text(picture, encoding="utf-8")


def _write_paths(paths: PathScores, history: History, best: Evaluated, folder: Path) -> None:
    """Write the weights of the best architecture and, of several objectives, of the front, where they need no retraining."""
    if not paths.are_networks:
        return
    paths.write(best.architecture, best.scores, folder / WEIGHTS)
    if len(history.objectives) > 1:
        (folder / "front").mkdir(exist_ok=True)
        for i, each in enumerate(history.front):
            paths.write(each.architecture, each.scores, folder / "front" / f"{i}.safetensors")


def _write_recipe(planned: SearchPlan, best: Candidate, file: Path) -> None:
    """Write the recipe of the best candidate as a file of `nas train`."""
    training = next(each for each in parts_in(planned.evaluator) if isinstance(each, Training))
    declared = FullTraining(training.data, best.recipe, validation=training.validation, images=training.images)
    write_declared(
        file, declared, [f"# The recipe that the search found with its best: nas train RUN --recipe RUN/{file.name}"]
    )


def _finals(planned: SearchPlan, history: History, folder: Path, views: Views) -> dict[str, Evaluated]:
    """Train and test the finalists, if there are any; return the results by label."""
    experiment = planned.experiment
    if planned.final is None or experiment.final is None:
        return {}
    finalists = finalists_of(history, experiment.final, planned.space, experiment.rules.seed)
    return train_finalists(experiment, *planned.final, finalists, folder, views)
