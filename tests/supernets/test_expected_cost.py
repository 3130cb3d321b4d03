"""The expected cost of a supernet is the mean cost of its members, and what it is minimised by becomes cheap."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nas.choice import choices, one_of
from nas.data import Augmentation, Digits
from nas.evaluation.evaluator import Job, Task
from nas.operations.conv import Conv
from nas.operations.pooling import AvgPool
from nas.operations.separable import DilConv, SepConv
from nas.operations.skip import Skip
from nas.plain import read
from nas.profiling import profile
from nas.records import RecordError
from nas.space import decisions, enumerate_architectures
from nas.supernets.darts import Darts
from nas.supernets.expected_cost import Expectation, ExpectedCost
from nas.supernets.method import Method
from nas.supernets.pc_darts import PcDarts
from nas.supernets.proxyless import Proxyless
from nas.supernets.recipe import AlphasRecipe, SupernetSearch, WeightsRecipe
from nas.supernets.search import SupernetResult, label, search_supernet
from nas.supernets.snas import Snas
from nas.supernets.spos import Spos
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network
from nas.topology.residual import Residual
from search_spaces import darts, nasbench201

pytestmark = pytest.mark.usefixtures("one_thread")

INPUT = (1, 8, 8)


def blocks() -> Network:
    """Return a space of 24 networks: a block with a choice inside, an open kernel, and a depth."""
    inner = one_of("inner", [SepConv(3), DilConv(3)])
    block = one_of("block", [Conv(3), Residual(Conv(3), Skip()), Chain((inner, Conv(1)))])
    stages = (
        Stage(block, channels=8),
        Stage(SepConv(one_of("kernel", [3, 5])), channels=16, stride=2),
        Stage(Conv(1), one_of("depth", [1, 2, 4]), channels=16),
    )
    return Network(Stage(Conv(3, "none"), channels=8), stages, Classifier(10))


def expectation(tree: Any, method: Method, **settings: Any) -> Expectation:
    return ExpectedCost(1.0, **settings).of(tree, method, INPUT, label)


def drawn(tree: Any) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(len(each.options) + len(each.supernet_only), generator=generator).softmax(0)
        for name, each in choices(tree).items()
        if each.k is None
    }


@pytest.mark.parametrize("score", ["macs", "params", "activation_bytes"])
@pytest.mark.parametrize("method", [Snas(), Proxyless()], ids=repr)
def test_the_expected_cost_is_the_mean_cost_of_the_members(score: str, method: Method) -> None:
    tree = blocks()
    probabilities = drawn(tree)
    mean = 0.0
    for member in enumerate_architectures(tree):
        share = 1.0
        for name, decision in decisions(tree, member).items():
            share *= float(probabilities[name][decision])
        mean += share * getattr(profile(member, INPUT), score)
    assert float(expectation(tree, method, score=score)(probabilities)) == pytest.approx(mean, rel=1e-5)


def test_the_expected_cost_of_an_edge_is_that_of_its_operations_by_their_probabilities() -> None:
    space = nasbench201.nasbench201()
    network = nasbench201.network(space, 4, 1)
    probabilities = drawn(network)
    none = profile(
        nasbench201.network(nasbench201.from_string("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"), 4, 1), INPUT
    )
    # three cells of widths 4, 8 and 16 on maps of 8, 4 and 2 pixels: 16 * 64 = 64 * 16 = 256 * 4 products for each tap
    conv1 = 3 * 4 * 4 * 64
    by_hand = none.macs + sum(float(each[2] * conv1 + each[3] * 9 * conv1) for each in probabilities.values())
    assert float(expectation(network, Darts())(probabilities)) == pytest.approx(by_hand, rel=1e-6)


def test_gradients_are_those_of_finite_differences() -> None:
    tree = blocks()
    expected, probabilities = expectation(tree, Snas()), drawn(tree)
    names = list(probabilities)
    alphas = [probabilities[name].detach().double().log().requires_grad_() for name in names]

    def cost(*each: Tensor) -> Tensor:
        return expected({name: row.softmax(0) for name, row in zip(names, each, strict=True)}) / expected.reference

    assert torch.autograd.gradcheck(cost, alphas)


def test_weights_of_edges_count_and_edges_without_are_all_computed() -> None:
    network = darts.network(darts.darts(), 8, 3)
    every, two = expectation(network, Darts()), expectation(network, PcDarts(k=1))
    assert two.reference < every.reference, "two of up to five edges, each as probable"
    assert {"normal/5", "reduction/5"} <= {name for outer, _ in two.vectors for name, _ in outer}


def test_a_table_has_the_cost_of_each_option() -> None:
    network = nasbench201.network(nasbench201.nasbench201(), 4, 2)
    table = {"Zero": 0.0, "Skip": 0.0, "Conv 1": 1.0, "Conv 3": 3.0, "AvgPool 3": 0.5}
    expected, probabilities = expectation(network, Snas(), table=table), drawn(network)
    by_hand = 6 * sum(float(each @ torch.tensor([0, 0, 1, 3, 0.5])) for each in probabilities.values())
    assert float(expected(probabilities)) == pytest.approx(by_hand)
    assert expected.reference == pytest.approx(6 * 6 * 0.9)
    del table["AvgPool 3"]
    with pytest.raises(RecordError, match="no 'AvgPool 3': add it"):
        expectation(network, Snas(), table=table)


def test_a_method_without_alphas_has_no_expected_cost() -> None:
    with pytest.raises(RecordError, match="Spos has none"):
        SupernetSearch(Spos(), Digits(), cost=ExpectedCost(1.0))


@pytest.mark.parametrize("method", [Snas(), Proxyless(), Darts("exact")], ids=repr)
def test_with_a_large_weight_a_cheap_network_is_derived(method: Method, tmp_path: Path) -> None:
    stages = tuple(Stage(one_of(f"block{i}", [Conv(5), Conv(1), AvgPool(3)]), channels=4) for i in range(2))
    tree = Network(Stage(Conv(3, "none"), channels=4), stages, Classifier(10))
    declared = SupernetSearch(
        method,
        Digits(),
        epochs=2,
        weights=WeightsRecipe(batch=50, lr=0.1, augmentation=Augmentation(crop_pad=1)),
        alphas=AlphasRecipe(images=100, lr=0.3, beta1=0.0, weight_decay=0.0),
        images=200,
        cost=ExpectedCost(100.0),
    )
    task = Task(tree, lambda network: network, {}, INPUT)
    list(search_supernet(declared, tmp_path, True, task, Job(0, None, 7, None)))
    found: SupernetResult = read(
        json.loads((tmp_path / "0.json").read_text(encoding="utf-8")), "0.json", SupernetResult
    )
    assert set(decisions(tree, found.architecture).values()) == {2}, "poolings only"
    costs = [epoch.expected_cost for epoch in found.epochs]
    assert costs[0] is not None
    assert costs[1] is not None
    assert costs[1] < costs[0]
