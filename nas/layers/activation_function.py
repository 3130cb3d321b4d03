"""Composed activation functions: a core unit joins two unary functions by a binary one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.building import BuildError, Node, Shape, Site
from nas.records import nearest, record

# x and y are (B, C, H, W) or (B, C); b, the β, is a number or (C, 1, 1), one per channel. In a formula, {x} and {y} are what
# the first and the second function read, {first} and {second} what they return.
Beta = Tensor | float
_EPSILON = 1e-5

UNARY: dict[str, tuple[str, Callable[[Tensor, Beta], Tensor]]] = {
    "identity": ("{x}", lambda x, b: x),
    "negative": ("(-{x})", lambda x, b: -x),
    "abs": ("abs({x})", lambda x, b: x.abs()),
    "square": ("{x}**2", lambda x, b: x.square()),
    "cube": ("{x}**3", lambda x, b: x * x * x),
    "sqrt": ("sqrt({x})", lambda x, b: x.clamp(min=_EPSILON).sqrt()),
    "scale": ("({b} * {x})", lambda x, b: b * x),
    "shift": ("({x} + {b})", lambda x, b: x + b),
    "log": ("log(abs({x}))", lambda x, b: (x.abs() + _EPSILON).log()),
    "exp": ("exp({x})", lambda x, b: x.exp()),
    "sin": ("sin({x})", lambda x, b: x.sin()),
    "cos": ("cos({x})", lambda x, b: x.cos()),
    "sinh": ("sinh({x})", lambda x, b: x.sinh()),
    "cosh": ("cosh({x})", lambda x, b: x.cosh()),
    "tanh": ("tanh({x})", lambda x, b: x.tanh()),
    "asinh": ("asinh({x})", lambda x, b: x.asinh()),
    "atan": ("atan({x})", lambda x, b: x.atan()),
    "sinc": ("sinc({x})", lambda x, b: torch.sinc(x / torch.pi)),
    "positive_part": ("max({x}, 0)", lambda x, b: x.clamp(min=0)),
    "negative_part": ("min({x}, 0)", lambda x, b: x.clamp(max=0)),
    "sigmoid": ("sigmoid({x})", lambda x, b: x.sigmoid()),
    "softplus": ("log(1 + exp({x}))", lambda x, b: functional.softplus(x)),
    "gaussian": ("exp(-{x}**2)", lambda x, b: (-x.square()).exp()),
    "erf": ("erf({x})", lambda x, b: x.erf()),
    "beta": ("{b}", lambda x, b: torch.zeros_like(x) + b),
}
"""The unary functions by name: formula, and function of x and β. sinc(x) is sin(x) / x."""

BINARY: dict[str, tuple[str, Callable[[Tensor, Tensor, Beta], Tensor]]] = {
    "add": ("{first} + {second}", lambda x, y, b: x + y),
    "multiply": ("{first} * {second}", lambda x, y, b: x * y),
    "subtract": ("{first} - {second}", lambda x, y, b: x - y),
    "divide": ("{first} / {second}", lambda x, y, b: x / (y + _EPSILON)),
    "max": ("max({first}, {second})", lambda x, y, b: torch.maximum(x, y)),
    "min": ("min({first}, {second})", lambda x, y, b: torch.minimum(x, y)),
    "gate": ("{second} * sigmoid{first}", lambda x, y, b: x.sigmoid() * y),
    "gaussian": ("exp(-{b} * ({first} - {second})**2)", lambda x, y, b: (-b * (x - y).square()).exp()),
    "laplace": ("exp(-{b} * abs({first} - {second}))", lambda x, y, b: (-b * (x - y).abs()).exp()),
    "mix": ("{b} * {first} + (1 - {b}) * {second}", lambda x, y, b: b * x + (1 - b) * y),
}
"""The binary functions by name, in the same form."""


@record
class CoreUnit(Node):
    """Apply binary(first(x), second(x)) to each value; with `inner`, `first` reads inner(x) instead of x.

    `beta` is the β in some of the functions: one per channel, learned and initialised to 1, or a constant. Sqrt, log and
    division keep a small distance from zero. Source: Ramachandran et al. 2017, arXiv:1710.05941, section 2.
    """

    binary: str = "multiply"
    first: str = "identity"
    second: str = "sigmoid"
    inner: CoreUnit | None = None
    beta: Literal["learned"] | float = "learned"

    def __post_init__(self) -> None:
        _check("binary", self.binary, BINARY)
        _check("first", self.first, UNARY)
        _check("second", self.second, UNARY)
        if self.first == "beta" and self.inner is not None:
            raise BuildError(
                'CoreUnit.first is "beta", which ignores the inner unit: give another function, or no inner unit'
            )

    def build(self, site: Site) -> nn.Module:
        learns = self.beta == "learned" and "{b}" in self._template()
        beta = 1.0 if self.beta == "learned" else self.beta
        inner = None if self.inner is None else site.build(self.inner)
        return _Unit(self, nn.Parameter(torch.ones(site.shape[0])) if learns else beta, inner)

    def shape(self, site: Site) -> Shape:
        return site.shape

    def formula(self) -> str:
        """Return the function as a formula, an inner unit in square brackets; b is the learned β."""
        inner = "x" if self.inner is None else f"[{self.inner.formula()}]"
        return self._template().format(x=inner, y="x", b="b" if self.beta == "learned" else self.beta)

    def _template(self) -> str:
        first, second = UNARY[self.first][0], UNARY[self.second][0].replace("{x}", "{y}")
        if self.binary == "gate" and self.first == "identity":
            first = "(1 * {x})"  # distinguishes it from a product with the sigmoid
        elif self.binary == "gate" and not first.startswith("("):
            first = f"({first})"
        return BINARY[self.binary][0].replace("{first}", first).replace("{second}", second)


def _check(field: str, name: object, known: Mapping[str, object]) -> None:
    if isinstance(name, str) and name not in known:
        raise BuildError(f"CoreUnit.{field} is {name!r}: {nearest(name, known)}", f"CoreUnit.{field}")


class _Unit(nn.Module):
    def __init__(self, unit: CoreUnit, beta: nn.Parameter | float, inner: nn.Module | None) -> None:
        super().__init__()
        self.unit, self.beta, self.inner = unit, beta, inner

    def forward(self, x: Tensor) -> Tensor:
        beta: Beta = self.beta
        if isinstance(beta, Tensor):
            beta = beta.view(-1, *[1] * (x.dim() - 2))  # (C,) to (C, 1, 1)
        first = UNARY[self.unit.first][1](x if self.inner is None else self.inner(x), beta)
        return BINARY[self.unit.binary][1](first, UNARY[self.unit.second][1](x, beta), beta)
