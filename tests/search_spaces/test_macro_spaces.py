"""Macro spaces: what relaxes is a supernet whose paths are the closed networks; what does not says which choice."""

from __future__ import annotations

from inspect import signature
from random import Random
from typing import Any

import pytest
import torch
from torch import nn

import nas
from nas.building import BuildError
from nas.family import families
from nas.layers.activation import RELU
from nas.layers.conv import ConvNormAct
from nas.layers.pool import Pool
from nas.notation import notation
from nas.plain import read_call
from nas.records import RecordError
from nas.space import SpaceError, choices, one_of
from nas.supernets.darts import Darts
from nas.supernets.mixed import Mixed
from nas.supernets.spos import Spos
from nas.supernets.supernet import Supernet
from nas.topology.branches import Branches
from nas.topology.chain import Stage
from nas.topology.dense import Dense
from nas.topology.polynomial import Polynomial
from nas.topology.residual import Residual
from search_spaces.macro import macro, residual
from search_spaces.mobile import mobile
from search_spaces.resnet import basic, resnet_space

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGES = (3, 16, 16)
SMALL = {
    "layers": 3,
    "seeds": 2,
    "motifs": 2,
    "combinations": 2,
    "cells_per_stage": 1,
    "nodes": 5,
    "unary": ("identity", "sigmoid"),
    "depth": 1,
}
"""Arguments that make a supernet small, for the families that have them."""

LARGE = ("hierarchical", "nasnet", "randwire")
"""Families whose supernet takes seconds to build all the same."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LARGE)) for name in families()]
)
def test_a_space_relaxes_or_names_the_choice_that_does_not(name: str) -> None:
    found = families()[name]
    try:
        network = found.network(found.space(**known(found.space)), **known(found.network))
    except BuildError as error:
        pytest.skip(str(error))
    images = (found.input[0], 64, 64)
    with torch.device("meta"):
        try:
            supernet = Supernet(network, Darts(), images)
        except SpaceError as error:
            said = str(error)
        else:
            said = ""
            assert supernet(torch.randn(2, *images)).shape[0] == 2
    assert not said or ("does not relax" in said and any(repr(choice) in said for choice in choices(network)))


def known(function: Any) -> dict[str, Any]:
    """Return those of SMALL that a function takes."""
    return {name: value for name, value in SMALL.items() if name in signature(function).parameters}


RELAXED: dict[str, Any] = {
    "macro": macro(stages=2, widths=(8,), depths=(1, 2)),
    "mobile": mobile(widths=(8, 12), strides=(1, 2), depth=2, kernels=(3, 5)),
}


@pytest.mark.parametrize("name", RELAXED)
def test_macro_structures_relax_together(name: str) -> None:
    torch.manual_seed(0)
    space = RELAXED[name]
    supernet = Supernet(space, Darts(), IMAGES)
    supernet(torch.randn(4, *IMAGES)).square().mean().backward()
    assert all(weight.grad is not None for weight in supernet.policy.parameters())
    assert any(isinstance(part, Mixed) for part in supernet.model.modules())
    derived = Random(0)
    for _ in range(3):
        architecture = nas.sample(space, derived)
        supernet.take(space, architecture)
        nas.build(architecture, IMAGES)
        assert supernet(torch.randn(2, *IMAGES)).shape == (2, 10)


@pytest.mark.parametrize("name", RELAXED)
def test_a_path_of_a_supernet_is_the_closed_network(name: str) -> None:
    torch.manual_seed(0)
    space = RELAXED[name]
    supernet = Supernet(space, Spos(), IMAGES).double()
    for seed in range(3):
        architecture = nas.sample(space, Random(seed))
        supernet.take(space, architecture)
        closed = nas.build(architecture, IMAGES).double()
        x = torch.randn(4, *IMAGES, dtype=torch.float64)
        layers = [part for part in supernet.model.modules() if isinstance(part, nn.Conv2d | nn.Linear | nn.BatchNorm2d)]
        expected, used = supernet(x), _in_order(supernet, layers, x)
        theirs = [part for part in closed.modules() if isinstance(part, nn.Conv2d | nn.Linear | nn.BatchNorm2d)]
        assert [type(part) for part in used] == [type(part) for part in _in_order(closed, theirs, x)]
        for mine, other in zip(used, _in_order(closed, theirs, x), strict=True):
            for parameter, copied in zip(other.parameters(), mine.parameters(), strict=False):
                parameter.data.copy_(copied.data)
        assert torch.allclose(closed.train()(x), expected, atol=1e-9)


def _in_order(model: nn.Module, parts: list[nn.Module], x: torch.Tensor) -> list[nn.Module]:
    """Return the parts of a model in the order in which they run."""
    ran: list[nn.Module] = []
    hooks = [part.register_forward_hook(lambda part, inputs, output: ran.append(part)) for part in parts]
    model(x)
    for hook in hooks:
        hook.remove()
    return ran


@pytest.mark.parametrize(
    "space",
    [
        ConvNormAct(3, 8, activation=one_of("a", [RELU, None])),
        Residual(ConvNormAct(3, 8), activation=one_of("a", [RELU, None])),
        ConvNormAct((one_of("k", [3, 5]), 1), 8),
        Pool(one_of("k", [3, 5]), 1),
        Polynomial(one_of("b", [ConvNormAct(1), ConvNormAct(3)])),
    ],
    ids=["no activation", "no activation of a sum", "a side of a kernel", "pooling", "polynomial"],
)
def test_open_fields_relax(space: Any) -> None:
    supernet = Supernet(space, Darts(), (8, 16, 16))
    supernet(torch.randn(2, 8, 16, 16)).sum().backward()
    assert all(weight.grad is not None for weight in supernet.policy.parameters())


def test_every_structure_of_macro_is_drawn_and_keeps_what_it_is_asked_for() -> None:
    drawn = [nas.sample(macro(), Random(seed)) for seed in range(40)]
    texts = [notation(each) for each in drawn]
    for structure in ("residual", "dense", "branches"):
        assert any(structure in text for text in texts)
    assert any(not {"residual", "dense", "branches"} & set(text.replace("[", " ").split()) for text in texts)
    for each in drawn[:10]:
        widths = [stage.channels for stage in each.stages]
        outputs = [layer.output for layer in nas.profile(each, (3, 32, 32)).layers if layer.kind == "AdaptiveAvgPool2d"]
        assert outputs[-1][0] == widths[-1]


def test_macro_takes_operations_in_notation() -> None:
    space = macro(operations=("relu_conv3", "sep_conv5(repeats=1)"))
    assert choices(space)["stage1/operation"].arity == 2
    with pytest.raises(RecordError, match="names no node, 'sepconv5': did you mean 'sep_conv'"):
        macro(operations=("sepconv5",))


def test_a_depth_of_nothing_is_refused() -> None:
    with pytest.raises(RecordError, match=r"macro\.depths\[0\] is 0: give a number of at least 1"):
        read_call(macro, {"depths": [0, 1]}, "macro")
    with pytest.raises(RecordError, match="depths is empty: give at least one"):
        macro(depths=())
    with pytest.raises(RecordError, match=r"Stage.repeat is 0: give a number of at least 1; it is an option of Choice"):
        Supernet(Stage(ConvNormAct(3), one_of("d", [0, 1])), Darts(), IMAGES)


def test_strides_and_widths_of_mobile_go_together() -> None:
    with pytest.raises(RecordError, match="there are 1 strides and 3 widths: give one of each per stage"):
        mobile(strides=(1,))


def test_a_published_network_becomes_a_space_by_opening_a_choice() -> None:
    opened = resnet_space()
    assert nas.count(opened) == (4 * 4 * 3) ** 3
    block = nas.one_of("block", [basic(), residual(basic(), 1), Branches((basic(), basic())), Dense(basic(), 2)])
    assert nas.count(Residual(block)) == 4
