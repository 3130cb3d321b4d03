"""A run: one experiment in one folder, from the search to the network that is handed over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from nas.drawing import draw
from nas.evaluation.evaluator import Evaluation, Evaluator, Job, Task
from nas.history import Evaluated, History, Scores
from nas.journal import forget_failures, read_journal
from nas.lock import held
from nas.places import without_places
from nas.plain import write
from nas.records import RecordError, digest
from nas.runs.experiment import Experiment, load
from nas.runs.folder import make_folder, provenance, reassigned, write_declared
from nas.runs.run_data import RunData, find_data, write_data
from nas.runs.scores import check_scores
from nas.runs.supernets import SUPERNETS, scores_of_search, search_supernets
from nas.runtime.executor import Work
from nas.runtime.inline import Inline
from nas.runtime.search import Budget, FixedProposals, Rules, Search, SearchFailed, commonest_reason
from nas.runtime.view import Silent, View
from nas.space import sample
from nas.supernets.paths import PathScores
from nas.supernets.search import SupernetResult, check

MAY_CHANGE = ("rules.budget", "rules.give_up_after", "executor", "final")
"""What may be set anew when a run is resumed."""


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """An experiment whose space is open and whose data are loaded; `data` says which these are.

    `supernet` is the task of the search with a supernet, `final` evaluator and task of the end, if there are such.
    """

    experiment: Experiment
    space: Any
    task: Task
    final: tuple[Evaluator, Task] | None
    supernet: Task | None = None
    data: RunData = field(default_factory=RunData)


@dataclass(frozen=True, slots=True)
class Result:
    """What a run found, the scores of its final trainings by role, and what each seed of a supernet search found."""

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


def load_run(folder: Path, assignments: Sequence[str] = ()) -> Experiment:
    """Read the experiment of a run folder; what does not change its results so far may be assigned anew, and is kept.

    Raises RecordError where the folder is none, or an assignment would change what was found.
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
        _set_aside(folder / "final.jsonl")
    return experiment


def plan(experiment: Experiment, hold: Callable[[RunData], None] = lambda data: None) -> SearchPlan:
    """Open the space and load all data, that of the end too: what is missing is found before anything is done.

    `hold` is given the data that were found, and may raise where a run began with others.
    """
    experiment = replace(experiment, executor=experiment.executor.settled())
    space = experiment.open_space()
    check_scores(experiment)
    experiment.executor.check()
    data = find_data(experiment.readers())
    hold(data)
    supernet = experiment.supernet_task(space)
    if experiment.supernet is not None and supernet is not None:
        check(experiment.supernet, supernet)
    planned = SearchPlan(experiment, space, experiment.task(space), experiment.final_task(space), supernet, data)
    if experiment.evaluator is not None:
        experiment.evaluator.check(planned.task)
    if planned.final is not None:
        evaluator, task = planned.final
        evaluator.check(task)
    return planned


def run(planned: SearchPlan, folder: Path, views: Callable[[str, int | None], View]) -> Result:
    """Search, then train and test the best; goes on where the folder's journals end.

    `views` makes the view of a phase from its name and its number of evaluations. Raises SearchFailed where nothing
    but failures came.
    """
    experiment = planned.experiment
    if (folder / "final.jsonl").is_file() and not (folder / "history.jsonl").is_file():
        raise RecordError(
            f"{folder} has trained its best, and the journal of its search, history.jsonl, is gone: put that back, or search "
            f"anew in another folder (nas search {folder}/experiment.yaml --run-dir ...)"
        )
    with held(folder), experiment.executor.opened():
        searched = search_supernets(experiment, planned.supernet, folder, views) if planned.supernet else []
        history = _search(planned, searched, folder, views)
        if history.best is None:
            raise SearchFailed(commonest_reason(history.failures))
        _hand_over(planned, history.best, folder)
        return Result(history.best, history, _finals(planned, history.best, folder, views), searched)


def _search(
    planned: SearchPlan, searched: Sequence[SupernetResult], folder: Path, views: Callable[[str, int | None], View]
) -> History:
    """Score what the strategy proposes or, without one, what was derived from the supernets."""
    experiment, budget = planned.experiment, planned.experiment.rules.budget
    derived = tuple((each.architecture, f"seed {each.number}") for each in searched)
    is_scored = _is_scored(experiment)
    view = Silent() if is_scored else views("search", budget.evaluations if budget else len(derived))
    strategy = experiment.strategy or FixedProposals(derived)
    with closing(Search(planned.space, strategy, experiment.rules, view, folder)) as search:
        executor = Inline() if is_scored else experiment.executor
        executor.run(search, _work(planned, folder), folder)
    return search.history


def _is_scored(experiment: Experiment) -> bool:
    """Whether the candidates have their scores when the search for them is over."""
    return experiment.strategy is None and experiment.evaluator is None


def _work(planned: SearchPlan, folder: Path) -> Work:
    """Return how candidates are scored: by the evaluator or, without one, by the supernets."""
    experiment = planned.experiment
    if experiment.evaluator is not None:
        return partial(experiment.evaluator.evaluate, planned.task)
    assert experiment.supernet is not None, "checked when the experiment was made"
    assert planned.supernet is not None, "planned with the experiment"
    if _is_scored(experiment):
        return partial(scores_of_search, folder)
    return PathScores(experiment.supernet, planned.supernet, folder / SUPERNETS / "0.safetensors")


def _hand_over(planned: SearchPlan, best: Evaluated, folder: Path) -> None:
    """Write the best architecture as data and as a picture."""
    _write_found(planned, best.architecture, best.scores, folder / "best.json")
    if (picture := draw(best.architecture)) is not None:
        (folder / "best.svg").write_text(picture, encoding="utf-8")


def _write_found(planned: SearchPlan, architecture: Any, scores: Scores, file: Path) -> None:
    """Write an architecture with how it is stacked in the end, which says what weights beside it are of."""
    _, task = planned.final or (None, planned.task)
    file.write_text(write(task.found(architecture, scores)), encoding="utf-8")


def _finals(
    planned: SearchPlan, best: Evaluated, folder: Path, views: Callable[[str, int | None], View]
) -> dict[str, Evaluated]:
    """Train and test the best and, if asked for, a random architecture; with a journal of their own."""
    declared, seed = planned.experiment.final, planned.experiment.rules.seed
    if planned.final is None or declared is None:
        return {}
    others = _others(planned.space, best.architecture, seed, int(declared.beside_random))
    finalists = [(best.architecture, "best"), *zip(others, _random_roles(len(others)), strict=True)]
    rules = Rules(Budget(evaluations=len(finalists)), declared.objective, "evaluate", seed=seed)
    for architecture, role in finalists[1:]:
        _write_found(planned, architecture, {}, folder / f"{_file_name(role)}.json")
    view = views("final training", len(finalists))
    _take_up_finals(folder, digest(best.architecture))
    with closing(Search(planned.space, FixedProposals(tuple(finalists)), rules, view, folder, "final")) as session:
        roles = [role for _, role in finalists]
        planned.experiment.executor.run(session, partial(_test, *planned.final, folder, roles), folder)
    return by_role(session.history)


def _take_up_finals(folder: Path, best: str) -> None:
    """Let failed final trainings be done again, and all of them where the search has found a better one since."""
    journal = folder / "final.jsonl"
    if not journal.exists():
        return
    trained = [event["digest"] for _, event in read_journal(journal) if event.get("event") == "start"]
    if trained[:1] == [best]:
        forget_failures(journal)
    else:
        _set_aside(journal)


def _set_aside(journal: Path) -> None:
    """Keep a journal under another name; the next one begins anew."""
    if journal.exists():
        number = len(list(journal.parent.glob(f"{journal.stem}-before-*.jsonl"))) + 1
        journal.rename(journal.with_name(f"{journal.stem}-before-{number}.jsonl"))


def _test(evaluator: Evaluator, task: Task, folder: Path, roles: Sequence[str], job: Job) -> Evaluation:
    return evaluator.test(task, job, folder / f"{_file_name(roles[job.number])}.safetensors")


def _file_name(role: str) -> str:
    return role.replace(" ", "-")


def by_role(history: History) -> dict[str, Evaluated]:
    """Return the final trainings by whose they are: `best`, `random` or `random 1`, `random 2`, ..."""
    return {done.proposal.origin: done for _, done in sorted(history.finished.items())}


def _random_roles(number: int) -> list[str]:
    return ["random"] if number == 1 else [f"random {i + 1}" for i in range(number)]


def _others(space: Any, architecture: Any, seed: int, number: int) -> list[Any]:
    """Draw random architectures that are neither this one nor each other, as far as the space has so many."""
    rng, drawn = Random(f"{seed}/beside"), dict[str, Any]()
    for _ in range(100 * number):
        if len(drawn) < number and (other := sample(space, rng)) != architecture:
            drawn[digest(other)] = other
    return list(drawn.values())
