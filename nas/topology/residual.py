"""Residual structure: the sum of a body and a shortcut."""

from __future__ import annotations

import math

import torch
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

    `gate` makes a scale (C, 1, 1) of the body from the means of body and shortcut, (2C, 1, 1): competitive
    squeeze-and-excitation (Hu et al. 2018, arXiv:1807.08920). `InnerImaging` is one; the paper's "double FC" is
    `conv1(ratio=0.125, groups=2, norm=none, bias=false) conv1(norm=none, bias=false, activation=sigmoid)`.
    """

    body: Node
    shortcut: Node = Skip("projection")
    activation: Node | None = None
    scale: float = 1.0
    opening: Node | None = None
    drop_path: Fraction = 0.0
    gate: Node | None = None

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
        drop_path = DropPath(share=self.drop_path) if self.drop_path else None
        total: nn.Module = _Sum(body, shortcut, self.scale, drop_path)
        if self.gate is not None:
            total = _Competing(body, shortcut, self._build_gate(inner, shape), self.scale, drop_path)
        parts: list[nn.Module] = [total, *activate(self.activation, site, shapes[0])]
        if self.opening is not None and not isinstance(shortcut, nn.Identity):
            parts.insert(0, site.put(site.shape).build(self.opening))
        return nn.Sequential(*parts) if len(parts) > 1 else total

    def shape(self, site: Site) -> Shape:
        return self._inner(site).output(self.body)

    def _build_gate(self, site: Site, shape: Shape) -> nn.Module:
        assert self.gate is not None
        means = site.put((2 * shape[0], 1, 1), shape[0])
        if (made := means.output(self.gate)) != (shape[0], 1, 1):
            raise BuildError(f"the gate of a residual gives {made} (C, H, W): give one that makes {shape[0]} channels")
        return means.build(require_single_input(self.gate))

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


class _Competing(nn.Module):
    """The sum of a shortcut and a body whose channels are scaled by a gate that reads the means of both."""

    def __init__(
        self, body: nn.Module, shortcut: nn.Module, gate: nn.Module, scale: float, drop_path: nn.Module | None
    ) -> None:
        super().__init__()
        self.body, self.shortcut, self.gate, self.scale, self.drop_path = body, shortcut, gate, scale, drop_path

    def forward(self, x: Tensor) -> Tensor:
        change, kept = self.body(x), self.shortcut(x)
        means = torch.cat([each.mean((2, 3), keepdim=True) for each in (change, kept)], 1)
        change = change * self.gate(means)
        if self.scale != 1.0:
            change = change * self.scale
        if self.drop_path is not None:
            change = self.drop_path(change)
        total: Tensor = change + kept
        return total
