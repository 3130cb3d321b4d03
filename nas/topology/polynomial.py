"""Polynomials of a body: an input plus the body applied to it once, twice, ..."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from nas.build import BuildError, Node, Shape, Site
from nas.layers.activation import activate
from nas.record import Positive, record


@record
class Polynomial(Node):
    """Add to the input what a body gives, applied once, twice, ... up to `order` times; each power is scaled.

    "poly": the powers share their convolutions, and each has norms of its own: I + F + F². "mpoly": each application is
    a body of its own: I + F + GF. "way": the bodies stand side by side: I + F + G. Source: PolyNet, Zhang et al. 2017,
    arXiv:1611.05725, section 3.1; that norms are not shared: the released model.
    """

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
        total = _Powers(bodies, self.kind != "way", self.scale)
        return nn.Sequential(total, *activate(self.activation, site, shape))

    def shape(self, site: Site) -> Shape:
        shape = site.output(self.body)
        if shape != site.shape:
            raise BuildError(
                f"the body of a polynomial makes {shape} from {site.shape}: give it the shape of its input"
            )
        return shape


def _share_convolutions(first: nn.Module, other: nn.Module) -> None:
    """Put the convolutions of one module in the place of those of another of the same structure."""
    for name, part in list(other.named_modules()):
        if isinstance(part, nn.Conv2d):
            other.set_submodule(name, first.get_submodule(name))


class _Powers(nn.Module):
    def __init__(self, bodies: list[nn.Module], powers: bool, scale: float) -> None:
        super().__init__()
        self.bodies = nn.ModuleList(bodies)
        self.powers, self.scale = powers, scale

    def forward(self, x: Tensor) -> Tensor:
        total, power = x, x
        for body in self.bodies:
            power = body(power) if self.powers else body(x)
            total = total + power * self.scale
        return total
