"""A grouped cell computes what the plain cell does: outputs, and the gradients of weights, inputs and alphas."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from itertools import product
from random import Random
from typing import Any

import pytest
import torch
from _calls import Calls
from torch import Tensor, nn
from torch.nn import functional

from nas.building import BuildError, Node
from nas.family import families
from nas.operations.drop_path import DropPath
from nas.operations.pooling import MaxPool
from nas.operations.separable import DilConv, SepConv
from nas.operations.skip import Skip, Zero
from nas.records import RecordError
from nas.space import SpaceError, one_of, sample
from nas.supernets import depthwise as fast
from nas.supernets.darts import Darts
from nas.supernets.grouped import group_cells, grouped
from nas.supernets.mixed import Mixed
from nas.supernets.pc_darts import PcDarts
from nas.supernets.pdarts import PDarts
from nas.supernets.supernet import Supernet
from nas.topology.cell import Cell, CellModule, Cells, Edge
from search_spaces import darts, nasbench201, nasnet

SMALL = {"channels": 4, "layers": 3, "cells_per_stage": 1, "stem_channels": 6}
"""Arguments that make a network small, for the families whose network has them; the stem's width differs, so is adapted."""

LAYOUTS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}

pytestmark = pytest.mark.usefixtures("one_thread")


def known(function: Callable[..., Any], arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if name in signature(function).parameters}


def networks() -> dict[str, Node]:
    """Return a small open network of each family that has one; of two combinations, where the cells have such."""
    spaces = {
        name: (found, found.space(**known(found.space, {"combinations": 2}))) for name, found in families().items()
    }
    spaces["amoebanet"] = families()["nasnet"], nasnet.amoebanet(combinations=2)
    found = {}
    for name, (family, space) in spaces.items():
        try:
            found[name] = family.network(space, **known(family.network, SMALL))
        except BuildError:
            continue
    return found


def relaxes_cells(network: Node) -> bool:
    """Whether a network is a supernet with cells in it; an open width, for one, is no supernet's."""
    if "Cell(" not in repr(network):
        return False  # it need not be built, which takes seconds for some
    try:
        with torch.device("meta"):
            supernet = Supernet(network, Darts(), (3, 32, 32))
    except SpaceError:
        return False
    return any(isinstance(part, CellModule) for part in supernet.modules())


NETWORKS = {name: network for name, network in networks().items() if relaxes_cells(network)}
every_network = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name not in ("darts", "nasbench201", "fairdarts")))
        for name in NETWORKS
    ],
)
SIZES = {"transnas_micro": 24}
every_layout = pytest.mark.parametrize("layout", LAYOUTS)


def test_every_space_of_cells_is_tested() -> None:
    assert {"darts", "nasbench201", "nasnet", "amoebanet"} <= NETWORKS.keys()


def supernet(network: Node, size: int = 8, dtype: torch.dtype = torch.float64) -> Supernet:
    """Return a supernet with alphas of scale 1, so that no two options count alike."""
    torch.manual_seed(0)
    made = Supernet(network, Darts(), (3, size, size)).to(dtype)
    for alphas in made.policy.parameters():
        nn.init.normal_(alphas)
    return made


@dataclass(frozen=True)
class Twins:
    """A module and its grouped form; `numbers` says of each weight of the grouped one which of the plain one's it is."""

    plain: nn.Module
    grouped: nn.Module
    numbers: Tensor

    @staticmethod
    def of(plain: nn.Module, group: Callable[[nn.Module], nn.Module]) -> Twins:
        """Group copies: of the module itself, and of one whose weights are their own numbers."""
        numbered, start = _copy(plain), 0
        for weight in numbered.parameters():
            weight.data = torch.arange(start, start + weight.numel(), dtype=torch.float64).view(weight.shape)
            start += weight.numel()
        return Twins(plain, group(_copy(plain)), _flat(group(numbered).parameters()).long())

    def weights(self, of: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Return something of all weights of the plain and of the grouped module, in the order of the plain one's."""
        plain, theirs = (_flat(map(of, module.parameters())) for module in (self.plain, self.grouped))
        return plain, torch.empty_like(plain).index_copy_(0, self.numbers, theirs)


def _copy(module: nn.Module) -> nn.Module:
    """Copy a module, but not the gates it reads."""
    gates = {id(part.gates): part.gates for part in module.modules() if isinstance(part, Mixed)}
    return copy.deepcopy(module, dict(gates) if not isinstance(module, Supernet) else {})


def _flat(tensors: Any) -> Tensor:
    return torch.cat([each.detach().flatten() for each in tensors])


def _gradient(parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def in_groups(module: nn.Module) -> nn.Module:
    group_cells(module)
    return module


def distance(found: Tensor, wanted: Tensor) -> float:
    """Return the relative distance of two tensors, of which neither is zero."""
    assert found.shape == wanted.shape
    return float((found - wanted).norm() / wanted.norm())


def backward(module: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """Run a module forward, and backward from a sum in which no two numbers count alike; return the output."""
    output = module(*inputs)
    (output * torch.arange(output.numel(), dtype=output.dtype).cos().view(output.shape)).sum().backward()
    return output.detach()


@every_network
@pytest.mark.parametrize(
    ("layout", "size"), [("channels_last", 8), pytest.param("contiguous", 11, marks=pytest.mark.slow)]
)
def test_a_grouped_supernet_is_the_plain_one(name: str, layout: str, size: int) -> None:
    # two images whose maps shrink to one pixel have batch variances near zero, by which any rounding is divided
    size = max(size, SIZES.get(name, 0))
    twins = Twins.of(supernet(NETWORKS[name], size), in_groups)
    plain, other = (each.to(memory_format=LAYOUTS[layout]) for each in (twins.plain, twins.grouped))
    assert not any(isinstance(part, CellModule) for part in other.modules())
    assert torch.equal(*twins.weights(lambda weight: weight))
    x = torch.randn(2, 3, size, size, dtype=torch.float64).contiguous(memory_format=LAYOUTS[layout])
    assert distance(backward(other, x), backward(plain, x)) < 1e-10
    assert distance(*twins.weights(_gradient)) < 1e-10
    assert distance(*(_flat(map(_gradient, each.policy.parameters())) for each in (other, plain))) < 1e-10


def cells(made: Supernet, size: int, layout: str) -> list[tuple[CellModule, list[Tensor]]]:
    """Return the cells of a supernet, with normal numbers of the shapes of their inputs, and set the gates."""
    shapes: dict[CellModule, list[torch.Size]] = {}
    found = [part for part in made.modules() if isinstance(part, CellModule)]
    for cell in found:
        cell.register_forward_pre_hook(lambda cell, inputs: shapes.update({cell: [each.shape for each in inputs]}))
    made(torch.randn(2, 3, size, size))
    for cell in found:
        cell._forward_pre_hooks.clear()
    return [(cell, [torch.randn(shape).to(memory_format=LAYOUTS[layout]) for shape in shapes[cell]]) for cell in found]


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["channels_last", "contiguous"])
@every_network
def test_grouped_cells_are_the_plain_ones_in_single_precision(name: str, layout: str) -> None:
    made = supernet(NETWORKS[name], 8, torch.float32)
    for cell, inputs in cells(made, 8, layout)[:2]:
        twins = Twins.of(cell, lambda copied: grouped(copied))  # type: ignore[arg-type]
        outputs, gradients, alphas = [], [], []
        made.zero_grad()  # a cell in a cell has gradients from before
        for module in (twins.plain, twins.grouped):
            made.policy.zero_grad()
            own = [each.clone().requires_grad_() for each in inputs]
            made.gates.set(made.policy.gates(made.moment), made.moment)
            outputs.append(backward(module.to(memory_format=LAYOUTS[layout]), *own))
            gradients.append(_flat(map(_gradient, own)))
            alphas.append(_flat(map(_gradient, made.policy.parameters())))
        assert distance(*outputs) < 1e-5
        assert distance(*gradients) < 1e-4
        assert distance(*alphas) < 1e-4
        assert distance(*twins.weights(_gradient)) < 1e-4


def normal_cell(*operations: Node) -> Cell:
    """Return an open cell of two nodes, whose edges offer the operations."""
    mixed = [[one_of(f"{source}-{node}", operations) for source in range(node)] for node in (2, 3)]
    return Cell(tuple(tuple(Edge(i, each) for i, each in enumerate(edges)) for edges in mixed), concat=(2, 3))


def small(*operations: Node) -> Supernet:
    return of_cell(normal_cell(*operations))


def of_cell(cell: Cell) -> Supernet:
    return supernet(darts.network(Cells(cell, cell), channels=4, layers=3))


IMAGES = torch.randn(3, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def assert_alike(plain: Supernet) -> Supernet:
    """Check that a supernet and its grouped form have the same outputs and gradients; return the grouped one."""
    twins = Twins.of(plain, in_groups)
    torch.manual_seed(2)
    wanted = backward(twins.plain, IMAGES)
    torch.manual_seed(2)
    assert distance(backward(twins.grouped, IMAGES), wanted) < 1e-10
    assert distance(*twins.weights(_gradient)) < 1e-10
    assert isinstance(twins.grouped, Supernet)
    return twins.grouped


def test_a_group_of_one_option_is_the_plain_one_in_channels_last() -> None:
    only = Edge(1, one_of("only", [SepConv(3), Skip()]))
    plain = of_cell(Cell(((only,),), concat=(2,))).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    twins = Twins.of(plain, in_groups)
    images = IMAGES.contiguous(memory_format=torch.channels_last)
    assert distance(backward(twins.grouped, images), backward(twins.plain, images)) < 1e-10
    assert distance(*twins.weights(_gradient)) < 1e-10


def test_drop_path_drops_the_same_edges_and_no_identities() -> None:
    mixed = one_of("mixed", [SepConv(3), MaxPool(3), Skip()]), one_of("other", [SepConv(5), Skip()])
    nodes = (Edge(0, mixed[0]), Edge(1, Skip()), Edge(1, SepConv(3))), (Edge(2, Skip()), Edge(1, mixed[1]))
    plain = of_cell(Cell(nodes, concat=(2, 3)))
    for part in plain.modules():
        if isinstance(part, DropPath):
            part.probability = 0.4
    assert_alike(plain)


def test_an_option_that_is_not_known_is_computed_as_it_is() -> None:
    nested = one_of("nested", [SepConv(3), Skip()])
    assert_alike(small(nested, SepConv(3), MaxPool(3)))
    assert_alike(small(nested, Zero()))


def test_methods_that_wrap_options_or_mixtures_can_be_grouped() -> None:
    for method in (PDarts(), PcDarts(k=2)):
        torch.manual_seed(0)
        network = darts.network(darts.darts(), channels=4, layers=1)
        assert_alike(Supernet(network, method, (3, 8, 8)).double())


def test_options_alike_are_told_apart() -> None:
    equal_when_built = SepConv(3, repeats=1), DilConv(3, dilation=1), Skip(), Skip(strided="conv"), Zero()
    assert_alike(small(*equal_when_built))


def test_nothing_but_zeros_gives_zeros() -> None:
    plain = small(Zero())
    other = in_groups(copy.deepcopy(plain))
    torch.testing.assert_close(other(IMAGES), plain(IMAGES), rtol=0, atol=0)


def test_cells_without_open_choices_stay() -> None:
    network = darts.network(darts.PUBLISHED["DARTS_V2"], channels=4, layers=3)
    model = in_groups(supernet(network).model)
    assert sum(isinstance(part, CellModule) for part in model.modules()) == 3


def test_a_path_is_computed_without_gradients_alone() -> None:
    space = nasbench201.nasbench201()
    plain = supernet(nasbench201.network(space, channels=4, cells_per_stage=1))
    other = assert_alike(plain)
    for seed in range(3):
        architecture = sample(space, Random(seed))
        plain.take(space, architecture)
        other.take(space, architecture)
        with torch.no_grad():
            torch.testing.assert_close(other(IMAGES), plain(IMAGES))
        with pytest.raises(RecordError, match=r"computes the options \[\d\] of 5, and grouped cells train all at once"):
            other(IMAGES)


def test_the_alphas_alone_need_no_gradients_of_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = small(SepConv(5), DilConv(3))
    other = in_groups(copy.deepcopy(plain))
    monkeypatch.setattr(fast, "_weight_gradient", None)
    found, wanted = (torch.autograd.grad(each(IMAGES).exp().sum(), each.policy.parameters()) for each in (other, plain))
    assert distance(_flat(found), _flat(wanted)) < 1e-10


def test_grouped_cells_can_be_differentiated_twice() -> None:
    found = []
    plain = small(SepConv(5), DilConv(3), MaxPool(3))
    for each in (in_groups(copy.deepcopy(plain)), plain):
        weights, alphas = list(each.model.parameters()), list(each.policy.parameters())
        gradients = torch.autograd.grad(each(IMAGES).exp().sum(), weights, create_graph=True)
        total = sum((gradient**2).sum() for gradient in gradients)
        found.append(_flat(torch.autograd.grad(total, alphas)))
    assert distance(*found) < 1e-10


def test_a_grouped_darts_supernet_makes_fewer_calls() -> None:
    plain = supernet(darts.network(darts.darts(), channels=4, layers=1), dtype=torch.float32)
    counts = []
    for each in (plain, in_groups(copy.deepcopy(plain))):
        with Calls() as calls, torch.no_grad():
            each(IMAGES.float())
        counts.append(calls.counts)
    for name in ("convolution", "native_batch_norm", "max_pool2d_with_indices", "avg_pool2d", "relu"):
        assert counts[1][name] < 0.5 * counts[0][name]


@every_layout
@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"), list(product([3, 5, 7, (1, 7), (5, 3)], [1, 2, 3], [1, 2, 3]))
)
def test_depthwise_is_torchs_own(kernel: int | tuple[int, int], stride: int, dilation: int, layout: str) -> None:
    height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = dilation * (height // 2), dilation * (width // 2)
    for size in [(8, 8), (7, 9), (3, 2), (1, 1)]:
        x = torch.randn(2, 3, *size, dtype=torch.float64).to(memory_format=LAYOUTS[layout]).requires_grad_()
        weight = torch.randn(3, 1, height, width, dtype=torch.float64, requires_grad=True)
        wanted = functional.conv2d(x, weight, None, stride, padding, dilation, 3)
        found = fast.depthwise(x, weight, stride, dilation)
        torch.testing.assert_close(found, wanted)
        upstream = torch.randn_like(wanted)
        for own, torchs in zip(
            torch.autograd.grad(found, (x, weight), upstream),
            torch.autograd.grad(wanted, (x, weight), upstream),
            strict=True,
        ):
            torch.testing.assert_close(own, torchs)


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2)])
def test_depthwise_can_be_differentiated_twice(stride: int, dilation: int) -> None:
    x = torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 1, 5, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda *both: fast.depthwise(*both, stride, dilation), (x, weight))
