"""AdaNet: the objective by hand, frozen members, weights of useless ones, and a search that is killed and resumed."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from journals import events
from scipy.special import logsumexp

from nas.building import build
from nas.data import Augmentation, Digits, normalise
from nas.evaluation.ensemble_training import EnsembleTraining, penalty
from nas.evaluation.evaluator import Job, Parent, Task
from nas.layers.conv import ConvNormAct
from nas.profiling import profile
from nas.records import RecordError
from nas.testing.evaluators import check_evaluator, performed
from nas.topology.chain import Stage
from nas.topology.ensemble import Ensemble
from nas.topology.heads import Classifier
from nas.topology.network import Network
from nas.training import Recipe
from nas.training.checkpoint import read_weights

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).resolve().parents[2]
INPUT = (1, 8, 8)
SHORT = Recipe(epochs=2, batch=50, lr=0.1, drop_path=0.0, augmentation=Augmentation(crop_pad=1))


def member(depth: int) -> Network:
    return Network(ConvNormAct(3, 4, 2), (Stage(ConvNormAct(3), depth, 4),), Classifier(10))


def training(**changes: Any) -> EnsembleTraining:
    given: dict[str, Any] = {"complexity": 0.01, "beta": 0.02, "validation": 200, "images": 150, **changes}
    return EnsembleTraining(Digits(), changes.pop("recipe", SHORT), **{k: v for k, v in given.items() if k != "recipe"})


def task(ensemble: Ensemble) -> Task:
    return Task(ensemble, lambda tree: tree, {}, INPUT)


def test_what_holds_for_every_evaluator() -> None:
    check_evaluator(training(recipe=Recipe(epochs=1, batch=50, drop_path=0.0)), "adanet", {})


@pytest.mark.parametrize("mixture", ["scalar", "class"])
def test_the_objective_is_that_of_numpy(mixture: Any) -> None:
    evaluator, ensemble = training(), Ensemble((member(1), member(3)), mixture)
    images = evaluator.training.split_images()
    torch.manual_seed(0)
    model: Any = build(ensemble, INPUT).eval()
    with torch.no_grad():
        model.mixture.copy_(torch.randn_like(model.mixture))
        x = normalise(images.train.x, images.mean, images.std)  # type: ignore[union-attr]
        outputs = [each(x).double().numpy() for each in model.members]
    w = model.mixture.detach().double().numpy()
    logits = sum(output * weights for output, weights in zip(outputs, w, strict=True))
    y = images.train.y.numpy()  # type: ignore[union-attr]
    loss = (logsumexp(logits, 1) - logits[np.arange(len(y)), y]).mean()
    # two and four convolutions, and the linear layer
    rates = 0.01 * np.sqrt([3, 5]) + 0.02
    assert [profile(each, INPUT).depth for each in ensemble.members] == [3, 5]
    assert evaluator.objective(ensemble, model, images) == pytest.approx(
        loss + (rates * np.abs(w).sum(1)).sum(), rel=1e-5
    )
    assert penalty(torch.tensor([[-1.0, 2.0], [0.5, 0.0]]), [1.0, 10.0]) == pytest.approx(8.0)


def test_the_gradient_of_a_mixture_weight_has_that_of_its_penalty() -> None:
    evaluator, ensemble = training(), Ensemble((member(1), member(2)))
    model = evaluator.begin(ensemble, {}, INPUT, seed=0)
    with torch.no_grad():
        model.mixture.copy_(torch.tensor([[0.5], [-0.5]]))
    (model.mixture * 3).sum().backward()  # type: ignore[no-untyped-call]
    expected = [3 + 0.01 * math.sqrt(3) + 0.02, 3 - 0.01 * math.sqrt(4) - 0.02]
    assert model.mixture.grad is not None
    assert model.mixture.grad[:, 0].tolist() == pytest.approx(expected)


def test_a_member_that_is_useless_loses_its_weight() -> None:
    evaluator = training(complexity=0.0, beta=0.5)
    ensemble = Ensemble((member(1), member(1)))
    known = evaluator.begin(Ensemble((member(1),)), {}, INPUT, 0).state_dict()
    model = evaluator.begin(ensemble, known, INPUT, 0)
    silent: Any = model.members[1]
    for weight in silent.head.parameters():
        torch.nn.init.zeros_(weight)
    optimizer = torch.optim.SGD([model.mixture], 0.05)
    x, y = torch.randn(20, *INPUT), torch.arange(20) % 10
    for rate in np.linspace(0.05, 0, 100):
        optimizer.param_groups[0]["lr"] = float(rate)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert abs(float(model.mixture.detach()[1])) < 1e-3


def test_members_before_are_frozen_and_the_new_one_learns(tmp_path: Path) -> None:
    evaluator, first, second = training(), Ensemble((member(1),)), Ensemble((member(1), member(2)))
    _, scores = performed(evaluator.evaluate(task(first), Job(0, first, 1, tmp_path / "0.pt")))
    grown = Job(1, second, 2, tmp_path / "1.pt", parent=Parent(first, tmp_path / "0.pt"))
    progress, better = performed(evaluator.evaluate(task(second), grown))
    before, after = read_weights(tmp_path / "0.pt"), read_weights(tmp_path / "1.pt")
    kept = [name for name in before if name.startswith("members.")]
    assert kept
    assert all(torch.equal(before[name], after[name]) for name in kept), "statistics of batch norms, too"
    assert not torch.equal(before["mixture"], after["mixture"][:1])
    fresh = evaluator.begin(second, before, INPUT, 0).state_dict()
    assert torch.equal(fresh["mixture"][:1], before["mixture"])
    assert float(fresh["mixture"][1]) == 1
    assert progress[-1].epochs == 2, "of the new member alone"
    learnt = [name for name in after if name.startswith("members.1") and "weight" in name]
    assert not any(torch.equal(fresh[name], after[name]) for name in learnt)
    assert better.keys() == scores.keys()


def test_without_a_parent_members_are_trained_in_turn(tmp_path: Path) -> None:
    evaluator, both = training(), Ensemble((member(1), member(2)))
    job = Job(0, both, 1, tmp_path / "whole.pt")
    progress, scores = performed(evaluator.evaluate(task(both), job))
    assert [each.epoch for each in progress if each.ends_an_epoch] == [1, 2, 3, 4]
    assert [path.name for path in tmp_path.iterdir()] == ["whole.pt"]
    # interrupted in the second member, it goes on there
    again = Job(0, both, 1, tmp_path / "again.pt")
    begun = evaluator.evaluate(task(both), again)
    for report in begun:
        if report.epoch > 2:
            break
    begun.close()
    _, resumed = performed(evaluator.evaluate(task(both), again))
    assert resumed["ensemble_objective"] == scores["ensemble_objective"]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(RecordError, match="trains ensembles, and the network is a Network"):
        performed(training().evaluate(task(member(1)), Job(0, member(1), 0)))  # type: ignore[arg-type]
    ensemble = Ensemble((member(1),))
    with pytest.raises(RecordError, match=r"recipe\.ema=0"):
        training(recipe=Recipe(ema=0.9)).check(task(ensemble))


@pytest.mark.slow
def test_a_killed_search_is_the_same_search(tmp_path: Path, call: Callable[..., Any]) -> None:
    given = [
        "experiments/digits/adanet.yaml",
        "evaluator.EnsembleTraining.recipe.epochs=1",
        "rules.budget.evaluations=6",
    ]
    assert call("search", *given, "--run-dir", tmp_path / "whole").returncode == 0
    command = [sys.executable, "-m", "nas.cli", "search", *given, "--run-dir", str(tmp_path / "killed")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 120
    while not (tmp_path / "killed" / "history.jsonl").is_file() or len(events(tmp_path / "killed", "history")) < 6:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert call("resume", tmp_path / "killed").returncode == 0
    found = []
    for name in ("whole", "killed"):
        ends = [each for each in events(tmp_path / name, "history") if each["event"] == "finish"]
        found.append([each["scores"]["ensemble_objective"] for each in ends])
    assert found[0] == found[1]
