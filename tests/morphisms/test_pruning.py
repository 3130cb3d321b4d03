"""Channel pruning gives the member that keeps the most important channels, within its budget, and near to the parent."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.building import build
from nas.layers.conv import ConvNormAct
from nas.morphisms.ordering import Importance
from nas.morphisms.pruning import prune_channels
from nas.profiling import profile
from nas.records import RecordError
from nas.space import decisions, one_of, resolve
from nas.topology.chain import Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network

pytestmark = pytest.mark.usefixtures("one_thread")

INPUT = (1, 8, 8)
WIDTHS = range(1, 13)


def space() -> Network:
    """Return three layers with open widths, and an open kernel, which no channel pruning touches."""
    kernel = one_of("kernel", [1, 3])
    stages = [Stage(ConvNormAct(kernel if i == 1 else 3), channels=one_of(f"width{i}", WIDTHS)) for i in range(3)]
    return Network(ConvNormAct(3, 4), tuple(stages), Classifier(10))


LARGEST = resolve(space(), lambda choice: choice.arity - 1)


def trained(unimportant: int) -> tuple[nn.Module, dict[str, Tensor]]:
    """Return the largest member, as if all but three channels of one layer had become unimportant."""
    torch.manual_seed(0)
    model = build(LARGEST, INPUT)
    layer: Any = model.layers[unimportant]  # type: ignore[index]
    with torch.no_grad():
        for norm in (each for each in model.modules() if isinstance(each, nn.BatchNorm2d)):
            norm.weight.uniform_(0.9, 1.1)
        keep = torch.zeros(12).index_fill_(0, torch.tensor([2, 7, 9]), 1.0)
        layer[0].weight.mul_((keep + 1e-3 * (1 - keep))[:, None, None, None])
        layer[1].weight.mul_(keep + 1e-3 * (1 - keep))
    return model.eval(), {name: each.clone() for name, each in model.state_dict().items()}


@pytest.mark.parametrize("by", ["l1", "l2", "norm_scale"])
@pytest.mark.parametrize("unimportant", [0, 1, 2])
def test_the_unimportant_channels_go(unimportant: int, by: Importance) -> None:
    _, weights = trained(unimportant)
    narrow = resolve(space(), lambda each: 2 if each.name == f"width{unimportant}" else each.arity - 1)
    keep = profile(narrow, INPUT).macs / profile(LARGEST, INPUT).macs
    pruned = prune_channels(space(), LARGEST, lambda member: member, weights, INPUT, keep, by=by)
    assert pruned.architecture == narrow
    assert (pruned.before, pruned.after) == (profile(LARGEST, INPUT).macs, profile(narrow, INPUT).macs)
    assert pruned.inheritance.difference < 0.05, "what was lost hardly mattered"


@pytest.mark.parametrize("keep", [0.75, 0.5, 0.1])
def test_the_budget_is_met_by_widths_alone(keep: float) -> None:
    _, weights = trained(1)
    pruned = prune_channels(space(), LARGEST, lambda member: member, weights, INPUT, keep, "params")
    assert 0.8 * keep * pruned.before <= pruned.after <= keep * pruned.before
    assert decisions(space(), pruned.architecture)["kernel"] == 1


def test_more_than_there_is_cannot_go() -> None:
    _, weights = trained(0)
    with pytest.raises(RecordError, match=r"the narrowest member has [\d,]+ macs"):
        prune_channels(space(), LARGEST, lambda member: member, weights, INPUT, 0.001)
