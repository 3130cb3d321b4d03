"""The supernet searches of a run: one per seed, through the run's executor, with their own journal."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from nas.evaluation.evaluator import Evaluation, Job, Task, at_once
from nas.plain import read
from nas.records import RecordError, digest
from nas.runs.experiment import Experiment
from nas.runtime.queue import SearchFailed, Views, carry_out, commonest_reason
from nas.runtime.rules import Budget, Rules
from nas.runtime.stage import RunStage
from nas.strategies.fixed_proposals import FixedProposals
from nas.supernets.recipe import Seed
from nas.supernets.search import SupernetResult, search_supernet

SUPERNETS = "supernets"
"""The subfolder of a run folder with the results of the supernet searches, and the stem of their journal."""

SUPERNET_OBJECTIVE = "supernet_top1_percent"


def search_supernets(experiment: Experiment, task: Task, folder: Path, views: Views) -> list[SupernetResult]:
    """Run the supernet search of each seed, or resume it after an interruption; failed seeds are retried.

    Raises SearchFailed where no seed succeeds.
    """
    history = carry_out(_stage(experiment, task, folder), experiment.executor, views, folder)
    if not history.scored:
        raise SearchFailed(commonest_reason(history.failures))
    return [each for each in searched_in(folder) if each.scores]


def _stage(experiment: Experiment, task: Task, folder: Path) -> RunStage:
    declared = experiment.supernet
    assert declared is not None, "the task is that of a supernet"
    seeds = tuple((Seed(i), f"seed {i}") for i in range(declared.seeds))
    never_given_up = len(seeds) + 1  # failures in a row: every seed is tried
    rules = Rules(Budget(len(seeds)), SUPERNET_OBJECTIVE, "evaluate", never_given_up, experiment.rules.seed)
    work = partial(search_supernet, declared, folder / SUPERNETS, experiment.strategy is None, task)
    return RunStage(SUPERNETS, FixedProposals(seeds), work, rules, Seed.describe, seeds)


def searched_in(folder: Path) -> list[SupernetResult]:
    """Return the results so far of a run's supernet searches, ordered by seed. Raises RecordError where a file is damaged."""
    paths = sorted((folder / SUPERNETS).glob("*.json"), key=lambda path: int(path.stem))
    return [_read(path) for path in paths]


def _read(path: Path) -> SupernetResult:
    try:
        searched: SupernetResult = read(json.loads(path.read_text(encoding="utf-8")), str(path), SupernetResult)
    except ValueError as error:
        raise RecordError(f"{path} cannot be read ({error}): delete it, and resume the run") from None
    return searched


def derived_scores(folder: Path, job: Job) -> Evaluation:
    """Return the scores of an architecture that the supernet it is derived from gave it."""
    name = digest(job.architecture)
    return at_once(
        next(each.scores for each in searched_in(folder) if each.scores and digest(each.architecture) == name)
    )
