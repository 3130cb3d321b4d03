"""BigNAS: the sandwich rule with distillation in place on a store of elastic weights, and its members without retraining."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from cut_off import scores_of_search
from killing import same_tensors, supernet_searched_whole_and_killed
from torch import Tensor, nn

from nas.building import build
from nas.data import Augmentation, Digits, normalise
from nas.evaluation.evaluator import Job, Task
from nas.records import RecordError
from nas.space import first_member, sample
from nas.supernets.big_nas import BigNas
from nas.supernets.bilevel import BatchOutcome
from nas.supernets.elastic_method import ElasticNet, ElasticStep
from nas.supernets.paths import PathScores
from nas.supernets.recipe import AlphasRecipe, SupernetSearch, WeightsRecipe
from nas.supernets.search import search_supernet
from nas.training import load_weights
from nas.training.recalibration import recalibrate
from search_spaces.mobile import mobile

pytest.importorskip("sklearn")
pytestmark = pytest.mark.usefixtures("one_thread")

SPACE = mobile((4, 8), (1, 2), depth=1, kernels=(3, 5), expansions=(1.0, 2.0), squeezes=(0.0,), last=8)
TASK = Task(SPACE, lambda network: network, {}, (1, 8, 8))
DECLARED = SupernetSearch(
    BigNas(samples=1, candidates=4),
    Digits(),
    epochs=3,
    weights=WeightsRecipe(batch=50, lr=0.1, channels_last=False, augmentation=Augmentation(crop_pad=1)),
    alphas=AlphasRecipe(images=100),
    images=150,
)
EXPERIMENT = """
space: {mobile: {widths: [4, 8], strides: [1, 2], depth: 1, kernels: [3, 5], last: 8}}
supernet:
  method: {BigNas: {samples: 1}}
  data: Digits
  epochs: 6
  images: 200
  alphas: {images: 100}
  weights: {batch: 50, lr: 0.1}
strategy: {RegularizedEvolution: {population: 3, sample: 2}}
rules: {budget: {evaluations: 6}, limits: {macs: {most: 60_000}}}
"""


def net_of(seed: int = 0) -> ElasticNet:
    torch.manual_seed(seed)
    return ElasticNet(SPACE, lambda network: network, BigNas(), (1, 8, 8)).double()


def log_softmax(logits: Any) -> Any:
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


def test_the_gradients_are_those_of_labels_for_the_largest_and_its_predictions_for_the_others() -> None:
    net, method = net_of(), BigNas(samples=2)
    x, y = torch.randn(6, 1, 8, 8, dtype=torch.double), torch.tensor([0, 1, 2, 3, 4, 5])
    ran: list[Any] = []

    def run(architecture: Any) -> Tensor:
        ran.append(architecture)
        logits: Tensor = net.model(x, architecture)
        return logits

    def taught() -> Tensor:
        raise AssertionError("the largest teaches, as it is")

    outcome = method.add_gradients(
        ElasticStep(net, run, lambda logits: BatchOutcome.of(logits, y), taught, Random(3), 0.5)
    )
    rng = Random(3)
    assert ran == [net.model.largest, net.model.smallest, sample(SPACE, rng), sample(SPACE, rng)]
    gradients = [each.grad for each in net.model.parameters() if each.grad is not None]

    whole = net.model(x, net.model.largest).detach().numpy()
    assert float(outcome.loss) == pytest.approx(float(-log_softmax(whole)[range(6), y.numpy()].mean()))
    soft = torch.from_numpy(np.exp(log_softmax(whole)))

    def loss() -> Tensor:
        found: Tensor = -net.model(x, net.model.largest).log_softmax(1)[range(6), y].mean()
        for architecture in ran[1:]:
            found = found - (soft * net.model(x, architecture).log_softmax(1)).sum(1).mean()
        return found

    expected = torch.autograd.grad(loss(), list(net.model.parameters()), allow_unused=True)
    torch.testing.assert_close(gradients, [each for each in expected if each is not None], rtol=1e-9, atol=1e-11)


def test_the_smallest_architecture_has_the_fewest_weights() -> None:
    store = net_of().model
    members = [store.smallest, store.largest, *(sample(SPACE, Random(i)) for i in range(20))]
    weights = [sum(each.numel() for each in build(member, (1, 8, 8)).parameters()) for member in members]
    assert min(weights) == weights[0] < weights[1] == max(weights)


def test_recalibrated_norms_have_the_statistics_of_their_own_training_images() -> None:
    split = DECLARED.split()
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3, momentum=0.2)).train()
    recalibrate(model, split, replace(DECLARED.weights, batch=75))
    maps = model[0](normalise(split.train.x, split.mean, split.std)).detach().numpy()
    norm: Any = model[1]
    assert norm.running_mean.numpy() == pytest.approx(maps.mean((0, 2, 3)), abs=1e-5)
    assert norm.running_var.numpy() == pytest.approx(maps.var((0, 2, 3), ddof=1), rel=1e-4)
    assert norm.momentum == 0.2
    assert not norm.training


def test_a_training_that_was_cut_off_resumes_bit_for_bit_and_its_paths_are_networks(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    assert scores_of_search(DECLARED, TASK, cut, tmp_path / "cut.pt", stop_after=1) is None
    assert scores_of_search(DECLARED, TASK, whole) == scores_of_search(DECLARED, TASK, cut, tmp_path / "cut.pt")
    assert (whole / "0.safetensors").read_bytes() == (cut / "0.safetensors").read_bytes()

    paths, member = PathScores(DECLARED, TASK, whole / "0.safetensors"), first_member(SPACE)
    with pytest.raises(StopIteration) as end:
        next(paths(Job(0, member, 0)))
    paths.write(member, end.value.value, tmp_path / "member.safetensors")
    model, split = build(member, (1, 8, 8)).eval(), DECLARED.split()
    load_weights(model, tmp_path / "member.safetensors")
    right = (model(normalise(split.validation.x, split.mean, split.std)).argmax(1) == split.validation.y).float().mean()  # type: ignore[union-attr]
    assert end.value.value["validation_top1_percent"] == pytest.approx(100 * float(right))


def test_compiled_cells_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        RecordError, match="BigNas computes slices of a store, which compile_cells and checkpoint_cells"
    ):
        next(search_supernet(replace(DECLARED, compile_cells=True), tmp_path, True, TASK, Job(0, None, 7, None)))


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_and_its_best_is_exported(nas: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "elastic.yaml"
    file.write_text(EXPERIMENT, encoding="utf-8")
    whole, cut = supernet_searched_whole_and_killed(file, tmp_path, epochs=1)
    for name in ("supernets/0.safetensors", "best.safetensors"):
        assert same_tensors(whole / name, cut / name)
    answer = nas("export", whole, "--to", "safetensors", "--out", tmp_path / "out")
    assert answer.returncode == 0, answer
