"""Morphisms: a grown network computes what its parent computes, and everything new in it can learn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.building import Node, build
from nas.layers.activation import Activation
from nas.layers.attention import SqueezeExcite
from nas.layers.conv import ConvNormAct, LayerScale, Normalize
from nas.morphisms import Inheritance, inherit
from nas.operations.conv import Conv
from nas.operations.mbconv import MBConv
from nas.operations.separable import DilConv
from nas.operations.skip import Skip, Zero
from nas.records import import_all, record_classes
from nas.space import first_member, sample
from nas.strategies.hill_climb import grown
from nas.topology.branches import Branches
from nas.topology.cell import Cell, Edge
from nas.topology.chain import Chain, Stage
from nas.topology.dense import Dense
from nas.topology.heads import Classifier, FullyConnected
from nas.topology.network import Network
from nas.topology.residual import Residual
from search_spaces.growing import growing

IMAGE = (3, 8, 8)

import_all("nas.operations")
OPERATIONS = {name: cls() for name, cls in record_classes(Node).items() if cls.__module__.startswith("nas.operations.")}


def stacked(*nodes: Node, head: Node | None = None) -> Network:
    return Network(ConvNormAct(3, 8), nodes, head or Classifier(4))


def layer(kernel: int = 3, skip: bool = False) -> Node:
    conv = ConvNormAct(kernel)
    return Residual(conv, Chain((Skip("projection"), LayerScale(0.0)))) if skip else conv


def trained(network: Node) -> nn.Module:
    """Return a network whose norms have seen images: their statistics and weights are no longer those of the beginning."""
    torch.manual_seed(1)
    model = build(network, IMAGE)
    with torch.no_grad():
        for _ in range(3):
            model(torch.randn(16, *IMAGE))
        for part in model.modules():
            if isinstance(part, nn.BatchNorm2d) and part.affine:
                part.weight.uniform_(0.5, 1.5)
                part.bias.uniform_(-0.2, 0.2)
    return model


def inherited(network: Node, parent: Node, images: Tensor | None = None) -> Inheritance:
    weights = trained(parent).state_dict()
    torch.manual_seed(2)
    return inherit(network, parent, weights, IMAGE, images)


# ---------------------------------------------------------------------------------------------- operations, enumerated

NO_MORPHISM = {
    "widen": {
        "AttentionConv": "its heads share the width among them",
        "SelectiveKernel": "its softmax runs over paths of the whole width",
        "ShiftConv": "the direction of a channel's shift depends on their number",
    },
    "enlarge": {
        "AvgPool": "its weights are fixed",
        "MaxPool": "its weights are fixed",
        "ShiftConv": "its kernel is the length of its shifts",
    },
    "add": {
        "AvgPool": "it has no weights that could be zero",
        "MaxPool": "it has no weights that could be zero",
        "MBConv": "its own shortcut cannot be zero",
        "SelectiveKernel": "it ends in a sum without weights",
        "Skip": "it has no weights that could be zero",
    },
    "insert": {
        **dict.fromkeys(("AsymmetricConv", "Conv", "DilConv", "SepConv"), "it begins with a ReLU"),
        "AttentionConv": "a part of its channels is attention",
        "AvgPool": "its weights are fixed",
        "MaxPool": "its weights are fixed",
        "SelectiveKernel": "its softmax weighs its paths",
        "ShiftConv": "it shifts",
    },
}
"""The operations that have no morphism of a kind, each with the reason; every other one, also a new one, has it."""


def widened(operation: Node) -> tuple[Node, Node]:
    narrow, wide = (
        Network(ConvNormAct(3, width), (Stage(operation, 2, width), Stage(operation, 1, 2 * width, 2)), Classifier(4))
        for width in (8, 12)
    )
    return narrow, wide


def enlarged(operation: Node) -> tuple[Node, Node]:
    kernel = operation.kernel  # type: ignore[attr-defined]
    return stacked(Stage(operation, channels=12)), stacked(Stage(replace(operation, kernel=kernel + 2), channels=12))


def added(operation: Node) -> tuple[Node, Node]:
    """Return a network, and one in which the operation takes the place of a zero."""
    without, having = (
        stacked(Stage(Cell(((Edge(0, Conv(3)), Edge(0, each)),), (1,), 1, "never"), channels=8))
        for each in (Zero(), operation)
    )
    return without, having


def inserted(operation: Node) -> tuple[Node, Node]:
    norm = Normalize(activation=None)
    return stacked(norm, Stage(operation), norm), stacked(norm, Stage(operation, 2), norm)


GROWTHS = {"widen": widened, "enlarge": enlarged, "add": added, "insert": inserted}


def cases() -> Iterator[Any]:
    for kind in GROWTHS:
        for name, operation in OPERATIONS.items():
            if kind != "enlarge" or "kernel" in {field.name for field in fields(operation)}:  # type: ignore[arg-type]
                yield pytest.param(kind, name, id=f"{kind} {name}")


@pytest.mark.parametrize(("kind", "name"), list(cases()))
def test_every_operation_keeps_the_function_or_is_listed(kind: str, name: str) -> None:
    parent, network = GROWTHS[kind](OPERATIONS[name])
    kept = inherited(network, parent)
    assert kept.keeps_function == (name not in NO_MORPHISM[kind]), (kept.difference, NO_MORPHISM[kind].get(name))


# ---------------------------------------------------------------------------------------------- structures


def residual(ratio: float = 1.0) -> Node:
    return Residual(
        Chain((ConvNormAct(3, ratio=ratio), ConvNormAct(3, activation=None))), activation=Activation("relu")
    )


def dense(growth: int, repeat: int) -> Node:
    return stacked(Dense(ConvNormAct(3, order="pre"), repeat, growth), ConvNormAct(3, 16))


EXCITED = Chain((ConvNormAct(3), SqueezeExcite(2)))
BOTH = Branches((ConvNormAct(3, 8), ConvNormAct(5, 8)))
GROWN = {
    "a kernel": (stacked(layer()), stacked(layer(5))),
    "a dilated kernel as a larger one": (stacked(ConvNormAct(3, dilation=2)), stacked(layer(5))),
    "a skip": (stacked(layer()), stacked(layer(skip=True))),
    "a kernel under a new skip": (stacked(layer()), stacked(layer(7, skip=True))),
    "a deeper stage": (stacked(Stage(layer(), 1, 8), layer()), stacked(Stage(layer(), 3, 8), layer())),
    "deeper, wider, larger, with skips": (
        stacked(Stage(layer(), 1, 8), Stage(layer(), 2, 16, 2)),
        stacked(Stage(layer(5, True), 2, 12), Stage(layer(5, True), 3, 40, 2)),
    ),
    "residual blocks": (stacked(Stage(residual(), 2, 8)), stacked(Stage(residual(), 4, 8))),
    "wider residual blocks": (
        stacked(Stage(residual(), 2, 8), Stage(residual(), 2, 16, 2)),
        stacked(Stage(residual(2.0), 2, 12), Stage(residual(2.0), 2, 32, 2)),
    ),
    "mobile blocks": (stacked(Stage(MBConv(3), 1, 8)), stacked(Stage(MBConv(5, expansion=8.0), 1, 8))),
    "an inception path": (stacked(BOTH, layer()), stacked(Branches((*BOTH.paths, ConvNormAct(1, 4))), layer())),
    "a wider first path": (
        stacked(BOTH, layer()),
        stacked(Branches((ConvNormAct(3, 12), ConvNormAct(5, 8))), layer()),
    ),
    "an added path": (
        stacked(Branches((Conv(3), Conv(5)), "add")),
        stacked(Branches((Conv(3), Conv(5), DilConv()), "add")),
    ),
    "dense growth": (dense(4, 3), dense(6, 3)),
    "dense layers": (dense(4, 3), dense(4, 5)),
    "excitation": (stacked(Stage(EXCITED, 2, 8)), stacked(Stage(EXCITED, 2, 12))),
    "a flat head": (
        stacked(Stage(layer(), 1, 8), head=FullyConnected(4, (16,))),
        stacked(Stage(layer(), 2, 12), head=FullyConnected(4, (24,))),
    ),
    "an edge of a cell": (
        stacked(Stage(Cell(((Edge(0, Conv(3)),),), (1,), 1, "never"), channels=8)),
        stacked(Stage(Cell(((Edge(0, Conv(3)), Edge(0, Conv(5))),), (1,), 1, "never"), channels=8)),
    ),
}


@pytest.mark.parametrize("name", GROWN)
def test_a_grown_network_computes_the_same(name: str) -> None:
    parent, network = GROWN[name]
    made = inherited(network, parent)
    assert made.keeps_function, made.difference
    assert 0 < made.inherited_percent <= 100


@pytest.mark.parametrize("name", GROWN)
def test_what_is_new_can_learn(name: str) -> None:
    parent, network = GROWN[name]
    made = inherited(network, parent, torch.randn(16, *IMAGE))
    made.model.train()
    optimizer = torch.optim.SGD(made.model.parameters(), 0.05)
    moved = {key: torch.zeros_like(weight) for key, weight in made.model.named_parameters()}
    # a second step, since behind a zero nothing learns in the first
    for _ in range(2):
        optimizer.zero_grad()
        nn.functional.cross_entropy(made.model(torch.randn(16, *IMAGE)), torch.arange(16) % 4).backward()
        for key, weight in made.model.named_parameters():
            assert weight.grad is not None
            moved[key] += weight.grad.abs()
        optimizer.step()
    assert all(bool(each.sum() > 0) for each in moved.values()), [key for key, each in moved.items() if not each.sum()]


def test_an_equal_network_takes_everything() -> None:
    network = stacked(Stage(residual(), 2, 8), Stage(EXCITED, 1, 16, 2))
    made = inherited(network, network)
    assert made.inherited_percent == 100
    assert made.difference == 0.0
    assert made.model.training


def test_a_smaller_network_takes_what_fits_and_says_that_it_differs() -> None:
    made = inherited(stacked(Stage(layer(), 1, 8)), stacked(Stage(layer(5), 3, 16)))
    assert not made.keeps_function
    assert made.inherited_percent > 50


def test_with_images_new_layers_keep_the_function_in_training_too() -> None:
    parent, network = stacked(Stage(layer(), 1, 8), layer()), stacked(Stage(layer(), 3, 8), layer())
    images = torch.randn(32, *IMAGE)
    model = trained(parent)
    kept = inherited(network, parent, images).model
    lost = inherited(network, parent).model
    with torch.no_grad():
        expected = model.train()(images)
        assert (kept.train()(images) - expected).abs().max() < 1e-4 * expected.abs().max()
        assert (lost.train()(images) - expected).abs().max() > 0.02 * expected.abs().max()


@pytest.mark.parametrize("seed", range(4))
def test_every_step_of_the_growing_space_is_a_morphism(seed: int) -> None:
    space, rng = growing(), Random(seed)
    parent = first_member(space)
    for changes in (1, 2, 1, 5, 3):
        child = parent
        for _ in range(changes):
            child = grown(space, child, rng)
        made = inherited(child, parent)
        assert made.keeps_function, made.difference
        parent = child


def test_any_member_inherits_from_any_other() -> None:
    space, rng = growing(stages=2, depth=3), Random(0)
    for _ in range(6):
        made = inherited(sample(space, rng), sample(space, rng))
        assert all(bool(weight.isfinite().all()) for weight in made.model.state_dict().values())
