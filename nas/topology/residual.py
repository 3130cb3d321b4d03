"""Residual structure: the sum of a body and a shortcut."""

from __future__ import annotations

import math

from torch import Tensor, nn

from nas.building import BuildError, Node, Shape, Site, require_single_input
from nas.layers.activation import activate
from nas.operations.drop_path import DropPath
from nas.operations.skip import Skip
from nas.records import Fraction, record


@record
class Residual(Node):
    """Add a body and a shortcut of the same input; the shortcut is built for the output shape of the body.

    `activation` follows the sum (He et al. 2016, arXiv:1512.03385). `scale` multiplies the body, as in Inception-ResNet.
    `opening` is the norm and ReLU of a pre-activated block (He et al. 2016, arXiv:1603.05027): where the shape changes it
    comes before both the body and the projection, elsewhere before the body only. `drop_path` is stochastic depth: the body's
    share of the recipe's drop path.
    """

    body: Node
    shortcut: Node = Skip("projection")
    activation: Node | None = None
    scale: float = 1.0
    opening: Node | None = None
    drop_path: Fraction = 0.0

    def build(self, site: Site) -> nn.Module:
        inner = self._inner(site)
        shape = inner.output(self.body)
        # The shortcut takes the width and stride of the body, which may set its own.
        around = inner.put(inner.shape, shape[0], _stride(inner, shape))
        shapes = shape, around.output(self.shortcut)
        if shapes[0] != shapes[1]:
            raise BuildError(f"the body of a residual gives {shapes[0]} and the shortcut {shapes[1]}: make them equal")
        body, shortcut = inner.build(require_single_input(self.body)), around.build(require_single_input(self.shortcut))
        # An identity passes the raw input on, so the opening is part of the body; a projection reads its output.
        if self.opening is not None and isinstance(shortcut, nn.Identity):
            body = nn.Sequential(site.put(site.shape).build(self.opening), body)
        total = _Sum(body, shortcut, self.scale, DropPath(share=self.drop_path) if self.drop_path else None)
        parts: list[nn.Module] = [total, *activate(self.activation, site, shapes[0])]
        if self.opening is not None and not isinstance(shortcut, nn.Identity):
            parts.insert(0, site.put(site.shape).build(self.opening))
        return nn.Sequential(*parts) if len(parts) > 1 else total

    def shape(self, site: Site) -> Shape:
        return self._inner(site).output(self.body)

    def _inner(self, site: Site) -> Site:
        """Return the site after the opening."""
        if self.opening is None:
            return site
        return site.put(site.put(site.shape).output(self.opening), stride=site.stride)


def _stride(site: Site, shape: Shape) -> int:
    """Return the stride from the site to a shape: the requested one, unless the body has its own."""
    sides = list(zip(site.shape[1:], shape[1:], strict=True))
    if all(math.ceil(size / site.stride) == made for size, made in sides):
        return site.stride
    return max(math.ceil(size / made) for size, made in sides)


class _Sum(nn.Module):
    def __init__(self, body: nn.Module, shortcut: nn.Module, scale: float, drop_path: nn.Module | None) -> None:
        super().__init__()
        self.body, self.shortcut, self.scale, self.drop_path = body, shortcut, scale, drop_path

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.body(x)
        if self.scale != 1.0:
            change = change * self.scale
        if self.drop_path is not None:
            change = self.drop_path(change)
        total: Tensor = change + self.shortcut(x)
        return total
