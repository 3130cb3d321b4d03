"""A store of elastic weights: the largest tensors of a space, and each architecture computes with slices of them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.building import Node, Shape, build
from nas.layers.conv import ConvNormAct
from nas.layers.pool import Pool
from nas.operations.mbconv import MBConv
from nas.operations.skip import Skip
from nas.space import SpaceError, first_member, one_of, resolve, sample
from nas.supernets.coverage import Coverage
from nas.supernets.elastic import ElasticStore
from nas.topology.branches import Branches
from nas.topology.chain import Chain, Stage
from nas.topology.dense import Dense
from nas.topology.heads import Classifier, FullyConnected
from nas.topology.network import Network
from nas.topology.residual import Residual
from search_spaces.growing import growing
from search_spaces.macro import macro
from search_spaces.mobile import mobile
from search_spaces.nats_size import nats_size
from search_spaces.resnet import basic, bottleneck

pytestmark = pytest.mark.usefixtures("one_thread")

INPUT: Shape = (3, 8, 8)
WIDTHS, STEM, HEAD = (4, 6, 8), ConvNormAct(3, 4), Classifier(4)


def widened(body: Any) -> Network:
    """Return a space with the body at an open width, which another convolution reads."""
    return Network(STEM, (Stage(body, channels=one_of("width", WIDTHS)), Stage(ConvNormAct(3), channels=6)), HEAD)


def residual() -> Network:
    """Return a space of residual networks with open widths and depths."""
    stages = (
        Stage(block, one_of(f"depth{i}", (1, 2)), one_of(f"width{i}", (8, 12)), 1 + i)
        for i, block in enumerate((basic(), bottleneck()))
    )
    return Network(STEM, tuple(stages), HEAD)


DENSE = one_of("depth", [Chain((Dense(ConvNormAct(3), depth, ratio=0.5), ConvNormAct(1))) for depth in (1, 2, 3)])
INCEPTION = Branches((ConvNormAct(1), Chain((ConvNormAct(1), ConvNormAct(one_of("kernel", (3, 5))))), Pool(3, 1)))
SHUFFLED = Chain((ConvNormAct(3), Branches((Skip(), ConvNormAct(3)), split=True)))
OF_SIZES = {
    "mobile": mobile((8, 12), (1, 2), depth=2, kernels=(3, 5), last=16, classes=4),
    "residual": residual(),
    "dense": widened(DENSE),
    "inception": widened(Stage(INCEPTION, one_of("repeat", (1, 2)))),
    "groups of one width": widened(Chain((ConvNormAct(1), ConvNormAct(3, group_width=2)))),
    "depthwise": widened(
        Chain((ConvNormAct(1), ConvNormAct(one_of("kernel", (3, 5)), groups="depthwise"), ConvNormAct(1)))
    ),
    "split": widened(SHUFFLED),
}
"""Spaces whose largest architecture uses the whole store."""
SPACES = {
    **OF_SIZES,
    "growing": growing(stages=2, widths=(4, 6), depth=2, kernels=(3, 5), classes=4),
    "nats_size": nats_size(4),
    "macro": macro(1, (8, 12), (1, 2), ("conv3", "sep_conv3(repeats=1)"), classes=4),
}

SLOW = ("mobile", "nats_size", "macro", "growing", "residual")
CASES = [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in SPACES]


def store_of(space: Node, seed: int = 0) -> ElasticStore:
    """Return a store with random statistics of norms too, in float64."""
    torch.manual_seed(seed)
    store = ElasticStore(space, lambda architecture: architecture, INPUT).double()
    for name, buffer in store.named_buffers():
        if buffer.is_floating_point():
            buffer.copy_(torch.rand_like(buffer) + ("var" in name))
    return store.eval()


def images() -> Tensor:
    return torch.randn(4, *INPUT, dtype=torch.double, generator=torch.Generator().manual_seed(1))


def closed(architecture: Node, tensors: Mapping[str, Tensor]) -> nn.Module:
    """Return the ordinary network of an architecture with these tensors."""
    model = build(architecture, INPUT).double().eval()
    model.load_state_dict({name: each.detach().clone() for name, each in tensors.items()}, strict=True)
    return model


def members(space: Node, number: int = 4) -> list[Node]:
    return [first_member(space), *(sample(space, Random(seed)) for seed in range(number))]


@pytest.mark.parametrize("name", [case for case in CASES if case.values[0] in OF_SIZES])
def test_the_largest_architecture_is_the_whole_store(name: str) -> None:
    torch.manual_seed(3)
    store = ElasticStore(OF_SIZES[name], lambda architecture: architecture, INPUT).eval()
    tensors = store.tensors(store.largest)
    assert sorted(each.data_ptr() for each in tensors.values()) == sorted(
        each.data_ptr() for each in (*store.parameters(), *store.buffers())
    )
    plain = build(store.largest, INPUT).eval()
    plain.load_state_dict(tensors)
    x = images().float()
    assert torch.equal(store(x, store.largest), plain(x))
    weights = sum(each.numel() for each in plain.parameters())
    assert all(
        sum(each.numel() for each in build(one, INPUT).parameters()) <= weights for one in members(OF_SIZES[name])
    )


@pytest.mark.parametrize("name", CASES)
def test_an_architecture_computes_what_its_network_with_copied_slices_does(name: str) -> None:
    store, x = store_of(SPACES[name]), images()
    for member in members(SPACES[name]):
        expected = closed(member, store.tensors(member))(x)
        torch.testing.assert_close(store(x, member), expected, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(store.take_out(member)(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_those_of_the_network_and_zero_outside(name: str) -> None:
    store, x = store_of(SPACES[name]).train(), images()
    for member in members(SPACES[name], 2):
        plain = closed(member, store.tensors(member)).train()
        plain(x).square().sum().backward()
        store.zero_grad()
        store(x, member).square().sum().backward()
        # numbers in place of the weights tell where in the store each weight is
        numbered, gradients = copy.deepcopy(store), dict(plain.named_parameters())
        first = 0
        with torch.no_grad():
            for number in numbered.parameters():
                number.copy_(torch.arange(first, first := first + number.numel()).view(number.shape))
        expected = torch.zeros(first, dtype=torch.double)
        for key, each in numbered.tensors(member).items():
            if key in gradients and (gradient := gradients[key].grad) is not None:
                expected[each.detach().flatten().long()] = gradient.flatten()
        found = [torch.zeros_like(each) if each.grad is None else each.grad for each in store.parameters()]
        torch.testing.assert_close(torch.cat([each.flatten() for each in found]), expected, rtol=1e-10, atol=1e-12)


def weight(tensors: Mapping[str, Tensor], name: str) -> Any:
    return tensors[name].detach().numpy()


def test_first_channels_and_the_middle_of_the_kernel() -> None:
    body = Chain((ConvNormAct(1), ConvNormAct(one_of("kernel", (3, 5)))))
    store = store_of(widened(body))
    whole = store.tensors(store.largest)
    small = store.tensors(first_member(widened(body)))
    assert (weight(small, "layers.0.1.0.weight") == weight(whole, "layers.0.1.0.weight")[:4, :4, 1:4, 1:4]).all()
    assert (weight(small, "layers.0.1.1.running_var") == weight(whole, "layers.0.1.1.running_var")[:4]).all()
    assert (weight(small, "layers.1.0.weight") == weight(whole, "layers.1.0.weight")[:, :4]).all()


def test_each_part_of_a_concatenation_is_sliced_where_it_stands() -> None:
    body = Branches((ConvNormAct(1), ConvNormAct(3)))
    store = store_of(widened(body))
    whole = store.tensors(store.largest)
    for width in WIDTHS:
        tensors = store.tensors(resolve(widened(body), lambda choice, width=width: WIDTHS.index(width)))  # type: ignore[misc]
        columns = [*range(width // 2), *range(4, 4 + width // 2)]
        assert (weight(tensors, "layers.1.0.weight") == weight(whole, "layers.1.0.weight")[:, columns]).all()


def test_a_dense_layer_reads_the_input_and_the_layers_before_it_where_they_stand() -> None:
    space = widened(DENSE)
    store = store_of(space)
    assert store.largest == resolve(space, lambda choice: 2)
    whole = weight(store.tensors(store.largest), "layers.0.1.0.weight")
    assert whole.shape[1] == 4 + 3 * 4
    tensors = store.tensors(resolve(space, lambda choice: {"depth": 1, "width": 0}[choice.name]))
    # width 4 and growth 2: the stem's channels, then the first two of each of two layers with four
    assert (weight(tensors, "layers.0.1.0.weight") == whole[:4, [0, 1, 2, 3, 4, 5, 8, 9]]).all()


def test_flattened_pixels_belong_to_their_channels() -> None:
    space = Network(STEM, (Stage(ConvNormAct(3), channels=one_of("width", (2, 4)), stride=4),), FullyConnected(3, ()))
    store = store_of(space)
    small = store.tensors(first_member(space))
    name = next(name for name, each in small.items() if name.startswith("head") and each.dim() == 2)
    assert (weight(small, name) == weight(store.tensors(store.largest), name)[:, : 2 * 2 * 2]).all()


def test_a_shortcut_and_other_layers_before_it_leave_a_block_its_weights() -> None:
    conv = ConvNormAct(3)
    chains = [Chain((conv,)), Chain((conv, Residual(conv, Skip()))), Chain((conv, conv))]
    space = Network(STEM, (one_of("body", chains), Stage(conv, one_of("depth", (1, 2)), 4)), HEAD)
    store = store_of(space)
    taken = [store.tensors(resolve(space, lambda choice, i=i: i if choice.name == "body" else 1)) for i in range(3)]  # type: ignore[misc]
    assert torch.equal(taken[1]["layers.0.1.body.0.weight"], taken[2]["layers.0.1.0.weight"])
    assert torch.equal(taken[0]["layers.2.0.weight"], taken[2]["layers.2.0.weight"])


def test_other_operations_have_weights_of_their_own() -> None:
    options = (ConvNormAct(3), ConvNormAct(3, groups="depthwise"), MBConv(3, 2.0), MBConv(3, 1.0))
    space = Network(STEM, (Stage(one_of("operation", options), channels=4),), HEAD)
    store = store_of(space)
    taken = [store.tensors(resolve(space, lambda choice, i=i: i)) for i in range(4)]  # type: ignore[misc]
    used = [{each.data_ptr() for name, each in tensors.items() if name.startswith("layers")} for tensors in taken]
    assert not any(used[i] & used[j] for i in range(4) for j in range(i))


REFUSED = {
    "kernel": widened(ConvNormAct(one_of("kernel", (3, 4)), padding=1)),
    "width": widened(Chain((ConvNormAct(1), ConvNormAct(3, groups=2)))),
}


@pytest.mark.parametrize("name", REFUSED)
def test_sizes_that_do_not_nest_are_refused_with_choice_and_place(name: str) -> None:
    with pytest.raises(SpaceError, match=f"choice '{name}' does not nest at 'stage1/.*weight': .* resolve the choice"):
        store_of(REFUSED[name])


def test_an_architecture_of_another_space_is_refused() -> None:
    store = store_of(OF_SIZES["inception"])
    with pytest.raises(SpaceError, match="the store has no weights"):
        store(images(), first_member(OF_SIZES["mobile"]))
    wider = replace(first_member(OF_SIZES["inception"]), stem=ConvNormAct(3, 32))
    with pytest.raises(SpaceError, match="the store has no weights for 28 of 32 entries at 'stem/conv/conv/0/weight'"):
        store(images(), wider)


def test_statistics_of_norms_in_the_store_stay_while_it_is_trained() -> None:
    store = store_of(OF_SIZES["dense"]).train()
    before = {name: each.clone() for name, each in store.named_buffers()}
    store(images(), store.largest)
    assert all(torch.equal(each, before[name]) for name, each in store.named_buffers())


def test_a_store_is_the_same_for_a_seed_and_keeps_few_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.supernets.elastic.KEPT", 2)
    space = OF_SIZES["inception"]
    store, other = store_of(space), store_of(space)
    assert list(store.state_dict()) == list(other.state_dict())
    assert all(map(torch.equal, store.state_dict().values(), other.state_dict().values()))
    x, taken = images(), members(space, 6)
    expected = [store(x, member) for member in taken]
    assert len(store._members) == 2
    assert all(map(torch.equal, expected, [store(x, member) for member in taken]))


def test_a_covering_has_each_option_wherever_its_choice_occurs() -> None:
    inner = one_of("inner", (ConvNormAct(1), ConvNormAct(3)))
    outer = one_of("outer", (inner, Chain((inner, inner)), Residual(inner, Skip())))
    space = Network(STEM, (Stage(outer, channels=one_of("width", WIDTHS)),), HEAD)
    found = [member.stages[0].body for _, member in Coverage(space, lambda each: each, INPUT).members()]
    decided = [{"outer": i, "inner": j} for i in range(3) for j in range(2)]
    assert set(found) == {resolve(outer, lambda choice, taken=taken: taken[choice.name]) for taken in decided}  # type: ignore[misc]
