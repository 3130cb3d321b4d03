"""Dual path structure: some channels are added, others are concatenated."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from nas.building import BuildError, Node, Shape, Site
from nas.records import Positive, record


@record
class DualPath(Node):
    """Add the body's first channels to the residual part of the input, and append the others to its dense part.

    The requested width is that of the residual part; the body is built at that width plus `growth`. With a `projection` (the
    first block of a stage) the input passes through it, built at the width plus twice the growth. Source: Chen et al. 2017,
    arXiv:1707.01629.
    """

    body: Node
    growth: Positive
    projection: Node | None = None

    def build(self, site: Site) -> nn.Module:
        self.shape(site)
        body = self._inner(site, 1).build(self.body)
        projection = nn.Identity() if self.projection is None else self._inner(site, 2).build(self.projection)
        return _Paths(body, projection, site.channels)

    def shape(self, site: Site) -> Shape:
        body = self._inner(site, 1).output(self.body)
        other = site.shape if self.projection is None else self._inner(site, 2).output(self.projection)
        if body[1:] != other[1:] or body[0] != site.channels + self.growth or other[0] < site.channels:
            raise BuildError(
                f"the body of a dual path gives {body} (C, H, W), to be added to {other}: give the first block of a stage "
                f"a projection, and the body {site.channels + self.growth} channels"
            )
        return other[0] + self.growth, *body[1:]

    def _inner(self, site: Site, growths: int) -> Site:
        return replace(site, channels=site.channels + growths * self.growth)


class _Paths(nn.Module):
    def __init__(self, body: nn.Module, projection: nn.Module, residual: int) -> None:
        super().__init__()
        self.body, self.projection, self.residual = body, projection, residual

    def forward(self, x: Tensor) -> Tensor:
        # The first `residual` channels of both are added; the others, which follow, are concatenated.
        change, x = self.body(x), self.projection(x)
        added = x[:, : self.residual] + change[:, : self.residual]
        return torch.cat([added, x[:, self.residual :], change[:, self.residual :]], 1)
