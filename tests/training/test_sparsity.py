"""Weights are pruned by magnitude as the training goes, stay zero, and a resumed training prunes the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nas.data import Augmentation, Digits, Split, split
from nas.records import RecordError
from nas.training import Execution, Recipe, seeded, train
from nas.training.sparsity import LAYERS, Pruner, Sparsity

pytest.importorskip("sklearn")
pytestmark = pytest.mark.usefixtures("one_thread")

RECIPE = Recipe(epochs=4, batch=64, lr=0.1, augmentation=Augmentation(crop_pad=1))


def net(seed: int = 0) -> nn.Sequential:
    with seeded(seed):
        body = nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 12, 3), nn.BatchNorm2d(12)
        return nn.Sequential(*body, nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(108, 10))


def digits() -> Split:
    return split(Digits(), 0.25, 0, train=300)


def trained(model: nn.Module, sparsity: Sparsity | None, **others: Any) -> float:
    recipe = replace(RECIPE, sparsity=sparsity)
    last = list(train(model, digits(), recipe, seed=0, device=torch.device("cpu"), **others))[-1]
    return float(last.validation_top1_percent or 0.0)  # type: ignore[union-attr]


def zeros(model: nn.Module) -> list[float]:
    return [float((each.weight == 0).float().mean()) for each in model.modules() if isinstance(each, LAYERS)]


def test_the_share_rises_along_the_cubic_curve() -> None:
    sparsity = Sparsity(0.8, begin=2, until=5)
    assert [sparsity.share_in(epoch) for epoch in (1, 2, 3, 5, 9)] == pytest.approx(
        [0.0, 0.8 * (1 - 0.75**3), 0.8 * (1 - 0.5**3), 0.8, 0.8]
    )
    assert Sparsity(0.5, 3, 3).share_in(3) == 0.5


def test_the_smallest_weights_of_a_layer_become_zero() -> None:
    model = net()
    before = [each.weight.detach().clone() for each in model if isinstance(each, LAYERS)]
    Pruner(model, Sparsity(0.5)).begin(1)
    for old, layer in zip(before, (each for each in model if isinstance(each, LAYERS)), strict=True):
        gone = layer.weight == 0
        assert int(gone.sum()) == round(0.5 * old.numel())
        assert old[gone].abs().max() <= old[~gone].abs().min()
        assert torch.equal(layer.weight[~gone], old[~gone])


def test_the_smallest_weights_of_the_network_become_zero() -> None:
    model = net()
    every = torch.cat([each.weight.detach().flatten() for each in model if isinstance(each, LAYERS)])
    Pruner(model, Sparsity(0.5, is_global=True)).begin(1)
    after = torch.cat([each.weight.detach().flatten() for each in model if isinstance(each, LAYERS)])
    assert int((after == 0).sum()) == round(0.5 * len(every))
    assert every[after == 0].abs().max() <= every[after != 0].abs().min()
    assert len(set(zeros(model))) == 3, "some layers lose more than others"


@pytest.mark.parametrize("is_global", [False, True])
def test_a_pruned_training_ends_with_its_share_of_zeros_and_still_learns(is_global: bool) -> None:
    model = net()
    pruned = trained(model, Sparsity(0.8, begin=2, until=3, is_global=is_global))
    sizes = [each.weight.numel() for each in model if isinstance(each, LAYERS)]
    share = sum(a * b for a, b in zip(zeros(model), sizes, strict=True)) / sum(sizes)
    assert share == pytest.approx(0.8, abs=0.01)
    assert pruned > 30, "chance is 10"


def test_a_pruned_training_that_is_cut_and_resumed_is_the_one_that_was_not(tmp_path: Path) -> None:
    sparsity, each_step = Sparsity(0.7, begin=1, until=3), Execution(checkpoint_seconds=0, report_seconds=0)
    straight, cut, resumed = net(), net(), net(9)
    trained(straight, sparsity)
    recipe = replace(RECIPE, sparsity=sparsity)
    running = train(
        cut, digits(), recipe, seed=0, checkpoint=tmp_path / "run.pt", device=torch.device("cpu"), execution=each_step
    )
    for _ in range(8):
        next(running)
    running.close()
    trained(resumed, sparsity, checkpoint=tmp_path / "run.pt", execution=each_step)
    assert all(
        torch.equal(a, b) for a, b in zip(straight.state_dict().values(), resumed.state_dict().values(), strict=True)
    )


def test_the_penalty_makes_scales_smaller_by_its_gradient() -> None:
    model = net()
    pruner = Pruner(model, Sparsity(scales=0.1))
    (norm, _) = pruner.scales
    norm.data[0] = -1.0
    norm.grad = torch.zeros_like(norm)
    pruner.penalise()
    assert norm.grad.tolist() == pytest.approx([-0.1] + [0.1] * 11)
    plain, slim = net(), net()
    trained(plain, None)
    trained(slim, Sparsity(scales=0.02))
    assert float(slim[4].weight.abs().sum()) < float(plain[4].weight.abs().sum())
    assert zeros(slim) == [0.0, 0.0, 0.0]


def test_a_sparsity_that_cannot_be_is_refused() -> None:
    with pytest.raises(RecordError, match="until is 1, and begin 3"):
        Sparsity(0.5, begin=3, until=1)
    with pytest.raises(RecordError, match="averages weights"):
        Recipe(ema=0.9, sparsity=Sparsity(0.5))
