"""Dense structure: every layer reads all outputs before it."""

from __future__ import annotations

from typing import Annotated, final

import torch
from torch import Tensor, nn

from nas.building import BuildError, Node, Shape, Site
from nas.layers.conv import Ratio
from nas.records import Positive, Range, record


@record
class Dense(Node):
    """Concatenate the input and the outputs of `repeat` layers; each layer reads all outputs before it.

    Each layer adds `growth` channels or, without `growth`, the requested width times `ratio`. The output width is the sum,
    whatever is requested, and the size does not change: a transition after it changes both. Huang et al. 2017,
    arXiv:1608.06993.
    """

    repeating = frozenset(("repeat",))

    layer: Node
    repeat: Annotated[int, Range(1, 500)] = 4
    growth: Positive | None = None
    ratio: Ratio = 0.25

    def build(self, site: Site) -> nn.Module:
        layers, shape = [], site.shape
        for _ in range(self.repeat):
            inner = self._inner(site, shape)
            layers.append(inner.build(self.layer))
            shape = self._grown(shape, inner.output(self.layer))
        return _Concatenated(layers)

    def shape(self, site: Site) -> Shape:
        shape = site.shape
        for _ in range(self.repeat):
            shape = self._grown(shape, self._inner(site, shape).output(self.layer))
        return shape

    def _inner(self, site: Site, shape: Shape) -> Site:
        # The concatenated maps need one size, so no layer may have a stride.
        if site.stride != 1:
            raise BuildError(
                f"dense layers keep the size, and stride {site.stride} is requested: put a transition before them"
            )
        return site.put(shape, self.growth or max(1, round(site.channels * self.ratio)))

    def _grown(self, shape: Shape, more: Shape) -> Shape:
        if more[1:] != shape[1:]:
            raise BuildError(f"a dense layer changes the size from {shape[1:]} to {more[1:]}: give one that keeps it")
        return shape[0] + more[0], *shape[1:]


@final
class _Concatenated(nn.Module):
    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        outputs = [x]
        for layer in self.layers:
            outputs.append(layer(outputs[0] if len(outputs) == 1 else torch.cat(outputs, 1)))
        return torch.cat(outputs, 1)
