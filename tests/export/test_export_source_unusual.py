"""Modules of one's own that are unusual: their file computes the same, also in training, or is refused with a reason."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, spectral_norm

from nas.building import Node, Shape, Site
from nas.export.source import write_source
from nas.export.source.page import as_class
from nas.records import RecordError, record
from nas.training.checkpoint import save_weights

pytestmark = pytest.mark.usefixtures("one_thread", "own_records")

SMALL: Shape = (3, 8, 8)


def write(make: Callable[[], nn.Module], name: str = "found") -> tuple[nn.Module, str]:
    """Return a module that a node builds, and the text of its file."""

    @record
    class Held(Node):
        """Build the module."""

        def build(self, site: Site) -> nn.Module:
            torch.manual_seed(0)
            return make()

        def shape(self, site: Site) -> Shape:
            return site.shape

    model = Held().build(Site(SMALL, channels=3))
    return model, write_source(Held(), model, SMALL, name)


def check(make: Callable[[], nn.Module], folder: Path) -> str:
    """Assert that the written file is the same network, in evaluation and in training; return its text."""
    model, text = write(make)
    save_weights(model, folder / "found.safetensors")
    scope: dict[str, Any] = {"__name__": "written"}
    exec(compile(text, "written.py", "exec"), scope)
    written: nn.Module = scope["load"](str(folder / "found.safetensors"))
    images = torch.randn(2, *SMALL, generator=torch.Generator().manual_seed(1))
    for is_training in (False, True):
        results = []
        for each in (model.train(is_training), written.train(is_training)):
            torch.manual_seed(2)
            results.append(each(images))
        torch.testing.assert_close(*results)
        assert results[0].std() > 0
    return text


class Row(nn.Module):
    """Two convolutions in a list, which the modules below run through."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv2d(3, 3, 1) for _ in range(2)])

    def run(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class Noisy(Row):
    def forward(self, x: Tensor) -> Tensor:
        x = self.run(x)
        if self.training:
            x = x + torch.randn_like(x)
        return x


class Dropping(Row):
    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = functional.dropout(layer(x), 0.5, self.training)
        return x


class DroppingByName(Row):
    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = functional.dropout(layer(x), p=0.5, training=self.training)
        return x


class DroppingInPart(Row):
    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = self.dropout.forward(layer(x))
        return x


class Halved(Row):
    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x) * halving(self)
        return x


def halving(module: nn.Module) -> float:
    """Return a factor that acts in training alone."""
    return 0.5 if getattr(module, "training", False) is True else 1.0


class Computing(Row):
    """Computes something by a function, which is written out."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.run(x))


POWERS: dict[str, Callable[[Tensor], Tensor]] = {
    "(%s ** 2) ** 3": lambda x: (x**2) ** 3,
    "(-2.0) ** %s.round()": lambda x: (-2.0) ** x.round(),
    "2.0 ** %s ** 2": lambda x: 2.0 ** (x**2),
    "(-%s) ** 3": lambda x: (-x) ** 3,
    "-%s ** 2": lambda x: -(x**2),
    "%s.exp() ** -0.5": lambda x: x.exp() ** -0.5,
    "(1 - %s) ** 2": lambda x: (1 - x) ** 2,
}


class Optional(nn.Module):
    """Has a part or none."""

    def __init__(self, has_norm: bool) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3) if has_norm else None
        self.conv = nn.Conv2d(3, 3, 1)

    def before(self, x: Tensor) -> Tensor:
        return x if self.norm is None else self.norm(x)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.conv(self.before(x))
        return result


class Derived(Noisy):
    def run(self, x: Tensor) -> Tensor:
        return super().run(x) + 1

    def forward(self, x: Tensor) -> Tensor:
        return self.run(x)


def load(x: Tensor) -> Tensor:
    """Have a name that every written file has too."""
    return x * 2


DTYPES = 3


class Namesakes(Row):
    def forward(self, x: Tensor) -> Tensor:
        return load(self.run(x)) * DTYPES


class Gate(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.sigmoid()


def half(x: Tensor) -> Tensor:
    """Have another name where it is used."""
    return x / 2


halved = half


class Renamed(Row):
    def forward(self, x: Tensor) -> Tensor:
        return halved(self.run(x))


class Attending(nn.Module):
    def __init__(self, **options: bool) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(3, 1, batch_first=True, **options)

    def forward(self, x: Tensor) -> Tensor:
        y = x.flatten(2).transpose(1, 2)
        result: Tensor = self.attention(y, y, y)[0]
        return result.transpose(1, 2).reshape(x.shape)


class Phased(Row):
    phase: Tensor
    order: Tensor

    def __init__(self, dtype: torch.dtype = torch.complex64) -> None:
        super().__init__()
        self.register_buffer("phase", torch.tensor([1j, 2j], dtype=dtype))
        self.register_buffer("order", torch.arange(192).flip(0))

    def forward(self, x: Tensor) -> Tensor:
        x = self.run(x) * self.phase.abs().float().sum()
        return x.flatten(1)[:, self.order].reshape(x.shape)


SAME = [Noisy, Dropping, DroppingByName, DroppingInPart, Halved, Derived, Namesakes, Renamed, Phased]


@pytest.mark.parametrize("make", SAME)
def test_what_a_file_computes_is_what_the_module_computes(make: Callable[[], nn.Module], tmp_path: Path) -> None:
    check(make, tmp_path)


@pytest.mark.parametrize("form", POWERS)
def test_powers_have_their_brackets(form: str, tmp_path: Path) -> None:
    assert f"return {form % 'self.layers[1](self.layers[0](x))'}\n" in check(lambda: Computing(POWERS[form]), tmp_path)


def test_a_part_that_is_none_stays_at_its_name(tmp_path: Path) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = Optional(True), Optional(False)

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.second(self.first(x))
            return result

    assert "self.norm = None" in check(Two, tmp_path)


def test_attention_without_biases_is_written_without_them(tmp_path: Path) -> None:
    assert "bias=False" in check(lambda: Attending(bias=False), tmp_path)


def doubled(module: nn.Module, given: Any, gave: Tensor) -> Tensor:
    """Return twice what a module gives."""
    return gave * 2


class Foreign(Row):
    def forward(self, x: Tensor) -> Tensor:
        return self.run(x) * (float(numpy.sqrt(2.0)) if self.training else 1.0)


class Fed(Row):
    def __init__(self, spoilt: Callable[[nn.Module], object]) -> None:
        super().__init__()
        spoilt(self.layers[0])

    def forward(self, x: Tensor) -> Tensor:
        return self.run(x)


REFUSED: list[tuple[Callable[[], nn.Module], str]] = [
    (lambda: Fed(parametrizations.weight_norm), "its weight is parametrized: compute it in a forward"),
    (lambda: Fed(spectral_norm), "Conv2d .* has the hook SpectralNorm: move its code into a forward"),
    (lambda: Fed(lambda layer: layer.register_forward_hook(doubled)), "has the hook doubled"),
    (lambda: Fed(lambda layer: layer.register_buffer("mask", torch.ones(3))), "mask of its Conv2d cannot be derived"),
    (
        Foreign,
        "Foreign .*behaves differently in training and in evaluation, and it uses numpy of numpy: write it with only torch",
    ),
    (lambda: Attending(add_bias_kv=True), "bias_k, bias_v of its MultiheadAttention cannot be derived"),
    (
        lambda: Phased(torch.complex128),
        "phase has dtype torch.complex128, .* convert it to one of torch.float64, torch.float32",
    ),
]


@pytest.mark.parametrize(("make", "reason"), REFUSED)
def test_what_a_file_would_lose_is_refused_with_its_reason(make: Callable[[], nn.Module], reason: str) -> None:
    with pytest.raises(RecordError, match=reason):
        write(make)


ELSEWHERE = """
import math as sys
from torch import nn
from torch.nn import functional as F

def Gate(x):
    return F.relu(x + 1) if x.shape[0] else x

class load(nn.Module):
    def forward(self, x):
        return Gate(x)

class Aliased(nn.Module):
    def forward(self, x):
        return x * sys.pi
"""


def test_classes_and_imports_take_no_name_that_stands_for_another_thing(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.py").write_text(ELSEWHERE, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("elsewhere", tmp_path / "elsewhere.py")
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(own := importlib.util.module_from_spec(spec))
    text = check(lambda: nn.Sequential(nn.Conv2d(3, 3, 1), own.load(), Gate(), own.Aliased()), tmp_path)
    assert "def Gate(x):" in text
    assert "class Gate2(nn.Module):" in text
    assert "class load2(nn.Module):" in text
    with pytest.raises(RecordError, match="different objects named F: rename one"):
        write(lambda: nn.Sequential(nn.Conv2d(3, 3, 1), own.load()), "f")
    assert [as_class(name) for name in ("dtypes", "DTYPES", "none")] == ["Dtypes", "NetworkDTYPES", "NetworkNone"]
