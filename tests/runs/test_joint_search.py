"""Joint search: choices in the recipe are searched together with those of the architecture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from journals import events

from nas.evaluation.candidate import Candidate
from nas.evaluation.evaluator import Job
from nas.evaluation.training import Training
from nas.journal import replay
from nas.plain import from_plain
from nas.records import RecordError, import_all
from nas.runs.architecture import find_architecture
from nas.runs.experiment import Experiment, load
from nas.runs.full_training import FullTraining, load_recipe
from nas.space import choices, sample
from nas.testing.evaluators import performed
from nas.training import Recipe

Call = Callable[..., Any]

import_all("nas.operations")  # the records of the journals

SEARCH = """\
space: nasbench201
network: {channels: 4, cells_per_stage: 1}
strategy: STRATEGY
evaluator:
  Training:
    data: Digits
    validation: 200
    images: 150
    recipe:
      epochs: 1
      batch: 50
      augmentation: {crop_pad: 1, flip: false, cutout: 0}
      drop_path: 0.0
      lr: {log_uniform: {low: 0.001, high: 1.0, steps: 4}}
      label_smoothing: {one_of: [0.0, 0.1]}
      optimizer: {Sgd: {momentum: {one_of: [0.5, 0.9]}}}
rules:
  budget: {evaluations: 10}
"""


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    (tmp_path / "search.yaml").write_text(
        SEARCH.replace("STRATEGY", "{RegularizedEvolution: {population: 3, sample: 2}}")
    )
    return tmp_path / "search.yaml"


def test_the_space_has_the_choices_of_both(experiment: Path) -> None:
    known = choices(load(experiment).open_space())
    assert list(known)[-3:] == ["recipe.lr", "optimizer.momentum", "recipe.label_smoothing"]
    assert known["recipe.lr"].options == (0.001, 0.01, 0.1, 1.0)
    assert len(known) == 6 + 3


def test_candidates_are_journalled_trained_and_told_with_their_recipes(
    experiment: Path, tmp_path: Path, call: Call
) -> None:
    folder = tmp_path / "run"
    assert call("search", experiment, "--run-dir", folder).returncode == 0
    history = replay(folder / "history.jsonl", "validation_top1_percent")
    candidates = [done.architecture for done in history.scored]
    assert all(isinstance(each, Candidate) and isinstance(each.recipe, Recipe) for each in candidates)
    assert len({each.recipe for each in candidates}) > 1
    assert all("Candidate" in event["architecture"] for event in events(folder) if event["event"] == "start")
    best = history.best
    assert best is not None
    assert find_architecture(str(folder)).architecture == best.architecture.architecture
    assert find_architecture(f"{folder}#{best.number}").architecture == best.architecture.architecture
    recipe = best.architecture.recipe
    shown = call("show", folder).stdout
    told = f"recipe.lr {recipe.lr}, optimizer.momentum {recipe.optimizer.momentum}, "
    told += f"recipe.label_smoothing {recipe.label_smoothing}"
    assert told in shown
    assert told in call("table", folder).stdout
    # what is shown is read as an architecture, without the recipe
    (line,) = [line for line in shown.splitlines() if line.endswith(told)]
    assert find_architecture(line).architecture == best.architecture.architecture
    assert call("report", folder, "--out", tmp_path / "report.html").returncode == 0
    # the recipe of the best is one of nas train
    declared = load_recipe(str(folder / "best.recipe.yaml"))
    assert isinstance(declared, FullTraining)
    assert declared.recipe == recipe
    # and it is what the candidate was trained with
    searched = load(experiment)
    task = searched.task(searched.open_space())
    assert isinstance(searched.evaluator, Training)
    alone = Training(declared.data, recipe, declared.validation, declared.images)
    (first, second) = (
        performed(evaluator.evaluate(task, Job(0, tree, best.number)))[1]["validation_top1_percent"]
        for evaluator, tree in ((searched.evaluator, best.architecture), (alone, best.architecture.architecture))
    )
    assert first == second


def test_a_closed_recipe_of_the_final_training_is_its_own(experiment: Path) -> None:
    declared = load(experiment)
    space = declared.open_space()
    assert isinstance(declared.evaluator, Training)
    job = Job(0, sample(space, Random(0)), 0)
    assert declared.evaluator.recipe_of(job) == job.architecture.recipe
    own = replace(declared.evaluator, recipe=Recipe(epochs=7))
    assert own.recipe_of(job) == Recipe(epochs=7)


def test_a_joint_search_by_tpe_is_told_which_choices_are_ordered(tmp_path: Path, call: Call) -> None:
    pytest.importorskip("optuna")
    from optuna.distributions import IntDistribution

    from nas.strategies.sampling.memory_study import distribution_of

    (tmp_path / "joint.yaml").write_text(SEARCH.replace("STRATEGY", "Optuna"))
    known = choices(load(tmp_path / "joint.yaml").open_space())
    assert distribution_of(known["recipe.lr"]) == IntDistribution(0, 3)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("strategy.RegularizedEvolution.population", "{one_of: [3, 5]}", "has open choices: only the space and the"),
        (
            "evaluator.Training.images",
            "{one_of: [100, 150]}",
            "has open choices: only the space and the evaluator's recipe",
        ),
        ("evaluator.Training.recipe.lr", "{one_of: [0.1]}", "a list of two options at least"),
        ("evaluator.Training.recipe.lr", "{one_of: [0.1, high]}", "lr.one_of[1]"),
        (
            "evaluator.Training.recipe.lr",
            "{log_uniform: {low: 1.0, high: 0.1}}",
            "give 0 < low < high, and at least 2 steps",
        ),
        ("evaluator.Training.recipe.lr", "{log_uniform: {lower: 0.1, high: 1}}", "did you mean 'low'?"),
    ],
)
def test_what_cannot_be_searched_is_refused(
    key: str, value: str, said: str, experiment: Path, tmp_path: Path, call: Call
) -> None:
    answer = call("search", experiment, f"{key}={value}", "--run-dir", tmp_path / "run")
    assert answer.returncode == 2
    assert said in answer.stderr, answer.stderr


def test_a_name_that_the_space_has_too_is_refused() -> None:
    plain = yaml.safe_load(SEARCH.replace("STRATEGY", "RandomSearch"))
    plain["space"] = {"macro": {"tree": "conv{recipe.lr: 3 | 5}-8"}}
    declared = from_plain(plain, Experiment)
    with pytest.raises(RecordError, match=r"two choices are named 'recipe\.lr'"):
        declared.open_space()
