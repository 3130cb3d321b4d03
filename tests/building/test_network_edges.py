"""Networks at their edges: odd sizes, even kernels, sides that differ, states that are none."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import nas
from nas.building import BuildError, Site
from nas.operations.conv import AsymmetricConv, Conv
from nas.operations.pooling import AvgPool, MaxPool
from nas.operations.separable import DilConv, SepConv
from nas.operations.skip import Skip
from nas.topology.cell import Cell, Edge
from nas.topology.chain import Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network
from nas.topology.residual import Residual
from search_spaces import nasbench201

pytestmark = pytest.mark.usefixtures("own_records")


def network_of(*nodes: Any, channels: int | None = None, input_channels: int = 16) -> Network:
    """Return a network with a stage of each node; only the last has `channels`."""
    *first, last = nodes
    stages = (*map(Stage, first), Stage(last, channels=channels))
    return Network(Stage(Conv(3), channels=input_channels), stages, Classifier(10))


def test_every_stage_without_channels_keeps_the_width_that_comes_in() -> None:
    layers = nas.profile(network_of(SepConv(3), Conv(3), SepConv(5), channels=24, input_channels=20)).layers
    last_of = {int(layer.name.split(".")[1]): layer.output[0] for layer in layers if layer.name.startswith("layers.")}
    assert last_of == {0: 20, 1: 20, 2: 24}


@pytest.mark.parametrize("pool", [MaxPool(2), AvgPool(2)], ids=["max", "average"])
@pytest.mark.parametrize("size", [5, 7, 31, 32])
def test_a_pooling_of_2_rounds_odd_sizes_up_as_its_shape_says(pool: Any, size: int) -> None:
    site = Site((4, size, size + 2), 4, stride=2)
    out = pool.build(site)(torch.ones(2, 4, size, size + 2))
    assert tuple(out.shape[1:]) == pool.shape(site) == (4, (size + 1) // 2, (size + 3) // 2)
    assert out.eq(1).all(), "what lies outside does not count"


@pytest.mark.parametrize("name", nasbench201.family.published)
@pytest.mark.parametrize("size", [30, 31, 33])
def test_networks_of_nasbench201_stand_on_images_of_any_size(name: str, size: int) -> None:
    network = nasbench201.network(nasbench201.family.published[name], cells_per_stage=1)
    last = [layer for layer in nas.profile(network, (3, size, size)).layers if len(layer.output) == 3]
    assert {layer.output[1:] for layer in last} >= {(size, size), (8, 8) if size < 33 else (9, 9)}


EVEN = [Conv(2), Conv(4, bottleneck=4), AsymmetricConv(4), SepConv(2), DilConv(4)]


@pytest.mark.parametrize("operation", EVEN, ids=str)
def test_an_even_convolution_is_refused(operation: Any) -> None:
    with pytest.raises(BuildError, match="does not keep the size: give odd kernels"):
        nas.build(network_of(operation))


@pytest.mark.parametrize("pool", [MaxPool(2), AvgPool(4)], ids=str)
def test_an_even_pooling_that_is_not_strided_is_refused(pool: Any) -> None:
    with pytest.raises(BuildError, match="needs stride 2, not 1: give an odd kernel"):
        nas.build(network_of(pool))


BODIES = [Stage(Conv(3), channels=24), Stage(Conv(3), stride=2)]


@pytest.mark.parametrize("residual", [*(Residual(Skip(), body) for body in BODIES), Residual(Conv(3, padding="valid"))])
def test_a_residual_whose_sides_differ_is_refused(residual: Any) -> None:
    with pytest.raises(BuildError, match=r"the body of a residual gives \(.*\) and the shortcut \(.*\): make them"):
        nas.build(network_of(residual))


@pytest.mark.parametrize("body", BODIES, ids=["width", "size"])
def test_a_shortcut_takes_the_shape_of_the_body(body: Any) -> None:
    nas.build(network_of(Residual(body)))(torch.randn(2, 3, 16, 16))


@pytest.mark.parametrize("concat", [(3,), (2, -1), (0, 7)])
def test_a_state_that_is_none_cannot_be_concatenated(concat: tuple[int, ...]) -> None:
    with pytest.raises(BuildError, match=r"the cell concatenates state -?\d: give one from 0 to 2"):
        Cell(((Edge(0, Skip()), Edge(1, Skip())),), concat=concat)


def test_a_node_without_edges_is_refused() -> None:
    with pytest.raises(BuildError, match="node 1 of the cell has no edges: give it at least one"):
        Cell(((Edge(0, Skip()),), ()), concat=(2, 3))
