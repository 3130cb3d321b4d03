"""Scores of paths: what is measured of them, and limits that they must keep."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from nas.data import Augmentation, Digits
from nas.evaluation.evaluator import Job, Task
from nas.evaluation.latency import Latency
from nas.history import Limit
from nas.journal import replay
from nas.space import sample
from nas.supernets.paths import PathScores, path_scores
from nas.supernets.recipe import AlphasRecipe, SupernetSearch, WeightsRecipe
from nas.supernets.search import search_supernet
from nas.supernets.uniform_elastic import UniformElastic
from nas.testing.evaluators import performed
from search_spaces.mobile import mobile

pytest.importorskip("sklearn")
pytestmark = pytest.mark.usefixtures("one_thread")

SPACE = mobile((4, 8), (1, 2), depth=1, kernels=(3, 5), expansions=(1.0, 2.0), squeezes=(0.0,), last=8)
TASK = Task(SPACE, lambda network: network, {}, (1, 8, 8))
DECLARED = SupernetSearch(
    UniformElastic(candidates=2),
    Digits(),
    epochs=1,
    weights=WeightsRecipe(batch=50, lr=0.1, channels_last=False, augmentation=Augmentation(crop_pad=1)),
    alphas=AlphasRecipe(images=100),
    images=150,
    measures=Latency(runtime="torch", runs=3, warm_up=1),
)
EXPERIMENT = """
space: {mobile: {widths: [4, 8], strides: [1, 2], depth: 1, kernels: [3, 5], last: 8}}
supernet: {method: UniformElastic, data: Digits, epochs: 2, images: 200, alphas: {images: 100}, weights: {batch: 50, lr: 0.1}}
strategy: RandomSearch
rules: {budget: {evaluations: 8}, objective: [validation_top1_percent, macs]%s}
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the weights of a store."""
    folder = tmp_path_factory.mktemp("store")
    for _ in search_supernet(DECLARED, folder, False, TASK, Job(0, None, 7, None)):
        pass
    return folder / "0.safetensors"


def scores(weights: Path, task: Task, architecture: Any) -> dict[str, float]:
    return dict(performed(PathScores(DECLARED, task, weights)(Job(0, architecture, 0)))[1])


def test_a_path_has_the_scores_that_are_measured_of_it(weights: Path) -> None:
    found = scores(weights, TASK, sample(SPACE, Random(0)))
    assert tuple(sorted(found)) == tuple(sorted(path_scores(DECLARED) or ()))
    assert found["latency_ms"] > 0


@pytest.mark.parametrize("limit", [{"macs": Limit(most=1.0)}, {"latency_ms": Limit(most=1e-9)}])
def test_a_path_outside_a_limit_is_not_classified(limit: dict[str, Limit], weights: Path) -> None:
    found = scores(weights, replace(TASK, limits=limit), sample(SPACE, Random(0)))
    assert "validation_top1_percent" not in found
    assert {"params", "macs", "latency_ms", "latency_p90_ms", "seconds"} == found.keys()


def test_a_limit_bites(call: Callable[..., Any], tmp_path: Path) -> None:
    found = {}
    for name, limits in (("free", ""), ("limited", ", limits: {macs: {most: 45_000}}")):
        file = tmp_path / f"{name}.yaml"
        file.write_text(EXPERIMENT % limits, encoding="utf-8")
        done = call("search", file, "--run-dir", tmp_path / name)
        assert done.returncode == 0, done
        members = json.loads((tmp_path / name / "front.json").read_text())["front"]
        found[name] = [next(iter(each.values()))["scores"]["macs"] for each in members]
        assert len(list((tmp_path / name / "front").glob("*.safetensors"))) == len(members)
    assert max(found["free"]) > 45_000, "without a limit the front has larger networks"
    assert max(found["limited"]) <= 45_000
    history = replay(tmp_path / "limited" / "history.jsonl", "validation_top1_percent")
    assert all(each.scores["macs"] <= 45_000 for each in history.scored), (
        "the others were rejected before they were scored"
    )


def test_what_is_measured_is_an_objective_and_an_unknown_score_none(call: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(EXPERIMENT.replace("percent, macs", "percent, -latency_ms") % "", encoding="utf-8")
    done = call("search", file, "--run-dir", tmp_path / "run")
    assert done.returncode == 2
    assert "the scores are validation_top1_percent, params, macs, seconds" in done.stderr
    done = call("search", file, "supernet.measures={Latency: {runtime: torch, runs: 2}}", "--run-dir", tmp_path / "run")
    assert done.returncode == 0, done
