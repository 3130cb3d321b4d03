"""Folding of batch norms: the outputs stay, and which norms can go is what was counted by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from nas.building import Shape, build
from nas.export.fold import fold_batch_norms
from nas.family import families, family
from nas.notation import parse
from nas.operations.skip import FactorizedReduce

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGE = (3, 8, 8)


def varied(model: nn.Module) -> nn.Module:
    """Give every batch norm statistics and weights that are not those of a fresh one, whose folding would change nothing."""
    generator = torch.Generator().manual_seed(0)

    def uniform(tensor: Tensor | None, low: float, high: float) -> None:
        if tensor is not None:
            tensor.data.uniform_(low, high, generator=generator)

    for norm in model.modules():
        if isinstance(norm, _BatchNorm):
            uniform(norm.running_mean, -0.5, 0.5)
            uniform(norm.running_var, 0.5, 1.5)
            uniform(norm.weight, 0.5, 1.5)
            uniform(norm.bias, -0.5, 0.5)
    return model.eval()


def folded_alike(model: nn.Module, shape: Shape, batch: int = 2) -> tuple[int, int]:
    """Fold, check that the outputs are the same, and return how many norms went, of how many."""
    varied(model)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    folded = fold_batch_norms(model, shape)
    images = torch.randn(batch, *shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted, got = model(images), folded.model(images)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert sum(isinstance(part, _BatchNorm) for part in folded.model.modules()) >= folded.norms - folded.folded
    return folded.folded, folded.norms


@pytest.mark.parametrize(
    ("text", "counted"),
    [
        ("conv3-4", (1, 1)),
        ("conv3-4 conv3-6(groups=2) conv1", (3, 3)),
        ("sep_conv3", (2, 2)),
        ('conv3-4(order="pre")', (0, 1)),  # the norm reads the images
        ('conv3-4 conv3-4(order="pre")', (1, 2)),  # the second norm reads a ReLU
        ("conv3-4 residual[conv3 conv3-8]", (4, 4)),  # with a projection
        ("conv3-4 dense[conv3]", (5, 5)),
        ("conv3-4 polynomial[conv3-4 conv3-4]", (3, 5)),  # the first convolution of its body runs twice
        ('conv3-4 polynomial(kind="mpoly")[conv3-4 conv3-4]', (5, 5)),
        ("branches[conv1, conv3-2]", (2, 2)),
        ("conv3-4 squeeze_excite conv3-4", (2, 2)),
    ],
)
def test_a_norm_is_folded_where_it_alone_reads_a_convolution(text: str, counted: tuple[int, int]) -> None:
    assert folded_alike(build(parse(text), IMAGE), IMAGE) == counted


def test_a_norm_behind_two_concatenated_convolutions_is_folded_into_both() -> None:
    assert folded_alike(FactorizedReduce((3, 6)), (3, 7, 9)) == (1, 1)


class Read(nn.Module):
    """A convolution and a norm, read in a way that is given."""

    def __init__(self, way: Callable[[Any, Tensor], Any]) -> None:
        super().__init__()
        self.way = way
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.steps = [self.conv, self.norm]

    def forward(self, x: Tensor) -> Any:
        return self.way(self, x)


def written(tensor: Tensor) -> Tensor:
    """Return a tensor some of whose channels are zeros from now on."""
    tensor[:, ::2] = 0.0
    return tensor


def normed(norm: Any, y: Tensor) -> Tensor:
    """Return what a norm does, without calling it."""
    return functional.batch_norm(y, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)


READ: Mapping[str, tuple[Callable[[Any, Tensor], Any], int]] = {
    "shape": (lambda m, x: m.norm(y := m.conv(x)) * y.shape[1], 1),
    "in place": (lambda m, x: m.norm(m.conv(x).relu_()), 0),
    "written": (lambda m, x: m.norm(written(m.conv(x))), 0),
    "weights": (lambda m, x: m.norm(m.conv(x)) * m.conv.weight.mean(), 0),
    "norm twice": (lambda m, x: m.norm(m.norm(m.conv(x))), 0),
    "added": (lambda m, x: m.norm(y := m.conv(x)) + y, 0),
    "convolution's function": (lambda m, x: m.norm(functional.conv2d(x, m.conv.weight)), 0),
    "norm's function": (lambda m, x: normed(m.norm, m.conv(x)), 0),
    "norm's number": (lambda m, x: m.norm(m.conv(x)) * m.norm.eps, 1),
    "kept in a list": (lambda m, x: m.steps[1](m.steps[0](x)), 1),
}


@pytest.mark.parametrize("way", READ)
def test_a_norm_goes_where_it_reads_a_convolution_that_nothing_else_reads(way: str) -> None:
    read, folded = READ[way]
    assert folded_alike(Read(read), IMAGE) == (folded, 1)


class Activated(nn.BatchNorm2d):
    """A norm that does more than its kind."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input).relu()


def doubled(module: nn.Module, args: Any, output: Tensor | None = None) -> Any:
    """Return twice what a module takes or gives."""
    return 2 * (args[0] if output is None else output)


def test_a_norm_or_layer_that_does_more_than_its_kind_is_left() -> None:
    assert folded_alike(nn.Sequential(nn.Conv2d(3, 4, 3), Activated(4)), IMAGE) == (0, 1)
    model: Any
    for hooked in (0, 1):
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        model[hooked].register_forward_hook(doubled)
        assert folded_alike(model, IMAGE) == (0, 1)
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        model[hooked].register_forward_pre_hook(doubled)
        assert folded_alike(model, IMAGE) == (0, 1)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    model[0] = nn.utils.parametrizations.weight_norm(model[0])
    assert folded_alike(model, IMAGE) == (0, 1)


def test_a_norm_over_the_rows_of_one_image_is_left() -> None:
    rows = Read(lambda m, x: m.norm(m.conv(x[0])))
    rows.conv, rows.norm = nn.Conv2d(3, 8, 1), nn.BatchNorm1d(8)  # type: ignore[assignment]
    assert folded_alike(rows, IMAGE) == (0, 1)


class Transposed(nn.Module):
    """A linear layer whose norm tells apart something else than its outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(8, 3), nn.BatchNorm1d(3)

    def forward(self, x: Tensor) -> Tensor:
        normed: Tensor = self.norm(self.linear(x[:, :, 0]))
        return normed


def test_a_norm_behind_a_linear_layer_is_folded_where_it_is_over_its_outputs() -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(192, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 2))
    assert folded_alike(flat, IMAGE) == (1, 1)
    assert folded_alike(Transposed(), IMAGE) == (0, 1)


def test_norms_without_weights_are_folded_and_those_without_statistics_are_not() -> None:
    plain = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4, affine=False))
    assert folded_alike(plain, IMAGE) == (1, 1)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False))
    assert folded_alike(model, IMAGE, batch=4)[0] == 0


def test_every_norm_of_a_network_of_cells_is_folded() -> None:
    found = family("darts")
    network = found.network(found.published["DARTS_V2"], channels=4, layers=3, auxiliary=False)
    folded, norms = folded_alike(build(network, IMAGE), IMAGE)
    assert folded == norms == 1 + (2 + 5 * 2 + 1) + 2 + 2  # stem, a normal cell, two reductions


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, found in families().items() if found.published])
def test_a_network_of_every_family_is_folded_alike(name: str) -> None:
    found = family(name)
    for member in list(found.published)[:1]:
        shape = found.input_of(member)
        folded, norms = folded_alike(build(found.network(found.published[member]), shape), shape, batch=1)
        assert 0 <= folded <= norms
