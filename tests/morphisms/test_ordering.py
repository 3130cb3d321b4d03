"""Sorting channels changes no function, and a narrower network inherits the most important ones."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.building import build
from nas.family import family
from nas.layers.conv import ConvNormAct
from nas.morphisms import Importance, inherit
from nas.morphisms.ordering import sort_channels
from nas.operations.skip import Skip
from nas.space import sample
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network
from nas.topology.residual import Residual

pytestmark = pytest.mark.usefixtures("one_thread")

INPUT = (3, 16, 16)


def shaken(model: nn.Module) -> nn.Module:
    """Give every weight and statistic a random value, as after a training."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for each in (*model.parameters(), *model.buffers()):
            if each.is_floating_point():
                each.mul_(torch.rand(each.shape, generator=generator) + 0.5)
                each.add_(0.1 * torch.rand(each.shape, generator=generator))
    return model.eval()


def output(model: nn.Module) -> Tensor:
    found: Tensor = model(torch.randn((2, *INPUT), generator=torch.Generator().manual_seed(1)))
    return found


def plain(width: int, wide: int = 12) -> Network:
    """Return a network with a residual stage of some width, and one layer after it."""
    block = Residual(Chain((ConvNormAct(3), ConvNormAct(3))), Skip("projection"))
    stages = Stage(block, 2, channels=width), Stage(ConvNormAct(3), channels=wide, stride=2)
    return Network(ConvNormAct(3, 8), stages, Classifier(10))


@pytest.mark.parametrize("by", ["l1", "l2", "norm_scale"])
@pytest.mark.parametrize(
    ("name", "share"), [("growing", 0.9), ("mobile", 0.9), ("macro", 0.3), ("nasbench201", 0.0), ("darts", 0.3)]
)
def test_sorting_keeps_the_function(name: str, share: float, by: Importance) -> None:
    known = family(name)
    options: dict[str, Any] = {
        "nasbench201": {"channels": 4, "cells_per_stage": 1},
        "darts": {"channels": 4, "layers": 3},
    }
    tree = known.network(sample(known.space(), Random(1)), **options.get(name, {}))
    model = shaken(build(tree, INPUT))
    with torch.no_grad():
        before = output(model)
        importances = sort_channels(model, INPUT, by)
        after = output(model)
    assert torch.allclose(before, after, rtol=1e-3, atol=1e-3 * float(before.abs().max()))
    layers = [each for each in model.modules() if isinstance(each, nn.Conv2d) and each.groups == 1]
    assert len(importances) >= share * len(layers) - 1
    for each in importances.values():
        assert torch.equal(each, each.sort(descending=True).values)


def test_the_filters_with_the_largest_norms_stay() -> None:
    model = shaken(build(plain(8), INPUT))
    wide = model.layers[2]  # type: ignore[index]
    conv = next(each for each in wide.modules() if isinstance(each, nn.Conv2d))
    largest = conv.weight.flatten(1).norm(2, 1).topk(5).indices.sort().values
    expected = conv.weight[largest]
    child = inherit(plain(8, 5), plain(8), model.state_dict(), INPUT, keeps="l2").model
    kept = next(each for each in child.layers[2].modules() if isinstance(each, nn.Conv2d))  # type: ignore[index]
    norms = [float(each.detach().norm()) for each in kept.weight]
    assert norms == sorted(norms, reverse=True)
    assert sorted(norms) == pytest.approx(sorted(float(each.norm()) for each in expected))


def test_layers_that_are_added_are_sorted_alike() -> None:
    model = shaken(build(plain(8), INPUT))
    found = sort_channels(model, INPUT, "l1")
    ends = [
        each
        for name, each in found.items()
        if name.startswith(("stem", "layers.0", "layers.1")) and "body.0" not in name
    ]
    assert len(ends) >= 3
    assert all(torch.equal(each, ends[0]) for each in ends)


def test_a_child_of_the_same_size_computes_the_same() -> None:
    model = shaken(build(plain(8), INPUT))
    assert inherit(plain(8), plain(8), model.state_dict(), INPUT, keeps="norm_scale").keeps_function


def test_what_is_pruned_by_importance_is_nearer_to_the_parent_than_what_is_cut() -> None:
    torch.manual_seed(0)
    model = build(plain(8), INPUT).eval()
    conv = next(each for each in model.layers[2].modules() if isinstance(each, nn.Conv2d))  # type: ignore[index]
    with torch.no_grad():
        conv.weight[:6] *= 0.01  # the first filters hardly matter
        norm = next(each for each in model.layers[2].modules() if isinstance(each, nn.BatchNorm2d))  # type: ignore[index]
        norm.weight[:6] *= 0.01
    weights = model.state_dict()
    by_norm, by_place = (inherit(plain(8, 6), plain(8), weights, INPUT, keeps=each).difference for each in ("l1", None))
    assert by_norm < 0.1 * by_place
