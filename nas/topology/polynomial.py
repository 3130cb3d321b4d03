"""Polynomials of a body: the input plus the body applied once, twice, ..."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from nas.building import BuildError, Node, Shape, Site
from nas.layers.activation import activate
from nas.records import Positive, record


@record
class Polynomial(Node):
    """Add to the input the output of a body applied once, twice, ... up to `order` times; each power is scaled.

    "poly": the powers share their convolutions except the last, and each has its own norms: I + F + F². "mpoly": each
    application is a separate body: I + F + GF. "way": the bodies are parallel: I + F + G. The `activation` follows the sum,
    and each power that the body is applied to. Source: PolyNet, Zhang et al. 2017, arXiv:1611.05725, section 3.1; from the
    released model are the separate norms and last convolutions, and the activation between powers.
    """

    repeating = frozenset(("order",))

    body: Node
    order: Positive = 2
    kind: Literal["poly", "mpoly", "way"] = "poly"
    scale: float = 1.0
    activation: Node | None = None

    def build(self, site: Site) -> nn.Module:
        shape = self.shape(site)
        bodies = [site.build(self.body) for _ in range(self.order)]
        if self.kind == "poly":
            for other in bodies[1:]:
                _share_convolutions(bodies[0], other)
        between = None if self.activation is None else site.put(shape).build(self.activation)
        total = _Ways(bodies, self.scale) if self.kind == "way" else _Powers(bodies, between, self.scale)
        return nn.Sequential(total, *activate(self.activation, site, shape))

    def shape(self, site: Site) -> Shape:
        shape = site.output(self.body)
        if shape != site.shape:
            raise BuildError(
                f"the body of a polynomial changes the shape from {site.shape} to {shape} (C, H, W): give one that keeps it"
            )
        return shape


def _share_convolutions(first: nn.Module, other: nn.Module) -> None:
    """Replace the convolutions of `other`, except the last, by those of `first`, a module of the same structure.

    Where the last convolution is an option of a supernet, none of the options of that choice is shared.
    """
    names = [name for name, part in other.named_modules() if isinstance(part, nn.Conv2d)]
    # An option's convolution is named as `1.options.3.conv`, where `1` is the mixed operation of the choice.
    mixed, is_option, _ = names[-1].partition(".options.") if names else ("", "", "")
    for name in names[:-1]:
        if not is_option or not name.startswith(f"{mixed}.options."):
            other.set_submodule(name, first.get_submodule(name))


class _Powers(nn.Module):
    def __init__(self, bodies: list[nn.Module], between: nn.Module | None, scale: float) -> None:
        super().__init__()
        self.bodies = nn.ModuleList(bodies)
        self.between, self.scale = between, scale

    def forward(self, x: Tensor) -> Tensor:
        total, power = x, x
        # After step i, `power` is x under the first i + 1 bodies in turn.
        for i, body in enumerate(self.bodies):
            if i and self.between is not None:
                power = self.between(power)
            power = body(power)
            total = total + power * self.scale
        return total


class _Ways(nn.Module):
    def __init__(self, bodies: list[nn.Module], scale: float) -> None:
        super().__init__()
        self.bodies = nn.ModuleList(bodies)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        total = x
        for body in self.bodies:
            total = total + body(x) * self.scale
        return total
