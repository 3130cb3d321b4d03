"""A path of a supernet is the network of its architecture: with every method, on every space that relaxes, in both forms."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from inspect import signature
from itertools import product
from random import Random
from typing import Any

import pytest
import torch
from methods import METHOD_CLASSES
from torch import Tensor, nn
from torch.nn import functional

from nas.building import BuildError, Node, Shape, Site, inputs_of, lift_choices
from nas.choice import Choice
from nas.family import Family, families
from nas.operations.conv import Conv
from nas.operations.pooling import AvgPool, MaxPool
from nas.operations.separable import DilConv, SepConv
from nas.operations.skip import Skip, Zero
from nas.records import record
from nas.space import SpaceError, decisions, one_of, sample, some_of
from nas.supernets.darts import Darts
from nas.supernets.grouped import group_cells
from nas.supernets.method import Method
from nas.supernets.supernet import Supernet
from nas.topology.cell import Cell, Edge
from nas.topology.chain import Chain, Stage
from nas.topology.dual_path import DualPath
from nas.topology.heads import Classifier
from nas.topology.network import Network
from nas.topology.residual import Residual


def as_scored(method: Method) -> Any:
    """Return a method as the last phase of its search has it, where paths are scored; half of the channels are partial."""
    last: Any = method.phases(76, 0)[-1].method
    return replace(last, k=2) if getattr(last, "k", 1) > 1 else last


METHODS = {name: as_scored(cls()) for name, cls in METHOD_CLASSES.items()}
CLASSES = 4

pytestmark = pytest.mark.usefixtures("one_thread")


@dataclass(frozen=True)
class Case:
    """A space, how it and its members become networks, and the shape of its images."""

    space: Any
    network: Callable[[Any], Node]
    input: Shape = (3, 8, 8)


# ------------------------------------------------------------------------------------------------------------ spaces


def cell_network(cell: Any, channels: int = 16) -> Network:
    """Stack a cell of one input at its width, and then strided at twice the width."""
    stages = Stage(cell, 1, channels), Stage(cell, 1, 2 * channels, 2)
    return Network(Stage(Conv(3, "none"), channels=channels), stages, Classifier(CLASSES))


def cell(*nodes: Any) -> Cell:
    return Cell(nodes, concat=(len(nodes),), reads=1, preprocess="always")


def nested_in_edges() -> Cell:
    """Return a cell whose edges offer a choice inside a chain, an open field, a cell and a depth."""

    def edge(source: int, name: str) -> Edge:
        inner = one_of(f"{name}/inner", [SepConv(3), DilConv(3), MaxPool(3)])
        graph = cell((Edge(0, one_of(f"{name}/graph", [Conv(1), Conv(3)])),))
        depth = Stage(Conv(1), one_of(f"{name}/depth", [1, 2]))
        options = Chain((inner, Conv(1))), SepConv(one_of(f"{name}/kernel", [3, 5])), graph, depth, Zero()
        return Edge(source, one_of(name, options))

    return cell((edge(0, "a"),), some_of("two of", 1, [edge(0, "b"), edge(1, "c")]))


def edges_that_share_a_choice() -> Cell:
    """Return a cell in which one decision holds for all edges of a node, another for one edge of two nodes."""
    shared = one_of("shared", [SepConv(3), Conv(1), MaxPool(3)])
    again = [one_of(f"again/{i}", [Conv(3), Skip()]) for i in range(3)]
    return cell(
        (Edge(0, shared),),
        some_of("first", 1, [Edge(0, shared), Edge(1, shared)]),
        some_of("second", 2, [Edge(i, again[i]) for i in range(3)]),
        some_of("third", 1, [Edge(i, again[i]) for i in range(3)]),
    )


def edges_without_choices() -> Cell:
    """Return a cell that decides which edges it has, and nothing else or little on them."""
    closed = [Edge(0, Conv(1)), Edge(0, AvgPool(3)), Edge(1, SepConv(3))]
    mixed = [Edge(0, Conv(3)), Edge(1, one_of("one", [Skip(), Conv(1)])), Edge(2, Skip())]
    return cell((Edge(0, Conv(3)),), some_of("closed", 2, closed), some_of("mixed", 2, mixed))


def blocks() -> Network:
    """Return a space without cells: blocks, choices inside them, open fields, depths, and a depth in a residual."""
    inner = one_of("inner", [SepConv(3), DilConv(3)])
    block = one_of("block", [Conv(3), Residual(Conv(3), Skip()), Chain((inner, Conv(1)))], supernet_only=[Zero()])
    deep = Residual(Stage(Conv(one_of("kernel", [1, 3])), one_of("depth", [1, 2, 3])), Skip())
    stages = Stage(block, 1, 24), Stage(SepConv(one_of("k", [3, 5]), one_of("n", [1, 2])), 1, 24, 2), Stage(deep, 1, 24)
    return Network(Stage(Conv(3, "none"), channels=24), stages, Classifier(CLASSES))


def whole_cells() -> Network:
    """Return a space that decides which cell of two inputs it stacks."""
    nodes = [((Edge(0, Conv(1)), Edge(1, one_of(f"{i}", [Conv(1), MaxPool(3)]))),) for i in range(2)]
    body = one_of("cell", [Cell(each, concat=(2,)) for each in nodes])
    return Network(Conv(3, "none"), (Stage(body, 2, 16), Stage(body, 1, 24, 2)), Classifier(CLASSES))


SMALL = {"channels": 16, "classes": CLASSES, "layers": 3, "cells_per_stage": 1, "combinations": 2, "kernels": (3, 5)}
SMALLER: dict[str, dict[str, Any]] = {
    "activation": {"unary": ("abs", "sin"), "binary": ("add", "max"), "depth": 1},
    "hierarchical": {"primitives": ("conv1", "dw3", "avg3", "none"), "motifs": 2},
    "macro": {"widths": (16,), "stages": 2, "depths": (1, 2)},
    "mobile": {"widths": (16, 32), "strides": (1, 2), "depth": 2},
    "nasnet": {"operations": ("none", "sep3", "avg3", "max3")},
    "randwire": {"nodes": 5, "seeds": 2},
}


def small(function: Callable[..., Any], name: str) -> dict[str, Any]:
    """Return the arguments that make a space or its networks small, as far as the function takes them."""
    known = {**SMALL, **SMALLER.get(name, {})}
    return {key: known[key] for key in signature(function).parameters if key in known}


def relaxing() -> Iterator[tuple[str, Case]]:
    """Yield the families whose space, as it is, becomes a supernet."""
    for name, family in families().items():
        try:
            space = family.space(**small(family.space, name))
            network = network_of(family, name)
            with torch.device("meta"):
                Supernet(network(space), Darts(), (3, 16, 16))
        except (SpaceError, BuildError):
            continue  # an open width, mostly
        yield name, Case(space, network, (3, 16, 16) if name in ("randwire", "activation") else (3, 8, 8))


def network_of(family: Family, name: str) -> Callable[[Any], Node]:
    return lambda member: family.network(member, **small(family.network, name))


CASES = {
    **dict(relaxing()),
    "nested in edges": Case(nested_in_edges(), cell_network),
    "edges that share a choice": Case(edges_that_share_a_choice(), cell_network),
    "edges without choices": Case(edges_without_choices(), cell_network),
    "blocks": Case(blocks(), lambda network: network),
    "whole cells": Case(whole_cells(), lambda network: network),
}


# ------------------------------------------------------------------------------------------------------------ by hand


@record
class Part(Node):
    """Put an operation on the first 1/k of the channels, if it keeps their number; the others bypass it."""

    node: Node
    k: int

    @property
    def inputs(self) -> int:
        return inputs_of(self.node)

    def build(self, site: Site) -> nn.Module:
        part = site.shape[0] // self.k
        inner = site.put((part, *site.shape[1:]), part, site.stride)
        keeps = [each.output(self.node) == Node.shape(self, each) for each in (site, inner)]
        if self.inputs > 1 or site.shape[0] != site.channels or not all(keeps):
            return site.build(self.node)
        return _Part(inner.build(self.node), self.k, site.stride)

    def shape(self, site: Site) -> Shape:
        return site.output(self.node)


class _Part(nn.Module):
    def __init__(self, operation: nn.Module, k: int, stride: int) -> None:
        super().__init__()
        self.operation, self.k, self.stride = operation, k, stride

    def forward(self, x: Tensor) -> Tensor:
        first, *others = x.chunk(self.k, 1)
        if self.stride > 1:
            others = [functional.max_pool2d(each, self.stride, self.stride, ceil_mode=True) for each in others]
        return torch.stack([self.operation(first), *others], 2).flatten(1, 2)  # channels of the parts take turns


def closed(tree: Any, taken: Mapping[str, int], k: int) -> Any:
    """Return what decisions make of an open tree where it differs from a closed one: operations have their part, and a cell
    that concatenates what no edge reads has all that any edge may leave."""
    tree = lift_choices(tree)
    if isinstance(tree, Choice):
        picked = tuple(closed(tree.options[i], taken, k) for i in tree.picked(taken[tree.name]))
        if tree.k is not None:
            return picked
        return Part(picked[0], k) if k > 1 and isinstance(picked[0], Node) else picked[0]
    if isinstance(tree, tuple):
        return tuple(closed(each, taken, k) for each in tree)
    if not is_dataclass(tree):
        return tree
    node: Any = tree
    parts = {each.name: closed(getattr(node, each.name), taken, k) for each in fields(node)}
    if isinstance(node, Cell):
        parts["concat"] = node.concatenated()
    return replace(node, **parts)


def network_of_path(case: Case, method: Method, architecture: Any) -> Node:
    """Return the network that a path computes: that of the architecture, but for what `closed` says."""
    k, network = getattr(method, "k", 1), case.network(architecture)
    tree: Node = closed(case.network(case.space), decisions(case.space, architecture), k)
    if k == 1 and "concat=None" not in repr(network):
        assert tree == network
    return tree


def built(tree: Node, input: Shape) -> nn.Module:
    """Build a network that normalises by the batch, behind poolings too, and drops nothing: as the path of a supernet."""

    def watch(module: nn.Module, node: Node, site: Site) -> None:
        if isinstance(node, AvgPool | MaxPool):
            pool = module[0] if isinstance(module, nn.Sequential) else module
            pool.register_forward_hook(lambda _, inputs, y: functional.batch_norm(y, None, None, training=True))

    model = Site(input, channels=input[0], watch=watch).build(tree).double().eval()
    for module in model.modules():
        module.train(isinstance(module, nn.BatchNorm2d))
    return model


def weights_in_order(model: nn.Module, x: Tensor) -> list[Tensor]:
    """Return all weights that a forward pass uses, but those of norms, which are as they begin, in the order of their use."""
    seen: dict[nn.Module, list[Tensor]] = {}

    def note(module: nn.Module, _: Any) -> None:
        lists = [child for child in module.children() if isinstance(child, nn.ParameterList)]
        seen.setdefault(module, [*module.parameters(recurse=False), *(each for one in lists for each in one)])

    parts = [each for each in model.modules() if not isinstance(each, nn.BatchNorm2d)]
    hooks = [each.register_forward_pre_hook(note) for each in parts]
    with torch.no_grad():
        model(x)
    for hook in hooks:
        hook.remove()
    return [weight for weights in seen.values() for weight in weights]


def supernets(method: Any, case: Case) -> list[Supernet]:
    """Return a supernet, plain and, where the method allows it, with its cells in groups."""
    torch.manual_seed(0)
    plain = Supernet(case.network(case.space), method, case.input).double().eval()
    for parameter in plain.policy.parameters():
        nn.init.normal_(parameter)  # so that a path that counts them is another one
    if not method.mixes_all:
        return [plain]
    in_groups = copy.deepcopy(plain)
    group_cells(in_groups.model)
    return [plain, in_groups]


QUICK_METHODS = {"Darts", "PcDarts", "Spos"}
QUICK_CASES = ("nasbench201", "nested in edges", "blocks")
LONG_CASE = "fairdarts"
QUICK = {
    *product(QUICK_CASES, METHODS),
    *((case, name) for case in CASES for name in QUICK_METHODS if case != LONG_CASE),
}
"""Of the matrix the normal run has these methods on all spaces but one, and all methods on these spaces."""

MATRIX = [
    pytest.param(name, case, marks=[] if (case, name) in QUICK else [pytest.mark.slow])
    for name in METHODS
    for case in CASES
]


@pytest.mark.parametrize(("name", "case"), MATRIX)
def test_a_path_is_the_network_of_its_architecture(name: str, case: str) -> None:
    made, method, seed = CASES[case], METHODS[name], list(METHODS).index(name)
    nets, architecture = supernets(method, made), sample(made.space, Random(seed))
    x = torch.randn(3, *made.input, generator=torch.Generator().manual_seed(seed)).double()
    alone = built(network_of_path(made, method, architecture), made.input)
    for net in nets:
        net.take(made.space, architecture)
    own, theirs = weights_in_order(alone, x), weights_in_order(nets[0], x)
    assert [each.shape for each in own] == [each.shape for each in theirs], "the path computes what the network does"
    with torch.no_grad():
        for weight, other in zip(own, theirs, strict=True):
            weight.copy_(other)
        for net in nets:
            torch.testing.assert_close(net(x), alone(x))


def test_every_kind_of_space_is_tested() -> None:
    assert {"darts", "nasbench201", "nasnet", "hierarchical", "macro", "mobile", "randwire"} <= CASES.keys()


def test_a_path_needs_every_decision_of_the_network() -> None:
    """A supernet with a depth beside the cell is given a cell alone: what is not decided would be computed as nothing."""
    space = CASES["nasbench201"].space
    deep = Stage(space, one_of("depth", [1, 2]), 4)
    net = Supernet(Network(Conv(3, "none"), (deep,), Classifier(CLASSES)), Darts(), (3, 8, 8))
    with pytest.raises(SpaceError, match="choice 'depth' of the supernet is not decided by this architecture"):
        net.take(space, sample(space, Random(0)))
    whole = Network(Conv(3, "none"), (deep,), Classifier(CLASSES))
    net.take(whole, sample(whole, Random(0)))


def test_a_depth_that_changes_the_width_does_not_relax() -> None:
    appending = Stage(DualPath(Conv(3), 4), one_of("depth", [1, 2]), 16)
    network = Network(Conv(3, "none"), (Stage(Conv(3), channels=16), appending), Classifier(CLASSES))
    with pytest.raises(SpaceError, match=r"'depth' does not relax: its options give \(20, 8, 8\) and \(24, 8, 8\)"):
        Supernet(network, Darts(), (3, 8, 8))
